//! What differences mean for ATT&CK, and how bad they are.

use serde::Serialize;

use crate::accounts::Reach;
use crate::change::Field;
use crate::compare::{Class, Difference};
use crate::record::What;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth recording.
    Low,
    /// Worth a look.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// `low`, `medium`, `high`, `critical`
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The risk score that goes with it.
    pub fn score(self) -> u8 {
        match self {
            Self::Low => 21,
            Self::Medium => 47,
            Self::High => 73,
            Self::Critical => 99,
        }
    }
}

/// A kind of alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What alerts of it are told apart by.
    pub id: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// The techniques that it can be a sign of.
    pub techniques: &'static [&'static str],
    /// The data component that shows it.
    pub component: &'static str,
    /// What it is without harm, mostly.
    pub benign: &'static str,
    /// What to look at.
    pub note: &'static str,
}

const SNAPSHOTS: &str = "Snapshot Metadata";
const IMAGES: &str = "Image Metadata";

/// The kinds of alerts there are.
pub static MEANINGS: [Meaning; 10] = [
    Meaning {
        id: "baseline-snapshot-copied-out",
        name: "Snapshot copied out",
        description: "A snapshot was copied to another account or region, exported, or shared with a stranger or with everybody. Whoever \
                      has it can read the whole disk or database.",
        techniques: &["T1537", "T1578.001"],
        component: SNAPSHOTS,
        benign: "Copies for disaster recovery, and snapshots shared with a partner who is not yet named in the approvals.",
        note: "Find out who shared or copied it and what it was made of. Take the permission back, look for volumes that were made of it \
               meanwhile, and treat secrets on the disk as known to others.",
    },
    Meaning {
        id: "baseline-image-copied-out",
        name: "Machine image copied out",
        description: "A machine image was copied to another account or region, or shared with a stranger or with everybody.",
        techniques: &["T1537"],
        component: IMAGES,
        benign: "Images that are published on purpose, and copies into new regions.",
        note: "Find out who shared or copied it. Images hold disks; secrets on them are known to others from now on.",
    },
    Meaning {
        id: "baseline-image-golden-altered",
        name: "Image under the name of a golden one",
        description: "An image goes by the id or name of an approved one, and its owner, source or content is not what was approved.",
        techniques: &["T1525", "T1204.003"],
        component: IMAGES,
        benign: "A golden image that was built anew before its entry was changed.",
        note: "Do not start machines of it. Find out who made it, which machines run it, and compare its disks with those of the approved one.",
    },
    Meaning {
        id: "baseline-image-not-golden",
        name: "Image that is not golden",
        description: "A machine image is none of those that are approved.",
        techniques: &["T1525"],
        component: IMAGES,
        benign: "Images of builds and tests that nobody entered into the list.",
        note: "Find out who made it and what it was made of, and whether machines run it. Enter it into the list, or delete it.",
    },
    Meaning {
        id: "baseline-snapshot-new",
        name: "New snapshot",
        description: "A snapshot is there that was not in the baseline, and that nobody approved. Snapshots get data out without a trace on \
                      the machine that it is of.",
        techniques: &["T1578.001"],
        component: SNAPSHOTS,
        benign: "Backups whose names or tags no approval fits yet.",
        note: "Find out who made it and whether a volume or machine was made of it since.",
    },
    Meaning {
        id: "baseline-image-new",
        name: "New machine image",
        description: "A machine image is there that was not in the baseline, and that nobody approved.",
        techniques: &["T1525"],
        component: IMAGES,
        benign: "Images of builds whose names or tags no approval fits yet.",
        note: "Find out who made it, what it was made of, and which machines and launch templates use it.",
    },
    Meaning {
        id: "baseline-snapshot-changed",
        name: "Snapshot changed",
        description: "Sharing, encryption, key, size, source, name or tags of a snapshot are not what they were.",
        techniques: &["T1578"],
        component: SNAPSHOTS,
        benign: "Tags that people and tools change in their daily work.",
        note: "Look at what changed: encryption, keys and sharing decide who can read it, and tags may decide how long it lives.",
    },
    Meaning {
        id: "baseline-image-changed",
        name: "Machine image changed",
        description: "Content, sharing, encryption, source, family, name or tags of a machine image are not what they were.",
        techniques: &["T1525"],
        component: IMAGES,
        benign: "Tags that people and tools change in their daily work.",
        note: "Content that changed under the same name is another image: find out who put it there, and which machines run it.",
    },
    Meaning {
        id: "baseline-snapshot-gone",
        name: "Snapshot gone",
        description: "A snapshot of the baseline is not there any more. Whoever deletes backups takes away the way back.",
        techniques: &["T1490"],
        component: SNAPSHOTS,
        benign: "Backups whose time to be kept is over.",
        note: "Find out who deleted it, and whether more backups of the same source are gone.",
    },
    Meaning {
        id: "baseline-image-gone",
        name: "Machine image gone",
        description: "A machine image of the baseline is not there any more.",
        techniques: &["T1485"],
        component: IMAGES,
        benign: "Old images that are cleared away.",
        note: "Find out who deleted it, and whether machines can still be made of what is left.",
    },
];

impl Difference {
    /// The kind of alert that it becomes.
    pub fn meaning(&self) -> &'static Meaning {
        let [
            snapshot_out,
            image_out,
            altered,
            not_golden,
            new_snapshot,
            new_image,
            changed_snapshot,
            changed_image,
            snapshot_gone,
            image_gone,
        ] = &MEANINGS;
        match (self.class, self.record.kind.what()) {
            (Class::CopiedOut, What::Snapshot) => snapshot_out,
            (Class::CopiedOut, What::Image) => image_out,
            (Class::GoldenAltered, _) => altered,
            (Class::NotGolden, _) => not_golden,
            (Class::New, What::Snapshot) => new_snapshot,
            (Class::New, What::Image) => new_image,
            (Class::Changed, What::Snapshot) => changed_snapshot,
            (Class::Changed, What::Image) => changed_image,
            (Class::Gone, What::Snapshot) => snapshot_gone,
            (Class::Gone, What::Image) => image_gone,
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        let field = |change: &Field| match change {
            Field::Content | Field::Owner => Severity::High,
            Field::Encryption | Field::Key | Field::Source | Field::Size | Field::Access => Severity::Medium,
            Field::Sharing | Field::Family | Field::Name | Field::Tags => Severity::Low,
        };
        let changed = self.changes.iter().map(|change| field(&change.field)).max();
        let reached = match self.reach {
            Some(Reach::Public) => Severity::Critical,
            Some(Reach::Unknown) => Severity::High,
            Some(Reach::Known) => Severity::Medium,
            Some(Reach::Own) | None => Severity::Low,
        };
        let least = match self.class {
            Class::GoldenAltered => Severity::High,
            Class::CopiedOut | Class::New | Class::NotGolden => Severity::Medium,
            Class::Gone if self.record.kind.what() == What::Snapshot => Severity::Medium,
            Class::Gone | Class::Changed => Severity::Low,
        };
        // An address by which everybody who has it can fetch the content.
        let exported = self.class == Class::CopiedOut && self.reach.is_none();
        let exported = if exported { Severity::High } else { Severity::Low };
        least
            .max(reached)
            .max(exported)
            .max(changed.unwrap_or(Severity::Low))
    }
}
