//! Whose accounts are whose.

use std::collections::BTreeSet;

use neph_inventory::Cloud;
use serde::{Deserialize, Serialize};

use crate::pattern::matches;

/// How far somebody is who may use something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// An account of one's own organisation.
    Own,
    /// An account of others that one knows.
    Known,
    /// An account that nobody has said anything about.
    Unknown,
    /// Everybody.
    Public,
}

impl Reach {
    /// `own`, `known`, `unknown`, `public`
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Known => "known",
            Self::Unknown => "unknown",
            Self::Public => "public",
        }
    }
}

/// Accounts that people have said something about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    pub(crate) list: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) cloud: Option<Cloud>,
    pub(crate) reach: Reach,
}

impl Accounts {
    /// How far somebody is whom a permission names; the accounts that were looked at are one's own.
    pub(crate) fn reach(&self, cloud: Cloud, who: &str, own: &BTreeSet<&str>) -> Reach {
        let said = self
            .list
            .iter()
            .filter(|named| named.cloud.is_none_or(|other| other == cloud) && matches(&named.id, who))
            .map(|named| named.reach);
        if own.contains(who) || own.contains(account_of(who)) {
            return Reach::Own;
        }
        said.min().unwrap_or(Reach::Unknown)
    }
}

/// The account in what a permission names: that of an ARN, the project of a service account (`serviceAccount:NAME@PROJECT.iam.gserviceaccount.com`)
/// or of the members of a project (`projectViewer:PROJECT`).
fn account_of(who: &str) -> &str {
    if let Some(rest) = who.strip_prefix("arn:") {
        return rest.split(':').nth(3).unwrap_or(who);
    }
    if let Some(behind) = who.strip_suffix(".iam.gserviceaccount.com") {
        return behind.rsplit('@').next().unwrap_or(who);
    }
    ["projectOwner:", "projectEditor:", "projectViewer:"]
        .iter()
        .find_map(|word| who.strip_prefix(word))
        .unwrap_or(who)
}
