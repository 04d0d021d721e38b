#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What lib.sh runs in a new build folder, and in one that was copied or moved with its checkout:
# what is configured holds absolute paths, and is configured anew.
set -euo pipefail

if [ -e "$BUILD/.place" ]; then
	echo "this checkout was copied from $(<"$BUILD/.place"): it is configured anew" >&2
	# The Makefile of the kernel's source is the kernel's.
	for objects in "$BUILD"/linux/*/ "$BUILD"/{stock/*,deb*}/objects/; do
		[ "$objects" = "$BUILD/linux/src/" ] || rm -f "$objects"{.configured,Makefile}
	done
	rm -rf "$BUILD"/venv "$BUILD"/{stock/*/.prepared,deb*/.configured,audit*/.stamp}
fi
echo "$BUILD" >"$BUILD/.place"
