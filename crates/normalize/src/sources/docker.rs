//! Docker Engine: its event stream, the log of its daemon, and what its authorization plugins see.
//!
//! The three complement one another: events name what changed, with the command of each exec, but no reads and nobody
//! who did it; the daemon's log at level debug names every call of the API, reads too; an authorization plugin sees who
//! called. Podman speaks the same API, so [`api`] serves it as well.

pub(super) mod api;
pub(super) mod authz;
pub(super) mod cri;
pub(super) mod daemon;
pub(super) mod events;
pub(crate) mod registry;

use crate::tree::{Map, Value};

/// Sets `container.image.*` from a reference such as `registry:5000/shop/web:1.0@sha256:…`.
pub(super) fn image<'a>(document: &'a Map<'a>, reference: &'a str) {
    if reference.is_empty() {
        return;
    }
    document.put_text("container.image.name", reference);
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    if let Some(digest) = digest {
        document.put_texts("container.image.hash.all", &[digest]);
    }
    // A colon before the last slash belongs to the port of the registry.
    if let Some((name, tag)) = name.rsplit_once(':')
        && !tag.contains('/')
        && !name.is_empty()
        && name != "sha256"
    {
        document.put_texts("container.image.tag", &[tag]);
    }
}

/// Sets `container.id` from what is an id, in full or short, and `container.name` from what is none.
pub(super) fn container<'a>(document: &'a Map<'a>, text: &'a str) {
    let id = text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !text.is_empty() {
        document.put_new(
            if id { "container.id" } else { "container.name" },
            Value::Text(text),
        );
    }
}

/// Sets `process.*` from the arguments of a command.
pub(super) fn command<'a>(document: &'a Map<'a>, arguments: &[Value<'a>]) {
    let words: Vec<&'a str> = arguments
        .iter()
        .filter_map(|argument| argument.as_text())
        .collect();
    let Some(first) = words.first().copied().filter(|first| !first.is_empty()) else {
        return;
    };
    document.put("process.args", document.list(arguments));
    let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
    document.put("process.args_count", Value::Int(count));
    document.put_text("process.command_line", document.text(&words.join(" ")));
    program(document, first);
}

/// Sets what the first word of a command says: a name or, where it is a path, the executable; and the system that the
/// container is of, which no record says, but what is run there does.
pub(super) fn program<'a>(document: &'a Map<'a>, first: &'a str) {
    let lower = first.to_ascii_lowercase();
    let windows =
        first.contains('\\') || lower.ends_with(".exe") || matches!(lower.as_str(), "cmd" | "powershell");
    document.put_new(
        "host.os.type",
        Value::Text(if windows { "windows" } else { "linux" }),
    );
    document.put_text("process.name", first.rsplit('/').next().unwrap_or(first));
    if first.starts_with('/') {
        document.put_text("process.executable", first);
    }
}

/// The labels of a container under `container.labels`, with dots in their names replaced, as agents do.
pub(super) fn labels<'a>(document: &'a Map<'a>, labels: impl Iterator<Item = (&'a str, Value<'a>)>) {
    let out = document.new_map();
    for (name, value) in labels {
        let name = if name.contains('.') {
            document.text(&name.replace('.', "_"))
        } else {
            name
        };
        out.add(name, value);
    }
    if !out.is_empty() {
        document.put("container.labels", Value::Map(out));
    }
}

#[cfg(test)]
mod tests;
