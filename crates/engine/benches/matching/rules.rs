//! Rules in the manner of those that the public packs hold.

use std::sync::Arc;

use neph_event::{Field, FieldType, Value};
use neph_plan::{Case, Condition, EventQuery, FieldId, Leaf, Pattern, Plan, Query, Span, Test};

use crate::events::{ARGUMENTS, NAMES, Numbers};

struct PlanBuilder {
    fields: Vec<Arc<Field>>,
}

impl PlanBuilder {
    fn new() -> Self {
        Self {
            fields: vec![Field::new("@timestamp", FieldType::Date).into()],
        }
    }

    fn field(&mut self, path: &str) -> FieldId {
        let at = self
            .fields
            .iter()
            .position(|field| &*field.path == path)
            .unwrap_or_else(|| {
                self.fields.push(Field::new(path, FieldType::Keyword).into());
                self.fields.len() - 1
            });
        FieldId(at as u32)
    }

    fn equals(&mut self, path: &str, texts: &[&str]) -> Condition {
        let values = texts.iter().map(|text| Value::String((*text).into())).collect();
        leaf(Test::Equals(self.field(path), values, Case::Sensitive))
    }

    fn like(&mut self, path: &str, patterns: &[&str]) -> Condition {
        let patterns = patterns.iter().map(|text| Pattern::unescaped(text)).collect();
        leaf(Test::Like(self.field(path), patterns, Case::AsciiInsensitive))
    }

    fn plan(self, conjuncts: Vec<Condition>) -> Plan {
        let query = Query::Events(EventQuery {
            condition: Condition::And(conjuncts),
        });
        Plan {
            fields: self.fields,
            time: FieldId(0),
            tiebreaker: None,
            query,
            limits: vec![],
            failing_indices: vec![],
        }
    }
}

fn leaf(test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

/// `process where event.type == "start" and process.name : ("curl", "wget", "python*") and
/// process.command_line : "*169.254.169.254*"`
pub(crate) fn metadata_service() -> Plan {
    let mut plan = PlanBuilder::new();
    let conjuncts = vec![
        plan.equals("event.category", &["process"]),
        plan.equals("event.type", &["start"]),
        plan.like("process.name", &["curl", "wget", "python*"]),
        plan.like("process.command_line", &["*169.254.169.254*"]),
    ];
    plan.plan(conjuncts)
}

/// Different rules of three manners: names with arguments, command lines that hold fragments, files by path.
pub(crate) fn generate(count: usize) -> Vec<Plan> {
    let mut n = Numbers::new(42);
    (0..count)
        .map(|number| {
            let mut plan = PlanBuilder::new();
            let fragment = format!("*--flag{number}*");
            let conjuncts = match number % 3 {
                0 => vec![
                    plan.equals("event.category", &["process"]),
                    plan.equals("event.type", &["start"]),
                    plan.equals("host.os.type", &["linux"]),
                    plan.like(
                        "process.name",
                        &[n.pick(NAMES), n.pick(NAMES), &format!("tool{number}")],
                    ),
                    plan.like("process.args", &[n.pick(ARGUMENTS), &fragment]),
                    plan.like(
                        "process.command_line",
                        &[&fragment, &format!("*{}*{number}*", n.pick(ARGUMENTS))],
                    ),
                ],
                1 => vec![
                    plan.equals("event.category", &["process"]),
                    plan.equals("event.action", &["exec", "exec_event", "start"]),
                    plan.like(
                        "process.command_line",
                        &[&fragment, &format!("*/dev/tcp/{number}*")],
                    ),
                    Condition::Not(Box::new(
                        plan.equals("process.parent.name", &[n.pick(NAMES), n.pick(NAMES)]),
                    )),
                ],
                _ => vec![
                    plan.equals("event.category", &["file"]),
                    plan.equals("event.type", &["creation", "change"]),
                    plan.like(
                        "file.path",
                        &[&format!("/etc/cron.{number}/*"), &format!("*/.ssh/k{number}")],
                    ),
                    Condition::Not(Box::new(
                        plan.like("process.executable", &["/usr/lib/*", "/opt/*"]),
                    )),
                ],
            };
            plan.plan(conjuncts)
        })
        .collect()
}
