// SPDX-License-Identifier: GPL-2.0
/*
 * Export the Rust symbols of the crate pci_audit that other crates use
 *
 * As for nova-core, until the build system supports dependencies between Rust
 * modules.
 */
#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
