#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# e2e.sh [OPTION...]: run the end-to-end scenarios; "lab.sh help e2e" lists the options.
exec "$(dirname "$0")/lab.sh" e2e "$@"
