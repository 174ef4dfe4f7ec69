//! Names of fields with wildcards: which fields of the schema they stand for.

use neph_event::Schema;
use neph_plan::pattern::Matcher;
use neph_plan::{Case, Pattern, PatternPart};

/// A name stands for at most so many fields: each is looked at in every event.
pub(crate) const MOST: usize = 1000;

/// A `*` between two dots is tried as each of these positions; integrations write lists as objects with such keys.
const POSITIONS: std::ops::Range<u8> = 0..10;

/// Names with more such `*` are not tried.
const MOST_POSITIONS: usize = 2;

/// The names of the fields that a pattern stands for, in ascending order: those of the schema that fit, and under an
/// object of arbitrary keys those with a position, or with nothing (a list's objects have no names), for each `*` that is
/// a whole part of the name.
pub(crate) fn expand(pattern: &Pattern, schema: &Schema) -> Vec<String> {
    let matcher = Matcher::new(pattern, Case::Sensitive);
    let mut names: Vec<String> = schema
        .fields()
        .filter(|def| def.is_supported() && matcher.is_match(&def.name))
        .map(|def| def.name.to_string())
        .collect();
    let keyed = positions(pattern)
        .into_iter()
        .filter(|name| schema.get(name).is_some_and(|def| def.is_supported()));
    names.extend(keyed);
    names.sort_unstable();
    names.dedup();
    names
}

fn positions(pattern: &Pattern) -> Vec<String> {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(literal) => text.push_str(literal),
            // No name of a field holds a control character.
            PatternPart::Any => text.push('\u{1}'),
            PatternPart::One => return Vec::new(),
        }
    }
    let segments: Vec<&str> = text.split('.').collect();
    let wild = segments.iter().filter(|segment| **segment == "\u{1}").count();
    let elsewhere = segments
        .iter()
        .any(|segment| segment.len() > 1 && segment.contains('\u{1}'));
    let inside = !text.starts_with('\u{1}') && !text.ends_with('\u{1}');
    if wild == 0 || wild > MOST_POSITIONS || elsewhere || !inside {
        return Vec::new();
    }
    let mut names = vec![String::new()];
    for segment in segments {
        let choices: Vec<String> = match segment {
            "\u{1}" => POSITIONS
                .map(|position| format!(".{position}"))
                .chain([String::new()])
                .collect(),
            plain => vec![format!(".{plain}")],
        };
        names = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{choice}")))
            .collect();
    }
    names
        .iter()
        .map(|name| name.trim_start_matches('.').to_owned())
        .collect()
}
