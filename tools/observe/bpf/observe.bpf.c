// SPDX-License-Identifier: GPL-2.0
/*
 * Observes what is read and written of the configuration space of PCI devices
 * that VFIO has given to a process.
 *
 * Only system calls that may cover unassigned bytes are sent to user space,
 * which finds the runs, and keeps accounts as the kernel module does.  What
 * there is no room for is counted by device, operation, offset and size, and is
 * never without an account.
 *
 * Nothing here changes what a system call does.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "event.h"

char LICENSE[] SEC("license") = "GPL";

/* Where struct vfio_pci_core_device has the config map, for kprobes; 0 if that
 * is not known.
 */
const volatile __u32 map_offset = 0;

/* The position within a region of a VFIO device: VFIO_PCI_OFFSET_MASK. */
#define POSITION_MASK ((1ULL << 40) - 1)
#define UNASSIGNED 0xff

/* A device that is open. */
struct session {
	__u64 number;
	/* The process of the last access, to which the ring has an event. */
	__u64 started;
	__u64 executed_tgid;
};

struct announced {
	__u64 session;
	__u64 started;
	__u64 executed_tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct session);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct announced);
	__type(value, __u8);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct dropped);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} accesses SEC(".maps");

/* Apart, so that no flood of accesses keeps the start of a session out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

__u64 last_session = 0;

/* The time of the latest access, and the tick of the kernel's that it was in. */
volatile __u64 latest_time = 0;
volatile __u64 latest_tick = 0;

static void count(__u32 what)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &what);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/* Makes place for system calls of a session that find no room in the ring, nor
 * one of their kind.
 */
static bool prepare_drops(__u64 number)
{
	struct dropped key = { .session = number };
	__u64 none = 0;

	if (bpf_map_update_elem(&drops, &key, &none, BPF_ANY))
		return false;
	key.write = 1;
	return !bpf_map_update_elem(&drops, &key, &none, BPF_ANY);
}

static void forget_drops(__u64 number)
{
	struct dropped key = { .session = number };

	bpf_map_delete_elem(&drops, &key);
	key.write = 1;
	bpf_map_delete_elem(&drops, &key);
}

static void drop(__u64 session, __u32 offset, __u32 size, bool write)
{
	struct dropped key = {
		.session = session,
		.offset = offset,
		.size = size,
		.write = write,
	};
	__u64 none = 0;
	__u64 *dropped = bpf_map_lookup_elem(&drops, &key);

	if (!dropped) {
		bpf_map_update_elem(&drops, &key, &none, BPF_NOEXIST);
		dropped = bpf_map_lookup_elem(&drops, &key);
	}
	if (!dropped) {
		key.offset = 0;
		key.size = 0;
		dropped = bpf_map_lookup_elem(&drops, &key);
	}
	if (dropped)
		__sync_fetch_and_add(dropped, 1);
	else
		count(COUNT_UNATTENDED);
	/* Last: user space reads it first. */
	count(COUNT_DROPPED);
}

/* The first access of a device: tells user space about it. */
static __noinline bool begin(__u64 vdev, struct device *dev, __u8 *map)
{
	struct session session = {};
	struct session_event *event;
	struct pci_dev *pdev;
	__u32 size;

	session.number = __sync_fetch_and_add(&last_session, 1) + 1;
	event = prepare_drops(session.number) ?
		bpf_ringbuf_reserve(&events, sizeof(*event), 0) : NULL;
	if (!event) {
		forget_drops(session.number);
		return false;
	}
	pdev = (void *)dev - bpf_core_field_offset(struct pci_dev, dev);
	size = BPF_CORE_READ(pdev, cfg_size);
	if (size > MAP_SIZE)
		size = MAP_SIZE;
	event->kind = EVENT_SESSION;
	event->cfg_size = size;
	event->session = session.number;
	__builtin_memset(event->device, 0, sizeof(event->device));
	bpf_probe_read_kernel_str(event->device, sizeof(event->device),
				  BPF_CORE_READ(dev, kobj.name));
	event->has_map = map && !bpf_probe_read_kernel(event->map, size, map);
	bpf_ringbuf_submit(event, 0);

	/* Another CPU may have begun it: then its number counts. */
	bpf_map_update_elem(&sessions, &vdev, &session, BPF_NOEXIST);
	return true;
}

/* Most names and mount points of a path. */
#define PATH_STEPS 64

/* Appends the names of the program's path to a process's event. */
static __always_inline void append_path(struct process_event *event, struct task_struct *task)
{
	/* In memory that the verifier does not follow: else it would try each
	 * sum of lengths that there may be.
	 */
	volatile __u32 *used = &event->exe_len;
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct dentry *dentry, *root_dentry;
	struct vfsmount *mnt, *root_mnt;
	int i;

	event->exe_len = 0;
	event->exe_cut = 0;
	event->exe_deleted = 0;
	if (!file)
		return;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	mnt = BPF_CORE_READ(file, f_path.mnt);
	root_dentry = BPF_CORE_READ(task, fs, root.dentry);
	root_mnt = BPF_CORE_READ(task, fs, root.mnt);
	event->exe_deleted = !BPF_CORE_READ(dentry, d_hash.pprev);
	event->exe_cut = 1;

	for (i = 0; i < PATH_STEPS; i++) {
		struct dentry *up = BPF_CORE_READ(dentry, d_parent);
		__u32 len = *used;
		long size;

		if (dentry == root_dentry && mnt == root_mnt) {
			event->exe_cut = 0;
			return;
		}
		if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
			struct mount *mount =
				(void *)mnt - bpf_core_field_offset(struct mount, mnt);
			struct mount *parent = BPF_CORE_READ(mount, mnt_parent);

			if (parent == mount) {
				event->exe_cut = 0;
				return;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (up == dentry) {
			event->exe_cut = 0;
			return;
		}
		if (len > EXE_SIZE - NAME_SIZE)
			return;
		size = bpf_probe_read_kernel_str(event->exe + len, NAME_SIZE,
						 BPF_CORE_READ(dentry, d_name.name));
		if (size <= 0)
			return;
		*used = len + size;
		dentry = up;
	}
}

/* The first access of a process: tells user space about it, since the process
 * may soon be gone.
 */
static __noinline bool introduce(__u64 session, __u64 started, __u64 executed_tgid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct process_event *event;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return false;
	event->kind = EVENT_PROCESS;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->session = session;
	event->process.started = started;
	event->process.executed = executed_tgid >> 32;
	event->process.tgid = executed_tgid;
	event->auid = -1;
	event->ses = -1;
	if (bpf_core_field_exists(task->loginuid)) {
		event->auid = BPF_CORE_READ(task, loginuid.val);
		event->ses = BPF_CORE_READ(task, sessionid);
	}
	event->uid = BPF_CORE_READ(cred, uid.val);
	event->gid = BPF_CORE_READ(cred, gid.val);
	event->euid = BPF_CORE_READ(cred, euid.val);
	event->suid = BPF_CORE_READ(cred, suid.val);
	event->fsuid = BPF_CORE_READ(cred, fsuid.val);
	event->egid = BPF_CORE_READ(cred, egid.val);
	event->sgid = BPF_CORE_READ(cred, sgid.val);
	event->fsgid = BPF_CORE_READ(cred, fsgid.val);
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	__builtin_memset(event->tty, 0, sizeof(event->tty));
	bpf_probe_read_kernel_str(event->tty, sizeof(event->tty),
				  (void *)BPF_CORE_READ(task, signal, tty) +
				  bpf_core_field_offset(struct tty_struct, name));
	append_path(event, task);
	bpf_ringbuf_submit(event, 0);
	return true;
}

/* Linux 6.2 has it: memory is read by a plain load, not by a call. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __weak __ksym;

/* Reads up to eight bytes, zeros for the rest.  0 if they cannot be read. */
static __always_inline __u64 peek(void *from, __u32 size)
{
	__u64 value = 0;

	if (bpf_ksym_exists(bpf_rdonly_cast)) {
		/* A structure that begins with a number of 64 bits. */
		struct timespec64 *word =
			bpf_rdonly_cast(from, bpf_core_type_id_kernel(struct timespec64));

		return word->tv_sec & (~0ULL >> (64 - 8 * size));
	}
	bpf_probe_read_kernel(&value, size, from);
	return value;
}

/* Whether one of up to eight entries of the map is of an unassigned byte. */
static __always_inline bool has_unassigned(__u8 *map, __u32 offset, __u32 size)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 ids = peek(map + offset, size);

	/* Whether a byte is all ones. */
	return ((~ids - ones) & ids & (ones << 7)) != 0;
}

/* The time, as of the first access of this tick.  To read the clock for each
 * costs a tenth of all that is done for it; audit's clock has ticks, too.
 */
static __always_inline __u64 coarse_time(void)
{
	__u64 tick = bpf_jiffies64();

	if (latest_tick != tick) {
		latest_time = bpf_ktime_get_ns();
		/* Another CPU that sees it too early has the time of the access
		 * before: for user space, time does not go back.
		 */
		latest_tick = tick;
	}
	return latest_time;
}

/* One system call.  The arguments are those of vfio_pci_config_rw(), and where
 * it has the device and the config map.
 */
static __always_inline void see(__u64 vdev, struct device *dev, __u8 *map, __u64 count_,
				void *ppos, bool write)
{
	__u64 position = peek(ppos, sizeof(position)) & POSITION_MASK;
	__u64 started, executed_tgid;
	struct task_struct *task;
	struct session *session;
	struct access *event;
	__u32 size;

	if (position >= MAP_SIZE || count_ == 0 || count_ > MAP_SIZE - position)
		return;
	size = count_;
	if (map && size <= 8 && !has_unassigned(map, position, size))
		return;

	task = bpf_get_current_task_btf();
	started = task->group_leader->start_boottime;
	executed_tgid = task->self_exec_id << 32 | (__u32)task->tgid;
	session = bpf_map_lookup_elem(&sessions, &vdev);
	if (!session) {
		if (!begin(vdev, dev, map)) {
			count(COUNT_UNATTENDED);
			return;
		}
		session = bpf_map_lookup_elem(&sessions, &vdev);
		if (!session) {
			count(COUNT_UNATTENDED);
			return;
		}
	}
	if (session->started != started || session->executed_tgid != executed_tgid) {
		struct announced key = {
			.session = session->number,
			.started = started,
			.executed_tgid = executed_tgid,
		};
		__u8 yes = 1;
		bool known = bpf_map_lookup_elem(&processes, &key);

		if (!known && introduce(key.session, started, executed_tgid)) {
			bpf_map_update_elem(&processes, &key, &yes, BPF_ANY);
			known = true;
		}
		/* Each half is of a process that user space knows, even if two
		 * CPUs write at once.
		 */
		if (known) {
			session->started = started;
			session->executed_tgid = executed_tgid;
		}
	}

	event = bpf_ringbuf_reserve(&accesses, sizeof(*event), 0);
	if (!event) {
		drop(session->number, position, size, write);
		return;
	}
	event->session = session->number;
	event->time = coarse_time();
	event->process.started = started;
	event->process.executed = executed_tgid >> 32;
	event->process.tgid = executed_tgid;
	event->offset = position;
	event->size = size;
	event->write = write;
	/* User space looks several times a second.  To wake it costs more than
	 * everything here.
	 */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline void end(__u64 vdev)
{
	struct session *session = bpf_map_lookup_elem(&sessions, &vdev);
	struct close_event *event;
	__u64 number;

	if (!session)
		return;
	number = session->number;
	bpf_map_delete_elem(&sessions, &vdev);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(COUNT_CLOSED);
		return;
	}
	event->kind = EVENT_CLOSE;
	event->unused = 0;
	event->session = number;
	bpf_ringbuf_submit(event, 0);
}

SEC("fentry/vfio_pci_config_rw")
int rw_fentry(__u64 *ctx)
{
	struct vfio_pci_core_device *vdev = (void *)ctx[0];

	/* The caller extends a bool to no more than a byte. */
	see((__u64)vdev, vdev->vdev.dev, vdev->pci_config_map, ctx[2], (void *)ctx[3],
	    (__u8)ctx[4] != 0);
	return 0;
}

SEC("fentry/vfio_config_free")
int free_fentry(__u64 *ctx)
{
	end(ctx[0]);
	return 0;
}

SEC("kprobe")
int rw_kprobe(struct pt_regs *ctx)
{
	__u64 vdev = PT_REGS_PARM1(ctx);
	struct device *dev = NULL;
	__u8 *map = NULL;

	/* Its first member is a struct vfio_device, and that one's the device. */
	bpf_probe_read_kernel(&dev, sizeof(dev), (void *)vdev);
	if (map_offset)
		bpf_probe_read_kernel(&map, sizeof(map), (void *)vdev + map_offset);
	see(vdev, dev, map, PT_REGS_PARM3(ctx), (void *)PT_REGS_PARM4(ctx),
	    (__u8)PT_REGS_PARM5(ctx) != 0);
	return 0;
}

SEC("kprobe")
int free_kprobe(struct pt_regs *ctx)
{
	end(PT_REGS_PARM1(ctx));
	return 0;
}
