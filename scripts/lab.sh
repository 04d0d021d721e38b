#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lab.sh COMMAND...: build the lab, a program in tools/lab that does all but installing and calling,
# and run it; "lab.sh help" lists what it can do. Where there is no cargo, what takes to build it is
# installed first.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab=$BUILD/target/debug/lab
if [ ! -d "$TOP/tools" ]; then
	# dkms has a copy of the modules' sources, with the program.
	lab=$TOP/lab
elif [ ! -x "$lab" ]; then
	"$TOP/scripts/setup.sh" lab
	say "==> building the lab"
	IN_LAB=
fi
# What the lab runs need not wait until another cargo lets go of the folder.
[ "$lab" = "$TOP/lab" ] || [ -n "${IN_LAB:-}" ] || host_cargo build --quiet -p lab
# lib.sh keeps it from the makes of other projects.
export DEBUG
exec "$lab" "$@"
