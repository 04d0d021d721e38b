#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Set everything up, and show it: the main job, from a fresh machine to the output of ausearch -m
# PCI.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/prepare.sh" m
exec "$TOP/scripts/vm.sh" --name demo -- scripts/demo.sh
