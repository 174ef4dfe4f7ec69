//! When something was not watched: computed from runs, rows of the ledger, rule sets and losses, and held against back-fills.

use std::collections::BTreeMap;
use std::ops::Range;

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension};

use super::condense::Lengths;
use super::rows::{backfills, count_from_sql};
use super::rule_sets::rule_set;
use super::unseen::{Noted, unseen};
use super::{Backfill, BackfillState, Gap, GapKind, MINUTE, RuleHealth, RuleInSet, SilenceLimits};
use crate::database::{from_nanos, to_nanos};
use crate::{Database, StoreError};

/// A run that said nothing for so long does not run.
const HEARTBEAT: i64 = MINUTE;
/// What counts for a stream's usual pause: the time before the range that is asked for.
const LOOKED_BACK: i64 = 7 * 24 * 60 * MINUTE;

/// Nanoseconds, half-open.
type Span = Range<i64>;

impl Database {
    /// Every stretch of `range` in which something was not seen, and why; ordered by start. `now` ends what lasts. Stretches are
    /// of the time of receipt, but for what rules missed (late, without history), whose stretch is of event times. A back-fill
    /// closes the part of a gap that it covers and that was known when it began: of one rule, gaps of that rule; of all rules,
    /// every gap.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn gaps(
        &self,
        range: Range<Instant>,
        now: Instant,
        limits: &SilenceLimits,
    ) -> Result<Vec<Gap>, StoreError> {
        self.read(|db| {
            let (now, asked) = (to_nanos(now), to_nanos(range.start)..to_nanos(range.end.min(now)));
            let down = downtimes(db, now)?;
            let mut gaps: Vec<Gap> = down.iter().map(|down| down.gap(GapKind::ServiceDown)).collect();
            // Up to now, because what comes after the range tells whether a silence lasts.
            silences(db, &(asked.start..now), &down, limits, &mut gaps)?;
            losses(db, &asked, &mut gaps)?;
            refused(db, &asked, &mut gaps)?;
            with_rules(db, gaps, &asked, now)
        })
    }

    /// Of [`Database::gaps`] those of single rules, and when nothing was taken: quickly found.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn rule_gaps(&self, range: Range<Instant>, now: Instant) -> Result<Vec<Gap>, StoreError> {
        self.read(|db| {
            let asked = to_nanos(range.start)..to_nanos(range.end.min(now));
            with_rules(db, Vec::new(), &asked, to_nanos(now))
        })
    }
}

/// Adds the gaps of rules, cuts all to what was asked for, and tells which are closed.
fn with_rules(db: &Connection, mut gaps: Vec<Gap>, asked: &Span, now: i64) -> Result<Vec<Gap>, StoreError> {
    rule_gaps(db, now, &mut gaps)?;
    let mut noted: Vec<Noted> = gaps.into_iter().map(|gap| (gap, None)).collect();
    unseen(db, asked, now, &mut noted)?;
    let done: Vec<Backfill> = backfills(db, u32::MAX)?
        .into_iter()
        .filter(|backfill| backfill.state == BackfillState::Done)
        .collect();
    let mut found: Vec<Gap> = noted
        .into_iter()
        .filter_map(|(gap, noted)| Some((clipped(gap, asked)?, noted)))
        .flat_map(|(gap, noted)| closed(gap, noted.map(from_nanos), &done))
        .collect();
    found.sort_by(|left, right| {
        let key = |gap: &Gap| (gap.from, gap.kind, gap.stream.clone(), gap.rule.clone(), gap.to);
        key(left).cmp(&key(right))
    });
    Ok(found)
}

/// A stretch without a running service.
struct Downtime {
    span: Span,
    open: bool,
    why: &'static str,
}

impl Downtime {
    fn gap(&self, kind: GapKind) -> Gap {
        gap(kind, self.span.clone(), self.open, self.why)
    }
}

fn gap(kind: GapKind, span: Span, open: bool, why: impl Into<String>) -> Gap {
    Gap {
        kind,
        from: from_nanos(span.start),
        to: from_nanos(span.end),
        open,
        stream: None,
        rule: None,
        records: None,
        why: why.into(),
        closed_by: Vec::new(),
    }
}

fn downtimes(db: &Connection, now: i64) -> Result<Vec<Downtime>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT started, heartbeat, stopped FROM runs ORDER BY started, id")?;
    let runs: Vec<(i64, i64, Option<i64>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (place, (_, heartbeat, stopped)) in runs.iter().enumerate() {
        let next = runs.get(place + 1).map(|(started, ..)| *started);
        let (end, why) = match stopped {
            Some(stopped) => (*stopped, "the service was stopped"),
            None => (*heartbeat, "the service ended without being stopped"),
        };
        let lives = next.is_none() && stopped.is_none() && now.saturating_sub(*heartbeat) <= HEARTBEAT;
        let until = next.unwrap_or(now);
        if !lives && end < until {
            found.push(Downtime {
                span: end..until,
                open: next.is_none(),
                why,
            });
        }
    }
    Ok(found)
}

fn silences(
    db: &Connection,
    asked: &Span,
    down: &[Downtime],
    limits: &SilenceLimits,
    gaps: &mut Vec<Gap>,
) -> Result<(), StoreError> {
    let lengths = Lengths::of(db)?;
    for stream in streams(db)? {
        let minutes = active_minutes(db, &stream, asked)?;
        let limit = limit_of(&stream, &minutes, lengths, limits);
        let ends = minutes.iter().skip(1).copied().map(Some).chain([None]);
        for (minute, next) in minutes.iter().zip(ends) {
            let silent = lengths.end(*minute)..next.unwrap_or(asked.end);
            let pieces = without(&silent, down);
            let length: i64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
            if length <= limit {
                continue;
            }
            for piece in pieces {
                let open = next.is_none() && piece.end == asked.end;
                let why = format!("nothing came for longer than {} minutes", limit / MINUTE);
                let mut found = gap(GapKind::SourceSilent, piece, open, why);
                found.stream = Some(stream.clone());
                gaps.push(found);
            }
        }
    }
    Ok(())
}

/// The names of streams, by steps through the index instead of through all rows.
fn streams(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE names (name) AS (
            SELECT min(stream) FROM ledger
            UNION ALL
            SELECT (SELECT min(stream) FROM ledger WHERE stream > name) FROM names WHERE name IS NOT NULL
         ) SELECT name FROM names WHERE name IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Minutes in which records of a stream came: those that tell what is usual, and the last one before.
fn active_minutes(db: &Connection, stream: &str, asked: &Span) -> Result<Vec<i64>, StoreError> {
    let begin = asked.start.saturating_sub(LOOKED_BACK);
    let last: Option<i64> = db
        .prepare_cached(
            "SELECT minute FROM ledger WHERE stream = ?1 AND minute < ?2 AND evaluated + refused + dropped > 0
             ORDER BY minute DESC LIMIT 1",
        )?
        .query_row((stream, begin), |row| row.get(0))
        .optional()?;
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT minute FROM ledger
         WHERE stream = ?1 AND minute >= ?2 AND minute < ?3 AND evaluated + refused + dropped > 0 ORDER BY minute",
    )?;
    let rows = statement.query_map((stream, begin, asked.end), |row| row.get(0))?;
    let mut minutes: Vec<i64> = last.into_iter().collect();
    for row in rows {
        minutes.push(row?);
    }
    Ok(minutes)
}

fn limit_of(stream: &str, minutes: &[i64], lengths: Lengths, limits: &SilenceLimits) -> i64 {
    let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let own = limits
        .streams
        .iter()
        .filter(|(beginning, _)| stream.starts_with(beginning.as_str()))
        .max_by_key(|(beginning, _)| beginning.len());
    if let Some((_, limit)) = own {
        return nanos(*limit);
    }
    let mut pauses: Vec<i64> = minutes
        .windows(2)
        .filter_map(|pair| match pair {
            // A day tells nothing of what is usual within it.
            [left, right] if !lengths.is_day(*left) => Some(right - left),
            _ => None,
        })
        .collect();
    pauses.sort_unstable();
    let usual = pauses.get(pauses.len() / 2).copied().unwrap_or(0);
    nanos(limits.least).max(usual.saturating_mul(limits.factor.into()))
}

/// What is left of a span without downtimes.
fn without(span: &Span, down: &[Downtime]) -> Vec<Span> {
    let mut pieces = Vec::new();
    let mut from = span.start;
    for one in down {
        if one.span.start > from && one.span.start < span.end {
            pieces.push(from..one.span.start);
        }
        if one.span.start < span.end {
            from = from.max(one.span.end);
        }
    }
    if from < span.end {
        pieces.push(from..span.end);
    }
    pieces
}

/// Rules of the newest set that were rejected or not there while older sets ran, and those that are rejected now.
fn rule_gaps(db: &Connection, now: i64, gaps: &mut Vec<Gap>) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("SELECT at, rule_set FROM rule_set_changes ORDER BY at, rowid")?;
    let changes: Vec<(i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let Some((_, newest)) = changes.last() else {
        return Ok(());
    };
    let newest: Vec<RuleInSet> = rule_set(db, newest)?.rules;
    // Gaps that last as the sets go by, by rule.
    let mut running: BTreeMap<&str, (GapKind, i64, String)> = BTreeMap::new();
    for (at, id) in &changes {
        let set = rule_set(db, id)?;
        let there: BTreeMap<&str, &RuleInSet> =
            set.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        for rule in &newest {
            let state = match there.get(rule.id.as_str()) {
                None => Some((GapKind::RuleAbsent, "the rule was not loaded".to_owned())),
                Some(found) if found.health == RuleHealth::Rejected => {
                    Some((GapKind::RuleBroken, found.why.clone()))
                }
                Some(_) => None,
            };
            let before = running.get(rule.id.as_str());
            let same = match (&before, &state) {
                (Some((kind, ..)), Some((now_kind, _))) => kind == now_kind,
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let Some((kind, since, why)) = running.remove(rule.id.as_str()) {
                gaps.push(of_rule(gap(kind, since..*at, false, why), &rule.id));
            }
            if let Some((kind, why)) = state {
                running.insert(&rule.id, (kind, *at, why));
            }
        }
    }
    for (rule, (kind, since, why)) in running {
        gaps.push(of_rule(gap(kind, since..now, true, why), rule));
    }
    Ok(())
}

fn of_rule(gap: Gap, rule: &str) -> Gap {
    Gap {
        rule: Some(rule.to_owned()),
        ..gap
    }
}

fn losses(db: &Connection, asked: &Span, gaps: &mut Vec<Gap>) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT stream, time_from, time_to, records, why FROM losses WHERE time_from < ?2 AND time_to >= ?1 ORDER BY time_from",
    )?;
    let mut rows = statement.query((asked.start, asked.end))?;
    while let Some(row) = rows.next()? {
        let stream: String = row.get(0)?;
        let (from, to): (i64, i64) = (row.get(1)?, row.get(2)?);
        // A loss of one moment takes a nanosecond, so that it is in some stretch.
        let mut found = gap(
            GapKind::Loss,
            from..to.max(from.saturating_add(1)),
            false,
            row.get::<_, String>(4)?,
        );
        found.stream = Some(stream).filter(|stream| !stream.is_empty());
        found.records = row
            .get::<_, Option<i64>>(3)?
            .and_then(|count| u64::try_from(count).ok());
        gaps.push(found);
    }
    Ok(())
}

/// Stretches in which records came that could not be read, with pauses of less than an hour.
fn refused(db: &Connection, asked: &Span, gaps: &mut Vec<Gap>) -> Result<(), StoreError> {
    let lengths = Lengths::of(db)?;
    let mut statement = db.prepare_cached(
        "SELECT stream, minute, sum(refused) FROM ledger WHERE minute >= ?1 AND minute < ?2 AND refused > 0
         GROUP BY stream, minute ORDER BY stream, minute",
    )?;
    let begin = asked.start.saturating_sub(asked.start.rem_euclid(MINUTE));
    let mut rows = statement.query((begin, asked.end))?;
    let mut found: Vec<(String, Span, u64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (stream, minute): (String, i64) = (row.get(0)?, row.get(1)?);
        let (end, count) = (lengths.end(minute), count_from_sql(row, 2)?);
        match found.last_mut() {
            Some((last, so_far, sum)) if *last == stream && minute - so_far.end < 60 * MINUTE => {
                so_far.end = end;
                *sum += count;
            }
            _ => found.push((stream, minute..end, count)),
        }
    }
    for (stream, span, count) in found {
        let mut refused = gap(GapKind::Refused, span, false, "records could not be read");
        refused.stream = Some(stream);
        refused.records = Some(count);
        gaps.push(refused);
    }
    Ok(())
}

fn clipped(mut gap: Gap, asked: &Span) -> Option<Gap> {
    gap.from = gap.from.max(from_nanos(asked.start));
    gap.to = gap.to.min(from_nanos(asked.end));
    (gap.from < gap.to).then_some(gap)
}

/// Cuts a gap where back-fills begin and end; each part tells which cover it.
fn closed(gap: Gap, noted: Option<Instant>, done: &[Backfill]) -> Vec<Gap> {
    let of_it = done
        .iter()
        .filter(|backfill| backfill.rule == "*" || gap.rule.as_ref() == Some(&backfill.rule))
        .filter(|backfill| noted.is_none_or(|noted| backfill.started >= noted));
    // What is received after a back-fill began it has not seen.
    let seen = of_it.map(|backfill| Backfill {
        to: match noted {
            Some(_) => backfill.to,
            None => backfill.to.min(backfill.started),
        },
        ..backfill.clone()
    });
    let covering: Vec<Backfill> = seen
        .filter(|backfill| backfill.from < gap.to && backfill.to > gap.from)
        .collect();
    let mut cuts: Vec<Instant> = covering
        .iter()
        .flat_map(|backfill| [backfill.from, backfill.to])
        .filter(|cut| gap.from < *cut && *cut < gap.to)
        .chain([gap.from, gap.to])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts: Vec<Gap> = Vec::new();
    for pair in cuts.windows(2) {
        let [from, to] = pair else { continue };
        let mut by: Vec<i64> = covering
            .iter()
            .filter(|backfill| backfill.from <= *from && backfill.to >= *to)
            .map(|backfill| backfill.id)
            .collect();
        by.sort_unstable();
        match parts.last_mut() {
            // Two parts that are closed are one, whichever back-fills did it.
            Some(last) if last.closed_by.is_empty() == by.is_empty() => {
                last.to = *to;
                last.closed_by.extend(by);
                last.closed_by.sort_unstable();
                last.closed_by.dedup();
            }
            _ => parts.push(Gap {
                from: *from,
                to: *to,
                closed_by: by,
                ..gap.clone()
            }),
        }
    }
    let end = gap.to;
    for part in &mut parts {
        part.open = gap.open && part.to == end;
    }
    parts
}
