// SPDX-License-Identifier: GPL-2.0
/*
 * A thousand PCI devices that do not exist, and sessions on them.  For `make
 * bench` only.
 *
 * The functions are behind made-up host bridges, and have ids and nothing
 * else.  Without an IOMMU, vfio-pci does not take them: sessions are opened
 * here, by the calls that vfio-pci-core makes.
 *
 * A number written to the parameter "sessions" opens or closes sessions until
 * so many are open; reading "costs" then counts the instructions, by the
 * time-stamp counter, of opening one more, of an access, of closing it, and
 * of opening a session on a device that had none before.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sort.h>
#include <asm/msr.h>

#include "session/session.h"

#define BRIDGES		5
#define FUNCTIONS	256
#define DEVICES		(BRIDGES * FUNCTIONS)
/* Domains that no firmware has, as those of VMD. */
#define FIRST_DOMAIN	0x10000
/* How often a cost is counted, and on how many devices for the first time. */
#define TIMES		101
#define FIRST_TIMES	9

enum cost { OPEN, ACCESS, CLOSE, FIRST_OPEN, COSTS };

static struct pci_sysdata sysdata[BRIDGES];
static struct pci_bus *buses[BRIDGES];
static struct pci_dev *devices[DEVICES];
static struct vfio_pci_audit_session *sessions[DEVICES];
/* So many sessions are open, on the first devices. */
static unsigned int count;
/* The devices from this one on had no session yet; the last is counted on. */
static unsigned int unused;

/* A device with no resources and no capabilities. */
static const u8 header[PCI_STD_HEADER_SIZEOF] = {
	[PCI_VENDOR_ID] = 0x36, 0x1b,
	[PCI_DEVICE_ID] = 0x05, 0x00,
	[PCI_CLASS_DEVICE] = 0x00, 0xff,
	[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_MFD,
};

static int read_config(struct pci_bus *bus, unsigned int devfn, int where,
		       int size, u32 *val)
{
	*val = 0;
	if (where + size <= sizeof(header))
		memcpy(val, header + where, size);
	return PCIBIOS_SUCCESSFUL;
}

static int write_config(struct pci_bus *bus, unsigned int devfn, int where,
			int size, u32 val)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ops = {
	.read = read_config,
	.write = write_config,
};

static void close_to(unsigned int wanted)
{
	while (count > wanted) {
		vfio_pci_audit_close(sessions[--count]);
		sessions[count] = NULL;
	}
}

static int set_sessions(const char *text, const struct kernel_param *param)
{
	unsigned int wanted;
	int ret;

	ret = kstrtouint(text, 0, &wanted);
	if (ret)
		return ret;
	if (wanted >= DEVICES)
		return -EINVAL;
	if (wanted > unused)
		unused = wanted;
	close_to(wanted);
	while (count < wanted) {
		ret = vfio_pci_audit_open(devices[count], &sessions[count]);
		if (ret)
			return ret;
		vfio_pci_audit_blocked(sessions[count], devices[count], 0x40, false);
		count++;
	}
	return 0;
}

static int get_sessions(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%u\n", count);
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static u64 median(u64 *counts, size_t times)
{
	sort(counts, times, sizeof(*counts), compare, NULL);
	return counts[times / 2];
}

/* A session on @pdev; @costs gets what each step of it takes. */
static int count_session(struct pci_dev *pdev, u64 *costs)
{
	struct vfio_pci_audit_session *session;
	u64 empty = rdtsc(), start = rdtsc();
	int ret;

	empty = start - empty;
	ret = vfio_pci_audit_open(pdev, &session);
	costs[OPEN] = rdtsc() - start - empty;
	if (ret)
		return ret;

	start = rdtsc();
	vfio_pci_audit_blocked(session, pdev, 0x40, false);
	costs[ACCESS] = rdtsc() - start - empty;

	start = rdtsc();
	vfio_pci_audit_close(session);
	costs[CLOSE] = rdtsc() - start - empty;
	return 0;
}

static int get_costs(char *buffer, const struct kernel_param *param)
{
	static u64 counts[COSTS][TIMES];
	u64 costs[COSTS];
	int i, ret;

	if (unused + FIRST_TIMES >= DEVICES)
		return -ENOSPC;
	for (i = 0; i < FIRST_TIMES; i++) {
		ret = count_session(devices[unused++], costs);
		if (ret)
			return ret;
		counts[FIRST_OPEN][i] = costs[OPEN];
	}
	for (i = 0; i < TIMES; i++) {
		ret = count_session(devices[DEVICES - 1], costs);
		if (ret)
			return ret;
		counts[OPEN][i] = costs[OPEN];
		counts[ACCESS][i] = costs[ACCESS];
		counts[CLOSE][i] = costs[CLOSE];
	}
	return sysfs_emit(buffer, "%llu %llu %llu %llu\n",
			  median(counts[OPEN], TIMES),
			  median(counts[ACCESS], TIMES),
			  median(counts[CLOSE], TIMES),
			  median(counts[FIRST_OPEN], FIRST_TIMES));
}

static const struct kernel_param_ops sessions_ops = {
	.set = set_sessions,
	.get = get_sessions,
};

static const struct kernel_param_ops costs_ops = {
	.get = get_costs,
};

module_param_cb(sessions, &sessions_ops, NULL, 0600);
MODULE_PARM_DESC(sessions, "So many sessions are open");
module_param_cb(costs, &costs_ops, NULL, 0400);
MODULE_PARM_DESC(costs, "Instructions of open, an access, close, and the first open of a device");

static void remove_bridges(void)
{
	int i;

	close_to(0);
	pci_lock_rescan_remove();
	for (i = 0; i < BRIDGES; i++) {
		if (!buses[i])
			continue;
		pci_stop_root_bus(buses[i]);
		pci_remove_root_bus(buses[i]);
	}
	pci_unlock_rescan_remove();
}

static int __init crowd_init(void)
{
	struct pci_dev *pdev;
	int i, found = 0;

	for (i = 0; i < BRIDGES; i++) {
		LIST_HEAD(resources);

		sysdata[i].domain = FIRST_DOMAIN + i;
		sysdata[i].node = NUMA_NO_NODE;
		pci_lock_rescan_remove();
		buses[i] = pci_scan_root_bus(NULL, 0, &ops, &sysdata[i], &resources);
		pci_unlock_rescan_remove();
		if (!buses[i])
			goto fail;
		list_for_each_entry(pdev, &buses[i]->devices, bus_list) {
			if (found < DEVICES)
				devices[found++] = pdev;
		}
	}
	if (found == DEVICES)
		return 0;
	pr_err("there are %d devices, not %d\n", found, DEVICES);
fail:
	remove_bridges();
	return -ENODEV;
}
module_init(crowd_init);

static void __exit crowd_exit(void)
{
	remove_bridges();
}
module_exit(crowd_exit);

MODULE_DESCRIPTION("Sessions on devices that do not exist");
MODULE_LICENSE("GPL");
