//! Terraform: blocks as JSON, expressions that are not settled as their text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body};
use serde_json::{Map, Value, json};

use super::super::{Collected, Scope};

/// Larger files are refused.
const LARGEST: usize = 1 << 20;
/// Brackets nested deeper, and longer runs of one operator, are refused before the parser sees them.
const DEEPEST: usize = 64;
/// More conditional expressions than these are refused: the parser goes into each.
const CONDITIONALS: usize = 5_000;
/// The parser calls itself for what is nested; what the limits above let through fits many times.
const STACK: usize = 256 << 20;

/// The key under which an expression stands that is not settled.
const EXPRESSION: &str = "$expr";

/// Takes the blocks of a file over: `tf:aws_instance`, `tf-data:aws_ami`.
pub(super) fn take(into: &mut Collected, shown: &str, scope: &Scope, text: &str) -> bool {
    if let Err(reason) = is_harmless(text) {
        into.problem(shown, reason);
        return true;
    }
    let owned = text.to_owned();
    let parse = move || -> Result<Vec<(String, Value, u32)>, String> {
        let body: Body = owned.parse().map_err(|error: hcl_edit::parser::Error| {
            format!(
                "is not HCL: line {}: {}",
                error.location().line(),
                error.message().replace('\n', ", ")
            )
        })?;
        let reader = Reader { text: &owned };
        Ok(body.blocks().filter_map(|block| reader.outer(block)).collect())
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(parse);
    let found = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(found))) => found,
        Ok(Ok(Err(reason))) => {
            into.problem(shown, reason);
            return true;
        }
        Ok(Err(_)) | Err(_) => {
            into.problem(shown, "cannot be read as HCL");
            return true;
        }
    };
    into.take_values(shown, scope, "code:terraform", std::iter::empty());
    let text: Arc<str> = text.into();
    for (kind, value, line) in found {
        into.take_values(
            shown,
            scope,
            &kind,
            std::iter::once((value, Arc::clone(&text), line)),
        );
    }
    true
}

fn is_harmless(text: &str) -> Result<(), String> {
    if text.len() > LARGEST {
        return Err(format!("is larger than {} MiB", LARGEST >> 20));
    }
    let (mut depth, mut run, mut conditionals) = (0_usize, 0_usize, 0_usize);
    let mut before = 0_u8;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') || trimmed.starts_with("//") {
            continue;
        }
        for byte in trimmed.bytes() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b'?' => conditionals += 1,
                _ => {}
            }
            run = match byte {
                b'!' | b'-' if byte == before => run + 1,
                b' ' if run > 0 => run,
                _ => 0,
            };
            before = byte;
            if depth > DEEPEST || run > DEEPEST || conditionals > CONDITIONALS {
                return Err("is nested too deep".to_owned());
            }
        }
    }
    Ok(())
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn line(&self, block: &impl hcl_edit::Span) -> u32 {
        let start = block.span().map_or(0, |span| span.start);
        let before = self.text.get(..start).unwrap_or("");
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }

    fn outer(&self, block: &Block) -> Option<(String, Value, u32)> {
        let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
        let (kind, name) = match (block.ident.as_str(), labels.as_slice()) {
            ("resource", [kind, name]) => (format!("tf:{kind}"), format!("{kind}.{name}")),
            ("data", [kind, name]) => (format!("tf-data:{kind}"), format!("data.{kind}.{name}")),
            ("variable", [name]) => ("tf-variable".to_owned(), (*name).to_owned()),
            ("locals", []) => ("tf-locals".to_owned(), "locals".to_owned()),
            _ => return None,
        };
        let mut value = self.body(&block.body, 0);
        value.insert("$name".to_owned(), Value::String(name));
        Some((kind, Value::Object(value), self.line(block)))
    }

    fn body(&self, body: &Body, depth: usize) -> Map<String, Value> {
        let mut out = Map::new();
        if depth > DEEPEST {
            return out;
        }
        for attribute in body.attributes() {
            let value = self.expression(&attribute.value, depth + 1);
            out.insert(attribute.key.as_str().to_owned(), value);
        }
        for block in body.blocks() {
            let (name, inner) = match (block.ident.as_str(), block.labels.first()) {
                // What it makes has the content of this block, once for each element.
                ("dynamic", Some(label)) => {
                    let content = block.body.get_blocks("content").next();
                    let inner = content.map_or_else(Map::new, |content| self.body(&content.body, depth + 1));
                    (label.as_str().to_owned(), inner)
                }
                (name, _) => (name.to_owned(), self.body(&block.body, depth + 1)),
            };
            let mut inner = inner;
            inner.insert("$line".to_owned(), json!(self.line(block)));
            // An attribute of the same name is an error of Terraform's.
            if let Value::Array(list) = out.entry(name).or_insert_with(|| json!([])) {
                list.push(Value::Object(inner));
            }
        }
        out
    }

    fn expression(&self, expression: &Expression, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(truth) => Value::Bool(**truth),
            Expression::String(text) => Value::String(text.to_string()),
            Expression::Number(number) => match number.value().as_i64() {
                Some(whole) => json!(whole),
                None => json!(number.value().as_f64()),
            },
            Expression::Parenthesis(inner) => self.expression(inner.inner(), depth + 1),
            Expression::Array(array) => array
                .iter()
                .map(|item| self.expression(item, depth + 1))
                .collect(),
            Expression::Object(object) => {
                let entries = object.iter().map(|(key, value)| {
                    let key = match key {
                        ObjectKey::Ident(name) => name.as_str().to_owned(),
                        ObjectKey::Expression(Expression::String(text)) => text.to_string(),
                        ObjectKey::Expression(other) => self.source(other).trim().to_owned(),
                    };
                    (key, self.expression(value.expr(), depth + 1))
                });
                Value::Object(entries.collect())
            }
            Expression::FuncCall(call) if call.name.name.as_str() == "jsonencode" => {
                match call.args.iter().next() {
                    Some(inner) => self.expression(inner, depth + 1),
                    None => Value::Null,
                }
            }
            Expression::HeredocTemplate(heredoc) => {
                let written = heredoc.template.to_string();
                match written.contains("${") || written.contains("%{") {
                    true => json!({ EXPRESSION: written }),
                    false => Value::String(written),
                }
            }
            other => json!({ EXPRESSION: self.source(other).trim() }),
        }
    }

    fn source(&self, expression: &Expression) -> &str {
        let span = expression.span().unwrap_or(0..0);
        self.text.get(span).unwrap_or("")
    }
}

/// Puts defaults of variables and local values in the place of what refers to them. Files of one folder are one module.
pub(in crate::audit::collected) fn resolve(collected: &mut Collected) {
    let folder = |file: &str| {
        Path::new(file)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default()
    };
    let mut known: BTreeMap<(std::path::PathBuf, String), Value> = BTreeMap::new();
    for item in collected.items("tf-variable") {
        let name = item.value.get("$name").and_then(Value::as_str).unwrap_or("");
        if let Some(default) = item.value.get("default").filter(|value| !value.is_null()) {
            known.insert((folder(&item.file), format!("var.{name}")), default.clone());
        }
    }
    for item in collected.items("tf-locals") {
        for (name, value) in item.value.as_object().into_iter().flatten() {
            if !name.starts_with('$') && settled(value) {
                known.insert((folder(&item.file), format!("local.{name}")), value.clone());
            }
        }
    }
    if known.is_empty() {
        return;
    }
    let resources = collected
        .items
        .iter_mut()
        .filter(|(kind, _)| kind.starts_with("tf:") || kind.starts_with("tf-data:"));
    for item in resources.flat_map(|(_, items)| items) {
        let place = folder(&item.file);
        replace(
            &mut item.value,
            &|name| known.get(&(place.clone(), name.to_owned())).cloned(),
            0,
        );
    }
}

fn settled(value: &Value) -> bool {
    value.get(EXPRESSION).is_none()
}

fn replace(value: &mut Value, known: &impl Fn(&str) -> Option<Value>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    if let Some(written) = value.get(EXPRESSION).and_then(Value::as_str) {
        let bare = written
            .strip_prefix("\"${")
            .and_then(|rest| rest.strip_suffix("}\""));
        if let Some(found) = known(bare.unwrap_or(written).trim()) {
            *value = found;
        }
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, known, depth + 1)),
        Value::Object(entries) => entries
            .values_mut()
            .for_each(|entry| replace(entry, known, depth + 1)),
        _ => {}
    }
}
