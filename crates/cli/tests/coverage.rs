//! `neph coverage`, and the layer that it makes for ATT&CK Navigator.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn coverage(format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["coverage", "--format", format])
        .output()
        .expect("the binary starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a value of a layer must be.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Number,
    Flag,
    Texts,
    /// An object with these keys only; whether each must be there.
    Object(&'static [(&'static str, Shape, bool)]),
    Objects(&'static [(&'static str, Shape, bool)]),
}

use Shape::{Flag, Number, Object, Objects, Text, Texts};

const NAMED: &[(&str, Shape, bool)] = &[("name", Text, true), ("value", Text, true)];
const LINK: &[(&str, Shape, bool)] = &[("label", Text, true), ("url", Text, true)];

/// The keys of a layer of format 4.5, as its description has them:
/// <https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md>
const LAYER: &[(&str, Shape, bool)] = &[
    (
        "versions",
        Object(&[
            ("attack", Text, false),
            ("navigator", Text, true),
            ("layer", Text, true),
        ]),
        true,
    ),
    ("name", Text, true),
    ("description", Text, false),
    ("domain", Text, true),
    ("customDataURL", Text, false),
    ("filters", Object(&[("platforms", Texts, false)]), false),
    ("sorting", Number, false),
    (
        "layout",
        Object(&[
            ("layout", Text, false),
            ("showID", Flag, false),
            ("showName", Flag, false),
            ("showAggregateScores", Flag, false),
            ("countUnscored", Flag, false),
            ("aggregateFunction", Text, false),
            ("expandedSubtechniques", Text, false),
        ]),
        false,
    ),
    ("hideDisabled", Flag, false),
    (
        "techniques",
        Objects(&[
            ("techniqueID", Text, true),
            ("tactic", Text, false),
            ("comment", Text, false),
            ("enabled", Flag, false),
            ("score", Number, false),
            ("color", Text, false),
            ("metadata", Objects(NAMED), false),
            ("links", Objects(LINK), false),
            ("showSubtechniques", Flag, false),
        ]),
        false,
    ),
    (
        "gradient",
        Object(&[
            ("colors", Texts, true),
            ("minValue", Number, true),
            ("maxValue", Number, true),
        ]),
        false,
    ),
    (
        "legendItems",
        Objects(&[("label", Text, true), ("color", Text, true)]),
        false,
    ),
    ("showTacticRowBackground", Flag, false),
    ("tacticRowBackground", Text, false),
    ("selectTechniquesAcrossTactics", Flag, false),
    ("selectSubtechniquesWithParent", Flag, false),
    ("selectVisibleTechniques", Flag, false),
    ("metadata", Objects(NAMED), false),
    ("links", Objects(LINK), false),
];

fn check(value: &Value, shape: Shape, path: &str, faults: &mut Vec<String>) {
    let fits = match shape {
        Text => value.is_string(),
        Number => value.is_number(),
        Flag => value.is_boolean(),
        Texts => value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_string)),
        Objects(keys) => value.as_array().is_some_and(|items| {
            for (number, item) in items.iter().enumerate() {
                check(item, Object(keys), &format!("{path}[{number}]"), faults);
            }
            true
        }),
        Object(keys) => value.as_object().is_some_and(|object| {
            for (key, _, must) in keys {
                if *must && !object.contains_key(*key) {
                    faults.push(format!("{path}.{key} is missing"));
                }
            }
            for (key, inner) in object {
                match keys.iter().find(|(known, ..)| known == key) {
                    Some((_, shape, _)) => check(inner, *shape, &format!("{path}.{key}"), faults),
                    None => faults.push(format!("{path}.{key} is no key of the format")),
                }
            }
            true
        }),
    };
    if !fits {
        faults.push(format!("{path} is {value}"));
    }
}

#[test]
fn the_layer_is_one_of_format_4_5() {
    let layer: Value = serde_json::from_str(&coverage("navigator")).expect("JSON");
    let mut faults = Vec::new();
    check(&layer, Object(LAYER), "layer", &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(layer["versions"]["layer"], "4.5");
    assert_eq!(layer["domain"], "enterprise-attack");
    let techniques = layer["techniques"].as_array().expect("techniques");
    let mut seen = BTreeSet::new();
    for technique in techniques {
        let key = (
            technique["techniqueID"].to_string(),
            technique["tactic"].to_string(),
        );
        assert!(seen.insert(key.clone()), "{key:?} stands there twice");
    }
    let score = |id: &str| {
        let found = techniques.iter().find(|technique| technique["techniqueID"] == id);
        found.unwrap_or_else(|| panic!("{id} is missing"))["score"]
            .as_u64()
            .expect("a number")
    };
    for id in ["T1552.005", "T1578.001", "T1525", "T1613", "T1580"] {
        assert!(score(id) > 0 || id == "T1525", "{id}");
    }
    // The checker is no rubber stamp.
    let mut broken = layer.clone();
    broken["sorting"] = "3".into();
    broken["colour"] = "red".into();
    broken["techniques"][0]
        .as_object_mut()
        .expect("an object")
        .remove("techniqueID");
    let mut faults = Vec::new();
    check(&broken, Object(LAYER), "layer", &mut faults);
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn all_forms_tell_the_same_techniques() {
    let json: Value = serde_json::from_str(&coverage("json")).expect("JSON");
    let rows = json["techniques"].as_array().expect("rows");
    let markdown = coverage("markdown");
    let table = coverage("table");
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        assert!(markdown.contains(&format!("| {id} ")), "{id}");
        assert!(table.contains(id), "{id}");
        let without = row["rules"].as_array().expect("rules").is_empty();
        assert_eq!(row["gap"] == "no-rule", without, "{id}");
    }
}
