//! Why an event satisfies (or does not satisfy) a step of a rule.
//!
//! Explaining happens for the few events that end in an alert. It therefore runs apart from matching: the event's
//! document is read again for one rule, every part of the condition is evaluated without short cuts, and each test is
//! asked about each value and each of its alternatives.

use std::cell::OnceCell;
use std::sync::Arc;

use neph_event::{ReadError, Row, Slot, Slots, Value, ValueRef};
use neph_plan::{Condition, Leaf, Pattern, PatternPart, Phrase, Plan, Relation, Span, Test};

use crate::nodes::{ConditionError, MAX_DEPTH, over_slots};
use crate::predicate::Predicate;
use crate::program::steps;
use crate::scratch::Scratch;

/// So many values of one field are listed for one test.
const MAX_LISTED: usize = 8;

/// Explains matches of one rule.
#[derive(Debug)]
pub struct Explainer {
    slots: Slots,
    steps: Vec<Part>,
    row: Row,
    scratch: Scratch,
}

/// What speaks for a step and against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The condition as the query has it, each part with its truth.
    pub why: Why,
}

impl Explanation {
    /// The fields and values that tests met on the true branches of the condition, in the order of the query, each
    /// once. What stands below a `not` is not among them: there the lack of a value decided.
    pub fn matched_fields(&self) -> Vec<(Arc<str>, Value)> {
        let mut matched = Vec::new();
        self.why.collect_matched(&mut matched);
        matched
    }
}

/// A part of a condition with its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Whether the part holds for the event.
    pub holds: bool,
    /// The part.
    pub node: WhyNode,
}

/// What kind of part it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNode {
    /// Always or never true.
    Constant,
    /// Holds where all of them do.
    All(Vec<Why>),
    /// Holds where any of them does.
    Any(Vec<Why>),
    /// Holds where the inner part does not.
    Not(Box<Why>),
    /// A test of the event's values.
    Test(WhyTest),
}

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyTest {
    /// The test's text in the query.
    pub span: Span,
    /// Where the test holds: the values that made it hold. Where it does not: the values that failed, or for a field
    /// without values one finding without a value. At most eight of each field.
    pub findings: Vec<Finding>,
    /// Number of values beyond those listed.
    pub unlisted: usize,
}

/// A value that a test looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field.
    pub field: Arc<str>,
    /// The value; `None` where the event has none.
    pub value: Option<Value>,
    /// The text of the constant, pattern or network that the value met, as a query would write it (without quotes); for
    /// an order relation its sign and the constant. `None` where the value failed, and where there is nothing to meet
    /// (existence, and expressions, which the span shows).
    pub met: Option<Arc<str>>,
}

/// A condition made ready for explaining.
#[derive(Debug)]
enum Part {
    Constant(bool),
    All(Vec<Part>),
    Any(Vec<Part>),
    Not(Box<Part>),
    Test(Box<TestPart>),
}

#[derive(Debug)]
struct TestPart {
    span: Span,
    whole: Predicate,
    /// The test over slots.
    test: Test,
    /// The test with one alternative at a time, and the alternative's text; made when the test first holds, which of most
    /// tests never does.
    alternatives: OnceCell<Vec<(Arc<str>, Predicate)>>,
    /// What it reads, with the paths of the fields.
    slots: Vec<(Slot, Arc<str>)>,
}

impl Explainer {
    /// An explainer of a rule.
    ///
    /// # Errors
    /// What [`Program::compile`](crate::Program::compile) would report: the place in the query, if any, and the reason.
    pub fn new(plan: &Plan) -> Result<Self, (Option<Span>, ConditionError)> {
        let mut slots = Slots::default();
        let map: Vec<Slot> = plan.fields.iter().map(|field| slots.add(field.clone())).collect();
        let mut parts = Vec::new();
        for step in steps(&plan.query) {
            parts.push(Part::new(step.condition, &map, &slots, 0)?);
        }
        let scratch = Scratch::new(0, slots.len());
        Ok(Self {
            slots,
            steps: parts,
            row: Row::default(),
            scratch,
        })
    }

    /// Why the event with this JSON document satisfies the step or not; `None` where the rule has no such step.
    ///
    /// # Errors
    /// Where the document is no JSON object.
    pub fn explain(&mut self, step: u16, document: &[u8]) -> Result<Option<Explanation>, ReadError> {
        self.row.read(&self.slots, document)?;
        self.scratch.next_event();
        self.scratch.set_document(document);
        let Some(part) = self.steps.get(usize::from(step)) else {
            return Ok(None);
        };
        let why = part.why(&self.slots, &self.row, &mut self.scratch);
        Ok(Some(Explanation { why }))
    }
}

impl Why {
    /// The tests that decided: those on true branches that hold, and below a `not` that holds those that do not.
    pub fn deciding_tests(&self) -> Vec<&WhyTest> {
        let mut tests = Vec::new();
        self.visit_deciding(&mut |test| tests.push(test));
        tests
    }

    /// A part decides by its children of the same truth: a true `all` by all of them, a true `any` by the true ones, a
    /// false `all` by the false ones. A `not` decides by its inner part.
    fn visit_deciding<'a>(&'a self, visit: &mut impl FnMut(&'a WhyTest)) {
        match &self.node {
            WhyNode::Constant => {}
            WhyNode::All(parts) | WhyNode::Any(parts) => {
                parts
                    .iter()
                    .filter(|part| part.holds == self.holds)
                    .for_each(|part| part.visit_deciding(visit));
            }
            WhyNode::Not(part) => part.visit_deciding(visit),
            WhyNode::Test(test) => visit(test),
        }
    }

    fn collect_matched(&self, matched: &mut Vec<(Arc<str>, Value)>) {
        if !self.holds {
            return;
        }
        match &self.node {
            WhyNode::Constant | WhyNode::Not(_) => {}
            WhyNode::All(parts) | WhyNode::Any(parts) => {
                parts.iter().for_each(|part| part.collect_matched(matched))
            }
            WhyNode::Test(test) => {
                for finding in &test.findings {
                    let Some(value) = &finding.value else { continue };
                    if !matched
                        .iter()
                        .any(|(field, known)| *field == finding.field && known == value)
                    {
                        matched.push((finding.field.clone(), value.clone()));
                    }
                }
            }
        }
    }
}

impl Part {
    fn new(
        condition: &Condition,
        map: &[Slot],
        slots: &Slots,
        depth: u32,
    ) -> Result<Self, (Option<Span>, ConditionError)> {
        if depth > MAX_DEPTH {
            return Err((None, ConditionError::TooDeep));
        }
        let parts = |list: &[Condition]| {
            list.iter()
                .map(|part| Self::new(part, map, slots, depth + 1))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::Const(truth) => Self::Constant(*truth),
            Condition::And(list) => Self::All(parts(list)?),
            Condition::Or(list) => Self::Any(parts(list)?),
            Condition::Not(part) => Self::Not(Box::new(Self::new(part, map, slots, depth + 1)?)),
            Condition::Leaf(leaf) => {
                let part = TestPart::new(leaf, map, slots).map_err(|error| (Some(leaf.span), error))?;
                Self::Test(Box::new(part))
            }
        })
    }

    fn why(&self, slots: &Slots, row: &Row, scratch: &mut Scratch) -> Why {
        let mut all =
            |parts: &[Self]| -> Vec<Why> { parts.iter().map(|part| part.why(slots, row, scratch)).collect() };
        match self {
            Self::Constant(truth) => Why {
                holds: *truth,
                node: WhyNode::Constant,
            },
            Self::All(parts) => {
                let parts = all(parts);
                Why {
                    holds: parts.iter().all(|part| part.holds),
                    node: WhyNode::All(parts),
                }
            }
            Self::Any(parts) => {
                let parts = all(parts);
                Why {
                    holds: parts.iter().any(|part| part.holds),
                    node: WhyNode::Any(parts),
                }
            }
            Self::Not(part) => {
                let part = part.why(slots, row, scratch);
                Why {
                    holds: !part.holds,
                    node: WhyNode::Not(Box::new(part)),
                }
            }
            Self::Test(test) => test.why(slots, row, scratch),
        }
    }
}

impl TestPart {
    fn new(leaf: &Leaf, map: &[Slot], slots: &Slots) -> Result<Self, ConditionError> {
        let test = over_slots(&leaf.test, map)?;
        let whole = Predicate::new(&test, slots)?;
        let mut read = Vec::new();
        test.for_each_field(&mut |field| {
            let slot = Slot(field.0);
            if read.iter().all(|(known, _)| *known != slot) {
                read.push((slot, path(slots, slot)));
            }
        });
        Ok(Self {
            span: leaf.span,
            whole,
            test,
            alternatives: OnceCell::new(),
            slots: read,
        })
    }

    /// An alternative that cannot be run alone is none.
    fn alternatives(&self, slots: &Slots) -> &[(Arc<str>, Predicate)] {
        self.alternatives.get_or_init(|| {
            let all = alternatives_of(&self.test).into_iter();
            all.filter_map(|(text, test)| Some((text.into(), Predicate::new(&test, slots).ok()?)))
                .collect()
        })
    }

    fn why(&self, slots: &Slots, row: &Row, scratch: &mut Scratch) -> Why {
        let holds = self.whole.holds(None, row, scratch);
        let mut test = WhyTest {
            span: self.span,
            findings: Vec::new(),
            unlisted: 0,
        };
        if let Some((chosen_of, choice)) = self.whole.deciding_choice(row) {
            for (slot, value) in chosen_of.iter().zip(choice) {
                test.findings.push(finding(path(slots, *slot), value, None));
            }
            return Why {
                holds,
                node: WhyNode::Test(test),
            };
        }
        for (slot, path) in &self.slots {
            let values = row.values(*slot);
            if values.len() == 0 {
                test.findings.push(finding(Arc::clone(path), None, None));
            }
            let looked_at = values.filter(|value| !holds || self.whole.passes(*value));
            for (number, value) in looked_at.enumerate() {
                if number >= MAX_LISTED {
                    test.unlisted += 1;
                    continue;
                }
                let alternatives = if holds { self.alternatives(slots) } else { &[] };
                let met = alternatives
                    .iter()
                    .find(|(_, alternative)| alternative.passes(value));
                test.findings.push(finding(
                    Arc::clone(path),
                    Some(value),
                    met.map(|(text, _)| text.clone()),
                ));
            }
        }
        Why {
            holds,
            node: WhyNode::Test(test),
        }
    }
}

fn path(slots: &Slots, slot: Slot) -> Arc<str> {
    slots.field(slot).map_or("", |field| &field.path).into()
}

fn finding(field: Arc<str>, value: Option<ValueRef<'_>>, met: Option<Arc<str>>) -> Finding {
    Finding {
        field,
        value: value.map(ValueRef::to_owned),
        met,
    }
}

/// The test with each of its alternatives alone, and the alternative's text.
pub(crate) fn alternatives_of(test: &Test) -> Vec<(Box<str>, Test)> {
    fn each<T: Clone>(
        list: &[T],
        text: impl Fn(&T) -> Box<str>,
        test: impl Fn(Arc<[T]>) -> Test,
    ) -> Vec<(Box<str>, Test)> {
        list.iter()
            .map(|item| (text(item), test([item.clone()].into())))
            .collect()
    }
    match test {
        Test::Exists(_) | Test::Lookup(_) | Test::Nested(_) | Test::Expr(_) => Vec::new(),
        Test::Equals(field, constants, case) => each(
            constants,
            |constant| constant.to_string().into(),
            |one| Test::Equals(*field, one, *case),
        ),
        Test::Compare(_, relation, constant) => {
            vec![(format!("{} {constant}", sign(*relation)).into(), test.clone())]
        }
        Test::Like(field, patterns, case) => {
            each(patterns, pattern_text, |one| Test::Like(*field, one, *case))
        }
        Test::Regex(field, expressions, dialect, case) => each(expressions, Clone::clone, |one| {
            Test::Regex(*field, one, *dialect, *case)
        }),
        Test::StartsWith(field, texts, case) => {
            each(texts, Clone::clone, |one| Test::StartsWith(*field, one, *case))
        }
        Test::EndsWith(field, texts, case) => {
            each(texts, Clone::clone, |one| Test::EndsWith(*field, one, *case))
        }
        Test::Contains(field, texts, case) => {
            each(texts, Clone::clone, |one| Test::Contains(*field, one, *case))
        }
        Test::Cidr(field, networks) => each(
            networks,
            |net| net.to_string().into(),
            |one| Test::Cidr(*field, one),
        ),
        Test::Words(field, phrases) => each(phrases, phrase_text, |one| Test::Words(*field, one)),
    }
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

fn phrase_text(phrase: &Phrase) -> Box<str> {
    let words: Vec<Box<str>> = phrase.words.iter().map(pattern_text).collect();
    words.join(" ").into()
}

fn pattern_text(pattern: &Pattern) -> Box<str> {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(literal) => text.push_str(literal),
            PatternPart::One => text.push('?'),
            PatternPart::Any => text.push('*'),
        }
    }
    text.into()
}
