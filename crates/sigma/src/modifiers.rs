//! The modifiers behind a field's name.
//! <https://sigmahq.io/sigma-specification/specification/sigma-appendix-modifiers.html>

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_plan::{Relation, TimePart};

use crate::ast::{Affix, Comparison, Modifiers, Transform};
use crate::codes;

/// Names less alike than this are not suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// What a modifier does.
#[derive(Clone, Copy, Debug)]
enum Effect {
    Compare(Comparison),
    Affix(Affix),
    Transform(Transform),
    TimePart(TimePart),
    All,
    Cased,
    Negated,
    IgnoreCase,
    MultiLine,
    DotAll,
    FieldReference,
}

const REGEX: Comparison = Comparison::Regex {
    ignore_case: false,
    multi_line: false,
    dot_all: false,
};

const MODIFIERS: &[(&str, Effect)] = &[
    ("all", Effect::All),
    ("base64", Effect::Transform(Transform::Base64)),
    ("base64offset", Effect::Transform(Transform::Base64Offset)),
    ("cased", Effect::Cased),
    ("cidr", Effect::Compare(Comparison::Cidr)),
    ("contains", Effect::Affix(Affix::Inside)),
    ("day", Effect::TimePart(TimePart::Day)),
    ("dotall", Effect::DotAll),
    ("endswith", Effect::Affix(Affix::End)),
    ("exists", Effect::Compare(Comparison::Exists)),
    ("expand", Effect::Transform(Transform::Expand)),
    ("fieldref", Effect::FieldReference),
    ("gt", Effect::Compare(Comparison::Number(Relation::Greater))),
    (
        "gte",
        Effect::Compare(Comparison::Number(Relation::GreaterOrEqual)),
    ),
    ("hour", Effect::TimePart(TimePart::Hour)),
    ("i", Effect::IgnoreCase),
    ("ignorecase", Effect::IgnoreCase),
    ("lt", Effect::Compare(Comparison::Number(Relation::Less))),
    ("lte", Effect::Compare(Comparison::Number(Relation::LessOrEqual))),
    ("m", Effect::MultiLine),
    ("minute", Effect::TimePart(TimePart::Minute)),
    ("month", Effect::TimePart(TimePart::Month)),
    ("multiline", Effect::MultiLine),
    ("neq", Effect::Negated),
    ("re", Effect::Compare(REGEX)),
    ("s", Effect::DotAll),
    ("startswith", Effect::Affix(Affix::Start)),
    ("utf16", Effect::Transform(Transform::Utf16)),
    ("utf16be", Effect::Transform(Transform::Utf16Be)),
    ("utf16le", Effect::Transform(Transform::Utf16Le)),
    ("week", Effect::TimePart(TimePart::Week)),
    ("wide", Effect::Transform(Transform::Utf16Le)),
    ("windash", Effect::Transform(Transform::WinDash)),
    ("year", Effect::TimePart(TimePart::Year)),
];

/// Reads the modifiers of a key; `text` is what stands behind the first `|`, at `span` where the key stands in the file
/// as it is.
pub(crate) fn read(text: &str, span: Span, diagnostics: &mut Vec<Diagnostic>) -> Modifiers {
    let mut modifiers = Modifiers::default();
    let mut affix = None;
    let mut comparison: Option<&str> = None;
    let mut reference = false;
    let mut at = span.start as usize;
    for name in text.split('|') {
        let place = Span::new(at, at + name.len());
        at += name.len() + 1;
        let Some((_, effect)) = MODIFIERS.iter().find(|(known, _)| *known == name) else {
            diagnostics.push(unknown(name, place));
            continue;
        };
        let mut conflict = |message: String| {
            diagnostics.push(Diagnostic::new(&codes::MODIFIER_CONFLICT, place, message));
        };
        match *effect {
            Effect::All => modifiers.all = true,
            Effect::Cased => modifiers.cased = true,
            Effect::Negated => modifiers.negated = true,
            Effect::Transform(transform) => modifiers.transforms.push(transform),
            Effect::TimePart(part) => match modifiers.time_part {
                Some(_) => conflict(format!("`{name}` follows another part of a time")),
                None => modifiers.time_part = Some(part),
            },
            Effect::FieldReference => reference = true,
            Effect::Affix(this) => match affix {
                Some((earlier, _)) => conflict(format!("`{name}` does not go together with `{earlier}`")),
                None => affix = Some((name, this)),
            },
            Effect::Compare(this) => match comparison {
                Some(earlier) => conflict(format!("`{name}` does not go together with `{earlier}`")),
                None => {
                    comparison = Some(name);
                    modifiers.comparison = this;
                }
            },
            Effect::IgnoreCase | Effect::MultiLine | Effect::DotAll => match &mut modifiers.comparison {
                Comparison::Regex {
                    ignore_case,
                    multi_line,
                    dot_all,
                } => match effect {
                    Effect::IgnoreCase => *ignore_case = true,
                    Effect::MultiLine => *multi_line = true,
                    _ => *dot_all = true,
                },
                _ => conflict(format!("`{name}` is a flag of `re` and stands behind it")),
            },
        }
    }
    let mut conflict = |message: String| {
        diagnostics.push(Diagnostic::new(&codes::MODIFIER_CONFLICT, span, message));
    };
    if let Some(name) = comparison {
        // A regular expression is searched for anywhere, so that `contains` before it changes nothing.
        let harmless = name == "re" && affix.is_some_and(|(_, affix)| affix == Affix::Inside);
        if let Some((affix, _)) = affix.filter(|_| !harmless) {
            conflict(format!("`{affix}` does not go together with `{name}`"));
        }
        if reference {
            conflict(format!("`fieldref` does not go together with `{name}`"));
        }
        if modifiers
            .transforms
            .iter()
            .any(|transform| *transform != Transform::Expand)
        {
            conflict(format!(
                "encodings and `windash` change texts; they do not go together with `{name}`"
            ));
        }
        if modifiers.time_part.is_some() && !matches!(modifiers.comparison, Comparison::Number(_)) {
            conflict(format!(
                "a part of a time is a number; it does not go together with `{name}`"
            ));
        }
    } else if reference {
        modifiers.comparison = Comparison::FieldReference(affix.map_or(Affix::Whole, |(_, affix)| affix));
    } else if let Some((name, affix)) = affix {
        if modifiers.time_part.is_some() {
            conflict(format!(
                "a part of a time is a number; it does not go together with `{name}`"
            ));
        }
        modifiers.comparison = match affix {
            Affix::Whole => Comparison::Equals,
            Affix::Start => Comparison::StartsWith,
            Affix::End => Comparison::EndsWith,
            Affix::Inside => Comparison::Contains,
        };
    }
    modifiers
}

fn unknown(name: &str, place: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        &codes::MODIFIER_UNKNOWN,
        place,
        format!("there is no modifier `{name}`"),
    );
    let lower = name.trim().to_lowercase();
    if let Some((known, _)) = MODIFIERS.iter().find(|(known, _)| *known == lower) {
        let edits = vec![Edit {
            span: place,
            replacement: (*known).to_owned(),
        }];
        return diagnostic
            .with_help(format!("modifiers are lower case: `{known}`"))
            .with_fix(format!("write `{known}`"), edits, Applicability::Sure);
    }
    match closest(&lower, MODIFIERS.iter().map(|(known, _)| *known)) {
        Some(known) => diagnostic.with_help(format!("did you mean `{known}`?")),
        None => diagnostic,
    }
}

/// The name that is most alike, if any is.
pub(crate) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(score, _)| *score > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
