//! What the documents of process sensors (Falco, Tetragon) have in common.
//!
//! They belong to no data stream of Elastic's, so they name none: rules for Linux hosts and for containers may all look at
//! them, whatever index patterns they have.

use crate::tree::{Map, Value};

/// Names no data stream; the normaliser would name one after the dataset.
pub(super) fn no_data_stream<'a>(document: &'a Map<'a>) {
    document.put("data_stream", Value::Null);
}

/// Sets `process.name`, `executable`, `args`, `args_count` and `command_line` under a prefix such as `process.parent`.
pub(super) fn command<'a>(process: &'a Map<'a>, executable: &'a str, arguments: &[&'a str]) {
    let name = executable.rsplit('/').next().unwrap_or(executable);
    if !executable.is_empty() {
        process.set("executable", Value::Text(executable));
        process.set("name", Value::Text(name));
    }
    let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
    if count > 0 {
        process.put_texts("args", arguments);
        process.set("args_count", Value::Int(count));
        process.set("command_line", Value::Text(process.text(&arguments.join(" "))));
    }
}

/// The arguments of a command line that was joined by blanks; one that holds blanks stands in quotes, where the sensor
/// puts it there.
pub(super) fn arguments(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && out.len() < MAX_ARGUMENTS {
        let (word, tail) = match rest.strip_prefix('"').and_then(|quoted| {
            let end = crate::logfmt::closing_quote(quoted)?;
            let tail = quoted.get(end + 1..)?;
            (tail.is_empty() || tail.starts_with(' ')).then_some((quoted.get(..end)?, tail))
        }) {
            Some(quoted) => quoted,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        out.push(word);
        rest = tail.trim_start();
    }
    out
}

/// More arguments than this are cut.
const MAX_ARGUMENTS: usize = 1 << 16;

/// Sets `file.path`, `name`, `directory` and `extension`.
pub(super) fn file<'a>(document: &'a Map<'a>, path: &'a str) {
    let Some(file) = document.child("file") else {
        return;
    };
    file.set("path", Value::Text(path));
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if !name.is_empty() {
        file.set("name", Value::Text(name));
    }
    if !directory.is_empty() {
        file.set("directory", Value::Text(directory));
    }
    if let Some((stem, extension)) = name.rsplit_once('.')
        && !stem.is_empty()
        && !extension.is_empty()
    {
        file.set("extension", Value::Text(extension));
    }
}

#[cfg(test)]
mod tests;
