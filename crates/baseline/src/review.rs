//! Differences and golden images, held against what people approved.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use crate::approvals::{Approvals, Standing};
use crate::compare::{Class, Difference, Unseen, compare};
use crate::file::Baseline;
use crate::read::Collected;
use crate::record::Kind;

/// A difference, and what people say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
    /// What became of it.
    pub standing: Standing,
}

/// All that a comparison tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The findings, the worst classes first.
    pub findings: Vec<Finding>,
    /// What the baseline has and what could not be collected now.
    pub unknown: Vec<Unseen>,
    /// What lies where the baseline did not look, and was there before it was taken.
    pub not_compared: Vec<Unseen>,
    /// Records that are on both sides.
    pub same: usize,
    /// Records of which it is not known with whom they are shared, now or then.
    pub sharing_unknown: usize,
}

/// Compares what was collected with a baseline and with the golden images, and says what of that is approved. An image that is held
/// against the golden list is told once: by that list, where it is not on it, and else as a new one that is approved.
pub fn review(before: &Baseline, after: &Collected, approvals: &Approvals, today: Date) -> Review {
    let compared = compare(before, after, &approvals.accounts(today));
    let golden = approvals.golden(&after.records, today);
    let told: BTreeSet<(Kind, &str)> = golden.iter().map(|one| one.record.place()).collect();
    let all = compared
        .differences
        .into_iter()
        .filter(|one| one.class != Class::New || !told.contains(&one.record.place()));
    let mut findings: Vec<Finding> = all
        .chain(golden.iter().cloned())
        .map(|difference| {
            let standing = match approvals.standing(&difference, today) {
                Standing::Approved(sign) => Standing::Approved(sign),
                other if difference.class == Class::New => approvals
                    .golden_sign(&difference.record, today)
                    .map_or(other, |sign| Standing::Approved(sign.clone())),
                other => other,
            };
            Finding { difference, standing }
        })
        .collect();
    disks_of_images(&mut findings);
    findings.sort_by(|one, other| {
        let place = |finding: &Finding| (finding.difference.class, finding.difference.record.kind);
        (place(one), &one.difference.record.id).cmp(&(place(other), &other.difference.record.id))
    });
    Review {
        findings,
        unknown: compared.unknown,
        not_compared: compared.not_compared,
        same: compared.same,
        sharing_unknown: compared.sharing_unknown,
    }
}

/// A new image has new snapshots of its disks, which are no matter of their own: they stand as it does.
fn disks_of_images(findings: &mut [Finding]) {
    let mut images: BTreeMap<Box<str>, (Box<str>, Standing)> = BTreeMap::new();
    for finding in findings.iter() {
        let record = &finding.difference.record;
        let is_new = matches!(
            finding.difference.class,
            Class::New | Class::NotGolden | Class::GoldenAltered
        );
        if is_new && record.kind == Kind::AwsImage {
            for disk in record.content.as_deref().unwrap_or("").split(' ') {
                images.insert(disk.into(), (record.id.clone(), finding.standing.clone()));
            }
        }
    }
    for finding in findings {
        let own = &mut finding.difference;
        if own.class != Class::New || own.record.kind != Kind::AwsEbsSnapshot {
            continue;
        }
        if let Some((image, standing)) = images.get(&own.record.id) {
            own.why = Some(format!("it is a disk of the image {image}"));
            own.part_of = Some(image.clone());
            if finding.standing.is_open() {
                finding.standing = standing.clone();
            }
        }
    }
}
