//! What rules cost over real events: which conditions are evaluated how often, and what their tests take.
//!
//! A matcher that profiles evaluates exactly what another one does, in the same order; beside, it counts and looks at the
//! clock that it was given. One that does not profile asks once per event whether it should.

use neph_event::{Row, Slot, Slots};
use neph_plan::{Pattern, PatternPart, Plan, Test};

use crate::RuleIndex;
use crate::explain::alternatives_of;
use crate::nodes::{Node, NodeId, Nodes, NodesBuilder};
use crate::program::{Program, Whole, reserved, steps};
use crate::scratch::Scratch;

/// Nanoseconds of some clock that does not go back.
pub type Clock = fn() -> u64;

/// What a matcher counted; profiles of several threads add up.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Events that were held against the rules.
    pub events: u64,
    /// Nanoseconds of finding out which conditions an event must be held against.
    pub routing_nanos: u64,
    /// Nanoseconds of evaluating conditions as it really took here, the counting included.
    pub profiling_nanos: u64,
    /// What each rule's conditions cost, by [`RuleIndex`].
    pub rules: Vec<Cost>,
    /// What each test cost, in the order of [`describe_tests`].
    pub tests: Vec<Cost>,
    clock: Clock,
    /// What looking at the clock takes, which is taken off.
    clock_nanos: u64,
}

/// What something cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often it was evaluated.
    pub evaluated: u64,
    /// How often it held.
    pub held: u64,
    /// Nanoseconds. What rules share counts for the first that asked.
    pub nanos: u64,
}

impl Cost {
    fn add(&mut self, held: bool, nanos: u64) {
        self.evaluated += 1;
        self.held += u64::from(held);
        self.nanos += nanos;
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.held += other.held;
        self.nanos += other.nanos;
    }
}

/// A test of a program, described for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestDescription {
    /// What is tested, such as ``process.command_line contains `token` or 3 more``.
    pub text: String,
    /// The fields that it reads.
    pub field: String,
    /// Why it is costly, where it may be.
    pub why_costly: Option<&'static str>,
    /// The rules that ask it.
    pub rules: Vec<RuleIndex>,
}

impl Profile {
    pub(crate) fn new(program: &Program, clock: Clock) -> Self {
        // The middle of many tries.
        let mut tries: Vec<u64> = (0..255).map(|_| clock().abs_diff(clock())).collect();
        tries.sort_unstable();
        Self {
            events: 0,
            routing_nanos: 0,
            profiling_nanos: 0,
            rules: vec![Cost::default(); program.rules.len()],
            tests: vec![Cost::default(); program.nodes.len()],
            clock,
            clock_nanos: tries.get(tries.len() / 2).copied().unwrap_or(0),
        }
    }

    /// The time, for [`Self::since`].
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Adds what another thread counted with the same program.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.routing_nanos += other.routing_nanos;
        self.profiling_nanos += other.profiling_nanos;
        for (mine, others) in [(&mut self.rules, &other.rules), (&mut self.tests, &other.tests)] {
            mine.resize(mine.len().max(others.len()), Cost::default());
            for (sum, cost) in mine.iter_mut().zip(others) {
                *sum += *cost;
            }
        }
    }

    /// Nanoseconds since, without what looking at the clock takes.
    pub(crate) fn since(&self, began: u64) -> u64 {
        self.now().saturating_sub(began).saturating_sub(self.clock_nanos)
    }

    /// The truth of a rule's condition, as [`Nodes::holds`] gives it.
    pub(crate) fn condition_holds(
        &mut self,
        nodes: &Nodes,
        condition: NodeId,
        rule: RuleIndex,
        row: &Row,
        scratch: &mut Scratch,
    ) -> bool {
        let mut spent = 0;
        let began = self.now();
        let held = self.holds(nodes, condition, row, scratch, &mut spent);
        self.profiling_nanos += self.now().saturating_sub(began);
        if let Some(cost) = self.rules.get_mut(rule.0 as usize) {
            cost.add(held, spent);
        }
        held
    }

    fn holds(
        &mut self,
        nodes: &Nodes,
        id: NodeId,
        row: &Row,
        scratch: &mut Scratch,
        spent: &mut u64,
    ) -> bool {
        if let Some(truth) = scratch.truth(id) {
            return truth;
        }
        let truth = match nodes.get(id) {
            None => false,
            Some(Node::Const(truth)) => *truth,
            Some(Node::All(parts)) => parts
                .iter()
                .all(|part| self.holds(nodes, *part, row, scratch, spent)),
            Some(Node::Any(parts)) => parts
                .iter()
                .any(|part| self.holds(nodes, *part, row, scratch, spent)),
            Some(Node::Not(part)) => !self.holds(nodes, *part, row, scratch, spent),
            Some(Node::Test(predicate)) => {
                let began = self.now();
                let truth = predicate.holds(Some(id), row, scratch);
                let nanos = self.since(began);
                *spent += nanos;
                if let Some(cost) = self.tests.get_mut(id.0 as usize) {
                    cost.add(truth, nanos);
                }
                truth
            }
        };
        scratch.remember(id, truth);
        truth
    }
}

/// The tests of the program that is compiled of these plans without exceptions, in the order of [`Profile::tests`]. What is no
/// test has an empty text.
pub fn describe_tests(plans: &[&Plan]) -> Vec<TestDescription> {
    let mut slots = Slots::default();
    reserved(&mut slots);
    let mut nodes = NodesBuilder::default();
    let mut whole = Whole::default();
    let mut conditions = Vec::new();
    for (rule, plan) in (0_u32..).zip(plans) {
        let fields = plan.fields.iter();
        let map: Vec<Slot> = fields.map(|field| whole.slot(field, &mut slots)).collect();
        for step in steps(&plan.query) {
            match nodes.add(step.condition, &map, &slots) {
                Ok(condition) => conditions.push((RuleIndex(rule), condition)),
                Err(_) => break,
            }
        }
    }
    let mut described = vec![TestDescription::default(); nodes.len()];
    for (rule, condition) in conditions {
        let mut open = vec![condition];
        while let Some(id) = open.pop() {
            match nodes.get(id) {
                Some(Node::All(parts) | Node::Any(parts)) => open.extend(parts.iter()),
                Some(Node::Not(part)) => open.push(*part),
                Some(Node::Test(_)) => {
                    if let Some(test) = described.get_mut(id.0 as usize)
                        && test.rules.last() != Some(&rule)
                    {
                        test.rules.push(rule);
                    }
                }
                Some(Node::Const(_)) | None => {}
            }
        }
    }
    for (id, read, test) in nodes.into_tests() {
        if let Some(description) = described.get_mut(id.0 as usize) {
            description.field = fields_of(&read, &slots);
            description.text = text_of(&test, &description.field);
            description.why_costly = why_costly(&test);
        }
    }
    described
}

impl Program {
    /// For each rule, whether one of its conditions is evaluated for every event, because nothing that an event must have
    /// for it to hold can be looked up.
    pub fn ungated(&self) -> Vec<bool> {
        let mut ungated = vec![false; self.rules.len()];
        let always = self.routing.unguarded();
        for stage in always.filter_map(|stage| self.stages.get(stage as usize)) {
            if let Some(rule) = ungated.get_mut(stage.rule.0 as usize) {
                *rule = true;
            }
        }
        ungated
    }
}

/// Letters of a test's text that are shown.
const SHOWN: usize = 100;

fn fields_of(read: &[Slot], slots: &Slots) -> String {
    let mut paths: Vec<&str> = Vec::new();
    for field in read.iter().filter_map(|slot| slots.field(*slot)) {
        if !paths.contains(&&*field.path) {
            paths.push(&field.path);
        }
    }
    paths.join(", ")
}

fn text_of(test: &Test, field: &str) -> String {
    let verb = match test {
        Test::Exists(_) => "exists",
        Test::Equals(..) => "is",
        Test::Compare(..) => "",
        Test::Like(..) => "like",
        Test::Regex(..) => "matches",
        Test::StartsWith(..) => "starts with",
        Test::EndsWith(..) => "ends with",
        Test::Contains(..) => "contains",
        Test::Cidr(..) => "in",
        Test::Words(..) => "has the words",
        Test::Lookup(_) => "in a table",
        Test::Nested(_) => "has an object",
        Test::Expr(_) => "in an expression",
    };
    let alternatives = alternatives_of(test);
    let mut text = format!("{field} {verb}");
    if let Some((first, _)) = alternatives.first() {
        let shown: String = first.chars().take(SHOWN).collect();
        let cut = if shown.len() < first.len() { "…" } else { "" };
        text.push_str(&format!(" `{shown}{cut}`"));
    }
    if alternatives.len() > 1 {
        text.push_str(&format!(" or {} more", alternatives.len() - 1));
    }
    text.replace("  ", " ")
}

/// Why a test costs more than looking a value up; `None` where it does not.
fn why_costly(test: &Test) -> Option<&'static str> {
    let leads = |pattern: &Pattern| !matches!(pattern.parts.first(), Some(PatternPart::Literal(_)));
    match test {
        Test::Like(_, patterns, _) if patterns.iter().any(leads) => Some("leading wildcard"),
        Test::Like(..) => Some("wildcard"),
        Test::Contains(..) => Some("leading wildcard"),
        Test::Regex(..) => Some("regular expression"),
        Test::Words(..) => Some("words of a text"),
        Test::Nested(_) => Some("objects of a list"),
        Test::Expr(_) => Some("expression"),
        Test::Lookup(_) => Some("table"),
        Test::Exists(_) | Test::Equals(..) | Test::Compare(..) | Test::Cidr(..) => None,
        Test::StartsWith(..) | Test::EndsWith(..) => None,
    }
}
