//! An image against the golden one: by what containers get, never by how it was built or packed.
//!
//! Times, the order of entries, compression, the cut into layers and the history count for nothing: they differ whenever an image is
//! built again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::difference::{Difference, IMPLANT, of_attributes, of_content, of_removal};
use crate::digest::Digest;
use crate::files::{File, Kind};
use crate::image::Image;
use crate::oci::Settings;
use crate::roles::Severity;

/// Paths that a finding about a layer names.
const NAMED: usize = 5;

/// How alike two images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// The digests are the same.
    SameDigest,
    /// Another image, but containers get the same.
    SameContent,
    /// Containers get something else.
    Different,
}

/// Variables that decide which code programs run.
const CODE_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "CLASSPATH",
    "DOTNET_STARTUP_HOOKS",
    "ENV",
    "GCONV_PATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "IFS",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "_JAVA_OPTIONS",
];
/// Variables that say where requests go and whom to trust.
const WAY_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "PIP_INDEX_URL",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];
/// Labels that every build writes anew (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
const BUILD_LABELS: &[&str] = &[
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.version",
    "org.opencontainers.image.ref.name",
    "org.opencontainers.image.base.digest",
    "io.buildah.version",
    "org.label-schema.build-date",
    "org.label-schema.vcs-ref",
    "org.label-schema.version",
    "build-date",
    "vcs-ref",
];

/// How alike they are, and what is different.
pub fn compare(golden: &Image, image: &Image) -> (Sameness, Vec<Difference>) {
    let mut found = Vec::new();
    files(golden, image, &mut found);
    let has_files = !found.is_empty();
    settings(golden, image, &mut found);
    let differs = found.iter().any(|one| one.severity > Severity::Info);
    if differs {
        tag(golden, image, &mut found);
    }
    if has_files {
        layers(golden, image, &mut found);
    }
    problems(golden, image, &mut found);
    found.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then_with(|| one.path.cmp(&other.path))
    });
    let digests = digests(golden, image);
    let sameness = match digests {
        _ if !found.is_empty() => Sameness::Different,
        Some((one, other)) if one == other => Sameness::SameDigest,
        _ => Sameness::SameContent,
    };
    if sameness == Sameness::SameContent {
        found.push(Difference {
            golden: digests.map(|(golden, _)| golden.to_string()),
            found: digests.map(|(_, own)| own.to_string()),
            ..plain(
                "same-content",
                Severity::Info,
                "the image was built or packed anew; containers get the same",
            )
        });
    }
    (sameness, found)
}

/// Digests of the same thing of both: of the manifests, else of the configurations, which archives of `docker save` have.
fn digests(golden: &Image, image: &Image) -> Option<(Digest, Digest)> {
    golden.manifest.zip(image.manifest).or(golden.id.zip(image.id))
}

/// A difference about the image as a whole.
pub(crate) fn plain(kind: &'static str, severity: Severity, what: impl Into<String>) -> Difference {
    Difference {
        kind,
        severity,
        path: String::new(),
        what: what.into(),
        golden: None,
        found: None,
        layer: None,
        techniques: if severity > Severity::Info {
            vec![IMPLANT]
        } else {
            Vec::new()
        },
        signs: Vec::new(),
        sha256: None,
        approved: None,
    }
}

fn files(golden: &Image, image: &Image, found: &mut Vec<Difference>) {
    let first = image.entry_point();
    let first = first.as_deref();
    let (mut ours, mut theirs) = (image.files.iter().peekable(), golden.files.iter().peekable());
    let mut added_directories: Vec<(&[u8], &File)> = Vec::new();
    let mut removed_directories: Vec<(&[u8], &File)> = Vec::new();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((own, _)), Some((other, _))) => own.cmp(other),
        };
        let own = if order.is_le() { ours.next() } else { None };
        let other = if order.is_ge() { theirs.next() } else { None };
        match (own, other) {
            (Some((path, file)), None) if file.kind == Kind::Directory => {
                added_directories.push((path, file))
            }
            (Some((path, file)), None) => found.push(of_content(path, None, file, first)),
            (None, Some((path, old))) if old.kind == Kind::Directory => removed_directories.push((path, old)),
            (None, Some((path, old))) => found.push(of_removal(path, old)),
            (Some((path, file)), Some((_, old))) => {
                let differs = file.kind != old.kind
                    || file.sha256 != old.sha256
                    || file.target != old.target
                    || file.device != old.device;
                if differs {
                    found.push(of_content(path, Some(old), file, first));
                }
                found.extend(of_attributes(path, old, file));
            }
            (None, None) => break,
        }
    }
    // A directory is told only where nothing in it is.
    let told: BTreeSet<String> = found.iter().map(|one| one.path.clone()).collect();
    let is_told = |path: &[u8]| {
        let inside = format!("/{}/", crate::shown(path));
        told.range(inside.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&inside))
    };
    let empty = |directories: &[(&[u8], &File)], index: usize| {
        // Directories within it stand right behind it.
        let Some((path, _)) = directories.get(index) else {
            return false;
        };
        let holds = |next: &&(&[u8], &File)| {
            next.0
                .strip_prefix(*path)
                .is_some_and(|rest| rest.starts_with(b"/"))
        };
        !is_told(path) && directories.get(index + 1).filter(holds).is_none()
    };
    for (index, (path, file)) in added_directories.iter().enumerate() {
        if empty(&added_directories, index) {
            found.push(of_content(path, None, file, first));
        }
    }
    for (index, (path, file)) in removed_directories.iter().enumerate() {
        if empty(&removed_directories, index) {
            found.push(of_removal(path, file));
        }
    }
}

/// Whether an account is root, however it is written.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or(user);
    matches!(name, "" | "0" | "root")
}

fn variables(settings: &Settings) -> BTreeMap<&str, &str> {
    settings
        .env
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect()
}

fn settings(golden: &Image, image: &Image, found: &mut Vec<Difference>) {
    let (old, new) = (&golden.config.config, &image.config.config);
    let mut say = |path: String,
                   severity: Severity,
                   what: &str,
                   values: (String, String),
                   techniques: &[&'static str]| {
        if values.0 == values.1 {
            return;
        }
        let mut all = vec![IMPLANT];
        all.extend(techniques);
        found.push(Difference {
            path,
            golden: Some(values.0),
            found: Some(values.1),
            techniques: all,
            ..plain("config-changed", severity, what)
        });
    };
    let list = |words: &[String]| serde_json::Value::from(words.to_vec()).to_string();
    let keys = |map: &BTreeMap<String, serde_json::Value>| map.keys().cloned().collect::<Vec<_>>().join(" ");
    say(
        "entrypoint".into(),
        Severity::High,
        "another program is run",
        (list(&old.entrypoint), list(&new.entrypoint)),
        &["T1204.003"],
    );
    say(
        "cmd".into(),
        Severity::High,
        "another command is run",
        (list(&old.cmd), list(&new.cmd)),
        &["T1204.003"],
    );
    if !(is_root(&old.user) && is_root(&new.user)) {
        let severity = if is_root(&new.user) {
            Severity::High
        } else {
            Severity::Medium
        };
        say(
            "user".into(),
            severity,
            "it runs as another user",
            (old.user.clone(), new.user.clone()),
            &["T1548"],
        );
    }
    let (before, after) = (variables(old), variables(new));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for name in names {
        let shown = |map: &BTreeMap<&str, &str>| {
            map.get(name)
                .map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"))
        };
        let upper = name.to_ascii_uppercase();
        let (severity, what, techniques): (_, _, &[&'static str]) = match () {
            () if CODE_VARIABLES.contains(&upper.as_str()) => (
                Severity::High,
                "it decides which code programs run",
                &["T1574.007"],
            ),
            () if WAY_VARIABLES.contains(&upper.as_str()) => (
                Severity::High,
                "it decides where requests go, or whom to trust",
                &["T1557"],
            ),
            () => (Severity::Low, "a variable has another value", &[]),
        };
        say(
            format!("env {name}"),
            severity,
            what,
            (shown(&before), shown(&after)),
            techniques,
        );
    }
    say(
        "exposed_ports".into(),
        Severity::Medium,
        "it listens elsewhere",
        (keys(&old.exposed_ports), keys(&new.exposed_ports)),
        &["T1571"],
    );
    say(
        "volumes".into(),
        Severity::Low,
        "other directories are kept outside",
        (keys(&old.volumes), keys(&new.volumes)),
        &[],
    );
    say(
        "working_dir".into(),
        Severity::Low,
        "it runs in another directory",
        (dir(&old.working_dir), dir(&new.working_dir)),
        &[],
    );
    say(
        "shell".into(),
        Severity::Medium,
        "another shell runs commands",
        (list(&old.shell), list(&new.shell)),
        &["T1059.004"],
    );
    let check = |settings: &Settings| {
        let check = settings.healthcheck.as_ref();
        check.map_or_else(String::new, |check| serde_json::json!(check).to_string())
    };
    say(
        "healthcheck".into(),
        Severity::Medium,
        "another command is run again and again",
        (check(old), check(new)),
        &["T1204.003"],
    );
    say(
        "on_build".into(),
        Severity::High,
        "images that are built upon it run other commands",
        (list(&old.on_build), list(&new.on_build)),
        &["T1195.002"],
    );
    say(
        "stop_signal".into(),
        Severity::Low,
        "it is stopped otherwise",
        (old.stop_signal.clone(), new.stop_signal.clone()),
        &[],
    );
    let names: BTreeSet<&String> = old.labels.keys().chain(new.labels.keys()).collect();
    for name in names
        .into_iter()
        .filter(|name| !BUILD_LABELS.contains(&name.as_str()))
    {
        let shown = |settings: &Settings| {
            settings
                .labels
                .get(name)
                .map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"))
        };
        say(
            format!("label {name}"),
            Severity::Low,
            "a label has another value",
            (shown(old), shown(new)),
            &[],
        );
    }
    let (old, new) = (
        golden.config.platform.to_string(),
        image.config.platform.to_string(),
    );
    if old != new {
        found.push(Difference {
            golden: Some(old),
            found: Some(new),
            ..plain("platform-changed", Severity::Medium, "it is for another system")
        });
    }
}

/// `/` where nothing is said.
fn dir(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        other => other.to_owned(),
    }
}

fn tag(golden: &Image, image: &Image, found: &mut Vec<Difference>) {
    let is_same_name = golden.name.repository.is_some()
        && golden.name.repository == image.name.repository
        && golden.name.tag.is_some()
        && golden.name.tag == image.name.tag;
    let Some((old, new)) = digests(golden, image) else {
        return;
    };
    if is_same_name && old != new {
        found.push(Difference {
            path: image.name.to_string(),
            golden: Some(old.to_string()),
            found: Some(new.to_string()),
            techniques: vec![IMPLANT, "T1195.002"],
            ..plain(
                "tag-moved",
                Severity::High,
                "the tag stands for another image than it did, with other content",
            )
        });
    }
}

/// Layers that claim to come from the same command and have other content, which matters.
fn layers(golden: &Image, image: &Image, found: &mut Vec<Difference>) {
    let old: BTreeSet<_> = golden.layers.iter().map(|layer| layer.diff_id).collect();
    let new: BTreeSet<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    let mut swapped = Vec::new();
    for (index, (was, is)) in golden.layers.iter().zip(&image.layers).enumerate() {
        let claims_the_same = was.created_by == is.created_by && golden.layers.len() == image.layers.len();
        if !claims_the_same || old.contains(&is.diff_id) || new.contains(&was.diff_id) {
            continue;
        }
        let mut brought: Vec<&Difference> = found
            .iter()
            .filter(|one| one.layer == Some(index) && one.severity > Severity::Info)
            .collect();
        brought.sort_by_key(|one| std::cmp::Reverse(one.severity));
        let Some(worst) = brought.first() else {
            continue;
        };
        let severity = worst.severity.max(Severity::Medium);
        let mut named: Vec<&str> = Vec::new();
        for one in &brought {
            if !named.contains(&one.path.as_str()) {
                named.push(&one.path);
            }
        }
        let more = match named.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        named.truncate(NAMED);
        swapped.push(Difference {
            path: format!("layer {index}"),
            golden: Some(was.diff_id.to_string()),
            found: Some(is.diff_id.to_string()),
            layer: Some(index),
            techniques: vec![IMPLANT, "T1195.002"],
            ..plain(
                "layer-swapped",
                severity,
                format!(
                    "it claims to come from the same command{} and has other content: {}{more}",
                    is.created_by
                        .as_ref()
                        .map_or_else(String::new, |command| format!(" (`{command}`)")),
                    format_args!("`{}`", named.join("`, `"))
                ),
            )
        });
    }
    found.append(&mut swapped);
}

fn problems(golden: &Image, image: &Image, found: &mut Vec<Difference>) {
    for problem in &image.problems {
        let is_known = golden
            .problems
            .iter()
            .any(|own| (&own.path, &own.what) == (&problem.path, &problem.what));
        if !is_known {
            found.push(hostile(problem));
        }
    }
}

/// What is strange about an image, as a finding.
pub fn hostile(problem: &crate::Problem) -> Difference {
    Difference {
        path: problem.path.clone(),
        layer: Some(problem.layer),
        techniques: if problem.severity >= Severity::High {
            vec![IMPLANT, "T1611"]
        } else {
            vec![IMPLANT]
        },
        ..plain("hostile-entry", problem.severity, problem.what.clone())
    }
}
