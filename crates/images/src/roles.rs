//! What a file is for, by where it lies: the places that an attacker changes to stay, to become somebody else, or to be let in.

use crate::files::name_of;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Told, but no difference that matters.
    Info,
    /// Happens with every update.
    Low,
    /// Changes what the image does.
    Medium,
    /// What attackers do.
    High,
    /// What hardly anybody but attackers does.
    Critical,
}

impl Severity {
    /// `info`, `low`, `medium`, `high`, `critical`
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A place that matters.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// A short name, such as `cron`.
    pub name: &'static str,
    /// What a file there does.
    pub says: &'static str,
    /// How bad it is when one is added or changed.
    pub severity: Severity,
    /// Techniques of ATT&CK that do it.
    pub techniques: &'static [&'static str],
    /// Whole paths, directories (with a slash at the end), or names in any directory (with a slash in front); `*` stands for one part of a path.
    places: &'static [&'static str],
}

/// In the order in which they are tried.
pub(crate) static ROLES: &[Role] = &[
    Role {
        name: "ld-preload",
        says: "it is loaded into every program",
        severity: Severity::Critical,
        techniques: &["T1574.006"],
        places: &["etc/ld.so.preload"],
    },
    Role {
        name: "authorized-keys",
        says: "it lets people log in by SSH",
        severity: Severity::Critical,
        techniques: &["T1098.004"],
        places: &[
            "/authorized_keys",
            "/authorized_keys2",
            "etc/ssh/authorized_keys/",
        ],
    },
    Role {
        name: "ssh-server",
        says: "it sets who may log in by SSH",
        severity: Severity::High,
        techniques: &["T1098.004", "T1556"],
        places: &[
            "etc/ssh/sshd_config",
            "etc/ssh/sshd_config.d/",
            "root/.ssh/",
            "home/*/.ssh/",
            "etc/ssh/",
        ],
    },
    Role {
        name: "sudoers",
        says: "it says who may become root",
        severity: Severity::Critical,
        techniques: &["T1548.003"],
        places: &[
            "etc/sudoers",
            "etc/sudoers.d/",
            "usr/local/etc/sudoers",
            "etc/doas.conf",
            "etc/doas.d/",
            "etc/polkit-1/",
            "usr/share/polkit-1/rules.d/",
        ],
    },
    Role {
        name: "pam",
        says: "it decides how people are recognised",
        severity: Severity::Critical,
        techniques: &["T1556.003"],
        places: &[
            "etc/pam.d/",
            "etc/pam.conf",
            "lib/security/",
            "lib64/security/",
            "lib/*/security/",
            "usr/lib/security/",
            "usr/lib64/security/",
            "usr/lib/*/security/",
            "etc/security/",
            "usr/lib/pam.d/",
        ],
    },
    Role {
        name: "accounts",
        says: "it holds accounts",
        severity: Severity::High,
        techniques: &["T1136.001", "T1098"],
        places: &[
            "etc/passwd",
            "etc/shadow",
            "etc/group",
            "etc/gshadow",
            "etc/subuid",
            "etc/subgid",
        ],
    },
    Role {
        name: "cron",
        says: "it runs at set times",
        severity: Severity::High,
        techniques: &["T1053.003"],
        places: &[
            "etc/crontab",
            "etc/cron.d/",
            "etc/cron.hourly/",
            "etc/cron.daily/",
            "etc/cron.weekly/",
            "etc/cron.monthly/",
            "var/spool/cron/",
            "etc/anacrontab",
            "etc/crontabs/",
            "etc/periodic/",
            "var/spool/at/",
            "var/spool/cron/atjobs/",
        ],
    },
    Role {
        name: "systemd",
        says: "it is started as a service or by a timer",
        severity: Severity::High,
        techniques: &["T1543.002", "T1053.006"],
        places: &[
            "etc/systemd/",
            "lib/systemd/system/",
            "usr/lib/systemd/",
            "usr/local/lib/systemd/",
            "root/.config/systemd/",
            "home/*/.config/systemd/",
            "lib/systemd/",
        ],
    },
    Role {
        name: "init",
        says: "it runs when the system starts",
        severity: Severity::High,
        techniques: &["T1037.004"],
        places: &[
            "etc/init.d/",
            "etc/rc.local",
            "etc/rc.d/",
            "etc/rc0.d/",
            "etc/rc1.d/",
            "etc/rc2.d/",
            "etc/rc3.d/",
            "etc/rc4.d/",
            "etc/rc5.d/",
            "etc/rc6.d/",
            "etc/rcS.d/",
            "etc/inittab",
            "etc/init/",
            "etc/runit/",
            "etc/service/",
            "etc/s6-overlay/",
            "etc/services.d/",
            "etc/cont-init.d/",
            "etc/supervisor/",
            "etc/supervisord.conf",
            "docker-entrypoint.d/",
            "docker-entrypoint-initdb.d/",
        ],
    },
    Role {
        name: "shell-start",
        says: "it runs whenever somebody starts a shell",
        severity: Severity::High,
        techniques: &["T1546.004"],
        places: &[
            "etc/profile",
            "etc/profile.d/",
            "etc/bash.bashrc",
            "etc/bashrc",
            "etc/zsh/",
            "etc/zshenv",
            "etc/zshrc",
            "etc/environment",
            "/.bashrc",
            "/.bash_profile",
            "/.bash_login",
            "/.bash_logout",
            "/.profile",
            "/.zshrc",
            "/.zshenv",
            "/.zprofile",
            "etc/skel/",
            "etc/csh.cshrc",
            "etc/csh.login",
            "etc/fish/",
            "etc/update-motd.d/",
        ],
    },
    Role {
        name: "python-start",
        says: "it runs whenever Python starts",
        severity: Severity::High,
        techniques: &["T1546.018"],
        places: &["/sitecustomize.py", "/usercustomize.py", "/*.pth"],
    },
    Role {
        name: "loader",
        says: "it says where programs get their libraries from",
        severity: Severity::High,
        techniques: &["T1574.006"],
        places: &["etc/ld.so.conf", "etc/ld.so.conf.d/", "etc/ld-musl-*"],
    },
    Role {
        name: "udev",
        says: "it runs when devices appear",
        severity: Severity::High,
        techniques: &["T1546.017"],
        places: &["etc/udev/", "lib/udev/", "usr/lib/udev/"],
    },
    Role {
        name: "kernel-module",
        says: "it becomes part of the kernel",
        severity: Severity::High,
        techniques: &["T1547.006"],
        places: &[
            "lib/modules/",
            "usr/lib/modules/",
            "etc/modules",
            "etc/modules-load.d/",
            "etc/modprobe.d/",
        ],
    },
    Role {
        name: "package-hook",
        says: "it runs when packages are installed, or says where they come from",
        severity: Severity::High,
        techniques: &["T1546.016", "T1195.002"],
        places: &[
            "etc/apt/",
            "etc/yum.repos.d/",
            "etc/yum.conf",
            "etc/dnf/",
            "etc/apk/repositories",
            "etc/apk/keys/",
            "etc/dpkg/dpkg.cfg.d/",
            "etc/pip.conf",
            "/.npmrc",
            "/.pip/pip.conf",
            "usr/share/keyrings/",
        ],
    },
    Role {
        name: "trust",
        says: "it says which authorities are trusted",
        severity: Severity::High,
        techniques: &["T1553.004"],
        places: &[
            "etc/ssl/certs/",
            "etc/ca-certificates.conf",
            "usr/local/share/ca-certificates/",
            "usr/share/ca-certificates/",
            "etc/pki/",
            "etc/ca-certificates/",
        ],
    },
    Role {
        name: "credentials",
        says: "it holds credentials",
        severity: Severity::High,
        techniques: &["T1552.001"],
        places: &[
            "/.aws/credentials",
            "/.docker/config.json",
            "/.kube/config",
            "/.netrc",
            "/.git-credentials",
            "/.pgpass",
            "/id_rsa",
            "/id_ed25519",
            "/id_ecdsa",
        ],
    },
    Role {
        name: "names",
        says: "it says which addresses names have",
        severity: Severity::Medium,
        techniques: &["T1565.001"],
        places: &["etc/hosts", "etc/nsswitch.conf", "etc/resolv.conf"],
    },
];

/// Directories that web servers serve from: whole paths, or names in any directory (with slashes on both sides).
const WEB_ROOTS: &[&str] = &[
    "var/www/",
    "srv/",
    "usr/share/nginx/",
    "usr/share/caddy/",
    "usr/share/httpd/",
    "usr/local/www/",
    "usr/lib/cgi-bin/",
    "var/lib/nginx/",
    "var/lib/tomcat*/",
    "app/public/",
    "app/static/",
    "opt/app-root/src/",
    "bitnami/",
    "/html/",
    "/htdocs/",
    "/webapps/",
    "/wwwroot/",
    "/public_html/",
    "/www/",
    "/cgi-bin/",
    "/webroot/",
    "/httpdocs/",
    "/deployments/",
    "/site/",
    "/sites/",
    "/web/",
    "/public/",
];

/// What servers run as code.
const WEB_SCRIPTS: &[&str] = &[
    "php", "php3", "php4", "php5", "php7", "php8", "pht", "phtml", "phar", "phps", "inc", "jsp", "jspx",
    "jspf", "jsw", "jsv", "jhtml", "war", "asp", "aspx", "ashx", "asmx", "ascx", "asa", "cer", "cdx", "cfm",
    "cfml", "cfc", "cgi", "fcgi", "pl", "shtml", "stm",
];

/// Scripts that are run by themselves, and by servers where these are told to.
const SCRIPTS: &[&str] = &[
    "sh", "bash", "py", "rb", "lua", "js", "mjs", "cjs", "ts", "ps1", "bat", "cmd", "tcl", "awk", "groovy",
];

/// Directories whose programs are found by their names.
const PROGRAMS: &[&str] = &[
    "bin/",
    "sbin/",
    "usr/bin/",
    "usr/sbin/",
    "usr/local/bin/",
    "usr/local/sbin/",
    "usr/games/",
    "usr/libexec/",
];

/// Directories whose content is different after every build and that nothing is started from.
const VOLATILE: &[&str] = &[
    "var/log/",
    "var/cache/",
    "tmp/",
    "var/tmp/",
    "run/",
    "var/run/",
    "root/.cache/",
    "home/*/.cache/",
    "var/lib/apt/lists/",
    "var/lib/dpkg/",
    "var/lib/rpm/",
];
/// Files that tools write anew at every build.
const GENERATED: &[&str] = &[
    "etc/ld.so.cache",
    "etc/machine-id",
    "etc/hostname",
    "etc/mtab",
    "lib/apk/db/scripts.tar",
    ".dockerenv",
    "run/.containerenv",
    "var/lib/systemd/catalog/database",
];

/// The role of a place.
pub fn role(path: &[u8]) -> Option<&'static Role> {
    ROLES
        .iter()
        .find(|role| role.places.iter().any(|place| is_at(path, place)))
}

/// What a web server would run, lying where one would look.
pub fn is_web_script(path: &[u8]) -> bool {
    is_served(path)
        && (has_extension(path, WEB_SCRIPTS) || is_server_setting(path) || is_in(path, b"cgi-bin"))
}

/// A file that servers of web pages run wherever it lies.
pub fn is_server_script(path: &[u8]) -> bool {
    has_extension(path, WEB_SCRIPTS)
}

fn is_server_setting(path: &[u8]) -> bool {
    matches!(name_of(path), b".htaccess" | b".user.ini" | b"web.config")
}

/// Below a directory that web servers serve from.
pub fn is_served(path: &[u8]) -> bool {
    WEB_ROOTS.iter().any(|root| match root.strip_prefix('/') {
        // A name in any directory.
        Some(name) => is_in(path, name.trim_end_matches('/').as_bytes()),
        None => is_at(path, root),
    })
}

/// Below a directory of that name, wherever it is.
fn is_in(path: &[u8], name: &[u8]) -> bool {
    let folder = path.strip_suffix(name_of(path)).unwrap_or_default();
    folder.split(|byte| *byte == b'/').any(|part| part == name)
}

/// A script by its name.
pub fn is_script_name(path: &[u8]) -> bool {
    has_extension(path, WEB_SCRIPTS) || has_extension(path, SCRIPTS)
}

/// In a directory whose programs are found by their names.
pub fn is_program_place(path: &[u8]) -> bool {
    let folder = path.strip_suffix(name_of(path)).unwrap_or_default();
    PROGRAMS.iter().any(|place| folder == place.as_bytes())
}

/// A shared library by its name.
pub fn is_library(path: &[u8]) -> bool {
    let name = name_of(path);
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

/// Where every build leaves other content.
pub fn is_volatile(path: &[u8]) -> bool {
    VOLATILE.iter().chain(GENERATED).any(|place| is_at(path, place))
}

/// Whether the text of a file is looked at while it is read.
pub(crate) fn is_worth_reading(path: &[u8]) -> bool {
    is_script_name(path) || is_served(path) || is_server_setting(path) || role(path).is_some()
}

fn has_extension(path: &[u8], extensions: &[&str]) -> bool {
    let name = name_of(path);
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else {
        return false;
    };
    let extension = name.get(dot + 1..).unwrap_or_default();
    extensions
        .iter()
        .any(|own| own.as_bytes().eq_ignore_ascii_case(extension))
}

/// Whether a path is a place of a table, or lies in it.
fn is_at(path: &[u8], place: &str) -> bool {
    if let Some(name) = place.strip_prefix('/') {
        // A name, or the last parts of a path, in any directory.
        let wanted: Vec<&[u8]> = name.as_bytes().split(|byte| *byte == b'/').collect();
        let own: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some(last) = own
            .len()
            .checked_sub(wanted.len())
            .and_then(|from| own.get(from..))
        else {
            return false;
        };
        return last
            .iter()
            .zip(&wanted)
            .all(|(own, wanted)| part_fits(own, wanted));
    }
    let is_folder = place.ends_with('/');
    let mut wanted = place.trim_end_matches('/').as_bytes().split(|byte| *byte == b'/');
    let mut own = path.split(|byte| *byte == b'/');
    let fits = wanted
        .by_ref()
        .all(|wanted| own.next().is_some_and(|own| part_fits(own, wanted)));
    fits && own.next().is_some() == is_folder
}

/// `*` stands for any text within one part of a path.
fn part_fits(own: &[u8], wanted: &[u8]) -> bool {
    match wanted.iter().position(|byte| *byte == b'*') {
        None => own == wanted,
        Some(star) => {
            let (before, after) = (
                wanted.get(..star).unwrap_or_default(),
                wanted.get(star + 1..).unwrap_or_default(),
            );
            own.len() >= before.len() + after.len() && own.starts_with(before) && own.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_roles() {
        for (path, name) in [
            ("etc/ld.so.preload", Some("ld-preload")),
            ("home/app/.ssh/authorized_keys", Some("authorized-keys")),
            ("etc/cron.d/backup", Some("cron")),
            ("etc/cron.d", None),
            ("usr/lib/x86_64-linux-gnu/security/pam_unix.so", Some("pam")),
            ("root/.bashrc", Some("shell-start")),
            ("usr/lib/python3/dist-packages/evil.pth", Some("python-start")),
            ("home/app/.config/systemd/user/x.service", Some("systemd")),
            ("usr/share/doc/sudoers", None),
            ("etc/passwd-", None),
        ] {
            assert_eq!(role(path.as_bytes()).map(|role| role.name), name, "{path}");
        }
    }

    #[test]
    fn web_scripts_are_known_by_place_and_name() {
        for path in [
            "var/www/html/a.php",
            "usr/local/tomcat/webapps/ROOT/x.jsp",
            "opt/site/htdocs/a.PHTML",
            "inetpub/wwwroot/a.aspx",
            "var/www/html/.htaccess",
        ] {
            assert!(is_web_script(path.as_bytes()), "{path}");
        }
        for path in [
            "usr/share/php/PEAR.php",
            "var/www/html/logo.png",
            "html",
            "usr/bin/php",
        ] {
            assert!(!is_web_script(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn every_technique_is_one() {
        for role in ROLES {
            for id in role.techniques {
                let technique = neph_attack::attack().technique(id);
                assert!(
                    technique.is_some_and(|technique| technique.state == neph_attack::State::Current),
                    "{id}"
                );
            }
        }
    }
}
