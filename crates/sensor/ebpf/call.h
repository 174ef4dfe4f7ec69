/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Opens, connections to Unix sockets, and changes of users and groups, seen where calls to the kernel return. */
#ifndef NEPH_CALL_H
#define NEPH_CALL_H

#include "path.h"

enum call_kind {
	CALL_OTHER,
	CALL_CONNECT,
	CALL_OPEN,
	CALL_CREAT,
	CALL_OPENAT,
	CALL_OPENAT2,
	/* Calls that change users, groups, or the session. */
	CALL_CHANGE,
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
		case 105: /* setuid */
		case 106: /* setgid */
		case 112: /* setsid */
		case 113: /* setreuid */
		case 114: /* setregid */
		case 117: /* setresuid */
		case 119: /* setresgid */
			return CALL_CHANGE;
		case 257:
			return CALL_OPENAT;
		case 437:
			return CALL_OPENAT2;
		}
	} else if (bpf_core_field_exists(arm64->orig_x0)) {
		switch (BPF_CORE_READ(arm64, syscallno)) {
		case 56:
			return CALL_OPENAT;
		case 143: /* setregid */
		case 144: /* setgid */
		case 145: /* setreuid */
		case 146: /* setuid */
		case 147: /* setresuid */
		case 149: /* setresgid */
		case 157: /* setsid */
			return CALL_CHANGE;
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

/* What was named, what it really is, and the folder that a relative name begins at. */
struct place {
	struct dentry *real;
	struct vfsmount *mount;
	struct dentry *folder;
	struct vfsmount *folder_mount;
};

/* Tells of an open, or of a connection to a Unix socket, if it is looked for. The name stands in the draft already. */
static __always_inline int look(struct task_struct *task, struct draft *whole, u32 kind, u64 named, s32 error,
				const struct place *place, u32 how)
{
	enum class class = kind == KIND_OPEN ? OPEN : CONNECT;
	struct open_record *record = (void *)whole->bytes;

	if (named > NAME_MAX)
		return 0;
	if (!name_fits(named, (u64)place->folder) && !entry_fits(place->real) &&
	    !(how & OPEN_CREATED && folder_fits(place->real)))
		return 0;
	if (!room(class))
		return 0;
	begin(&record->head, kind, task);
	read_ids(&record->ids, BPF_CORE_READ(task, cred));
	bpf_get_current_comm(record->thread, sizeof(record->thread));
	record->error = error;
	record->how = how;
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
	u32 how;
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
	/* The lowest two bits: read, write, or both. */
	how = flags & 3 ? OPEN_WRITING : 0;
	if (result >= 0) {
		u32 mode;

		file = opened(task, result);
		mode = BPF_CORE_READ(file, f_mode);
		if (!file || mode & FMODE_PATH)
			return 0;
		if (mode & FMODE_CREATED)
			how |= OPEN_CREATED;
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
	return look(task, whole, KIND_OPEN, length, result < 0 ? -result : 0, &place, how);
}

/* What the process is now; whether that is something else than before, the reader knows. A thread may have users of its own: those of
 * the first count. */
static __always_inline int call_changed(struct task_struct *task, s64 result)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct change_record *record;

	if (result < 0 || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid) || !wanted())
		return 0;
	record = reserve(CHANGE, sizeof(*record));
	if (!record)
		return 0;
	begin(&record->head, KIND_CHANGE, task);
	bpf_core_read(&record->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&record->effective, sizeof(u64), &cred->cap_effective);
	read_ids(&record->ids, cred);
	record->session_leader = BPF_CORE_READ(task, signal, pids[SID], numbers[0].nr);
	record->group_leader = BPF_CORE_READ(task, signal, pids[PGID], numbers[0].nr);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __always_inline struct sock *socket_of(struct task_struct *task, u32 number)
{
	struct file *file = opened(task, number);
	struct socket *socket = BPF_CORE_READ(file, private_data);

	return BPF_CORE_READ(socket, sk);
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
		asked->protocol = BPF_CORE_READ(socket_of(task, arguments[0]), sk_protocol);
		asked->outcome = OUTCOME_HERE;
		asked->error = -result;
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
		struct unix_sock *own = (void *)socket_of(task, arguments[0]);
		struct unix_sock *peer = (void *)BPF_CORE_READ(own, peer);

		place.real = BPF_CORE_READ(peer, path.dentry);
		place.mount = BPF_CORE_READ(peer, path.mnt);
	}
	if (named[0] != '/') {
		place.folder = BPF_CORE_READ(task, fs, pwd.dentry);
		place.folder_mount = BPF_CORE_READ(task, fs, pwd.mnt);
	}
	return look(task, whole, KIND_UNIX, length, result < 0 ? -result : 0, &place, 0);
}

#endif
