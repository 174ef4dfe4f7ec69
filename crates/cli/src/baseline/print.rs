//! What people are shown.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use neph_baseline::{Act, Baseline, Class, Difference, Finding, Kind, Review, Standing, Unseen};

use crate::exit::Failure;
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// A table is laid out and printed after so many rows, so that memory is bounded.
const PAGE: usize = 1000;
/// Longer texts of changes are cut; the JSON forms hold all.
const LONGEST: usize = 200;

/// A kind, an account and a region.
type Place<'b> = (Kind, Option<&'b str>, Option<&'b str>);

/// How many records there are of each kind and account.
pub(super) fn covers(baseline: &Baseline) -> comfy_table::Table {
    let mut counts: BTreeMap<Place<'_>, (usize, bool)> = BTreeMap::new();
    for cover in &baseline.covers {
        let place = (cover.kind, cover.account.as_deref(), cover.region.as_deref());
        let entry = counts.entry(place).or_insert((0, true));
        entry.1 &= cover.complete;
    }
    for record in &baseline.records {
        let region = record.region.as_deref().filter(|_| record.kind.is_regional());
        let entry = counts
            .entry((record.kind, record.account.as_deref(), region))
            .or_insert((0, true));
        entry.0 += 1;
    }
    let mut table = table(&["KIND", "ACCOUNT", "REGION", "RECORDS", "LIST"]);
    for ((kind, account, region), (records, complete)) in counts {
        table.add_row([
            kind.name().to_owned(),
            harmless(account.unwrap_or("")),
            harmless(region.unwrap_or("")),
            records.to_string(),
            if complete { "whole" } else { "not whole" }.to_owned(),
        ]);
    }
    table
}

/// The findings that are to be shown, a table for each page.
pub(super) fn findings(
    review: &Review,
    acts: &[Vec<Act>],
    shown: impl Fn(&Finding) -> bool,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let rows: Vec<(&Finding, &Vec<Act>)> = review
        .findings
        .iter()
        .zip(acts)
        .filter(|(one, _)| shown(one))
        .collect();
    for page in rows.chunks(PAGE) {
        let mut table = table(&["SEVERITY", "DIFFERENCE", "WHAT", "WHERE", "HOW", "WHO", "ID"]);
        for (finding, acts) in page {
            let difference = &finding.difference;
            table.add_row([
                difference.severity().word().to_owned(),
                standing(finding),
                harmless(&format!(
                    "{} {}",
                    difference.record.kind.noun(),
                    difference.record.title()
                )),
                place(difference),
                harmless(&shortened(&how(difference))),
                harmless(&who(acts)),
                difference.id.get(..8).unwrap_or(&difference.id).to_owned(),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    Ok(())
}

fn standing(finding: &Finding) -> String {
    let class = finding.difference.class.name();
    match &finding.standing {
        Standing::Open => class.to_owned(),
        Standing::Approved(sign) => harmless(&format!(
            "{class}, approved by {} until {}",
            sign.owner, sign.expires
        )),
        Standing::Expired(sign) => harmless(&format!(
            "{class}, approved by {} until {} only",
            sign.owner, sign.expires
        )),
    }
}

fn place(difference: &Difference) -> String {
    let parts = [&difference.record.account, &difference.record.region];
    let parts: Vec<&str> = parts.into_iter().flatten().map(AsRef::as_ref).collect();
    harmless(&parts.join("/"))
}

fn how(difference: &Difference) -> String {
    let changes = difference.changes.iter().map(|change| {
        let side = |text: &Option<String>| text.clone().unwrap_or_default();
        match (&change.before, &change.after) {
            (None, after) => format!("{} + {}", change.field.name(), side(after)),
            (before, None) => format!("{} − {}", change.field.name(), side(before)),
            (before, after) => format!("{} {} → {}", change.field.name(), side(before), side(after)),
        }
    });
    let source = difference
        .record
        .source
        .as_ref()
        .filter(|_| difference.class == Class::New);
    let source = source.map(|source| format!("of {source}"));
    let parts: Vec<String> = source
        .into_iter()
        .chain(changes)
        .chain(difference.why.clone())
        .collect();
    parts.join("; ")
}

fn who(acts: &[Act]) -> String {
    let Some(act) = acts.first() else {
        return String::new();
    };
    let mut told = act
        .who
        .as_deref()
        .or(act.identity.as_deref())
        .unwrap_or("?")
        .to_owned();
    if let Some(from) = &act.from {
        told.push_str(&format!(" from {from}"));
    }
    if let Some(at) = act.at {
        told.push_str(&format!(" at {at}"));
    }
    if let Some(action) = &act.action {
        told.push_str(&format!(": {action}"));
    }
    told
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head} …")
}

/// What was found, in one line on standard error, and what nothing can be said about.
pub(super) fn summary(review: &Review, older: usize, taken: Timestamp, terminal: &Terminal) {
    for (list, what) in [
        (
            &review.unknown,
            "could not be collected now, so it is not known whether they are still there",
        ),
        (
            &review.not_compared,
            "are where the baseline did not look, and are older than it: take a new baseline to have them compared",
        ),
    ] {
        for unseen in list {
            let Unseen {
                kind,
                account,
                region,
                records,
            } = unseen;
            let place: Vec<&str> = [account, region]
                .into_iter()
                .flatten()
                .map(AsRef::as_ref)
                .collect();
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" of {}", place.join("/"))
            };
            terminal.warning(&harmless(&format!("{records} × {}{place} {what}", kind.name())));
        }
    }
    if review.sharing_unknown > 0 {
        terminal.warning(&format!(
            "of {} it is not known, now or in the baseline, whom they are shared with",
            review.sharing_unknown
        ));
    }
    let mut line = format!("{} as in the baseline of {taken} or changed", review.same);
    for class in Class::ALL {
        let of = || review.findings.iter().filter(|one| one.difference.class == class);
        let (all, open) = (of().count(), of().filter(|one| one.standing.is_open()).count());
        if all > 0 {
            line.push_str(&format!("; {all} {}", class.name()));
        }
        if all > open {
            line.push_str(&format!(" ({} approved)", all - open));
        }
    }
    if older > 0 {
        line.push_str(&format!("; {older} found before"));
    }
    terminal.note_plain(&line);
}
