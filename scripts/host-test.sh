#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tests that need no kernel: the modules' files that import only core, and the host's tools.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

host_cargo test --workspace --no-fail-fast
# What the program has when it is built with more than its packages may have.
host_cargo test -p vfio-pci-audit --features parquet --test duckdb
"$TOP/scripts/lab.sh" coverage
