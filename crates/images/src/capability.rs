//! Capabilities of files (<https://man7.org/linux/man-pages/man7/capabilities.7.html>, "File capabilities").

/// Names by their numbers, as in `linux/capability.h`.
const NAMES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The capabilities that an attribute `security.capability` permits or lets inherit, such as `cap_net_raw`; one of an unknown form is shown as such.
pub(crate) fn names(attribute: &[u8]) -> Vec<String> {
    let word = |index: usize| -> Option<u32> {
        let bytes = attribute.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let version = word(0).map(|magic| magic >> 24);
    // Permitted and inheritable words take turns; the first version has one pair of them, the later ones two.
    let words = match version {
        Some(1) => (word(1), word(2), Some(0), Some(0)),
        Some(2 | 3) => (word(1), word(2), word(3), word(4)),
        _ => (None, None, None, None),
    };
    let (Some(permitted), Some(inheritable), Some(permitted_high), Some(inheritable_high)) = words else {
        return vec!["of an unknown form".to_owned()];
    };
    let set = u64::from(permitted | inheritable) | u64::from(permitted_high | inheritable_high) << 32;
    (0..64)
        .filter(|bit| set >> bit & 1 == 1)
        .map(|bit| match NAMES.get(bit) {
            Some(name) => format!("cap_{name}"),
            None => format!("cap_{bit}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn attributes_are_read() {
        // `setcap cap_net_raw,cap_bpf+ep`
        let attribute = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(super::names(&attribute), ["cap_net_raw", "cap_bpf"]);
        assert_eq!(super::names(&attribute[..7]), ["of an unknown form"]);
    }
}
