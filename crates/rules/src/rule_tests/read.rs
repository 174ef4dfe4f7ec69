//! Reads the cases of a test file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_diag::{Diagnostic, LineIndex, Span, has_errors};
use neph_event::{Instant, parse_date};
use serde_json::{Map, Value};

use super::times::distance;
use super::{Count, Expected, Form, Given, Phase, Scenario, ScenarioText, Setting, TestCase};
use crate::builtin::is_builtin;
use crate::check::Findings;
use crate::codes;
use crate::files;
use crate::keys::{CASE_EVENT, CASE_EXPECT, SCENARIO, TESTS};
use crate::texts::Lang;
use crate::yaml_document::{self, written};
use neph_document::{Data, Node, Table};

/// The base of relative times where none is stated.
const BASE: &str = "2026-01-01T00:00:00Z";

/// Endings of rule files that are looked for beside a test file.
const RULE_ENDINGS: [&str; 7] = ["toml", "yml", "yaml", "eql", "ndjson", "json", "jsonl"];

/// Most events that one entry may stand for.
const MAX_REPEAT: u64 = 1_000_000;

/// The cases that can be run, and everything that is wrong with the text.
pub(super) fn cases(path: &Path, text: &str, lines: &LineIndex<'_>) -> (Vec<TestCase>, Vec<Diagnostic>) {
    let mut reader = Reader {
        path,
        text,
        lines,
        diagnostics: Vec::new(),
    };
    let mut cases = Vec::new();
    for (root, mut diagnostics) in yaml_document::parse(text) {
        reader.diagnostics.append(&mut diagnostics);
        let Some(root) = root else { continue };
        match root.as_table() {
            Some(table) => reader.file(table, root.span, &mut cases),
            None => {
                let message = format!(
                    "a test file holds a table with `cases`, but this is {}",
                    root.kind()
                );
                reader.say(root.span, message);
            }
        }
    }
    if cases.is_empty() && !has_errors(&reader.diagnostics) {
        reader.say(Span::default(), "the file has no cases".into());
    }
    reader.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    (cases, reader.diagnostics)
}

/// The scenario of a text; `base` stands in place of the one that it states.
pub(super) fn scenario(
    path: &Path,
    text: &str,
    lines: &LineIndex<'_>,
    base: Option<Instant>,
) -> (Option<Scenario>, Vec<Diagnostic>) {
    let mut reader = Reader {
        path,
        text,
        lines,
        diagnostics: Vec::new(),
    };
    let mut scenario = None;
    for (root, mut diagnostics) in yaml_document::parse(text) {
        reader.diagnostics.append(&mut diagnostics);
        if let Some(root) = root
            && let Some(table) = root.as_table()
        {
            scenario = Some(reader.scenario(table, root.span, base));
        }
    }
    (scenario, reader.diagnostics)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    lines: &'a LineIndex<'a>,
    diagnostics: Vec<Diagnostic>,
}

/// What a file says for all of its cases.
struct Common {
    setting: Setting,
    only: Vec<String>,
    base: Instant,
    source: Option<String>,
}

impl Reader<'_> {
    fn say(&mut self, place: Span, message: String) {
        self.diagnostics
            .push(Diagnostic::new(&codes::RULE_TEST, place, message));
    }

    fn line(&self, place: Span) -> u64 {
        self.lines.position(place.start as usize).line as u64
    }

    fn file(&mut self, table: &Table, place: Span, cases: &mut Vec<TestCase>) {
        self.check(table, place, "", TESTS);
        let base = parse_date(BASE, &[]).unwrap_or(Instant::from_millis(0));
        let mut common = self.common(
            table,
            &Common {
                setting: Setting::default(),
                only: Vec::new(),
                base,
                source: None,
            },
        );
        if common.setting.rules.is_empty() {
            common.setting.rules = self.rules_beside().into_iter().collect();
        }
        for node in table.get("cases").map_or(&[][..], Node::items) {
            let Some(case) = node.as_table() else { continue };
            let before = self.diagnostics.len();
            let read = self.case(case, node.span, &common);
            let is_sound = self
                .diagnostics
                .get(before..)
                .is_none_or(|found| !has_errors(found));
            if is_sound {
                cases.push(read);
            }
        }
    }

    fn scenario(&mut self, table: &Table, place: Span, base: Option<Instant>) -> Scenario {
        self.check(table, place, "", SCENARIO);
        let stated = table.get("base").and_then(|node| self.date(node));
        let base = base.or(stated).or_else(|| parse_date(BASE, &[]));
        let mut common = Common {
            setting: Setting::default(),
            only: Vec::new(),
            base: base.unwrap_or(Instant::from_millis(0)),
            source: table.text("source").map(str::to_owned),
        };
        let mut history = Vec::new();
        for node in table.get("history").map_or(&[][..], Node::items) {
            history.extend(self.given(node, &common, true));
        }
        let of_all = common.source.clone();
        let mut phases = Vec::new();
        for (phase, _) in table.tables("phases") {
            common.source = phase.text("source").map(str::to_owned).or_else(|| of_all.clone());
            let mut events = Vec::new();
            for node in phase.get("events").map_or(&[][..], Node::items) {
                events.extend(self.given(node, &common, false));
            }
            phases.push(Phase {
                name: phase.trimmed("name"),
                events,
                expect: phase.texts("expect"),
            });
        }
        let mut others = BTreeMap::new();
        for lang in Lang::ALL {
            if let Some(texts) = table.table(lang.code()) {
                let text = ScenarioText {
                    title: texts.trimmed("title"),
                    description: texts.trimmed("description"),
                    phases: texts.texts("phases"),
                };
                others.insert(lang, text);
            }
        }
        Scenario {
            name: self
                .path
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            mission: table.texts("mission"),
            base: common.base,
            text: ScenarioText {
                title: table.trimmed("title"),
                description: table.trimmed("description"),
                phases: phases.iter().map(|phase| phase.name.clone()).collect(),
            },
            others,
            history,
            phases,
        }
    }

    fn check(&mut self, table: &Table, place: Span, name: &str, keys: &[crate::keys::Key]) {
        let mut findings = Findings::default();
        findings.check(table, place, name, keys, None);
        self.diagnostics.append(&mut findings.diagnostics);
    }

    /// What a table says, upon what stood above it.
    fn common(&mut self, table: &Table, above: &Common) -> Common {
        let paths = |key: &str, inherited: &[PathBuf]| -> Vec<PathBuf> {
            match table.get(key) {
                Some(_) => table.texts(key).iter().map(|name| self.beside(name)).collect(),
                None => inherited.to_vec(),
            }
        };
        let setting = Setting {
            rules: paths("rules", &above.setting.rules),
            overlays: paths("overlays", &above.setting.overlays),
            lists: paths("lists", &above.setting.lists),
            mappings: paths("mappings", &above.setting.mappings),
            indicators: paths("indicators", &above.setting.indicators),
        };
        let base = match table.get("base") {
            None => above.base,
            Some(node) => self.date(node).unwrap_or(above.base),
        };
        Common {
            setting,
            only: match table.get("rule") {
                Some(_) => table.texts("rule"),
                None => above.only.clone(),
            },
            base,
            source: table
                .text("source")
                .map(str::to_owned)
                .or_else(|| above.source.clone()),
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        match is_builtin(Path::new(name)) {
            true => PathBuf::from(name),
            false => self.path.parent().unwrap_or(Path::new("")).join(name),
        }
    }

    /// The rule file that the test file is named after.
    fn rules_beside(&self) -> Option<PathBuf> {
        let name = self.path.file_name()?.to_str()?;
        let (stem, _) = name.split_once(".test.")?;
        RULE_ENDINGS
            .iter()
            .map(|ending| self.path.with_file_name(format!("{stem}.{ending}")))
            .find(|path| files::is_file(path))
    }

    fn date(&mut self, node: &Node) -> Option<Instant> {
        let read = written(node, self.text).and_then(|text| parse_date(text, &[]));
        if read.is_none() {
            self.say(
                node.span,
                "a time such as `2026-01-01T12:00:00Z` is expected".into(),
            );
        }
        read
    }

    fn case(&mut self, table: &Table, place: Span, above: &Common) -> TestCase {
        let common = self.common(table, above);
        let name = table.get("name").and_then(|node| written(node, self.text));
        let name = name.unwrap_or("").to_owned();
        if common.setting.rules.is_empty() {
            let message = "there is no rule file beside this file, and `rules` names none".to_owned();
            self.say(place, message);
        }
        let mut events = Vec::new();
        for key in ["history", "events"] {
            for node in table.get(key).map_or(&[][..], Node::items) {
                events.extend(self.given(node, &common, key == "history"));
            }
        }
        let expect = table
            .get("expect")
            .map(|node| self.expectations(node))
            .unwrap_or_default();
        TestCase {
            name,
            span: place,
            line: self.line(place),
            setting: common.setting,
            only: common.only,
            base: common.base,
            events,
            expect,
        }
    }

    fn given(&mut self, node: &Node, common: &Common, is_history: bool) -> Option<Given> {
        let line = self.line(node.span);
        let Some(table) = node.as_table() else {
            let Some(raw) = node.as_text() else {
                let message = format!(
                    "an event is a table with `ecs`, `raw` or `file`, or the text of a raw record, but this is {}",
                    node.kind()
                );
                self.say(node.span, message);
                return None;
            };
            return Some(Given {
                form: Form::Raw(raw.into()),
                at: None,
                source: common.source.clone(),
                repeat: 1,
                every: 0,
                line,
            });
        };
        self.check(table, node.span, "event", CASE_EVENT);
        let forms: Vec<Form> = [
            table.get("ecs").map(|node| Form::Ecs(self.value(node))),
            table.get("raw").map(|node| Form::Raw(self.value(node))),
            table.text("file").map(|name| Form::File(self.beside(name))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [form] = <[Form; 1]>::try_from(forms)
            .map_err(|forms| {
                let message = match forms.as_slice() {
                    [] => "the event has none of `ecs`, `raw` and `file`",
                    _ => "the event has more than one of `ecs`, `raw` and `file`",
                };
                self.say(node.span, message.into());
            })
            .ok()?;
        if let Form::Ecs(value) = &form
            && !value.is_object()
        {
            self.say(node.span, "an ECS document is a table".into());
        }
        let at = table.get("at").and_then(|node| self.time(node, common.base));
        if let Some(at) = at
            && is_history
            && at >= common.base
        {
            let message = "history lies before the base: its times begin with a minus".to_owned();
            self.say(node.span, message);
        }
        let every = table.get("every").map_or(0, |node| {
            let read = written(node, self.text).and_then(distance);
            if read.is_none() {
                self.say(node.span, "a time span such as `30s` is expected".into());
            }
            read.unwrap_or(0)
        });
        let repeat = match table.integer("repeat") {
            None => 1,
            Some(number) => u64::try_from(number)
                .ok()
                .filter(|number| (1..=MAX_REPEAT).contains(number))
                .unwrap_or_else(|| {
                    let message = format!("an event is repeated 1 to {MAX_REPEAT} times");
                    self.say(node.span, message);
                    1
                }),
        };
        let source = table
            .text("source")
            .map(str::to_owned)
            .or_else(|| common.source.clone());
        Some(Given {
            form,
            at,
            source,
            repeat,
            every,
            line,
        })
    }

    /// A distance from the base, or a time.
    fn time(&mut self, node: &Node, base: Instant) -> Option<Instant> {
        let text = written(node, self.text).unwrap_or("");
        let read = match distance(text) {
            Some(distance) => Some(base.saturating_add_nanos(distance)),
            None => parse_date(text, &[]),
        };
        if read.is_none() {
            let message = format!(
                "`{text}` is no time: a distance from the base such as `+5m` or `-3d`, or a date is expected"
            );
            self.say(node.span, message);
        }
        read
    }

    fn expectations(&mut self, node: &Node) -> Vec<Expected> {
        if node.as_text() == Some("none") {
            return Vec::new();
        }
        let items = match &node.data {
            Data::List(items) => items.as_slice(),
            Data::Table(_) => std::slice::from_ref(node),
            _ => {
                let message = "`expect` is `none`, or a list of the alerts that are expected".to_owned();
                self.say(node.span, message);
                return Vec::new();
            }
        };
        let mut expected = Vec::new();
        for item in items {
            match item.as_table() {
                Some(table) => expected.push(self.expectation(table, item.span)),
                None => {
                    let message = format!("an expected alert is a table, but this is {}", item.kind());
                    self.say(item.span, message);
                }
            }
        }
        expected
    }

    fn expectation(&mut self, table: &Table, place: Span) -> Expected {
        self.check(table, place, "expect", CASE_EXPECT);
        let number = |key: &str| table.integer(key).and_then(|number| u64::try_from(number).ok());
        let count = match (number("count"), number("at_least")) {
            (None, None) => Count::Exactly(1),
            (Some(number), None) => Count::Exactly(number),
            (None, Some(number)) => Count::AtLeast(number),
            (Some(_), Some(_)) => {
                self.say(place, "`count` and `at_least` exclude each other".into());
                Count::Exactly(1)
            }
        };
        let fields = table.table("fields").map_or(&[][..], |fields| &fields.entries);
        let values = |node: &Node| -> Vec<String> {
            let items = match &node.data {
                Data::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            items
                .iter()
                .filter_map(|item| written(item, self.text).map(str::to_owned))
                .collect()
        };
        let fields = fields
            .iter()
            .map(|entry| (entry.key.clone(), values(&entry.value)))
            .collect();
        Expected {
            rule: table.text("rule").map(str::to_owned),
            count,
            fields,
            line: self.line(place),
        }
    }

    /// A node as JSON. The reader of YAML bounds its depth.
    fn value(&self, node: &Node) -> Value {
        match &node.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Number(value) => Value::from(*value),
            Data::Text(text) => Value::String(text.clone()),
            Data::Date => Value::String(written(node, self.text).unwrap_or("").to_owned()),
            Data::List(items) => Value::Array(items.iter().map(|item| self.value(item)).collect()),
            Data::Table(table) => {
                let entries = table
                    .entries
                    .iter()
                    .map(|entry| (entry.key.clone(), self.value(&entry.value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}
