/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel tells the sensor: processes made, programs started, processes ended, connections asked for and how they went, and
 * opens of the few files that somebody asked for. Nothing here stops or changes anything: programs at control groups always
 * allow, and what does not fit is counted and left out.
 *
 * The programs need Linux 5.8 (ring buffer, `bpf_ktime_get_boot_ns`) with BTF. They stand at raw tracepoints and control groups
 * only, which need neither kprobes nor fentry nor a security module. `.ci/sensor-object.sh` compiles this file and holds the
 * committed object against it.
 *
 * The records are read by `src/ebpf/record.rs`; both must say the same.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Set by the sensor before it loads the programs. */
const volatile u32 own_process;
const volatile u32 filter_level;
const volatile u64 filter_group;
/* How full the ring may be, in bytes, before a class is given up. */
const volatile u64 room_of_class[6];
/* How full it may be before arguments are cut earlier. */
const volatile u64 room_of_long_arguments;

/* The classes of `observation.rs`, in its order. */
enum class {
	EXEC,
	CONNECT,
	OPEN,
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
	/* How it went will be told by a record of its own. */
	u8 awaited;
	u8 pad[5];
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
	u32 writing;
	u32 named;
	u32 real;
	u32 folder;
	u32 pad;
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

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

/* To where a socket without a connection has sent already. */
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

/* Digests of the last part of the paths that are looked for, and of the last two together: the first says which others to form. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
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

/* Adds a name to the draft, a zero behind it. */
static __always_inline void add_name(struct draft *draft, const void *name)
{
	u64 used = draft->used;
	s64 length;

	if (used >= PATHS)
		return;
	length = bpf_probe_read_kernel_str(draft->bytes + used, NAME_MAX, name);
	if (length > 0)
		draft->used = used + length;
}

/*
 * Adds a path to the draft, from its end to the root of the running process, or, outside it, to the root of all. How many bytes.
 *
 * What is not `static` is checked by itself when the programs are loaded, and not again for each way that leads to it.
 */
__noinline u64 add_path(u64 dentry_at, u64 mount_at)
{
	struct dentry *dentry = (void *)dentry_at;
	struct vfsmount *mount = (void *)mount_at;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct dentry *root = BPF_CORE_READ(fs, root.dentry);
	struct vfsmount *root_mount = BPF_CORE_READ(fs, root.mnt);
	struct draft *record = draft();
	u64 before;

	if (!record)
		return 0;
	before = record->used;
	for (int depth = 0; depth < DEPTH; depth++) {
		struct dentry *parent;

		if (!dentry || !mount || (dentry == root && mount == root_mount))
			break;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(mount, mnt_root)) {
			struct mount *whole = (void *)mount - bpf_core_field_offset(struct mount, mnt);
			struct mount *above = BPF_CORE_READ(whole, mnt_parent);

			if (above == whole)
				break;
			dentry = BPF_CORE_READ(whole, mnt_mountpoint);
			mount = (void *)above + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		add_name(record, BPF_CORE_READ(dentry, d_name.name));
		if (parent == dentry)
			break;
		dentry = parent;
	}
	return record->used - before;
}

static __always_inline struct kernfs_node *above(struct kernfs_node *node)
{
	struct kernfs_node___before *before = (void *)node;

	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return (void *)BPF_CORE_READ(before, parent);
}

/* Adds the path of a control group to the draft, from its end. How many bytes. */
__noinline u64 add_group(u64 node_at)
{
	struct kernfs_node *node = (void *)node_at;
	struct draft *record = draft();
	u64 before;

	if (!record)
		return 0;
	before = record->used;
	for (int depth = 0; depth < GROUP_DEPTH; depth++) {
		struct kernfs_node *parent;

		if (!node)
			break;
		parent = above(node);
		if (!parent)
			break;
		add_name(record, BPF_CORE_READ(node, name));
		node = parent;
	}
	return record->used - before;
}

SEC("raw_tp/sched_process_fork")
int process_made(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (void *)ctx->args[1];
	struct fork_record *record;
	struct task_struct *parent;

	/* Threads are no processes. */
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) || !wanted())
		return 0;
	record = reserve(FORK, sizeof(*record));
	if (!record)
		return 0;
	begin(&record->head, KIND_FORK, child);
	parent = BPF_CORE_READ(child, real_parent);
	record->parent = BPF_CORE_READ(parent, tgid);
	record->parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	record->pad = 0;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_ended(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct exit_record *record;

	/* A process ends with its last thread. Two that end at once may both be told of: the reader takes the first. */
	if (BPF_CORE_READ(signal, live.counter) != 0 || !wanted())
		return 0;
	record = reserve(EXIT, sizeof(*record));
	if (!record)
		return 0;
	begin(&record->head, KIND_EXIT, task);
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record->status = BPF_CORE_READ(signal, group_exit_code);
	else
		record->status = BPF_CORE_READ(task, group_leader, exit_code);
	record->pad = 0;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __always_inline void describe(struct exec_record *record, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct nsproxy *nsproxy = BPF_CORE_READ(task, nsproxy);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid inner = {};

	read_ids(&record->ids, cred);
	bpf_core_read(&record->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&record->effective, sizeof(u64), &cred->cap_effective);
	record->parent = BPF_CORE_READ(parent, tgid);
	record->parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	record->flags = 0;
	record->login = 0;
	record->session = 0;
	if (bpf_core_field_exists(task->loginuid)) {
		record->login = BPF_CORE_READ(task, loginuid.val);
		record->session = BPF_CORE_READ(task, sessionid);
		record->flags |= FLAG_LOGIN;
	}
	bpf_probe_read_kernel(&inner, sizeof(inner),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * sizeof(struct upid));
	record->inner = inner.nr;
	record->pidns = BPF_CORE_READ(inner.ns, ns.inum);
	record->mnt = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
	record->net = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
	record->uts = BPF_CORE_READ(nsproxy, uts_ns, ns.inum);
	record->user = BPF_CORE_READ(cred, user_ns, ns.inum);
	record->tty = 0;
	if (tty)
		record->tty = BPF_CORE_READ(tty, driver, major) << 16 |
			      ((BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index)) & 0xffff);
	record->session_leader = BPF_CORE_READ(signal, pids[SID], numbers[0].nr);
	record->group_leader = BPF_CORE_READ(signal, pids[PGID], numbers[0].nr);
}

SEC("raw_tp/sched_process_exec")
int program_started(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct linux_binprm *program = (void *)ctx->args[2];
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct css_set *groups = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *group = BPF_CORE_READ(groups, dfl_cgrp, kn);
	struct kernfs_node *group_before = NULL;
	u64 most = ARGUMENTS, begins, length, used;
	s64 read;
	struct exec_record *record;
	struct draft *whole;
	const char *asked;

	if (!wanted() || !room(EXEC))
		return 0;
	whole = draft();
	if (!whole)
		return 0;
	record = (void *)whole->bytes;
	whole->used = sizeof(*record);
	begin(&record->head, KIND_EXEC, task);
	describe(record, task);

	record->asked = 0;
	record->pad = 0;
	asked = BPF_CORE_READ(program, filename);
	if (asked != BPF_CORE_READ(program, interp))
		record->flags |= FLAG_SCRIPT;
	read = bpf_probe_read_kernel_str(whole->bytes + sizeof(*record), PATH_MAX, asked);
	if (read > 0) {
		record->asked = read;
		whole->used += read;
	}

	if (BPF_CORE_READ(dentry, d_inode, i_nlink) == 0)
		record->flags |= FLAG_UNNAMED;
	record->program = add_path((u64)dentry, (u64)BPF_CORE_READ(file, f_path.mnt));
	record->cwd = add_path((u64)BPF_CORE_READ(task, fs, pwd.dentry), (u64)BPF_CORE_READ(task, fs, pwd.mnt));

	/* Which hierarchy tells of a container depends on its runtime, where both are in use. */
	record->group = add_group((u64)group);
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		u32 which = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		struct cgroup_subsys_state *state = NULL;

		bpf_probe_read_kernel(&state, sizeof(state),
				      (void *)groups + bpf_core_field_offset(struct css_set, subsys) + which * sizeof(state));
		group_before = BPF_CORE_READ(state, cgroup, kn);
	}
	record->group_before = group_before == group ? 0 : add_group((u64)group_before);

	begins = BPF_CORE_READ(mm, arg_start);
	length = BPF_CORE_READ(mm, arg_end) - begins;
	record->arguments_bytes = length;
	record->arguments_count = BPF_CORE_READ(program, argc);
	record->arguments = 0;
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > room_of_long_arguments)
		most = FEW_ARGUMENTS;
	if (length > most)
		length = most;
	used = whole->used;
	if (length > 0 && length <= ARGUMENTS && used <= PATHS + NAME_MAX &&
	    bpf_probe_read_user(whole->bytes + used, length, (void *)begins) == 0) {
		record->arguments = length;
		whole->used = used + length;
	}
	hand_over(EXEC, whole);
	return 0;
}

static __always_inline int asked_to_connect(struct bpf_sock_addr *ctx, u32 family, bool sending)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct connect_record *record;
	struct sent_key key = {};
	u64 cookie;

	if (!wanted())
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	if (family == AF_INET) {
		__builtin_memcpy(key.address, &(u32){ctx->user_ip4}, 4);
	} else {
		u32 parts[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};

		__builtin_memcpy(key.address, parts, 16);
	}
	key.port = ctx->user_port;
	if (sending) {
		u8 one = 1;

		key.cookie = cookie;
		if (bpf_map_lookup_elem(&sent, &key))
			return 1;
		bpf_map_update_elem(&sent, &key, &one, BPF_ANY);
	}
	record = reserve(CONNECT, sizeof(*record));
	if (!record)
		return 1;
	begin(&record->head, KIND_CONNECT, task);
	record->cookie = cookie;
	__builtin_memcpy(record->address, key.address, 16);
	read_ids(&record->ids, BPF_CORE_READ(task, cred));
	bpf_get_current_comm(record->thread, sizeof(record->thread));
	record->family = family;
	record->protocol = ctx->protocol;
	record->port = key.port;
	record->awaited = !sending;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	bpf_ringbuf_submit(record, 0);
	if (!sending) {
		struct call call = {.cookie = cookie, .stream = ctx->type == SOCK_STREAM};
		u32 thread = bpf_get_current_pid_tgid();

		bpf_map_update_elem(&calls, &thread, &call, BPF_ANY);
	}
	return 1;
}

SEC("cgroup/connect4")
int connect_v4(struct bpf_sock_addr *ctx)
{
	return asked_to_connect(ctx, AF_INET, false);
}

SEC("cgroup/connect6")
int connect_v6(struct bpf_sock_addr *ctx)
{
	return asked_to_connect(ctx, AF_INET6, false);
}

SEC("cgroup/sendmsg4")
int send_v4(struct bpf_sock_addr *ctx)
{
	return asked_to_connect(ctx, AF_INET, true);
}

SEC("cgroup/sendmsg6")
int send_v6(struct bpf_sock_addr *ctx)
{
	return asked_to_connect(ctx, AF_INET6, true);
}

/* Reports how the connection of a socket went; of sockets that the programs above did not see, nothing is told. */
SEC("raw_tp/inet_sock_set_state")
int state_changed(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (void *)ctx->args[0];
	int from = ctx->args[1];
	int to = ctx->args[2];
	struct outcome_record *record;
	u64 cookie;

	if (from != TCP_SYN_SENT || (to != TCP_ESTABLISHED && to != TCP_CLOSE))
		return 0;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!cookie)
		return 0;
	record = reserve(OUTCOME, sizeof(*record));
	if (!record)
		return 0;
	__builtin_memset(record, 0, sizeof(*record));
	record->head.kind = KIND_OUTCOME;
	record->head.at = bpf_ktime_get_boot_ns();
	record->cookie = cookie;
	record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (to == TCP_ESTABLISHED) {
		record->port = BPF_CORE_READ(sk, __sk_common.skc_num);
		if (record->family == AF_INET)
			bpf_core_read(record->local, 4, &sk->__sk_common.skc_rcv_saddr);
		else if (bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr))
			bpf_core_read(record->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	} else {
		/* Zero: it failed, and why is not known. */
		record->error = BPF_CORE_READ(sk, sk_err) ?: -1;
	}
	bpf_ringbuf_submit(record, 0);
	return 0;
}

enum call_kind {
	CALL_OTHER,
	CALL_CONNECT,
	CALL_OPEN,
	CALL_CREAT,
	CALL_OPENAT,
	CALL_OPENAT2,
};

/* Which of the calls that matter it was. Those of 32-bit programs on 64-bit machines have other numbers and are not told. */
static __always_inline u32 which_call(void *registers)
{
	struct pt_regs___x86 *x86 = registers;
	struct pt_regs___arm64 *arm64 = registers;

	if (bpf_core_field_exists(x86->orig_ax)) {
		switch (BPF_CORE_READ(x86, orig_ax)) {
		case 2:
			return CALL_OPEN;
		case 42:
			return CALL_CONNECT;
		case 85:
			return CALL_CREAT;
		case 257:
			return CALL_OPENAT;
		case 437:
			return CALL_OPENAT2;
		}
	} else if (bpf_core_field_exists(arm64->orig_x0)) {
		switch (BPF_CORE_READ(arm64, syscallno)) {
		case 56:
			return CALL_OPENAT;
		case 203:
			return CALL_CONNECT;
		case 437:
			return CALL_OPENAT2;
		}
	}
	return CALL_OTHER;
}

static __always_inline void arguments_of(u64 *arguments, void *registers)
{
	struct pt_regs___x86 *x86 = registers;
	struct pt_regs___arm64 *arm64 = registers;

	if (bpf_core_field_exists(x86->orig_ax)) {
		arguments[0] = BPF_CORE_READ(x86, di);
		arguments[1] = BPF_CORE_READ(x86, si);
		arguments[2] = BPF_CORE_READ(x86, dx);
	} else {
		arguments[0] = BPF_CORE_READ(arm64, orig_x0);
		arguments[1] = BPF_CORE_READ(arm64, regs[1]);
		arguments[2] = BPF_CORE_READ(arm64, regs[2]);
	}
}

/* Whether a 64-bit kernel on x86 runs a call of a 32-bit program (`TS_COMPAT`). */
static __always_inline bool foreign(struct task_struct *task)
{
	struct pt_regs___x86 *x86 = NULL;

	if (bpf_core_field_exists(x86->orig_ax) && bpf_core_field_exists(task->thread_info.status))
		return BPF_CORE_READ(task, thread_info.status) & 2;
	return false;
}

static __always_inline struct file *opened(struct task_struct *task, u32 number)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (number >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + number);
	return file;
}

/* FNV-1a of a name from its end to its beginning, as `watched.rs` forms it, going on from another. */
static __always_inline u64 digest(u64 hash, u8 byte)
{
	return (hash ^ byte) * 0x100000001b3ULL;
}

static const u64 EMPTY = 0xcbf29ce484222325ULL;

/* Goes on with the name of a folder entry. Zero: it is longer than any that is looked for. */
__noinline u64 digest_entry(u64 hash, u64 dentry_at)
{
	struct dentry *dentry = (void *)dentry_at;
	char name[WATCHED] = {};
	u32 length = BPF_CORE_READ(dentry, d_name.len);

	if (length >= WATCHED)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	for (u32 i = 1; i < WATCHED; i++) {
		u32 at = (length - i) & (WATCHED - 1);

		if (i > length)
			break;
		hash = digest(hash, name[at]);
	}
	return hash;
}

/* What it means that a digest is among those that are looked for. */
enum {
	FITS = 1,
	NEEDS_FOLDER = 2,
	FITS_WITH_FOLDER = 3,
};

static __always_inline u8 watch(u64 hash)
{
	u8 *value = bpf_map_lookup_elem(&watched, &hash);

	return value ? *value : 0;
}

static __always_inline bool entry_fits(struct dentry *dentry)
{
	u64 hash;
	u8 found;

	if (!dentry)
		return false;
	hash = digest_entry(EMPTY, (u64)dentry);
	found = watch(hash);
	if (found != NEEDS_FOLDER)
		return found == FITS;
	return watch(digest_entry(digest(hash, '/'), (u64)BPF_CORE_READ(dentry, d_parent))) == FITS_WITH_FOLDER;
}

/* Whether what the process named may be looked for. `length` counts the zero at its end. */
__noinline int name_fits(u32 length, u64 folder)
{
	u64 hash = EMPTY, whole;
	struct draft *record = draft();
	u8 *name, found, byte = 0;
	u32 i;

	if (!record || length < 2 || length > NAME_MAX)
		return false;
	name = record->bytes + sizeof(struct open_record);
	for (i = 2; i < WATCHED + 2; i++) {
		if (i > length)
			break;
		byte = name[(length - i) & (NAME_MAX - 1)];
		if (byte == '/')
			break;
		hash = digest(hash, byte);
	}
	found = watch(hash);
	if (found != NEEDS_FOLDER)
		return found == FITS;
	whole = digest(hash, '/');
	/* Without a folder, or behind `./`, it lies in the folder that names begin at. */
	if (i > length || (byte == '/' && i + 1 == length && name[0] == '.'))
		return watch(digest_entry(whole, folder)) == FITS_WITH_FOLDER;
	for (u32 j = 1; j < WATCHED; j++) {
		if (i + j > length)
			break;
		byte = name[(length - i - j) & (NAME_MAX - 1)];
		if (byte == '/')
			break;
		whole = digest(whole, byte);
	}
	return watch(whole) == FITS_WITH_FOLDER;
}

/* What was named, what it really is, and the folder that a relative name begins at. */
struct place {
	struct dentry *real;
	struct vfsmount *mount;
	struct dentry *folder;
	struct vfsmount *folder_mount;
};

/* Tells of an open, or of a connection to a Unix socket, if it is looked for. The name stands in the draft already. */
static __always_inline int look(struct task_struct *task, struct draft *whole, u32 kind, u64 named, s32 error,
				const struct place *place, bool writing)
{
	enum class class = kind == KIND_OPEN ? OPEN : CONNECT;
	struct open_record *record = (void *)whole->bytes;

	if (named > NAME_MAX)
		return 0;
	if (!name_fits(named, (u64)place->folder) && !entry_fits(place->real))
		return 0;
	if (!room(class))
		return 0;
	begin(&record->head, kind, task);
	read_ids(&record->ids, BPF_CORE_READ(task, cred));
	bpf_get_current_comm(record->thread, sizeof(record->thread));
	record->error = error;
	record->writing = writing;
	record->named = named;
	record->real = 0;
	record->folder = 0;
	record->pad = 0;
	whole->used = sizeof(*record) + named;
	if (place->real)
		record->real = add_path((u64)place->real, (u64)place->mount);
	if (place->folder)
		record->folder = add_path((u64)place->folder, (u64)place->folder_mount);
	hand_over(class, whole);
	return 0;
}

static __always_inline int call_opened(struct task_struct *task, void *registers, u32 call, s64 result)
{
	struct draft *whole;
	struct file *file;
	struct place place = {};
	u64 arguments[3];
	u64 flags = 0;
	s32 base = AT_FDCWD;
	const void *name;
	u8 *named;
	s64 length;

	/* A file that is not there was not opened. */
	if (result < 0 && result != -EACCES && result != -EPERM)
		return 0;
	if (!wanted() || foreign(task))
		return 0;
	whole = draft();
	if (!whole)
		return 0;
	named = whole->bytes + sizeof(struct open_record);
	arguments_of(arguments, registers);
	if (call == CALL_OPEN || call == CALL_CREAT) {
		name = (void *)arguments[0];
		flags = call == CALL_CREAT ? 1 : arguments[1];
	} else {
		base = arguments[0];
		name = (void *)arguments[1];
		flags = arguments[2];
		if (call == CALL_OPENAT2)
			bpf_probe_read_user(&flags, sizeof(flags), (void *)arguments[2]);
	}
	length = bpf_probe_read_user_str(named, NAME_MAX, name);
	if (length < 0)
		length = 0;
	/* A name that was cut does not end where it seems to. */
	if (length >= NAME_MAX)
		length = 0;
	if (result >= 0) {
		file = opened(task, result);
		if (!file || BPF_CORE_READ(file, f_mode) & FMODE_PATH)
			return 0;
		place.real = BPF_CORE_READ(file, f_path.dentry);
		place.mount = BPF_CORE_READ(file, f_path.mnt);
	}
	if (named[0] != '/') {
		if (base == AT_FDCWD) {
			place.folder = BPF_CORE_READ(task, fs, pwd.dentry);
			place.folder_mount = BPF_CORE_READ(task, fs, pwd.mnt);
		} else {
			file = opened(task, base);
			place.folder = BPF_CORE_READ(file, f_path.dentry);
			place.folder_mount = BPF_CORE_READ(file, f_path.mnt);
		}
	}
	/* The lowest two bits: read, write, or both. */
	return look(task, whole, KIND_OPEN, length, result < 0 ? -result : 0, &place, (flags & 3) != 0);
}

static __always_inline int call_connected(struct task_struct *task, void *registers, s64 result, bool inet)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct place place = {};
	struct draft *whole;
	u64 arguments[3];
	u8 *named;
	struct call *call;
	u16 family = 0;
	u64 length;

	if (!inet) {
		call = bpf_map_lookup_elem(&calls, &thread);
		if (call) {
			struct outcome_record *outcome;
			struct call known = *call;

			bpf_map_delete_elem(&calls, &thread);
			/* What goes on, and what the socket's state tells, is told by that. */
			if (result == -EINPROGRESS || result == -EALREADY || result == -EINTR ||
			    result == -ERESTARTSYS || (result == 0 && known.stream))
				return 0;
			outcome = reserve(OUTCOME, sizeof(*outcome));
			if (!outcome)
				return 0;
			__builtin_memset(outcome, 0, sizeof(*outcome));
			outcome->head.kind = KIND_OUTCOME;
			outcome->head.at = bpf_ktime_get_boot_ns();
			outcome->cookie = known.cookie;
			outcome->error = -result;
			bpf_ringbuf_submit(outcome, 0);
			return 0;
		}
	}
	if (!wanted() || foreign(task))
		return 0;
	arguments_of(arguments, registers);
	if (bpf_probe_read_user(&family, sizeof(family), (void *)arguments[1]))
		return 0;
	if (inet && (family == AF_INET || family == AF_INET6)) {
		struct connect_record *asked;
		u8 address[28] = {};

		if (bpf_probe_read_user(address, family == AF_INET ? 16 : 28, (void *)arguments[1]))
			return 0;
		asked = reserve(CONNECT, sizeof(*asked));
		if (!asked)
			return 0;
		__builtin_memset(asked, 0, sizeof(*asked));
		begin(&asked->head, KIND_CONNECT, task);
		if (family == AF_INET)
			__builtin_memcpy(asked->address, address + 4, 4);
		else
			__builtin_memcpy(asked->address, address + 8, 16);
		read_ids(&asked->ids, BPF_CORE_READ(task, cred));
		bpf_get_current_comm(asked->thread, sizeof(asked->thread));
		asked->family = family;
		__builtin_memcpy(&asked->port, address + 2, 2);
		bpf_ringbuf_submit(asked, 0);
		return 0;
	}
	if (family != AF_UNIX || arguments[2] <= sizeof(family))
		return 0;
	whole = draft();
	if (!whole)
		return 0;
	named = whole->bytes + sizeof(struct open_record);
	/* The length says where the name ends, if no zero does. */
	length = arguments[2] - sizeof(family);
	if (length > UNIX_NAME)
		length = UNIX_NAME;
	if (bpf_probe_read_user(named, length, (void *)arguments[1] + sizeof(family)))
		return 0;
	/* An abstract name begins with a zero, and is no path. */
	if (named[0] == 0)
		return 0;
	named[length] = 0;
	length = bpf_probe_read_kernel_str(named, UNIX_NAME + 1, named);
	if (result == 0 && bpf_core_type_exists(struct unix_sock)) {
		struct file *file = opened(task, arguments[0]);
		struct socket *socket = BPF_CORE_READ(file, private_data);
		struct unix_sock *own = (void *)BPF_CORE_READ(socket, sk);
		struct unix_sock *peer = (void *)BPF_CORE_READ(own, peer);

		place.real = BPF_CORE_READ(peer, path.dentry);
		place.mount = BPF_CORE_READ(peer, path.mnt);
	}
	if (named[0] != '/') {
		place.folder = BPF_CORE_READ(task, fs, pwd.dentry);
		place.folder_mount = BPF_CORE_READ(task, fs, pwd.mnt);
	}
	return look(task, whole, KIND_UNIX, length, result < 0 ? -result : 0, &place, false);
}

/* What a call was given is read when it returns: then it is known how it went, and the kernel has read the name, so that it is
 * surely in memory. */
static __always_inline int call_returned(struct bpf_raw_tracepoint_args *ctx, bool inet)
{
	void *registers = (void *)ctx->args[0];
	s64 result = ctx->args[1];
	u32 call = which_call(registers);
	struct task_struct *task;

	if (call == CALL_OTHER)
		return 0;
	task = (void *)bpf_get_current_task();
	if (call == CALL_CONNECT)
		return call_connected(task, registers, result, inet);
	return call_opened(task, registers, call, result);
}

SEC("raw_tp/sys_exit")
int returned(struct bpf_raw_tracepoint_args *ctx)
{
	return call_returned(ctx, false);
}

/* In place of `returned` where programs at control groups cannot be had: connections over IP are told from what the process
 * named, and once they are made. */
SEC("raw_tp/sys_exit")
int returned_inet(struct bpf_raw_tracepoint_args *ctx)
{
	return call_returned(ctx, true);
}
