//! What was collected, as items of known kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_inventory::{Cloud, File, Folder, Limits, whole_answers};
use serde::Serialize;
use serde_json::Value;

use super::at::text;
use super::check::Platform;
use super::kinds;
use crate::inventory::Problem;

mod code;

/// Files of infrastructure as code and of hosts that are larger are refused.
const MAX_TEXT: u64 = 8 << 20;
/// Larger answers are refused.
const MAX_JSON: u64 = 512 << 20;
/// More problems than these are counted and not told.
const MAX_PROBLEMS: usize = 1_000;

/// Where something is, as far as that is known; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scope {
    /// The cloud, or what else it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The account, subscription, project, cluster or host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The region, or `global`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Scope {
    /// Whether both can be the same place: what one does not know, the other may.
    pub fn fits(&self, other: &Self) -> bool {
        let fits = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
        self.platform == other.platform
            && fits(&self.account, &other.account)
            && fits(&self.region, &other.region)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.platform.map_or("", Platform::name))?;
        for part in [&self.account, &self.region] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

/// One thing that a check can look at.
#[derive(Clone, Debug)]
pub struct Item {
    /// `aws:instance`, `k8s:Pod`, `code:dockerfile`
    pub kind: Arc<str>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Where it is.
    pub scope: Scope,
    /// What it says; null for what is no JSON and none was made of.
    pub value: Value,
    /// The text, for what is read as text.
    pub text: Arc<str>,
    /// The line that it begins on, from 1; 0 where lines mean nothing.
    pub line: u32,
}

/// All that was collected.
#[derive(Debug, Default)]
pub struct Collected {
    items: BTreeMap<Arc<str>, Vec<Item>>,
    /// Kinds that were asked for, also where the answer was empty.
    seen: BTreeSet<(Scope, Arc<str>)>,
    /// Calls that failed or are not complete, with the reason.
    failed: Vec<(Scope, String, String)>,
    problems: Vec<Problem>,
    more_problems: usize,
    /// Files that are none of those that are known.
    unknown: Vec<String>,
    files: usize,
}

impl Collected {
    /// Reads files and folders; `progress` is told of each file, with how many are done and how many there are.
    pub fn read(paths: &[PathBuf], progress: &mut dyn FnMut(usize, usize)) -> Self {
        let limits = Limits {
            file_bytes: MAX_JSON,
            files: 200_000,
            depth: 24,
        };
        let folder = Folder::open(paths, &limits);
        let mut collected = Self::default();
        for refused in folder.refused() {
            collected.problem(&refused.path.display().to_string(), refused.why.to_string());
        }
        let total = folder.files().len();
        for (index, file) in folder.files().iter().enumerate() {
            collected.take_file(file);
            progress(index + 1, total);
        }
        for call in folder.failed() {
            let reason = call
                .problem
                .clone()
                .unwrap_or_else(|| "the file is missing".to_owned());
            let scope = scope_of(&call.scope());
            collected.failed.push((scope, call.call.clone(), reason));
        }
        collected.finish();
        collected
    }

    fn take_file(&mut self, file: &File) {
        let path = file.path.as_path();
        let shown = path.display().to_string();
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        let is_json = ending.as_deref() == Some("json");
        if !is_json && !code::is_read(path) {
            return;
        }
        if !is_json && file.bytes > MAX_TEXT {
            return self.problem(&shown, format!("is larger than {} MiB", MAX_TEXT >> 20));
        }
        let bytes = match file.read() {
            Ok(bytes) => bytes,
            Err(error) => return self.problem(&shown, error.to_string()),
        };
        let mut scope = scope_of(&file.scope);
        if scope.platform.is_none() {
            // What was put into a folder by hand is one place.
            scope.account = path
                .parent()
                .map(|parent| parent.display().to_string())
                .unwrap_or_default();
        }
        if let Some(call) = file.call.as_ref().filter(|call| !call.complete) {
            let reason = call
                .problem
                .clone()
                .unwrap_or_else(|| "the answer is not complete".to_owned());
            self.failed.push((scope.clone(), call.call.clone(), reason));
        }
        self.add(path, &scope, &bytes);
    }

    /// Takes a file over. What is none of the known ones is only counted.
    pub fn add(&mut self, path: &Path, scope: &Scope, bytes: &[u8]) {
        let shown = path.display().to_string();
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let is_json = path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let known = if is_json {
            match whole_answers(bytes) {
                Ok(answers) => {
                    let mut is_known = false;
                    for answer in answers {
                        let found = kinds::of_json(answer, &stem);
                        is_known |= found.is_some();
                        for (kind, values) in found.into_iter().flatten() {
                            let values = values.into_iter().map(|value| (value, "".into(), 0));
                            self.take_values(&shown, scope, &kind, values);
                        }
                    }
                    is_known
                }
                Err(error) => return self.problem(&shown, error.to_string()),
            }
        } else {
            match std::str::from_utf8(bytes) {
                Ok(text) => code::take(self, path, scope, text),
                // Binary files are nobody's.
                Err(_) => false,
            }
        };
        match known {
            true => self.files += 1,
            false => self.unknown.push(shown),
        }
    }

    fn take_values(
        &mut self,
        file: &str,
        scope: &Scope,
        kind: &str,
        values: impl Iterator<Item = (Value, Arc<str>, u32)>,
    ) {
        let kind: Arc<str> = match kind {
            "k8s:ClusterRole" | "k8s:Role" | "k8s:ClusterRoleBinding" | "k8s:RoleBinding" => {
                "k8s:rbac".into()
            }
            other => other.into(),
        };
        let file: Arc<str> = file.into();
        let mut is_empty = true;
        for (value, text, line) in values {
            is_empty = false;
            let scope = scope_of_value(&kind, &value, scope);
            self.seen.insert((scope.clone(), Arc::clone(&kind)));
            let item = Item {
                kind: Arc::clone(&kind),
                file: Arc::clone(&file),
                scope,
                value,
                text,
                line,
            };
            self.items.entry(Arc::clone(&kind)).or_default().push(item);
        }
        if is_empty {
            self.seen
                .insert((scope_of_value(&kind, &Value::Null, scope), kind));
        }
    }

    fn take_text(&mut self, file: &str, scope: &Scope, kind: &str, text: &str) {
        let kind: Arc<str> = kind.into();
        let scope = scope_of_value(&kind, &Value::Null, scope);
        self.seen.insert((scope.clone(), Arc::clone(&kind)));
        let item = Item {
            kind: Arc::clone(&kind),
            file: file.into(),
            scope,
            value: Value::Null,
            text: text.into(),
            line: 0,
        };
        self.items.entry(kind).or_default().push(item);
    }

    fn problem(&mut self, file: &str, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                file: file.to_owned(),
                what: what.into(),
            });
        } else {
            self.more_problems += 1;
        }
    }

    /// Brings together what stands in several files.
    pub fn finish(&mut self) {
        code::resolve(self);
    }

    /// The items of a kind, in the order of the files.
    pub fn items(&self, kind: &str) -> &[Item] {
        self.items.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The items of all kinds that begin so, with their kinds.
    pub(crate) fn items_of(&self, prefix: &str) -> impl Iterator<Item = &Item> {
        let prefix = prefix.to_owned();
        self.items
            .iter()
            .filter(move |(kind, _)| kind.starts_with(&prefix))
            .flat_map(|(_, items)| items)
    }

    /// The items of a kind that can be of a scope.
    pub(crate) fn of_scope<'a>(&'a self, kind: &str, scope: &'a Scope) -> impl Iterator<Item = &'a Item> {
        self.items(kind).iter().filter(|item| item.scope.fits(scope))
    }

    /// Whether a kind was asked for in a scope.
    pub(crate) fn was_asked(&self, kind: &str, scope: &Scope) -> bool {
        self.seen
            .iter()
            .any(|(own, seen)| &**seen == kind && own.fits(scope))
    }

    /// Why a kind is not there in a scope, or not whole, where a collector says so.
    pub(crate) fn why_not(&self, kind: &'static str, scope: &Scope) -> Option<&str> {
        let found = self
            .failed
            .iter()
            .find(|(own, call, _)| own.fits(scope) && kinds::of_call(call).any(|name| name == kind));
        found.map(|(_, _, reason)| reason.as_str())
    }

    /// The scopes of a platform in which anything was collected; the region `global` only where there is no other.
    pub(crate) fn scopes(&self, platform: Platform) -> BTreeSet<&Scope> {
        let own: BTreeSet<&Scope> = self
            .seen
            .iter()
            .map(|(scope, _)| scope)
            .chain(self.failed.iter().map(|(scope, ..)| scope))
            .filter(|scope| scope.platform == Some(platform))
            .collect();
        let has_regions = |account: &str| {
            own.iter()
                .any(|scope| scope.account == account && !matches!(scope.region.as_str(), "" | "global"))
        };
        let kept = own
            .iter()
            .filter(|scope| !(matches!(scope.region.as_str(), "" | "global") && has_regions(&scope.account)));
        kept.copied().collect()
    }

    /// Number of files that were taken over.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Files that are none of those that are known, and were left out.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What is wrong with files, and how much more there is that is not told.
    pub fn problems(&self) -> (&[Problem], usize) {
        (&self.problems, self.more_problems)
    }
}

fn scope_of(scope: &neph_inventory::Scope) -> Scope {
    Scope {
        platform: scope.cloud.map(|cloud| match cloud {
            Cloud::Aws => Platform::Aws,
            Cloud::Azure => Platform::Azure,
            Cloud::Docker => Platform::Docker,
            Cloud::Gcp => Platform::Gcp,
            Cloud::Host => Platform::Host,
            Cloud::Kubernetes => Platform::Kubernetes,
            Cloud::Openstack => Platform::Openstack,
        }),
        account: scope.account.clone().unwrap_or_default(),
        region: scope.region.clone().unwrap_or_default(),
    }
}

/// What an item says itself about where it is, and what its file's place tells. The kind decides of what platform it is: files of a
/// daemon may lie in the folder of a host.
fn scope_of_value(kind: &str, value: &Value, place: &Scope) -> Scope {
    let platform = match kind.split(':').next() {
        Some("aws") => Platform::Aws,
        Some("azure") => Platform::Azure,
        Some("gcp") => Platform::Gcp,
        Some("openstack") => Platform::Openstack,
        Some("k8s") => Platform::Kubernetes,
        Some("docker") => Platform::Docker,
        Some("host") => Platform::Host,
        _ => Platform::Code,
    };
    // Only where the place is that of the cloud does it tell an account of it; daemons, hosts and clusters are named by their folder.
    let mut scope = Scope {
        platform: Some(platform),
        ..Scope::default()
    };
    let is_placed = place.platform == Some(platform);
    if is_placed || matches!(platform, Platform::Kubernetes | Platform::Docker | Platform::Host) {
        scope.account.clone_from(&place.account);
    }
    if is_placed {
        scope.region.clone_from(&place.region);
    }
    let or = |target: &mut String, found: &str| {
        if target.is_empty() {
            found.clone_into(target);
        }
    };
    match platform {
        Platform::Aws => {
            let arns = [
                "/cluster/arn",
                "/LoadBalancerArn",
                "/repositoryArn",
                "/DBSnapshotArn",
                "/DBClusterSnapshotArn",
                "/LaunchConfigurationARN",
                "/WebACL/ARN",
                "/ResourceArns/0",
            ];
            let arn = arns
                .iter()
                .map(|pointer| text(value, pointer))
                .find(|arn| !arn.is_empty());
            let mut parts = arn.unwrap_or("").split(':').skip(3);
            or(&mut scope.region, parts.next().unwrap_or(""));
            or(&mut scope.account, parts.next().unwrap_or(""));
            or(&mut scope.account, text(value, "/OwnerId"));
            let zone = text(value, "/Placement/AvailabilityZone");
            or(
                &mut scope.region,
                zone.trim_end_matches(|last: char| last.is_ascii_lowercase()),
            );
        }
        Platform::Azure => {
            let mut parts = text(value, "/id").split('/').skip(2);
            or(&mut scope.account, parts.next().unwrap_or(""));
        }
        Platform::Gcp => {
            let link = text(value, "/selfLink");
            let project = link.split_once("/projects/").map_or("", |(_, rest)| rest);
            or(&mut scope.account, project.split('/').next().unwrap_or(""));
            or(&mut scope.account, last_of_project(text(value, "/project")));
        }
        _ => {}
    }
    scope
}

fn last_of_project(name: &str) -> &str {
    name.strip_prefix("projects/").unwrap_or("")
}
