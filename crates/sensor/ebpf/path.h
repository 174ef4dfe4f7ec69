/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Paths, and whether they are looked for. */
#ifndef NEPH_PATH_H
#define NEPH_PATH_H

#include "record.h"

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
	FITS_MADE_IN_FOLDER = 4,
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

/* Whether a file that was just made lies in a folder in which that is looked for. */
static __always_inline bool folder_fits(struct dentry *dentry)
{
	return watch(digest_entry(digest(EMPTY, '/'), (u64)BPF_CORE_READ(dentry, d_parent))) == FITS_MADE_IN_FOLDER;
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

#endif
