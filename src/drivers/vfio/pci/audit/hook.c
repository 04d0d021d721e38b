// SPDX-License-Identifier: GPL-2.0
/*
 * What vfio-pci-core may call: Rust cannot export a symbol yet.
 */
#include <linux/export.h>

#include "vfio_pci_audit.h"

EXPORT_SYMBOL_GPL(vfio_pci_audit_reasons);
EXPORT_SYMBOL_GPL(vfio_pci_audit_open);
EXPORT_SYMBOL_GPL(vfio_pci_audit_close);
EXPORT_SYMBOL_GPL(vfio_pci_audit_config_rw);
EXPORT_SYMBOL_GPL(vfio_pci_audit_single_rw);
