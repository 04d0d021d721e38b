/*
 * Automatically generated file; DO NOT EDIT.
 * vfio-pci-audit for a kernel that is not rebuilt
 */
#define CONFIG_AUDIT 1
#define CONFIG_LIVEPATCH 1
#define CONFIG_MODULES 1
#define CONFIG_IN_KERNEL 1
#define CONFIG_VFIO_PCI_CORE_MODULE 1
#define CONFIG_REFUSED "this kernel has vfio_pci_audit of its own: there is nothing to build"
#define CONFIG_RUST 1
#define CONFIG_PCI 1
#define CONFIG_64BIT 1
#define CONFIG_KPROBES 1
