#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-audit.sh [OPTION...]: build audit userspace with our patches into build/audit; "lab.sh help
# build-audit" lists the options.
exec "$(dirname "$0")/lab.sh" build-audit "$@"
