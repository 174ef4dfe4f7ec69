//! What audit events are called: action, category and type, who acts on what, by system call and by record type.
//!
//! The words are those of Auditbeat and of Elastic's audit integrations (go-libaudit), which rules ask for.
//! <https://github.com/elastic/go-libaudit/blob/main/aucoalesce/normalizations.yaml>

use std::sync::LazyLock;

use ahash::AHashMap;

/// What is said of the events of some system calls and record types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    /// System calls in small letters and record types in capitals.
    names: &'static [&'static str],
    pub(super) action: &'static str,
    pub(super) category: &'static [&'static str],
    pub(super) types: &'static [&'static str],
    /// Whether such an event is an alert by itself.
    pub(super) alert: bool,
    /// What kind of thing is acted on.
    pub(super) object: &'static str,
    /// Fields of which the first that is there says what is acted on, and what is said of it besides.
    pub(super) primary: &'static [&'static str],
    pub(super) secondary: &'static [&'static str],
    /// Which of the paths is meant.
    pub(super) path: usize,
    /// Fields of which the first that is there says by what means.
    pub(super) how: &'static [&'static str],
    /// Fields that say who acts, and as whom.
    pub(super) actor: &'static [&'static str],
    pub(super) actor_as: &'static [&'static str],
    /// Whether `addr` is where the actor comes from.
    pub(super) from_address: bool,
    /// The field without which this does not hold.
    needs: Option<&'static str>,
    /// Which of those named are users and groups.
    pub(super) people: &'static [(Whose, Role)],
}

/// A part of the summary that names somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Actor,
    ActorAs,
    Object,
    /// The user id of the process.
    Uid,
}

/// What somebody is in the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Effective,
    Target,
    Group,
}

const ACTOR: &[(Whose, Role)] = &[(Whose::Actor, Role::User), (Whose::ActorAs, Role::Effective)];
const GROUP: &[(Whose, Role)] = &[
    (Whose::Actor, Role::User),
    (Whose::ActorAs, Role::Effective),
    (Whose::Object, Role::Group),
];
const TARGET: &[(Whose, Role)] = &[
    (Whose::Actor, Role::User),
    (Whose::ActorAs, Role::Effective),
    (Whose::Object, Role::Target),
];
const ACTED_ON_GROUP: &[(Whose, Role)] = &[
    (Whose::Actor, Role::User),
    (Whose::Uid, Role::Effective),
    (Whose::ActorAs, Role::Group),
];
const ACTED_ON_USER: &[(Whose, Role)] = &[
    (Whose::Actor, Role::User),
    (Whose::Uid, Role::Effective),
    (Whose::ActorAs, Role::Target),
];
const LOGIN: &[(Whose, Role)] = &[(Whose::Actor, Role::User), (Whose::Object, Role::Effective)];

const fn norm(
    names: &'static [&'static str],
    action: &'static str,
    category: &'static [&'static str],
    types: &'static [&'static str],
) -> Norm {
    Norm {
        names,
        action,
        category,
        types,
        alert: false,
        object: "",
        primary: &[],
        secondary: &[],
        path: 0,
        how: &[],
        actor: &[],
        actor_as: &[],
        from_address: false,
        needs: None,
        people: &[],
    }
}

impl Norm {
    const fn alert(self) -> Self {
        Self { alert: true, ..self }
    }

    const fn object(self, object: &'static str) -> Self {
        Self { object, ..self }
    }

    const fn primary(self, primary: &'static [&'static str]) -> Self {
        Self { primary, ..self }
    }

    const fn secondary(self, secondary: &'static [&'static str]) -> Self {
        Self { secondary, ..self }
    }

    const fn path(self, path: usize) -> Self {
        Self { path, ..self }
    }

    const fn how(self, how: &'static [&'static str]) -> Self {
        Self { how, ..self }
    }

    const fn subject(self, actor: &'static [&'static str], actor_as: &'static [&'static str]) -> Self {
        Self {
            actor,
            actor_as,
            ..self
        }
    }

    /// Of a user's session at a terminal.
    const fn session(self) -> Self {
        self.object("user-session")
            .primary(&["terminal"])
            .secondary(&["addr", "hostname"])
            .how(&["exe", "terminal"])
            .subject(&["auid"], &["acct", "id", "uid"])
    }

    const fn with_address(self) -> Self {
        Self {
            from_address: true,
            ..self
        }
    }

    const fn needs(self, field: &'static str) -> Self {
        Self {
            needs: Some(field),
            ..self
        }
    }

    const fn people(self, people: &'static [(Whose, Role)]) -> Self {
        Self { people, ..self }
    }
}

const NORMS: &[Norm] = &[
    norm(&["*"], "", &["process"], &["info"]),
    norm(&["creat"], "opened-file", &["file"], &["creation"]).object("file"),
    norm(
        &["fallocate", "truncate", "ftruncate"],
        "opened-file",
        &["file"],
        &["change"],
    )
    .object("file"),
    norm(
        &["open", "openat", "readlink", "readlinkat"],
        "opened-file",
        &["file"],
        &["info"],
    )
    .object("file"),
    norm(&["read"], "read-file", &["file"], &["info"]).object("file"),
    norm(&["write"], "wrote-to-file", &["file"], &["change"]).object("file"),
    norm(
        &[
            "setxattr",
            "fsetxattr",
            "lsetxattr",
            "removexattr",
            "fremovexattr",
            "lremovexattr",
        ],
        "changed-file-attributes-of",
        &["file"],
        &["change"],
    )
    .object("file"),
    norm(
        &["chmod", "fchmod", "fchmodat"],
        "changed-file-permissions-of",
        &["file"],
        &["change"],
    )
    .object("file"),
    norm(
        &["chown", "fchown", "fchownat", "lchown"],
        "changed-file-ownership-of",
        &["file"],
        &["change"],
    )
    .object("file"),
    norm(
        &["KERN_MODULE", "finit_module", "init_module"],
        "loaded-kernel-module",
        &["driver"],
        &["start"],
    )
    .object("file")
    .primary(&["name"]),
    norm(
        &["delete_module"],
        "unloaded-kernel-module",
        &["driver"],
        &["end"],
    )
    .object("file"),
    norm(
        &["mkdir", "mkdirat"],
        "created-directory",
        &["file"],
        &["creation"],
    )
    .object("file")
    .path(1),
    norm(&["mount"], "mounted", &["file"], &["creation"])
        .object("filesystem")
        .path(1),
    norm(
        &["rename", "renameat", "renameat2"],
        "renamed",
        &["file"],
        &["change"],
    )
    .object("file")
    .path(2),
    norm(
        &[
            "access",
            "faccessat",
            "fstatat",
            "newfstatat",
            "stat",
            "stat64",
            "fstat",
            "lstat",
            "getxattr",
            "lgetxattr",
            "fgetxattr",
        ],
        "checked-metadata-of",
        &["file"],
        &["info"],
    )
    .object("file"),
    norm(
        &["statfs", "fstatfs"],
        "checked-filesystem-metadata-of",
        &["file"],
        &["info"],
    )
    .object("filesystem"),
    norm(&["link", "linkat"], "linked", &["file"], &["creation"]).object("file"),
    norm(&["symlink", "symlinkat"], "symlinked", &["file"], &["creation"]).object("file"),
    norm(&["umount", "umount2"], "unmounted", &["file"], &["deletion"]).object("filesystem"),
    norm(
        &["rmdir", "unlink", "unlinkat"],
        "deleted",
        &["file"],
        &["deletion"],
    )
    .object("file"),
    norm(
        &["utime", "utimes", "futimesat", "futimens", "utimensat"],
        "changed-timestamp-of",
        &["file"],
        &["info"],
    )
    .object("file"),
    norm(&["execve", "execveat"], "executed", &["process"], &["start"]).object("file"),
    norm(&["listen"], "listen-for-connections", &["network"], &["start"]).object("socket"),
    norm(
        &["accept", "accept4"],
        "accepted-connection-from",
        &["network"],
        &["connection", "start"],
    )
    .object("socket"),
    norm(&["bind"], "bound-socket", &["network"], &["start"]).object("socket"),
    norm(
        &["connect"],
        "connected-to",
        &["network"],
        &["connection", "start"],
    )
    .object("socket"),
    norm(
        &["recv", "recvfrom", "recvmsg", "recvmmsg"],
        "received-from",
        &["network"],
        &["connection", "info"],
    )
    .object("socket"),
    norm(
        &["send", "sendto", "sendmsg", "sendmmsg"],
        "sent-to",
        &["network"],
        &["connection", "info"],
    )
    .object("socket"),
    norm(&["kill", "tkill", "tgkill"], "killed-pid", &["process"], &["end"]).object("process"),
    norm(
        &[
            "setuid",
            "seteuid",
            "setfsuid",
            "setreuid",
            "setgid",
            "setegid",
            "setfsgid",
            "setregid",
            "setresuid",
            "setresgid",
        ],
        "changed-identity-of",
        &["process"],
        &["change"],
    )
    .object("process")
    .how(&["syscall"]),
    norm(
        &[
            "TIME_ADJNTPVAL",
            "TIME_INJOFFSET",
            "settimeofday",
            "clock_settime",
            "stime",
            "adjtimex",
            "clock_adjtime",
        ],
        "changed-system-time",
        &["host"],
        &["change"],
    )
    .object("system"),
    norm(&["mknod", "mknodat"], "make-device", &["file"], &["creation"]).object("file"),
    norm(
        &["sethostname", "setdomainname"],
        "changed-system-name",
        &["host"],
        &["change"],
    )
    .object("system"),
    norm(
        &["mmap", "mmap2", "brk"],
        "allocated-memory",
        &["process"],
        &["info"],
    )
    .object("memory"),
    norm(
        &["sched_setparam", "sched_setscheduler", "sched_setattr"],
        "adjusted-scheduling-policy-of",
        &["process"],
        &["change"],
    )
    .object("process")
    .how(&["syscall"]),
    norm(&["exit_group"], "end", &["process"], &["end"])
        .object("process")
        .how(&["syscall"]),
    norm(&["ACCT_LOCK"], "locked-account", &["iam"], &["user", "info"]),
    norm(&["ACCT_UNLOCK"], "unlocked-account", &["iam"], &["user", "info"]),
    norm(
        &["ADD_GROUP"],
        "added-group-account-to",
        &["iam"],
        &["group", "creation"],
    )
    .object("account")
    .primary(&["id", "acct"])
    .people(GROUP),
    norm(
        &["ADD_USER"],
        "added-user-account",
        &["iam"],
        &["user", "creation"],
    )
    .object("account")
    .primary(&["id", "acct"])
    .people(TARGET),
    norm(
        &["DEL_GROUP"],
        "deleted-group-account-from",
        &["iam"],
        &["group", "deletion"],
    )
    .object("account")
    .primary(&["id", "acct"])
    .people(GROUP),
    norm(
        &["DEL_USER"],
        "deleted-user-account",
        &["iam"],
        &["user", "deletion"],
    )
    .object("account")
    .primary(&["id", "acct"])
    .people(TARGET),
    norm(
        &["GRP_MGMT"],
        "modified-group-account",
        &["iam"],
        &["group", "change"],
    )
    .object("account")
    .primary(&["id", "acct"])
    .people(ACTED_ON_GROUP),
    norm(
        &["ROLE_ASSIGN"],
        "assigned-user-role-to",
        &["iam"],
        &["user", "change"],
    )
    .object("account")
    .primary(&["id", "acct"]),
    norm(&["ROLE_MODIFY"], "modified-role", &["iam"], &["change"]),
    norm(
        &["ROLE_REMOVE"],
        "removed-user-role-from",
        &["iam"],
        &["user", "change"],
    )
    .object("account")
    .primary(&["id", "acct"]),
    norm(
        &["USER_MGMT"],
        "modified-user-account",
        &["iam"],
        &["user", "change"],
    )
    .session()
    .people(ACTED_ON_USER),
    norm(
        &["USER_CHAUTHTOK"],
        "changed-password",
        &["iam"],
        &["user", "change"],
    )
    .session()
    .people(ACTED_ON_USER),
    norm(
        &["GRP_CHAUTHTOK"],
        "changed-group-password",
        &["iam"],
        &["group", "change"],
    )
    .session()
    .primary(&["acct"])
    .people(ACTED_ON_GROUP),
    norm(
        &["CRED_ACQ"],
        "acquired-credentials",
        &["authentication"],
        &["info"],
    )
    .session()
    .people(ACTOR),
    norm(
        &["CRED_DISP"],
        "disposed-credentials",
        &["authentication"],
        &["info"],
    )
    .session()
    .people(ACTOR),
    norm(
        &["CRED_REFR"],
        "refreshed-credentials",
        &["authentication"],
        &["info"],
    )
    .session()
    .people(ACTOR),
    norm(
        &["GRP_AUTH"],
        "authenticated-to-group",
        &["authentication"],
        &["info"],
    )
    .people(ACTOR),
    norm(&["LOGIN"], "changed-login-id-to", &["authentication"], &["start"])
        .object("user-session")
        .primary(&["new-auid", "new_auid", "auid"])
        .subject(&["old_auid", "old-auid"], &["uid"])
        .people(LOGIN),
    norm(&["USER_ACCT"], "was-authorized", &["authentication"], &["info"])
        .session()
        .people(ACTOR),
    norm(&["USER_AUTH"], "authenticated", &["authentication"], &["info"])
        .session()
        .people(ACTOR),
    norm(&["USER_END"], "ended-session", &["session"], &["end"])
        .session()
        .people(ACTOR),
    norm(&["USER_ERR"], "error", &["authentication"], &["info"])
        .session()
        .with_address()
        .people(ACTOR),
    norm(&["USER_LOGIN"], "logged-in", &["authentication"], &["start"])
        .session()
        .with_address()
        .people(ACTOR),
    norm(&["USER_LOGOUT"], "logged-out", &["authentication"], &["end"])
        .session()
        .people(ACTOR),
    norm(&["USER_ROLE_CHANGE"], "changed-role-to", &[], &[])
        .session()
        .primary(&["selected-context"]),
    norm(&["USER_START"], "started-session", &["session"], &["start"])
        .session()
        .with_address()
        .people(ACTOR),
    norm(&["VIRT_CONTROL"], "issued-vm-control", &["host"], &["info"])
        .object("virtual-machine")
        .primary(&["op"])
        .secondary(&["vm"]),
    norm(&["VIRT_CREATE"], "created-vm-image", &["host"], &["info"]),
    norm(&["VIRT_DESTROY"], "deleted-vm-image", &["host"], &["info"]),
    norm(
        &["VIRT_INTEGRITY_CHECK"],
        "checked-integrity-of",
        &["host"],
        &["info"],
    ),
    norm(&["VIRT_MACHINE_ID"], "assigned-vm-id", &["host"], &["info"])
        .object("virtual-machine")
        .primary(&["vm"]),
    norm(&["VIRT_MIGRATE_IN"], "migrated-vm-from", &["host"], &["info"]),
    norm(&["VIRT_MIGRATE_OUT"], "migrated-vm-to", &["host"], &["info"]),
    norm(&["VIRT_RESOURCE"], "assigned-vm-resource", &["host"], &["info"])
        .object("virtual-machine")
        .primary(&["resrc"])
        .secondary(&["vm"]),
    norm(&["CHGRP_ID"], "changed-group", &["process"], &["change"]),
    norm(&["CHUSER_ID"], "changed-user-id", &["process"], &["change"]),
    norm(&["TEST"], "sent-test", &["process"], &["info"]),
    norm(&["TRUSTED_APP"], "unknown", &["process"], &["info"]),
    norm(&["USER_CMD"], "ran-command", &["process"], &["start"])
        .object("process")
        .primary(&["cmd"]),
    norm(&["SYSTEM_BOOT"], "booted-system", &["host"], &["start"]).object("system"),
    norm(
        &["SYSTEM_RUNLEVEL"],
        "changed-to-runlevel",
        &["host"],
        &["change"],
    )
    .object("system")
    .primary(&["new-level"]),
    norm(&["SYSTEM_SHUTDOWN"], "shutdown-system", &["host"], &["end"]).object("system"),
    norm(&["SERVICE_START"], "started-service", &["process"], &["start"])
        .object("service")
        .primary(&["unit"]),
    norm(&["SERVICE_STOP"], "stopped-service", &["process"], &["end"])
        .object("service")
        .primary(&["unit"]),
    norm(
        &["CONFIG_CHANGE"],
        "changed-audit-configuration",
        &["process", "configuration"],
        &["change"],
    )
    .object("audit-config")
    .primary(&[
        "op",
        "key",
        "audit_enabled",
        "audit_pid",
        "audit_backlog_limit",
        "audit_failure",
    ]),
    norm(
        &["DAEMON_ABORT"],
        "aborted-auditd-startup",
        &["process"],
        &["end"],
    )
    .object("service"),
    norm(
        &["DAEMON_ACCEPT"],
        "remote-audit-connected",
        &["network"],
        &["connection", "start"],
    )
    .object("service"),
    norm(
        &["DAEMON_CLOSE"],
        "remote-audit-disconnected",
        &["network"],
        &["connection", "start"],
    )
    .object("service"),
    norm(
        &["DAEMON_CONFIG"],
        "changed-auditd-configuration",
        &["process", "configuration"],
        &["change"],
    )
    .object("service"),
    norm(&["DAEMON_END"], "shutdown-audit", &["process"], &["end"]).object("service"),
    norm(&["DAEMON_ERR"], "audit-error", &["process"], &["info"]).object("service"),
    norm(
        &["DAEMON_RECONFIG"],
        "reconfigured-auditd",
        &["process", "configuration"],
        &["info"],
    )
    .object("service"),
    norm(
        &["DAEMON_RESUME"],
        "resumed-audit-logging",
        &["process"],
        &["change"],
    )
    .object("service"),
    norm(
        &["DAEMON_ROTATE"],
        "rotated-audit-logs",
        &["process"],
        &["change"],
    )
    .object("service"),
    norm(&["DAEMON_START"], "started-audit", &["process"], &["start"]).object("service"),
    norm(
        &["KERNEL"],
        "initialized-audit-subsystem",
        &["process"],
        &["info"],
    ),
    norm(
        &["USYS_CONFIG"],
        "changed-configuration",
        &["configuration"],
        &["change"],
    )
    .object("system")
    .primary(&["op"]),
    norm(
        &["NETFILTER_CFG"],
        "loaded-firewall-rule-to",
        &["configuration"],
        &["change"],
    )
    .object("firewall")
    .primary(&["table"]),
    norm(
        &["FEATURE_CHANGE"],
        "changed-audit-feature",
        &["configuration"],
        &["change"],
    )
    .object("system")
    .primary(&["feature"]),
    norm(&["TTY", "USER_TTY"], "typed", &[], &[])
        .object("keystrokes")
        .primary(&["data"])
        .how(&["comm", "exe"]),
    norm(&["AVC"], "violated-selinux-policy", &[], &[])
        .primary(&["tcontext"])
        .secondary(&["tclass"])
        .subject(&["scontext"], &[])
        .needs("seresult"),
    norm(&["AVC"], "violated-apparmor-policy", &[], &[])
        .object("policy")
        .primary(&["operation"])
        .secondary(&["requested_mask", "denied_mask", "capname"])
        .needs("apparmor"),
    norm(&["FS_RELABEL"], "relabeled-filesystem", &[], &[]).object("mac-config"),
    norm(&["LABEL_LEVEL_CHANGE"], "modified-level-of", &[], &[])
        .object("printer")
        .primary(&["printer"]),
    norm(&["LABEL_OVERRIDE"], "overrode-label-of", &[], &[]).object("mac-config"),
    norm(&["MAC_CHECK"], "mac-permission", &[], &[]),
    norm(
        &["MAC_CONFIG_CHANGE"],
        "changed-selinux-boolean",
        &["configuration"],
        &["change"],
    )
    .object("mac-config")
    .primary(&["bool"]),
    norm(
        &["MAC_POLICY_LOAD"],
        "loaded-selinux-policy",
        &["configuration"],
        &["access"],
    )
    .object("mac-config"),
    norm(
        &["MAC_STATUS"],
        "changed-selinux-enforcement",
        &["configuration"],
        &["change"],
    )
    .object("mac-config")
    .primary(&["enforcing"]),
    norm(&["USER_AVC"], "access-permission", &[], &[]),
    norm(
        &["USER_MAC_CONFIG_CHANGE"],
        "changed-mac-configuration",
        &["configuration"],
        &["change"],
    )
    .object("mac-config"),
    norm(
        &["USER_MAC_POLICY_LOAD"],
        "loaded-mac-policy",
        &["configuration"],
        &["access"],
    )
    .object("mac-config"),
    norm(&["USER_SELINUX_ERR"], "access-error", &[], &[]),
    norm(&["SECCOMP"], "violated-seccomp-policy", &[], &[])
        .object("process")
        .primary(&["syscall"]),
    norm(&["SELINUX_ERR"], "caused-mac-policy-error", &[], &[]).object("system"),
    norm(
        &["CRYPTO_KEY_USER"],
        "negotiated-crypto-key",
        &["process"],
        &["info"],
    )
    .session()
    .primary(&["fp"])
    .with_address(),
    norm(&["CRYPTO_LOGIN"], "crypto-officer-logged-in", &[], &[]),
    norm(
        &["CRYPTO_LOGOUT"],
        "crypto-officer-logged-out",
        &["process"],
        &["info"],
    ),
    norm(
        &["CRYPTO_SESSION"],
        "started-crypto-session",
        &["process"],
        &["info"],
    )
    .session()
    .primary(&["addr"])
    .secondary(&["rport"])
    .with_address(),
    norm(&["DAC_CHECK"], "access-result", &[], &[]),
    norm(
        &["ANOM_ABEND"],
        "crashed-program",
        &["process", "intrusion_detection"],
        &["end", "info"],
    )
    .alert()
    .object("process")
    .primary(&["comm", "exe"])
    .secondary(&["pid"])
    .how(&["sig"]),
    norm(
        &["ANOM_EXEC"],
        "attempted-execution-of-forbidden-program",
        &["process", "intrusion_detection"],
        &["start", "info"],
    )
    .alert()
    .object("process")
    .primary(&["cmd"])
    .how(&["terminal"]),
    norm(
        &["ANOM_LINK"],
        "used-suspicious-link",
        &["file", "intrusion_detection"],
        &["access", "info"],
    )
    .alert(),
    norm(
        &["ANOM_LOGIN_FAILURES"],
        "failed-log-in-too-many-times-to",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert()
    .session(),
    norm(
        &["ANOM_LOGIN_LOCATION"],
        "attempted-log-in-from-unusual-place-to",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert()
    .session(),
    norm(
        &["ANOM_LOGIN_SESSIONS"],
        "opened-too-many-sessions-to",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert()
    .session(),
    norm(
        &["ANOM_LOGIN_TIME"],
        "attempted-log-in-during-unusual-hour-to",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert()
    .session(),
    norm(
        &["ANOM_PROMISCUOUS"],
        "changed-promiscuous-mode-on-device",
        &["intrusion_detection"],
        &["info", "change"],
    )
    .alert()
    .object("network-device")
    .primary(&["dev"]),
    norm(
        &["ANOM_RBAC_INTEGRITY_FAIL"],
        "tested-file-system-integrity-of",
        &["intrusion_detection"],
        &["info"],
    )
    .alert()
    .object("filesystem")
    .primary(&["hostname"]),
    norm(
        &["ANOM_LOGIN_ACCT"],
        "attempted-log-in-to-watched-account",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert(),
    norm(
        &["ANOM_MAX_DAC"],
        "max-discretionary-access-control-failures-reached",
        &["intrusion_detection"],
        &["info"],
    )
    .alert(),
    norm(
        &["ANOM_MAX_MAC"],
        "max-mandatory-access-control-failures-reached",
        &["intrusion_detection"],
        &["info"],
    )
    .alert(),
    norm(
        &["ANOM_AMTU_FAIL"],
        "abstract-machine-test-utility-failure",
        &["intrusion_detection"],
        &["info"],
    )
    .alert(),
    norm(
        &["ANOM_RBAC_FAIL"],
        "rbac-self-test-failure",
        &["intrusion_detection"],
        &["info"],
    )
    .alert(),
    norm(
        &["ANOM_CRYPTO_FAIL"],
        "crypto-system-test-failure",
        &["intrusion_detection"],
        &["info"],
    )
    .alert(),
    norm(
        &["ANOM_MK_EXEC"],
        "made-an-executable",
        &["file", "intrusion_detection"],
        &["change", "info"],
    )
    .alert(),
    norm(
        &["ANOM_ACCESS_FS"],
        "accessed-watched-file-or-directory",
        &["file", "intrusion_detection"],
        &["access", "info"],
    )
    .alert(),
    norm(
        &["ANOM_ADD_ACCT"],
        "added-user-account",
        &["iam", "intrusion_detection"],
        &["user", "creation", "info"],
    )
    .alert(),
    norm(
        &["ANOM_DEL_ACCT"],
        "deleted-user-account",
        &["iam", "intrusion_detection"],
        &["user", "deletion", "info"],
    )
    .alert(),
    norm(
        &["ANOM_MOD_ACCT"],
        "modified-user-account",
        &["iam", "intrusion_detection"],
        &["user", "change", "info"],
    )
    .alert(),
    norm(
        &["ANOM_ROOT_TRANS"],
        "user-became-root",
        &["authentication", "intrusion_detection"],
        &["start", "info"],
    )
    .alert(),
    norm(
        &["ANOM_LOGIN_SERVICE"],
        "service-account-attempted-login",
        &["authentication", "intrusion_detection"],
        &["start", "denied"],
    )
    .alert(),
    norm(&["USER"], "sent-message", &[], &[]).primary(&["addr"]),
    norm(&["SOFTWARE_UPDATE"], "package-updated", &["package"], &["info"]),
];

static BY_NAME: LazyLock<AHashMap<&str, Vec<&'static Norm>>> = LazyLock::new(|| {
    let mut norms: AHashMap<&str, Vec<&'static Norm>> = AHashMap::new();
    for norm in NORMS {
        for name in norm.names {
            norms.entry(name).or_default().push(norm);
        }
    }
    norms
});

/// What is said of a system call; of those that nothing special is said of, something general.
pub(super) fn of_system_call(name: &str) -> Option<&'static Norm> {
    let norms = BY_NAME.get(name).or_else(|| BY_NAME.get("*"))?;
    norms.first().copied()
}

/// What is said of a record type, given whether the record has a field.
pub(super) fn of_record(kind: &str, has: impl Fn(&str) -> bool) -> Option<&'static Norm> {
    let norms = BY_NAME.get(kind)?;
    norms.iter().copied().find(|norm| norm.needs.is_none_or(&has))
}

#[cfg(test)]
mod tests {
    use super::{of_record, of_system_call};

    #[test]
    fn names_have_norms() {
        assert_eq!(of_system_call("execve").unwrap().action, "executed");
        assert_eq!(of_system_call("getpid").unwrap().action, "");
        assert_eq!(of_record("USER_LOGIN", |_| false).unwrap().action, "logged-in");
        assert!(of_record("PATH", |_| true).is_none());
        assert!(of_record("AVC", |_| false).is_none());
        let apparmor = of_record("AVC", |field| field == "apparmor").unwrap();
        assert_eq!(apparmor.action, "violated-apparmor-policy");
    }
}
