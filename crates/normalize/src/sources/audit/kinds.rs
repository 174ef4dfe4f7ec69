//! Numbers of the audit subsystem and their names: record types, architectures, system calls, errors, signals.
//!
//! Record types: `linux/audit.h` of the kernel and `audit-records.h` of the audit user space
//! (<https://github.com/linux-audit/audit-userspace>); the others: the kernel's own headers.

use std::sync::LazyLock;

use ahash::AHashMap;

/// Record types, by number.
const RECORD_TYPES: &str = "\
    1000 GET, 1001 SET, 1002 LIST, 1003 ADD, 1004 DEL, 1005 USER, 1006 LOGIN, 1007 WATCH_INS, 1008 WATCH_REM, \
    1009 WATCH_LIST, 1010 SIGNAL_INFO, 1011 ADD_RULE, 1012 DEL_RULE, 1013 LIST_RULES, 1014 TRIM, \
    1015 MAKE_EQUIV, 1016 TTY_GET, 1017 TTY_SET, 1018 SET_FEATURE, 1019 GET_FEATURE, \
    1100 USER_AUTH, 1101 USER_ACCT, 1102 USER_MGMT, 1103 CRED_ACQ, 1104 CRED_DISP, 1105 USER_START, \
    1106 USER_END, 1107 USER_AVC, 1108 USER_CHAUTHTOK, 1109 USER_ERR, 1110 CRED_REFR, 1111 USYS_CONFIG, \
    1112 USER_LOGIN, 1113 USER_LOGOUT, 1114 ADD_USER, 1115 DEL_USER, 1116 ADD_GROUP, 1117 DEL_GROUP, \
    1118 DAC_CHECK, 1119 CHGRP_ID, 1120 TEST, 1121 TRUSTED_APP, 1122 USER_SELINUX_ERR, 1123 USER_CMD, \
    1124 USER_TTY, 1125 CHUSER_ID, 1126 GRP_AUTH, 1127 SYSTEM_BOOT, 1128 SYSTEM_SHUTDOWN, \
    1129 SYSTEM_RUNLEVEL, 1130 SERVICE_START, 1131 SERVICE_STOP, 1132 GRP_MGMT, 1133 GRP_CHAUTHTOK, \
    1134 MAC_CHECK, 1135 ACCT_LOCK, 1136 ACCT_UNLOCK, 1137 USER_DEVICE, 1138 SOFTWARE_UPDATE, \
    1200 DAEMON_START, 1201 DAEMON_END, 1202 DAEMON_ABORT, 1203 DAEMON_CONFIG, 1204 DAEMON_RECONFIG, \
    1205 DAEMON_ROTATE, 1206 DAEMON_RESUME, 1207 DAEMON_ACCEPT, 1208 DAEMON_CLOSE, 1209 DAEMON_ERR, \
    1300 SYSCALL, 1302 PATH, 1303 IPC, 1304 SOCKETCALL, 1305 CONFIG_CHANGE, 1306 SOCKADDR, 1307 CWD, \
    1309 EXECVE, 1311 IPC_SET_PERM, 1312 MQ_OPEN, 1313 MQ_SENDRECV, 1314 MQ_NOTIFY, 1315 MQ_GETSETATTR, \
    1316 KERNEL_OTHER, 1317 FD_PAIR, 1318 OBJ_PID, 1319 TTY, 1320 EOE, 1321 BPRM_FCAPS, 1322 CAPSET, \
    1323 MMAP, 1324 NETFILTER_PKT, 1325 NETFILTER_CFG, 1326 SECCOMP, 1327 PROCTITLE, 1328 FEATURE_CHANGE, \
    1329 REPLACE, 1330 KERN_MODULE, 1331 FANOTIFY, 1332 TIME_INJOFFSET, 1333 TIME_ADJNTPVAL, 1334 BPF, \
    1335 EVENT_LISTENER, 1336 URINGOP, 1337 OPENAT2, 1338 DM_CTRL, 1339 DM_EVENT, \
    1400 AVC, 1401 SELINUX_ERR, 1402 AVC_PATH, 1403 MAC_POLICY_LOAD, 1404 MAC_STATUS, 1405 MAC_CONFIG_CHANGE, \
    1406 MAC_UNLBL_ALLOW, 1407 MAC_CIPSOV4_ADD, 1408 MAC_CIPSOV4_DEL, 1409 MAC_MAP_ADD, 1410 MAC_MAP_DEL, \
    1411 MAC_IPSEC_ADDSA, 1412 MAC_IPSEC_DELSA, 1413 MAC_IPSEC_ADDSPD, 1414 MAC_IPSEC_DELSPD, \
    1415 MAC_IPSEC_EVENT, 1416 MAC_UNLBL_STCADD, 1417 MAC_UNLBL_STCDEL, 1418 MAC_CALIPSO_ADD, \
    1419 MAC_CALIPSO_DEL, \
    1500 AA, 1501 APPARMOR_AUDIT, 1502 APPARMOR_ALLOWED, 1503 APPARMOR_DENIED, 1504 APPARMOR_HINT, \
    1505 APPARMOR_STATUS, 1506 APPARMOR_ERROR, 1507 APPARMOR_KILL, \
    1700 ANOM_PROMISCUOUS, 1701 ANOM_ABEND, 1702 ANOM_LINK, 1703 ANOM_CREAT, \
    1800 INTEGRITY_DATA, 1801 INTEGRITY_METADATA, 1802 INTEGRITY_STATUS, 1803 INTEGRITY_HASH, \
    1804 INTEGRITY_PCR, 1805 INTEGRITY_RULE, 1806 INTEGRITY_EVM_XATTR, 1807 INTEGRITY_POLICY_RULE, \
    2000 KERNEL, \
    2100 ANOM_LOGIN_FAILURES, 2101 ANOM_LOGIN_TIME, 2102 ANOM_LOGIN_SESSIONS, 2103 ANOM_LOGIN_ACCT, \
    2104 ANOM_LOGIN_LOCATION, 2105 ANOM_MAX_DAC, 2106 ANOM_MAX_MAC, 2107 ANOM_AMTU_FAIL, 2108 ANOM_RBAC_FAIL, \
    2109 ANOM_RBAC_INTEGRITY_FAIL, 2110 ANOM_CRYPTO_FAIL, 2111 ANOM_ACCESS_FS, 2112 ANOM_EXEC, \
    2113 ANOM_MK_EXEC, 2114 ANOM_ADD_ACCT, 2115 ANOM_DEL_ACCT, 2116 ANOM_MOD_ACCT, 2117 ANOM_ROOT_TRANS, \
    2118 ANOM_LOGIN_SERVICE, 2119 ANOM_LOGIN_ROOT, 2120 ANOM_ORIGIN_FAILURES, 2121 ANOM_SESSION, \
    2200 RESP_ANOMALY, 2201 RESP_ALERT, 2202 RESP_KILL_PROC, 2203 RESP_TERM_ACCESS, 2204 RESP_ACCT_REMOTE, \
    2205 RESP_ACCT_LOCK_TIMED, 2206 RESP_ACCT_UNLOCK_TIMED, 2207 RESP_ACCT_LOCK, 2208 RESP_TERM_LOCK, \
    2209 RESP_SEBOOL, 2210 RESP_EXEC, 2211 RESP_SINGLE, 2212 RESP_HALT, 2213 RESP_ORIGIN_BLOCK, \
    2214 RESP_ORIGIN_BLOCK_TIMED, 2215 RESP_ORIGIN_UNBLOCK_TIMED, \
    2300 USER_ROLE_CHANGE, 2301 ROLE_ASSIGN, 2302 ROLE_REMOVE, 2303 LABEL_OVERRIDE, 2304 LABEL_LEVEL_CHANGE, \
    2305 USER_LABELED_EXPORT, 2306 USER_UNLABELED_EXPORT, 2307 DEV_ALLOC, 2308 DEV_DEALLOC, 2309 FS_RELABEL, \
    2310 USER_MAC_POLICY_LOAD, 2311 ROLE_MODIFY, 2312 USER_MAC_CONFIG_CHANGE, 2313 USER_MAC_STATUS, \
    2400 CRYPTO_TEST_USER, 2401 CRYPTO_PARAM_CHANGE_USER, 2402 CRYPTO_LOGIN, 2403 CRYPTO_LOGOUT, \
    2404 CRYPTO_KEY_USER, 2405 CRYPTO_FAILURE_USER, 2406 CRYPTO_REPLAY_USER, 2407 CRYPTO_SESSION, \
    2408 CRYPTO_IKE_SA, 2409 CRYPTO_IPSEC_SA, \
    2500 VIRT_CONTROL, 2501 VIRT_RESOURCE, 2502 VIRT_MACHINE_ID, 2503 VIRT_INTEGRITY_CHECK, 2504 VIRT_CREATE, \
    2505 VIRT_DESTROY, 2506 VIRT_MIGRATE_IN, 2507 VIRT_MIGRATE_OUT";

static NAMES: LazyLock<AHashMap<&str, u32>> = LazyLock::new(|| {
    let pairs = RECORD_TYPES.split(", ").filter_map(|pair| pair.split_once(' '));
    pairs
        .filter_map(|(number, name)| Some((name, number.parse().ok()?)))
        .collect()
});

static NUMBERS: LazyLock<AHashMap<u32, &str>> =
    LazyLock::new(|| NAMES.iter().map(|(name, number)| (*number, *name)).collect());

/// The name of a record type that is given by number, as kernel messages do.
pub(super) fn record_name(number: u32) -> Option<&'static str> {
    NUMBERS.get(&number).copied()
}

/// The number of a record type; `UNKNOWN[1334]` names its own.
pub(super) fn record_number(name: &str) -> Option<u32> {
    let unknown = || name.strip_prefix("UNKNOWN[")?.strip_suffix(']')?.parse().ok();
    NAMES.get(name).copied().or_else(unknown)
}

/// What kind of event a record type stands for, in the words of the audit user space.
/// <https://github.com/linux-audit/audit-userspace/blob/v2.7.5/auparse/normalize.c>
pub(super) fn category(number: u32) -> &'static str {
    match number {
        1100..=1106 | 1108..=1110 | 1112..=1113 | 1126 => "user-login",
        1114..=1117 | 1132..=1133 | 1135..=1136 => "user-account",
        2000 | 1127..=1131 => "system-services",
        1111 | 1305 | 1325 | 1328..=1329 => "configuration",
        1326 => "dac-decision",
        1119..=1121 | 1123 | 1125 => "user-space",
        1124 | 1319 => "TTY",
        1200..=1299 => "audit-daemon",
        1107 | 1122 | 1400..=1402 | 1502..=1503 | 1506 => "mac-decision",
        1800..=1899 | 2109 => "integrity",
        1700..=1799 | 2100..=2199 => "anomaly",
        2200..=2299 => "anomaly-response",
        1403..=1499 | 1500..=1501 | 1504..=1505 | 2300..=2399 => "mac",
        1600..=1699 | 2400..=2499 => "crypto",
        2500..=2599 => "virt",
        1300..=1304 | 1306..=1315 | 1317..=1318 | 1321..=1324 => "audit-rule",
        _ => "unknown",
    }
}

/// The architecture of an `arch=` value, in hexadecimal.
pub(super) fn architecture(hex: &str) -> Option<&'static str> {
    Some(match u32::from_str_radix(hex, 16).ok()? {
        0xc000_003e => "x86_64",
        0x4000_0003 => "i386",
        0xc000_00b7 => "aarch64",
        0x4000_0028 => "arm",
        0x0000_0028 => "armeb",
        0x0000_0014 => "ppc",
        0x8000_0015 => "ppc64",
        0xc000_0015 => "ppc64le",
        0x0000_0016 => "s390",
        0x8000_0016 => "s390x",
        0xc000_00f3 => "riscv64",
        0x4000_00f3 => "riscv32",
        0xc000_0102 => "loongarch64",
        0x4000_0102 => "loongarch32",
        0x0000_0008 => "mips",
        0x8000_0008 => "mips64",
        0x4000_0008 => "mipsel",
        0xc000_0008 => "mipsel64",
        0x0000_0002 => "sparc",
        0x8000_002b => "sparc64",
        0xc000_0032 => "ia64",
        _ => return None,
    })
}

/// The name of a system call of an architecture that [`architecture`] names.
pub(super) fn system_call(architecture: &str, number: usize) -> Option<&'static str> {
    match architecture {
        "x86_64" => syscalls::x86_64::Sysno::new(number).map(|call| call.name()),
        "i386" => syscalls::x86::Sysno::new(number).map(|call| call.name()),
        "aarch64" => syscalls::aarch64::Sysno::new(number).map(|call| call.name()),
        "arm" | "armeb" => syscalls::arm::Sysno::new(number).map(|call| call.name()),
        "ppc64" | "ppc64le" => syscalls::powerpc64::Sysno::new(number).map(|call| call.name()),
        "s390x" => syscalls::s390x::Sysno::new(number).map(|call| call.name()),
        "riscv64" => syscalls::riscv64::Sysno::new(number).map(|call| call.name()),
        _ => None,
    }
}

/// Names of errors from 1 on; a dash where a number has none.
const ERRORS: &str = "\
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK \
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE \
    EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM \
    ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT \
    - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP \
    EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ \
    ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT \
    ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH \
    ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT \
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM \
    EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED \
    EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/// Names of signals from 1 on.
const SIGNALS: &str = "\
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE \
    SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ \
    SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS";

/// The name of an error number.
pub(super) fn error(number: usize) -> Option<&'static str> {
    named(ERRORS, number)
}

/// The name of a signal number.
pub(super) fn signal(number: usize) -> Option<&'static str> {
    named(SIGNALS, number)
}

fn named(names: &'static str, number: usize) -> Option<&'static str> {
    names
        .split(' ')
        .nth(number.checked_sub(1)?)
        .filter(|name| *name != "-")
}

#[cfg(test)]
mod tests {
    use super::{architecture, category, error, record_name, record_number, signal, system_call};

    #[test]
    fn numbers_have_names() {
        assert_eq!(record_name(1300), Some("SYSCALL"));
        assert_eq!(record_number("VIRT_MIGRATE_OUT"), Some(2507));
        assert_eq!(record_number("UNKNOWN[1420]"), Some(1420));
        assert_eq!(record_number("NOTHING"), None);
        assert_eq!(category(1112), "user-login");
        assert_eq!(system_call(architecture("c000003e").unwrap(), 59), Some("execve"));
        assert_eq!(
            system_call(architecture("c00000b7").unwrap(), 221),
            Some("execve")
        );
        assert_eq!(error(13), Some("EACCES"));
        assert_eq!(error(133), Some("EHWPOISON"));
        assert_eq!((error(0), error(41), error(9999)), (None, None, None));
        assert_eq!(signal(31), Some("SIGSYS"));
    }
}
