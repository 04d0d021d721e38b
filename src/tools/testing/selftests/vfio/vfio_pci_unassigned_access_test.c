// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses to unassigned config space: what is blocked, and what is recorded.
 *
 * The audit records say where the device's unassigned bytes are, and what the
 * kernel decided.  They are read from the audit multicast group, which needs
 * no audit daemon and takes no records away from one.
 *
 * A write to an unassigned byte may take a machine down, so none is made
 * that is not blocked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>

#include <linux/audit.h>
#include <linux/limits.h>
#include <linux/netlink.h>
#include <linux/pci_regs.h>

#include <libvfio.h>

#include "kselftest_harness.h"

#ifndef AUDIT_PCI
#define AUDIT_PCI 1340
#endif

#define PARAMETERS "/sys/module/vfio_pci_audit/parameters/"
#define CONFIG_SIZE 4096

/* How long a record may take to come, and how long silence means none. */
#define RECORD_TIMEOUT_MS 5000
#define SILENCE_MS 300

static const char *device_bdf;

static const char * const parameters[] = {
	"block_pci_unassigned_read",
	"block_pci_unassigned_write",
	"uaccess_allow_ids",
	"audit_rate",
};

/* What they were before the tests, which set them. */
static char saved[ARRAY_SIZE(parameters)][CONFIG_SIZE];
static pid_t saved_by;

struct access_record {
	char op[8];
	unsigned int offset;
	unsigned int size;
	unsigned int res;
};

FIXTURE(unassigned_access) {
	struct iommu *iommu;
	struct vfio_pci_device *device;
	int audit_fd;
	int sysfs_fd;
	/* The longest run of unassigned bytes. */
	unsigned int offset;
	unsigned int size;
};

/* Returns 0 or a negative errno. */
static int parameter_set(const char *name, const char *value)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	/* An empty write would not reach the kernel. */
	if (!*value)
		value = "\n";
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int parameter_get(const char *name, char *value, size_t size)
{
	char path[PATH_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	len = read(fd, value, size - 1);
	close(fd);
	if (len < 0)
		return -EIO;
	value[len] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

/* Returns whether auditing is enabled, or a negative errno. */
static int audit_is_enabled(void)
{
	struct {
		struct nlmsghdr header;
		struct audit_status status;
		char rest[256];
	} reply;
	struct nlmsghdr request = {
		.nlmsg_len = sizeof(request),
		.nlmsg_type = AUDIT_GET,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	struct timeval timeout = { .tv_sec = 2 };
	int fd, ret = -EIO;
	ssize_t len;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (send(fd, &request, sizeof(request), 0) == sizeof(request)) {
		len = recv(fd, &reply, sizeof(reply), 0);
		if (len >= (ssize_t)offsetof(typeof(reply), status.pid) &&
		    reply.header.nlmsg_type == AUDIT_GET)
			ret = !!reply.status.enabled;
		else if (len > 0 && reply.header.nlmsg_type == NLMSG_ERROR)
			ret = -EPERM;
	}
	close(fd);
	return ret;
}

static int audit_listen(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1),
	};
	int fd, size = 1 << 20;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Take the next access of the device from the log; false if none comes. */
static bool next_access(int audit_fd, struct access_record *record, int timeout)
{
	struct pollfd pollfd = { .fd = audit_fd, .events = POLLIN };
	struct {
		struct nlmsghdr header;
		char text[8192];
	} message;
	char *fields, device[32];
	ssize_t len;

	while (poll(&pollfd, 1, timeout) == 1) {
		len = recv(audit_fd, &message, sizeof(message) - 1, 0);
		if (len < (ssize_t)sizeof(message.header))
			return false;
		((char *)&message)[len] = '\0';
		if (message.header.nlmsg_type != AUDIT_PCI)
			continue;

		fields = strstr(message.text, "device=");
		if (fields &&
		    sscanf(fields,
			   "device=\"%31[^\"]\" op=%7s offset=%x size=%u session=%*31s res=%u",
			   device, record->op, &record->offset, &record->size,
			   &record->res) == 5 &&
		    !strcmp(device, device_bdf))
			return true;
	}
	return false;
}

#define expect_access(_op, _offset, _size, _res) do {				\
	struct access_record __record;						\
										\
	ASSERT_TRUE(next_access(self->audit_fd, &__record, RECORD_TIMEOUT_MS)) {\
		TH_LOG("no record of an access");				\
	}									\
	EXPECT_STREQ(_op, __record.op);						\
	EXPECT_EQ(_offset, __record.offset);					\
	EXPECT_EQ(_size, __record.size);					\
	EXPECT_EQ(_res, __record.res);						\
} while (0)

#define expect_silence() do {							\
	struct access_record __record;						\
										\
	EXPECT_FALSE(next_access(self->audit_fd, &__record, SILENCE_MS)) {	\
		TH_LOG("a record of %s at 0x%x, size %u", __record.op,		\
		       __record.offset, __record.size);				\
	}									\
} while (0)

FIXTURE_SETUP(unassigned_access)
{
	struct access_record record;
	unsigned int end = 0;
	char path[PATH_MAX];
	char data[CONFIG_SIZE];
	size_t size;

	self->audit_fd = -1;
	self->sysfs_fd = -1;
	if (access(PARAMETERS, F_OK))
		SKIP(return, "no CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT");
	if (audit_is_enabled() != 1)
		SKIP(return, "auditing is off, or not for us to see");
	self->audit_fd = audit_listen();
	if (self->audit_fd < 0)
		SKIP(return, "no access to the audit log");

	ASSERT_EQ(0, parameter_set("block_pci_unassigned_read", "Y"));
	ASSERT_EQ(0, parameter_set("block_pci_unassigned_write", "Y"));
	ASSERT_EQ(0, parameter_set("uaccess_allow_ids", ""));
	ASSERT_EQ(0, parameter_set("audit_rate", "0"));

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", device_bdf);
	self->sysfs_fd = open(path, O_RDONLY);
	ASSERT_LE(0, self->sysfs_fd);

	/* Without /dev/iommu there still may be containers. */
	self->iommu = iommu_init(access("/dev/iommu", F_OK) ?
				 MODE_VFIO_TYPE1V2_IOMMU : default_iommu_mode);
	self->device = vfio_pci_device_init(device_bdf, self->iommu);
	size = self->device->config_space.size;
	ASSERT_GE(CONFIG_SIZE, size);

	/* One read of everything makes one record for each unassigned run. */
	vfio_pci_config_access(self->device, false, 0, size, data);
	while (next_access(self->audit_fd, &record, SILENCE_MS)) {
		EXPECT_STREQ("read", record.op);
		EXPECT_EQ(0, record.res);
		EXPECT_LE(PCI_STD_HEADER_SIZEOF, record.offset);
		/* Runs are as long as they can be, so that none touches another. */
		EXPECT_LT(end, record.offset);
		end = record.offset + record.size;
		EXPECT_GE(size, end);
		if (record.size > self->size) {
			self->offset = record.offset;
			self->size = record.size;
		}
	}
	if (!self->size)
		SKIP(return, "the device has no unassigned byte");
}

FIXTURE_TEARDOWN(unassigned_access)
{
	if (self->device)
		vfio_pci_device_cleanup(self->device);
	if (self->iommu)
		iommu_cleanup(self->iommu);
	close(self->sysfs_fd);
	close(self->audit_fd);
}

TEST_F(unassigned_access, blocked_read_gives_zeros)
{
	u8 data[CONFIG_SIZE], zeros[CONFIG_SIZE] = {};

	memset(data, 0xff, sizeof(data));
	vfio_pci_config_access(self->device, false, self->offset, self->size, data);
	EXPECT_EQ(0, memcmp(data, zeros, self->size));
	expect_access("read", self->offset, self->size, 0);
	expect_silence();
}

TEST_F(unassigned_access, allowed_read_reaches_the_device)
{
	u8 data[CONFIG_SIZE], really[CONFIG_SIZE];

	ASSERT_EQ(0, parameter_set("block_pci_unassigned_read", "N"));
	memset(data, 0xff, sizeof(data));
	ASSERT_EQ(self->size, pread(self->sysfs_fd, really, self->size, self->offset));
	vfio_pci_config_access(self->device, false, self->offset, self->size, data);
	EXPECT_EQ(0, memcmp(data, really, self->size));
	expect_access("read", self->offset, self->size, 1);
	expect_silence();
}

TEST_F(unassigned_access, blocked_write_is_discarded)
{
	u8 before, after, other;

	/* First what the byte holds anyway: see that it is blocked. */
	ASSERT_EQ(1, pread(self->sysfs_fd, &before, 1, self->offset));
	vfio_pci_config_writeb(self->device, self->offset, before);
	expect_access("write", self->offset, 1, 0);
	ASSERT_FALSE(_metadata->exit_code);

	other = ~before;
	vfio_pci_config_writeb(self->device, self->offset, other);
	expect_access("write", self->offset, 1, 0);
	ASSERT_EQ(1, pread(self->sysfs_fd, &after, 1, self->offset));
	EXPECT_EQ(before, after);
	expect_silence();
}

TEST_F(unassigned_access, assigned_bytes_are_served)
{
	u32 id;

	ASSERT_EQ(4, pread(self->sysfs_fd, &id, 4, PCI_VENDOR_ID));
	EXPECT_EQ(id, vfio_pci_config_readl(self->device, PCI_VENDOR_ID));

	vfio_pci_cmd_set(self->device, PCI_COMMAND_MASTER);
	EXPECT_TRUE(vfio_pci_config_readw(self->device, PCI_COMMAND) & PCI_COMMAND_MASTER);
	vfio_pci_cmd_clear(self->device, PCI_COMMAND_MASTER);
	EXPECT_FALSE(vfio_pci_config_readw(self->device, PCI_COMMAND) & PCI_COMMAND_MASTER);
	expect_silence();
}

TEST_F(unassigned_access, listed_device_is_exempt)
{
	char list[64];
	u8 data;

	snprintf(list, sizeof(list), "ffff:ffff, %04X:%04x",
		 vfio_pci_config_readw(self->device, PCI_VENDOR_ID),
		 vfio_pci_config_readw(self->device, PCI_DEVICE_ID));
	ASSERT_EQ(0, parameter_set("uaccess_allow_ids", list));
	vfio_pci_config_access(self->device, false, self->offset, 1, &data);
	expect_access("read", self->offset, 1, 1);

	ASSERT_EQ(0, parameter_set("uaccess_allow_ids", "ffff:ffff"));
	vfio_pci_config_access(self->device, false, self->offset, 1, &data);
	expect_access("read", self->offset, 1, 0);
}

TEST_F(unassigned_access, excepted_bytes_pass)
{
	char list[32];
	u8 data[3];

	if (self->size < sizeof(data))
		SKIP(return, "no run is long enough");
	snprintf(list, sizeof(list), "%04x:*@%x-%x",
		 vfio_pci_config_readw(self->device, PCI_VENDOR_ID),
		 self->offset + 1, self->offset + 1);
	ASSERT_EQ(0, parameter_set("uaccess_allow_ids", list));
	vfio_pci_config_access(self->device, false, self->offset, sizeof(data), data);
	expect_access("read", self->offset, 1, 0);
	expect_access("read", self->offset + 1, 1, 1);
	expect_access("read", self->offset + 2, 1, 0);
	expect_silence();
	EXPECT_EQ(0, data[0]);
	EXPECT_EQ(0, data[2]);
}

TEST_F(unassigned_access, bad_list_changes_nothing)
{
	static const char * const bad[] = {
		"8086:10d3,", "8086", "8086:", "12345:1", "8086:10d3x", "x:1",
		"8086:10d3@", "8086:10d3@3-0", "8086:10d3@0-1000", "8086:*@1",
	};
	char list[64];
	int i;

	ASSERT_EQ(0, parameter_set("uaccess_allow_ids", "1234:5678"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, parameter_set("uaccess_allow_ids", bad[i])) {
			TH_LOG("list \"%s\"", bad[i]);
		}
		ASSERT_EQ(0, parameter_get("uaccess_allow_ids", list, sizeof(list)));
		EXPECT_STREQ("1234:5678", list);
	}
}

/* A fixture has no teardown when its setup skips or fails: this is done at the end of all tests. */
static void restore_parameters(void)
{
	int i;

	/* A test, which is a child, may end with exit(). */
	if (getpid() != saved_by)
		return;
	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		if (parameter_set(parameters[i], saved[i]))
			fprintf(stderr, "%s was \"%s\" and is not now\n", parameters[i], saved[i]);
}

static void save_parameters(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		if (parameter_get(parameters[i], saved[i], sizeof(saved[i])))
			ksft_exit_skip("%s cannot be read\n", parameters[i]);
	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		if (strstr(saved[i], "..."))
			ksft_exit_skip("%s is longer than a page shows\n", parameters[i]);
	saved_by = getpid();
	atexit(restore_parameters);
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	if (!access(PARAMETERS, F_OK))
		save_parameters();
	return test_harness_run(argc, argv);
}
