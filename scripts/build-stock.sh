#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-stock.sh [--image] [RELEASE]: build both modules for a kernel of Debian's as it is, in
# build/stock/RELEASE/modules, and print that folder's parent. RELEASE, which the environment may
# give too, is what uname -r says; the default is the running kernel if it is such a one, else the
# newest in backports. --image fetches the kernel itself too, to boot it.
#
# MODULES_CONFIG chooses further modules, as in "CONFIG_SAMPLE_PCI_AUDIT_C=m": see Kconfig. With
# --image, which is for tests, these are the samples.
exec "$(dirname "$0")/lab.sh" stock "$@"
