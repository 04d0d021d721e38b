#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-module.sh NAME [FOLDER]: build a module of tools/modules for the kernel in build/linux/m, in
# build/linux/FOLDER (default: NAME).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

name=${1:?usage: build-module.sh NAME [FOLDER]}
folder=$BUILD/linux/${2:-$name}
mkdir -p "$folder"
rsync -a --checksum "$TOP/tools/modules/$name/" "$folder/"
kmake "$BUILD/linux/m" M="$folder" modules
