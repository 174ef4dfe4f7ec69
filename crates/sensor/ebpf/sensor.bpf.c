/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel tells the sensor: processes made, programs started, processes ended, connections asked for and how they went,
 * changes of users and groups, and opens of the few files that somebody asked for. Nothing here stops or changes anything: programs at control groups always
 * allow, and what does not fit is counted and left out.
 *
 * The programs need Linux 5.8 (ring buffer, `bpf_ktime_get_boot_ns`) with BTF. They stand at raw tracepoints and control groups
 * only, which need neither kprobes nor fentry nor a security module. `.ci/sensor-object.sh` compiles this file and holds the
 * committed object against it.
 *
 * The records are read by `src/ebpf/record.rs`; both must say the same.
 */
#include "call.h"

char _license[] SEC("license") = "Dual BSD/GPL";

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
	u32 thread = BPF_CORE_READ(task, pid);
	struct exit_record *record;

	/* What was asked for by other ways than connect(2) does not return from it. */
	bpf_map_delete_elem(&calls, &thread);
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
	record->outcome = sending ? OUTCOME_NEVER : OUTCOME_LATER;
	record->pad = 0;
	record->error = 0;
	bpf_ringbuf_submit(record, 0);
	if (!sending) {
		struct call call = {.cookie = cookie, .stream = ctx->type == SOCK_STREAM};
		u32 thread = bpf_get_current_pid_tgid();

		if (bpf_map_update_elem(&calls, &thread, &call, BPF_ANY))
			count_lost(OUTCOME, TABLE_FULL);
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
		/* Below zero: why is not known. */
		record->error = BPF_CORE_READ(sk, sk_err) ?: -1;
	}
	bpf_ringbuf_submit(record, 0);
	return 0;
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
	if (call == CALL_CHANGE)
		return call_changed(task, result);
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
