//! The commented example: every key with what it does and its default.

use crate::shape::{Key, Kind, Shape};
use crate::shapes::FILE;

/// Lines of comments are at most this wide.
const WIDTH: usize = 110;

/// The text of an example in which every key stands. What stands behind `#` alone is optional, with its default or an example.
pub fn example() -> String {
    let mut out = String::new();
    comment(&mut out, FILE.about);
    for key in FILE.keys.iter().filter(|key| !is_table(key)) {
        out.push('\n');
        comment(&mut out, key.about);
        assignment(&mut out, key, true);
    }
    for key in FILE.keys {
        match key.kind {
            Kind::Table(shape) => table(&mut out, key.name, shape, true),
            Kind::Tables(shape) => match &shape.variants {
                None => tables(&mut out, key, shape, &[]),
                Some(variants) => {
                    for (name, more) in variants.of {
                        tables(&mut out, key, shape, &[(variants.key, name, more)]);
                    }
                }
            },
            _ => {}
        }
    }
    out
}

fn is_table(key: &Key) -> bool {
    matches!(key.kind, Kind::Table(_) | Kind::Tables(_))
}

/// A table; `open` where its head stands, so that its defaults may be written out, and not behind `#`.
fn table(out: &mut String, name: &str, shape: &Shape, open: bool) {
    out.push('\n');
    comment(out, shape.about);
    out.push_str(&format!("{}[{name}]\n", mark(open)));
    for key in shape.keys.iter().filter(|key| !is_table(key)) {
        comment(out, key.about);
        assignment(out, key, open);
    }
    // A table's own keys stand before the tables in it.
    for key in shape.keys {
        if let Kind::Table(inner) = key.kind {
            table(out, &format!("{name}.{}", key.name), inner, false);
        }
    }
}

/// A table of a list, behind `#`; the second part names the variant, and its keys.
fn tables(out: &mut String, key: &Key, shape: &Shape, variant: &[(&str, &&str, &&Shape)]) {
    out.push('\n');
    comment(
        out,
        variant.first().map_or(shape.about, |(_, _, more)| more.about),
    );
    out.push_str(&format!("# [[{}]]\n", key.name));
    for inner in shape.keys {
        match variant.iter().find(|(name, ..)| *name == inner.name) {
            Some((name, value, _)) => out.push_str(&format!("# {name} = \"{value}\"\n")),
            None => entry(out, inner),
        }
    }
    for inner in variant.iter().flat_map(|(_, _, more)| more.keys) {
        entry(out, inner);
    }
}

fn entry(out: &mut String, key: &Key) {
    if let Kind::Table(inner) = key.kind {
        let keys: Vec<String> = inner
            .keys
            .iter()
            .filter(|key| key.required)
            .map(|key| format!("{} = {}", key.name, value(key)))
            .collect();
        out.push_str(&format!(
            "# {} = {{ {} }}  # {}\n",
            key.name,
            keys.join(", "),
            key.about
        ));
        return;
    }
    out.push_str(&format!("# {} = {}  # {}\n", key.name, value(key), key.about));
}

fn assignment(out: &mut String, key: &Key, written: bool) {
    out.push_str(&format!(
        "{}{} = {}\n",
        mark(written && key.default.is_some()),
        key.name,
        value(key)
    ));
}

fn mark(written: bool) -> &'static str {
    match written {
        true => "",
        false => "# ",
    }
}

fn value(key: &Key) -> &str {
    let of_kind = match key.kind {
        Kind::Secret => "{ file = \"/etc/neph/secret\" }",
        Kind::Texts => "{}",
        _ => "\"…\"",
    };
    key.example.or(key.default).unwrap_or(of_kind)
}

fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
