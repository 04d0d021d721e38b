#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tests that need no kernel: the modules' files that import only core, and the host's tools.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

host_cargo test --workspace --no-fail-fast
# What the program has when it is built with more than its packages may have. Of the whole
# workspace: for a package alone, cargo would build what it depends on anew.
host_cargo test --workspace --features vfio-pci-audit/parquet --test duckdb
"$TOP/scripts/lab.sh" coverage
