//! What a run's profile says of rules and tests: what each cost, and why.

use std::sync::Arc;

use neph_engine::{Cost, Program, TestDescription, describe_tests};
use neph_plan::Plan;
use neph_rules::Rule;
use serde::Serialize;

use crate::{Detection, RunProfile};

/// A rule or test that takes more than this share of a run is costly.
const COSTLY: f64 = 0.005;

/// A condition that is evaluated for more than this share of events is hardly gated.
const OPEN: f64 = 0.05;

/// So many rules of a test are named.
const NAMED: usize = 3;

/// A profile for people and programs. Shares are of the processor time of reading, matching and keeping state together.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileReport {
    /// Events that were held against the rules.
    pub events: u64,
    /// Where the time went.
    pub time: ProfiledTime,
    /// Rules, the most costly first.
    pub rules: Vec<ProfiledRule>,
    /// Tests that were evaluated, the most costly first.
    pub tests: Vec<ProfiledTest>,
}

/// Where the time of a run went, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProfiledTime {
    /// Everything below.
    pub total_seconds: f64,
    /// Reading records: parsing, normalising, taking the fields that rules ask for.
    pub reading_seconds: f64,
    /// Finding out which conditions an event must be held against.
    pub routing_seconds: f64,
    /// Evaluating these conditions.
    pub conditions_seconds: f64,
    /// Keeping the state of sequences, counts and the like.
    pub state_seconds: f64,
}

/// What a rule cost.
#[derive(Clone, Debug, Serialize)]
pub struct ProfiledRule {
    /// Its id.
    pub rule_id: String,
    /// Its name.
    pub name: String,
    /// How often one of its conditions was evaluated.
    pub evaluations: u64,
    /// How often one held.
    pub step_matches: u64,
    /// Matches found.
    pub matches: u64,
    /// Nanoseconds of its conditions. What it shares with rules above it in its folder counts there.
    pub condition_nanos: u64,
    /// Nanoseconds of its state.
    pub state_nanos: u64,
    /// Share of the run's time.
    pub time_share: f64,
    /// The most bytes of state at any time.
    pub state_bytes: usize,
    /// Events and terms that were forgotten for want of memory.
    pub evicted: u64,
    /// Why it is costly; empty where it is not.
    pub reasons: Vec<String>,
}

/// What a test cost, which several rules may share.
#[derive(Clone, Debug, Serialize)]
pub struct ProfiledTest {
    /// What is tested.
    pub test: String,
    /// How many rules ask it.
    pub rules: usize,
    /// Names of the first of them.
    pub named_rules: Vec<String>,
    /// How often it was evaluated.
    pub evaluations: u64,
    /// How often it held.
    pub held: u64,
    /// Nanoseconds of it.
    pub nanos: u64,
    /// Share of the run's time.
    pub time_share: f64,
    /// Why it is costly, where it is.
    pub reason: Option<String>,
}

/// Makes a report of a detection that was run with [`RunOptions::profile`](crate::RunOptions::profile); `None` where it was
/// not. `rules` and `program` must be those of the run.
pub fn profile_report(
    detection: &Detection,
    rules: &[Arc<Rule>],
    program: &Program,
) -> Option<ProfileReport> {
    let profile = detection.profile.as_ref()?;
    let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let described = describe_tests(&plans);
    let time = spent(profile);
    let share = |nanos: u64| match time.total_seconds > 0.0 {
        true => seconds(nanos) / time.total_seconds,
        false => 0.0,
    };
    let ungated = program.ungated();
    let events = profile.matching.events;
    let costliest = costliest_tests(profile, &described, rules.len());
    let mut lines: Vec<ProfiledRule> = Vec::with_capacity(rules.len());
    for (number, rule) in rules.iter().enumerate() {
        let cost = profile.matching.rules.get(number).copied().unwrap_or_default();
        let state_nanos = profile.operators.get(number).copied().unwrap_or(0);
        let statistics = detection.rules.get(number).copied().unwrap_or_default();
        let mut line = ProfiledRule {
            rule_id: rule.id.clone(),
            name: rule.name.clone(),
            evaluations: cost.evaluated,
            step_matches: cost.held,
            matches: statistics.finished,
            condition_nanos: cost.nanos,
            state_nanos,
            time_share: share(cost.nanos + state_nanos),
            state_bytes: statistics.peak_bytes,
            evicted: statistics.evicted,
            reasons: Vec::new(),
        };
        let test = costliest
            .get(number)
            .copied()
            .flatten()
            .and_then(|test| described.get(test));
        let is_gated = !ungated.get(number).copied().unwrap_or(false);
        line.reasons = reasons(&line, test, is_gated, events);
        lines.push(line);
    }
    lines.sort_by_key(|line| std::cmp::Reverse((line.condition_nanos + line.state_nanos, line.evaluations)));
    let tests = profile.matching.tests.iter().zip(&described);
    let mut tests: Vec<ProfiledTest> = tests
        .filter(|(cost, test)| cost.evaluated > 0 && !test.text.is_empty())
        .map(|(cost, test)| profiled_test(cost, test, rules, share(cost.nanos)))
        .collect();
    tests.sort_by_key(|test| std::cmp::Reverse((test.nanos, test.evaluations)));
    Some(ProfileReport {
        events,
        time,
        rules: lines,
        tests,
    })
}

fn seconds(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}

fn spent(profile: &RunProfile) -> ProfiledTime {
    let conditions: u64 = profile.matching.rules.iter().map(|cost| cost.nanos).sum();
    let routing = profile.matching.routing_nanos;
    let state = profile.operators.iter().sum::<u64>() + profile.telling_nanos;
    let reading = profile
        .work_nanos
        .saturating_sub(profile.matching.profiling_nanos + routing);
    ProfiledTime {
        total_seconds: seconds(reading + routing + conditions + state),
        reading_seconds: seconds(reading),
        routing_seconds: seconds(routing),
        conditions_seconds: seconds(conditions),
        state_seconds: seconds(state),
    }
}

/// For each rule the test of it that took the most time, by its position.
fn costliest_tests(profile: &RunProfile, described: &[TestDescription], rules: usize) -> Vec<Option<usize>> {
    let mut costliest: Vec<Option<(u64, usize)>> = vec![None; rules];
    for (position, (cost, test)) in profile.matching.tests.iter().zip(described).enumerate() {
        if cost.evaluated == 0 {
            continue;
        }
        for rule in &test.rules {
            if let Some(known) = costliest.get_mut(rule.0 as usize)
                && known.is_none_or(|(nanos, _)| nanos < cost.nanos)
            {
                *known = Some((cost.nanos, position));
            }
        }
    }
    costliest
        .iter()
        .map(|known| known.map(|(_, position)| position))
        .collect()
}

fn reasons(line: &ProfiledRule, test: Option<&TestDescription>, is_gated: bool, events: u64) -> Vec<String> {
    let mut reasons = Vec::new();
    let is_costly = line.time_share >= COSTLY;
    if line.evaluations > 0 && (is_costly || !is_gated) {
        let gate = match is_gated {
            false => ", not gated",
            true => "",
        };
        match test.and_then(|test| Some((test.why_costly?, &test.field))) {
            Some((why, field)) => reasons.push(format!("{why} on {field}{gate}")),
            None if !is_gated => reasons.push("not gated: nothing that it needs can be looked up".to_owned()),
            None => {}
        }
    }
    if is_costly && is_gated {
        let open = ratio(line.evaluations, events);
        if open >= OPEN {
            reasons.push(format!("what it needs is in {:.0} % of events", open * 100.0));
        }
    }
    if is_costly && line.state_nanos > line.condition_nanos {
        let held = ratio(line.step_matches, events);
        reasons.push(format!(
            "its steps hold for {:.1} % of events, which it keeps",
            held * 100.0
        ));
    }
    reasons
}

fn ratio(part: u64, whole: u64) -> f64 {
    // Counts of events are far below what a double holds exactly.
    part as f64 / whole.max(1) as f64
}

fn profiled_test(cost: &Cost, test: &TestDescription, rules: &[Arc<Rule>], time_share: f64) -> ProfiledTest {
    let named = test.rules.iter().take(NAMED);
    let reason = test.why_costly.filter(|_| time_share >= COSTLY);
    ProfiledTest {
        test: test.text.clone(),
        rules: test.rules.len(),
        named_rules: named
            .filter_map(|rule| Some(rules.get(rule.0 as usize)?.name.clone()))
            .collect(),
        evaluations: cost.evaluated,
        held: cost.held,
        nanos: cost.nanos,
        time_share,
        reason: reason.map(|why| format!("{why} on {}", test.field)),
    }
}
