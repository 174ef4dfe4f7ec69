//! What a check is.

use serde::Serialize;

use super::collected::Collected;
use super::finding::Found;

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Hardening that is worth having.
    Low,
    /// One step of an attack becomes easier.
    Medium,
    /// An attacker who is near needs nothing else.
    High,
    /// Anybody can use it from afar.
    Critical,
}

impl Severity {
    /// All of them, mildest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// `high`
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// Where the things are that a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// OpenStack and clouds that are made of it.
    Openstack,
    /// A Kubernetes cluster.
    Kubernetes,
    /// A Docker daemon.
    Docker,
    /// A machine.
    Host,
    /// Files that others are made from: Dockerfiles, manifests, Terraform.
    Code,
}

impl Platform {
    /// `aws`; also the folder of a collection.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Openstack => "openstack",
            Self::Kubernetes => "kubernetes",
            Self::Docker => "docker",
            Self::Host => "host",
            Self::Code => "code",
        }
    }

    /// The platform of a name, that of files included which no folder is named after.
    pub(crate) fn of_key(name: &str) -> Option<Self> {
        match name {
            "code" => Some(Self::Code),
            name => Self::of_name(name),
        }
    }

    /// The platform of a folder's name.
    pub fn of_name(name: &str) -> Option<Self> {
        [
            Self::Aws,
            Self::Azure,
            Self::Gcp,
            Self::Openstack,
            Self::Kubernetes,
            Self::Docker,
            Self::Host,
        ]
        .into_iter()
        .find(|platform| platform.name() == name)
    }
}

/// One question about what was collected.
pub struct Check {
    /// `aws-imdsv1`; stable, never reused for something else.
    pub id: &'static str,
    /// What has to hold, as a sentence without full stop.
    pub title: &'static str,
    /// The row of the coverage that it belongs to: `A6`.
    pub row: &'static str,
    /// Ids of the techniques of ATT&CK that it is about.
    pub techniques: &'static [&'static str],
    /// Ids of the mitigations that it verifies.
    pub mitigations: &'static [&'static str],
    /// How bad it is when it fails; single findings may be milder or worse.
    pub severity: Severity,
    /// Where it looks.
    pub platform: Platform,
    /// Kinds of items without which it cannot answer; a scope of the platform that lacks one is unknown.
    pub needs: &'static [&'static str],
    /// Kinds of items that it reads where they are there.
    pub reads: &'static [&'static str],
    /// Why it matters, in a sentence or two.
    pub why: &'static str,
    /// Asks.
    pub(crate) ask: fn(&Collected, &mut Found),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Check").field(&self.id).finish()
    }
}

impl Check {
    /// What is known of it, for readers of JSON.
    pub fn document(&self) -> serde_json::Value {
        let commands = |kinds: &[&'static str]| -> Vec<&'static str> {
            kinds.iter().map(|kind| super::kinds::command(kind)).collect()
        };
        serde_json::json!({
            "id": self.id, "title": self.title, "row": self.row, "techniques": self.techniques, "mitigations": self.mitigations,
            "severity": self.severity, "platform": self.platform, "needs": commands(self.needs), "reads": commands(self.reads),
            "why": self.why,
        })
    }

    /// What it reads, as the commands that print it, what it needs first.
    pub fn sources(&self) -> Vec<&'static str> {
        let mut commands: Vec<&'static str> = Vec::new();
        for kind in self.needs.iter().chain(self.reads) {
            let command = super::kinds::command(kind);
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}
