//! What the service looks at again and again: the tables `baselines`, `posture`, `images` and `collect`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use neph_diag::{Diagnostic, Span};

use crate::check::Values;
use crate::codes;
use crate::secret::Secret;
use crate::shape::{Key, Kind, Shape};

/// Shorter pauses than this are mistakes.
const SHORTEST: Duration = Duration::from_secs(1);
/// Names are part of addresses and lines.
const LONGEST_NAME: usize = 64;

/// When something is looked at while the service runs, and what becomes an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How often.
    pub every: Option<Duration>,
    /// Whether it is looked at when its files change.
    pub on_change: bool,
    /// `low`, `medium`, `high` or `critical`: the mildest finding that becomes an alert; none where none does.
    pub alerts: Option<String>,
}

/// Snapshots and images that are held against a baseline.
#[derive(Clone, Debug, Default)]
pub struct Baselines {
    /// Files and folders of what was collected.
    pub collected: Vec<PathBuf>,
    /// The folder of baselines.
    pub folder: Option<PathBuf>,
    /// The file of approvals.
    pub approvals: Option<PathBuf>,
    /// When they are compared.
    pub schedule: Schedule,
}

/// Settings that are checked against mitigations.
#[derive(Clone, Debug, Default)]
pub struct Posture {
    /// Files and folders of what was collected, or of infrastructure as code.
    pub collected: Vec<PathBuf>,
    /// The list of failures that somebody answers for.
    pub mutes: Option<PathBuf>,
    /// The folder of runs.
    pub history: Option<PathBuf>,
    /// When they are checked.
    pub schedule: Schedule,
}

/// Container images that are held against golden ones, and whose signatures are verified.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// What they are called together.
    pub name: String,
    /// The images, as `neph image` takes them.
    pub images: Vec<String>,
    /// The golden image, or a list of golden ones.
    pub golden: Option<String>,
    /// The set of keys whose signatures count.
    pub keys: Option<PathBuf>,
    /// The exported root of a container that was started from the first image.
    pub root: Option<PathBuf>,
    /// What `docker diff` printed of such a container.
    pub changes: Option<PathBuf>,
    /// Which of several images.
    pub platform: Option<String>,
    /// Who asks registries.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Certificates of authorities of registries.
    pub ca: Option<PathBuf>,
    /// Whether to speak to registries without TLS.
    pub plain_http: bool,
    /// When they are looked at.
    pub schedule: Schedule,
}

/// Something that is collected again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collect {
    /// What it is called.
    pub name: String,
    /// What is asked: `aws`, `kubernetes` …
    pub source: String,
    /// The folder that is filled.
    pub to: PathBuf,
    /// Further options, as `neph collect` takes them.
    pub options: Vec<String>,
    /// How often.
    pub every: Duration,
}

const EVERY: Key = Key::new(
    "every",
    Kind::Duration,
    "How often that is done while the service runs; without it, only when somebody asks or, with `on_change`, when files change.",
)
.such_as("\"1h\"");
const ON_CHANGE: Key = Key::new(
    "on_change",
    Kind::Bool,
    "Whether it is done when files changed and have come to rest.",
)
.or("false");
const ALERTS: Key = Key::new(
    "alerts",
    Kind::Choice(&["off", "low", "medium", "high", "critical"]),
    "The mildest finding that becomes an alert when it is found on schedule for the first time.",
);

pub(crate) static BASELINES: Shape = Shape {
    about: "Snapshots and images that are held against a baseline, as `neph baseline` does.",
    keys: &[
        Key::new(
            "collected",
            Kind::List(&Kind::Path),
            "Files and folders of what was collected; without any there is nothing to compare.",
        )
        .or("[]"),
        Key::new(
            "folder",
            Kind::Path,
            "The folder of baselines. Without it: `baselines` in the data folder.",
        )
        .such_as("\"/var/lib/neph/baselines\""),
        Key::new(
            "approvals",
            Kind::Path,
            "The file of approvals, golden images and accounts. Without it: `approvals.toml` in that folder.",
        )
        .such_as("\"/etc/neph/approvals.toml\""),
        EVERY,
        ON_CHANGE,
        ALERTS.or("\"low\""),
    ],
    variants: None,
};

pub(crate) static POSTURE: Shape = Shape {
    about: "Settings that are checked against mitigations, as `neph audit run` does.",
    keys: &[
        Key::new(
            "collected",
            Kind::List(&Kind::Path),
            "Files and folders of what was collected, or of infrastructure as code; without any there is nothing to check.",
        )
        .or("[]"),
        Key::new(
            "mutes",
            Kind::Path,
            "The list of failures that somebody answers for. Without it: `mutes.toml` in `posture` of the data folder.",
        )
        .such_as("\"/etc/neph/mutes.toml\""),
        Key::new(
            "history",
            Kind::Path,
            "The folder of runs. Without it: `runs` in `posture` of the data folder.",
        )
        .such_as("\"/var/lib/neph/posture/runs\""),
        EVERY,
        ON_CHANGE,
        ALERTS.or("\"medium\""),
    ],
    variants: None,
};

pub(crate) static IMAGES: Shape = Shape {
    about: "Container images that are looked at again and again, as `neph image compare`, `verify` and `drift` do.",
    keys: &[
        Key::new("name", Kind::Text, "What they are called together.")
            .required()
            .such_as("\"shop\""),
        Key::new(
            "images",
            Kind::List(&Kind::Text),
            "The images: `docker://…` in a registry, or files as `neph image` takes them.",
        )
        .required()
        .such_as("[\"docker://registry.example/shop/app:1.4\"]"),
        Key::new(
            "golden",
            Kind::Text,
            "The golden image, what `neph image manifest --format json` printed of it, or a list of golden images (`FILE.toml`).",
        )
        .such_as("\"/etc/neph/golden.toml\""),
        Key::new("keys", Kind::Path, "The set of keys whose signatures count.").such_as("\"/etc/neph/keys.toml\""),
        Key::new(
            "root",
            Kind::Path,
            "The root of a container that was started from the first image, as `docker export` writes it.",
        )
        .such_as("\"/var/lib/neph/shop.root.tar\""),
        Key::new("changes", Kind::Path, "What `docker diff` printed of such a container.")
            .such_as("\"/var/lib/neph/shop.diff\""),
        Key::new(
            "platform",
            Kind::Text,
            "Which of several images; without it: Linux on this machine's processor.",
        )
        .such_as("\"linux/amd64\""),
        Key::new("username", Kind::Text, "Who asks registries.").such_as("\"neph\""),
        Key::new("password", Kind::Secret, "The password.").such_as("{ file = \"/etc/neph/registry.password\" }"),
        Key::new(
            "ca",
            Kind::Path,
            "Certificates of authorities of registries (PEM), instead of those that the system trusts.",
        )
        .such_as("\"/etc/neph/registry.crt\""),
        Key::new("plain_http", Kind::Bool, "Whether to speak to registries without TLS.").or("false"),
        EVERY.or("\"24h\""),
        ON_CHANGE,
        ALERTS.or("\"medium\""),
    ],
    variants: None,
};

pub(crate) static COLLECT: Shape = Shape {
    about: "Something that is collected again and again, as `neph collect` does. Credentials are found where that finds them: in the environment of the \
            service and in files; none stands here.",
    keys: &[
        Key::new("name", Kind::Text, "What it is called.")
            .required()
            .such_as("\"production\""),
        Key::new(
            "source",
            Kind::Choice(&["aws", "azure", "gcp", "openstack", "kubernetes", "docker", "host"]),
            "What is asked.",
        )
        .required()
        .such_as("\"aws\""),
        Key::new("to", Kind::Path, "The folder that is filled.")
            .required()
            .such_as("\"/var/lib/neph/collected\""),
        Key::new(
            "options",
            Kind::List(&Kind::Text),
            "Further options, as `neph collect` takes them.",
        )
        .or("[]")
        .such_as("[\"--profile\", \"audit\"]"),
        Key::new("every", Kind::Duration, "How often.")
            .required()
            .such_as("\"6h\""),
    ],
    variants: None,
};

fn schedule(values: &Values) -> Schedule {
    Schedule {
        every: values.find("every"),
        on_change: values.get("on_change"),
        alerts: values.find::<String>("alerts").filter(|word| word != "off"),
    }
}

pub(crate) fn baselines(values: &Values) -> Baselines {
    Baselines {
        collected: values.get("collected"),
        folder: values.find("folder"),
        approvals: values.find("approvals"),
        schedule: schedule(values),
    }
}

pub(crate) fn posture(values: &Values) -> Posture {
    Posture {
        collected: values.get("collected"),
        mutes: values.find("mutes"),
        history: values.find("history"),
        schedule: schedule(values),
    }
}

pub(crate) fn images(values: &Values) -> Images {
    Images {
        name: values.get("name"),
        images: values.get("images"),
        golden: values.find("golden"),
        keys: values.find("keys"),
        root: values.find("root"),
        changes: values.find("changes"),
        platform: values.find("platform"),
        username: values.find("username"),
        password: values.find("password"),
        ca: values.find("ca"),
        plain_http: values.get("plain_http"),
        schedule: schedule(values),
    }
}

pub(crate) fn collect(values: &Values) -> Collect {
    Collect {
        name: values.get("name"),
        source: values.get("source"),
        to: values.get("to"),
        options: values.get("options"),
        every: values.get("every"),
    }
}

impl Images {
    /// Files that are named by relative paths count from the folder of the configuration.
    pub(crate) fn locate(&mut self, folder: &Path) {
        for named in self.images.iter_mut().chain(&mut self.golden) {
            if named.starts_with("docker://") {
                continue;
            }
            let located = match named.split_once(':') {
                Some((prefix @ ("oci" | "oci-archive" | "docker-archive" | "dir" | "root"), rest)) => {
                    format!("{prefix}:{}", folder.join(rest).display())
                }
                _ => folder.join(&*named).display().to_string(),
            };
            *named = located;
        }
    }
}

/// What only shows when parts are seen together.
pub(crate) fn together(values: &Values, diagnostics: &mut Vec<Diagnostic>) {
    let (one, other): (Values, Values) = (values.get("baselines"), values.get("posture"));
    let tables = [&one, &other].into_iter();
    let tables = tables
        .chain(values.tables("images"))
        .chain(values.tables("collect"));
    for table in tables {
        if table
            .find::<Duration>("every")
            .is_some_and(|every| every < SHORTEST)
        {
            diagnostics.push(
                Diagnostic::new(
                    &codes::VALUE,
                    table.span("every"),
                    "`every` is shorter than a second",
                )
                .with_help("looking takes longer than that: write `\"10m\"` or `\"1h\"`"),
            );
        }
    }
    for table in [&one, &other] {
        let nothing = table
            .find::<Vec<PathBuf>>("collected")
            .is_none_or(|paths| paths.is_empty());
        let scheduled = schedule(table);
        if nothing && (scheduled.every.is_some() || scheduled.on_change) {
            diagnostics.push(
                Diagnostic::new(
                    &codes::CONFLICT,
                    table.span,
                    "there is a schedule, and nothing to look at",
                )
                .with_help("name what was collected: `collected = [\"/var/lib/neph/collected\"]`"),
            );
        }
    }
    for table in values.tables("images") {
        let is_there = |key: &str| table.find::<PathBuf>(key).is_some();
        if table.find::<String>("golden").is_none() && !["keys", "root", "changes"].into_iter().any(is_there)
        {
            diagnostics.push(
                Diagnostic::new(
                    &codes::KEY_MISSING,
                    table.span,
                    "nothing says what the images are held against",
                )
                .with_help("write `golden`, `keys`, `root` or `changes`"),
            );
        }
        if table.find::<String>("username").is_some() != table.find::<Secret>("password").is_some() {
            diagnostics.push(
                Diagnostic::new(
                    &codes::KEY_MISSING,
                    table.span,
                    "`username` and `password` belong together",
                )
                .with_help("write both, or neither"),
            );
        }
        if table
            .find::<Vec<String>>("images")
            .is_some_and(|images| images.is_empty())
        {
            let message = "there is no image to look at";
            diagnostics.push(Diagnostic::new(&codes::VALUE, table.span("images"), message));
        }
    }
    for key in ["images", "collect"] {
        let mut names: BTreeMap<String, Span> = BTreeMap::new();
        for table in values.tables(key) {
            let Some(name) = table.find::<String>("name") else {
                continue;
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
                diagnostics.push(
                    Diagnostic::new(&codes::VALUE, table.span("name"), format!("`{name}` is no name"))
                        .with_help("use letters, digits, `.`, `_` and `-`, 64 of them at most"),
                );
            }
            if let Some(first) = names.insert(name.clone(), table.span("name")) {
                let message = format!("another of `{key}` is called `{name}` already");
                diagnostics.push(
                    Diagnostic::new(&codes::CONFLICT, table.span("name"), message)
                        .with_secondary(first, "here"),
                );
            }
        }
    }
}
