// SPDX-License-Identifier: GPL-2.0
/*
 * The livepatch with a kernel's headers and source: what it calls has to be declared, and what it
 * replaces, calls or probes by name has to have the type that it takes it for.  fits/probe.rs
 * appends what the Rust code calls.
 */
#include "bindings/bindings_helper.h"

#include "livepatch.c"
#include "vfio_pci_priv.h"

static_assert(__same_type(vfio_pci_config_rw, config_rw),
	      "vfio_pci_config_rw() is not what the livepatch replaces");
static_assert(__same_type(vfio_pci_config_rw_single, *single),
	      "vfio_pci_config_rw_single() is not what the livepatch calls");
static_assert(__same_type(vfio_config_free, detach),
	      "vfio_config_free() is not what the livepatch probes");
