// SPDX-License-Identifier: GPL-2.0
/*
 * What a record costs at least: the same text, written from C by the calls
 * that every audit record takes.  For `make bench` only.
 *
 * A number written to the parameter "times" writes so many records and counts
 * the instructions of each by the time-stamp counter; reading it gives the
 * median.
 */
#include <linux/audit.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <asm/msr.h>

static u64 median;

static void write_record(struct pci_dev *pdev)
{
	struct audit_buffer *ab;

	ab = audit_log_start(NULL,
			     GFP_NOWAIT, AUDIT_PCI);
	if (!ab)
		return;
	audit_log_format(ab, "device=\"%s\" op=%s offset=%#x size=%zu session=%llu res=%d",
			 dev_name(&pdev->dev), "read", 0x40, (size_t)4, 7ULL, 1);
	audit_log_end(ab);
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int set_times(const char *text, const struct kernel_param *param)
{
	struct pci_dev *pdev;
	unsigned int times, i;
	u64 *counts;
	int ret;

	ret = kstrtouint(text, 0, &times);
	if (ret)
		return ret;
	if (!times || times > 10000)
		return -EINVAL;

	pdev = pci_get_domain_bus_and_slot(0, 1, 0);
	if (!pdev)
		return -ENODEV;

	counts = kcalloc(times, sizeof(*counts), GFP_KERNEL);
	if (!counts) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}

	for (i = 0; i < times; i++) {
		u64 empty = rdtsc(), start = rdtsc();

		write_record(pdev);
		counts[i] = rdtsc() - start - (start - empty);
	}
	sort(counts, times, sizeof(*counts), compare, NULL);
	median = counts[times / 2];

	kfree(counts);
	pci_dev_put(pdev);
	return 0;
}

static int get_median(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", median);
}

static const struct kernel_param_ops times_ops = {
	.set = set_times,
	.get = get_median,
};

module_param_cb(times, &times_ops, NULL, 0600);
MODULE_PARM_DESC(times, "Write so many records; read for the median of their instructions");
MODULE_DESCRIPTION("What an audit record costs from C");
MODULE_LICENSE("GPL");
