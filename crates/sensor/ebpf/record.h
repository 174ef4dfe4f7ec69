/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the programs write, the tables that they keep, and how they count what finds no room. */
#ifndef NEPH_RECORD_H
#define NEPH_RECORD_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "kernel.h"

/* Set by the sensor before it loads the programs. */
const volatile u32 own_process;
const volatile u32 filter_level;
const volatile u64 filter_group;
/* How full the ring may be, in bytes, before a class is given up. */
const volatile u64 room_of_class[7];
/* How full it may be before arguments are cut earlier. */
const volatile u64 room_of_long_arguments;

/* The classes of `observation.rs`, in its order. */
enum class {
	EXEC,
	CONNECT,
	OPEN,
	CHANGE,
	OUTCOME,
	FORK,
	EXIT,
	CLASSES,
};

enum cause {
	BUFFER_FULL,
	TABLE_FULL,
	UNREADABLE,
	SHED,
	CAUSES,
};

enum kind {
	KIND_FORK = 1,
	KIND_EXEC,
	KIND_EXIT,
	KIND_CONNECT,
	KIND_OUTCOME,
	KIND_OPEN,
	KIND_UNIX,
	KIND_CHANGE,
};

enum {
	PATH_MAX = 4096,
	NAME_MAX = 256,
	/* Folders of a path, and parts of a control group's, that are followed. */
	DEPTH = 48,
	GROUP_DEPTH = 10,
	/* Paths of one record together, and a name's length beyond it, since it is asked for room before a name is read. */
	PATHS = 10240,
	ARGUMENTS = 16384,
	FEW_ARGUMENTS = 4096,
	/* A name of a file that is looked for, and its folder's. */
	WATCHED = 64,
	UNIX_NAME = 108,

	AF_UNIX = 1,
	AF_INET = 2,
	AF_INET6 = 10,
	SOCK_STREAM = 1,
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_CLOSE = 7,

	EPERM = 1,
	EINTR = 4,
	EACCES = 13,
	EALREADY = 114,
	EINPROGRESS = 115,
	ERESTARTSYS = 512,

	SIGNAL_GROUP_EXIT = 4,
	FMODE_PATH = 0x4000,
	FMODE_CREATED = 0x100000,
	AT_FDCWD = -100,
	/* `pids` in `struct signal_struct`. */
	PGID = 2,
	SID = 3,
};

struct head {
	u32 kind;
	/* Thread group. */
	u32 pid;
	u64 at;
	/* When the thread group began. */
	u64 start;
};

struct fork_record {
	struct head head;
	u64 parent_start;
	u32 parent;
	u32 pad;
};

struct exit_record {
	struct head head;
	s32 status;
	u32 pad;
};

struct ids {
	u32 uid;
	u32 euid;
	u32 gid;
	u32 egid;
};

struct connect_record {
	struct head head;
	u64 cookie;
	u8 address[16];
	struct ids ids;
	char thread[16];
	u32 family;
	u32 protocol;
	u16 port;
	/* Where how it went is told. */
	u8 outcome;
	u8 pad;
	s32 error;
};

enum {
	OUTCOME_NEVER,
	/* By a record of its own. */
	OUTCOME_LATER,
	/* By `error`. */
	OUTCOME_HERE,
};

struct outcome_record {
	struct head head;
	u64 cookie;
	u8 local[16];
	s32 error;
	u16 family;
	u16 port;
};

/* A file that was opened, or a Unix socket that was connected to. Behind it: what the process named, the real path, and the folder
 * that a relative name begins at, each path from its end. */
struct open_record {
	struct head head;
	struct ids ids;
	char thread[16];
	s32 error;
	/* Bits of `OPEN_…`. */
	u32 how;
	u32 named;
	u32 real;
	u32 folder;
	u32 pad;
};

enum {
	OPEN_WRITING = 1,
	OPEN_CREATED = 2,
};

/* A process became another user, another group, or the leader of a session of its own. */
struct change_record {
	struct head head;
	u64 permitted;
	u64 effective;
	struct ids ids;
	u32 session_leader;
	u32 group_leader;
};

enum {
	FLAG_UNNAMED = 1,
	FLAG_SCRIPT = 2,
	FLAG_LOGIN = 4,
};

/* Behind it: what was asked to be run, the program, the working directory and the control groups of both hierarchies, each path from
 * its end, and the arguments. */
struct exec_record {
	struct head head;
	u64 parent_start;
	u64 permitted;
	u64 effective;
	u64 arguments_bytes;
	u64 arguments_count;
	struct ids ids;
	u32 parent;
	u32 login;
	u32 session;
	u32 inner;
	u32 mnt;
	u32 pidns;
	u32 net;
	u32 user;
	u32 uts;
	u32 tty;
	u32 session_leader;
	u32 group_leader;
	u32 flags;
	u32 asked;
	u32 program;
	u32 cwd;
	u32 group;
	u32 group_before;
	u32 arguments;
	u32 pad;
};

_Static_assert(sizeof(struct connect_record) == 96, "as record.rs reads it");
_Static_assert(sizeof(struct outcome_record) == 56, "as record.rs reads it");
_Static_assert(sizeof(struct open_record) == 80, "as record.rs reads it");
_Static_assert(sizeof(struct change_record) == 64, "as record.rs reads it");
_Static_assert(sizeof(struct exec_record) == 160, "as record.rs reads it");

/* Records that are too long for the stack are made here. */
struct draft {
	/* How much of `bytes` is in use. */
	u64 used;
	u8 bytes[PATHS + NAME_MAX + ARGUMENTS];
};

struct counts {
	u64 seen[CLASSES];
	u64 lost[CLASSES][CAUSES];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counts);
} counted SEC(".maps");

/* A program at a raw tracepoint is not interrupted by another at one, so that one for each processor is enough. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* Threads within connect(2), by their number, and the socket's cookie. */
struct call {
	u64 cookie;
	u32 stream;
	u32 pad;
};

/* No table that gives up what is old: then nobody could count what it gave up. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

/* To where a socket without a connection has sent already. What this table gives up is told once more, and so is not lost. */
struct sent_key {
	u64 cookie;
	u8 address[16];
	u32 port;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sent_key);
	__type(value, u8);
} sent SEC(".maps");

/* Digests of the last part of the paths that are looked for, of the last two together, and of folders in which any file is looked for
 * that is made: the first says which others to form. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} watched SEC(".maps");

static __always_inline struct counts *counts(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counted, &zero);
}

static __always_inline void count_lost(enum class class, enum cause cause)
{
	struct counts *all = counts();

	if (all)
		all->lost[class][cause]++;
}

static __always_inline void count_seen(enum class class)
{
	struct counts *all = counts();

	if (all)
		all->seen[class]++;
}

/* Whether the ring has room for a class; the least important is given up first, so that programs started are kept longest. */
static __always_inline bool room(enum class class)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <= room_of_class[class])
		return true;
	count_lost(class, SHED);
	return false;
}

static __always_inline void *reserve(enum class class, u64 size)
{
	void *record;

	if (!room(class))
		return NULL;
	record = bpf_ringbuf_reserve(&events, size, 0);
	if (!record)
		count_lost(class, BUFFER_FULL);
	else
		count_seen(class);
	return record;
}

static __always_inline struct draft *draft(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&drafts, &zero);
}

static __always_inline void hand_over(enum class class, struct draft *draft)
{
	u64 size = draft->used;

	if (size > sizeof(draft->bytes))
		size = sizeof(draft->bytes);
	if (bpf_ringbuf_output(&events, draft->bytes, size, 0))
		count_lost(class, BUFFER_FULL);
	else
		count_seen(class);
}

/* Whether the running process is one that is to be told of. */
static __always_inline bool wanted(void)
{
	if (bpf_get_current_pid_tgid() >> 32 == own_process)
		return false;
	return !filter_group || bpf_get_current_ancestor_cgroup_id(filter_level) == filter_group;
}

static __always_inline void begin(struct head *head, u32 kind, struct task_struct *task)
{
	head->kind = kind;
	head->pid = BPF_CORE_READ(task, tgid);
	head->at = bpf_ktime_get_boot_ns();
	head->start = BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline void read_ids(struct ids *ids, const struct cred *cred)
{
	ids->uid = BPF_CORE_READ(cred, uid.val);
	ids->euid = BPF_CORE_READ(cred, euid.val);
	ids->gid = BPF_CORE_READ(cred, gid.val);
	ids->egid = BPF_CORE_READ(cred, egid.val);
}

#endif
