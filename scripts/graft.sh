#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# graft.sh TREE: put the sources and the C glue into a kernel tree. Again is harmless, and brings a
# tree up to date. A tree of a version that the sources cannot be compiled on is refused. graft.sh
# --remove TREE: take both out, leaving the tree as it was. graft.sh --unpatched TREE FOLDER: copy
# the files that the glue changes into FOLDER, as they were.
if [ "${1:-}" = --unpatched ]; then
	set -- --unpatched "${3:?usage: graft.sh --unpatched TREE FOLDER}" "$2"
fi
exec "$(dirname "$0")/lab.sh" graft "$@"
