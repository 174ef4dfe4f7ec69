//! Shards of operators: whoever works on them, and in whatever order, the same comes of it, and all memory together stays
//! within its limit.

mod plans;
mod steps;
mod told;

use neph_engine::{OperatorConfig, Operators, Outcome, RuleIndex, RuleStatistics, Shard, StepMatch};
use neph_plan::Plan;
use steps::{sequence, step};
use told::said;

const RULES: u32 = 41;
const TOTAL: usize = 400_000;

/// Of each rule a pair in two batches, and much that stays without its second step: most of it of rule 7, and of rules 8, 24 and 40
/// in the second half only.
fn batches() -> Vec<Vec<StepMatch>> {
    let mut position = 0;
    let mut batch = |number: u32| {
        let all = (0..RULES).filter(|rule| number >= 50 || rule % 16 != 8);
        let rules = all.flat_map(|rule| [rule, 7, rule, 7]);
        let made = (0..).zip(rules).map(|(place, rule)| {
            position += 1;
            let (step_number, key) = match place % 4 {
                0 => (number as u16 % 2, format!("pair {place}")),
                _ => (0, format!("{position}")),
            };
            let mut step = step(step_number, &key, position as i64, position);
            step.rule = RuleIndex(rule);
            step
        });
        made.collect()
    };
    (0..100).map(&mut batch).collect()
}

fn operators() -> Operators {
    let plans: Vec<Plan> = (0..RULES).map(|_| sequence("A B", None)).collect();
    let config = OperatorConfig {
        rule_bytes: 150_000,
        total_bytes: TOTAL,
        ..OperatorConfig::default()
    };
    Operators::new(&plans.iter().collect::<Vec<_>>(), &config)
}

fn statistics(operators: &Operators) -> Vec<RuleStatistics> {
    (0..RULES)
        .map(|rule| operators.statistics(RuleIndex(rule)))
        .collect()
}

/// Gives a batch to all shards, one after the other in an order.
#[expect(
    clippy::indexing_slicing,
    reason = "the lints know test functions only, not what these call"
)]
fn shard_by_shard(
    operators: &mut Operators,
    batch: &[StepMatch],
    order: &mut dyn Iterator<Item = usize>,
    work: fn(&mut Shard, &mut Vec<Outcome>),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for number in order {
        let shard = &mut operators.shards()[number];
        let own = batch
            .iter()
            .filter(|step| Operators::shard_of(step.rule) == number);
        for step in own {
            shard.push(step.clone(), &mut outcomes);
        }
        work(shard, &mut outcomes);
    }
    Outcome::sort_by_rule(&mut outcomes);
    outcomes
}

#[test]
fn the_order_of_shards_changes_nothing() {
    let run = |order: &dyn Fn(usize) -> Vec<usize>| {
        let mut operators = operators();
        let shards = operators.shards().len();
        assert!(shards > 1);
        let mut outcomes = Vec::new();
        let mut is_over = 0;
        for batch in batches() {
            let nothing = |_: &mut Shard, _: &mut Vec<Outcome>| ();
            let mut order = order(shards).into_iter();
            outcomes.extend(shard_by_shard(&mut operators, &batch, &mut order, nothing));
            assert!(operators.state_bytes() <= TOTAL);
            if operators.divide() {
                is_over += 1;
                outcomes.extend(shard_by_shard(&mut operators, &[], &mut (0..shards), Shard::fit));
            }
            let limits_hold = operators.shards().iter().all(|shard| !shard.is_over());
            assert!(limits_hold && operators.state_bytes() <= TOTAL);
        }
        assert!(is_over > 0, "no shard had to make room for others");
        outcomes.extend(shard_by_shard(
            &mut operators,
            &[],
            &mut (0..shards),
            Shard::finish,
        ));
        (said(&outcomes), statistics(&operators))
    };
    let (told, counted) = run(&|shards| (0..shards).collect());
    assert!(told.len() > 100);
    assert!(counted.iter().map(|rule| rule.evicted).sum::<u64>() > 1_000);
    // What came late had room too.
    assert!(counted[8].finished + counted[24].finished > 0, "{:?}", counted[8]);
    let (told_backwards, counted_backwards) = run(&|shards| (0..shards).rev().collect());
    assert_eq!(told, told_backwards);
    assert_eq!(counted, counted_backwards);
}

#[test]
fn one_rule_may_take_all_memory() {
    let mut operators = operators();
    let mut outcomes = Vec::new();
    let steps: Vec<StepMatch> = batches().into_iter().flatten().collect();
    let own: Vec<&StepMatch> = steps.iter().filter(|step| step.rule == RuleIndex(7)).collect();
    for batch in own.chunks(20) {
        for step in batch {
            operators.push((*step).clone(), &mut outcomes);
        }
        assert!(!operators.divide(), "nobody else needs room");
    }
    // Its own limit is all that held it.
    let statistics = operators.statistics(RuleIndex(7));
    assert!(statistics.peak_bytes > 149_000, "{statistics:?}");
}
