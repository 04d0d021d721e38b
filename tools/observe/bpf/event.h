/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What observe.bpf.c sends to user space; event.rs reads it.  Nothing here has
 * padding.
 */
#ifndef _OBSERVE_EVENT_H
#define _OBSERVE_EVENT_H

#define MAP_SIZE 4096

/* Bytes of a path's names, and of the longest name. */
#define EXE_SIZE 4096
#define NAME_SIZE 256

/* A process, told apart from one that has the same number later, and from
 * itself before it executed another program.
 */
struct identity {
	__u64 started;
	__u32 executed;
	__u32 tgid;
};

/* One system call on configuration space. */
struct access {
	__u64 session;
	/* Nanoseconds of the monotonic clock, as of the first access of a tick. */
	__u64 time;
	struct identity process;
	__u16 offset;
	__u16 size;
	__u32 write;
};

/* Kinds of events that are not accesses. */
enum { EVENT_SESSION = 1, EVENT_PROCESS, EVENT_CLOSE };

/* A session begins. */
struct session_event {
	__u32 kind;
	__u32 cfg_size;
	__u64 session;
	char device[32];
	/* Whether map is the kernel's; else it is not known. */
	__u64 has_map;
	__u8 map[MAP_SIZE];
};

/* A process makes its first access in a session. */
struct process_event {
	__u32 kind;
	__u32 ppid;
	__u64 session;
	struct identity process;
	__u32 auid, uid, gid, euid, suid, fsuid, egid, sgid, fsgid, ses;
	char comm[16];
	char tty[64];
	/* The path of the program: its names, last one first, each with a NUL. */
	__u32 exe_len;
	/* Whether the path has more names, and whether the file was deleted. */
	__u16 exe_cut;
	__u16 exe_deleted;
	char exe[EXE_SIZE];
};

/* A session ends. */
struct close_event {
	__u32 kind;
	__u32 unused;
	__u64 session;
};

/* System calls that there was no room for in the ring: how often there was one
 * of this kind.  Those of size 0 are of any kind, where there was no room for
 * another kind either.
 */
struct dropped {
	__u64 session;
	__u16 offset;
	__u16 size;
	__u32 write;
};

/* Indices of counters. */
enum {
	/* System calls that are in no ring. */
	COUNT_DROPPED,
	/* Those of them that belong to no session, for want of memory. */
	COUNT_UNATTENDED,
	/* Ends of sessions that are in no ring. */
	COUNT_CLOSED,
	COUNTERS
};

#endif /* _OBSERVE_EVENT_H */
