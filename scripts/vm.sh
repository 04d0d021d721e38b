#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.sh [OPTION...] -- COMMAND...: boot a kernel and run a command in it; "lab.sh help vm" lists the
# options.
exec "$(dirname "$0")/lab.sh" vm "$@"
