//! Files of typed lists: their forms, their ends, and what is wrong with them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_event::parse_date;
use neph_rules::{List, ListKind, LoadOptions, RuleSet, load_with};
use tempfile::TempDir;

/// Loads these files as lists at noon of 2026-11-22.
fn load(files: &[(&str, &str)]) -> (RuleSet, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the file can be written");
    }
    let options = LoadOptions {
        lists: vec![folder.path().to_owned()],
        now: parse_date("2026-11-22T12:00:00Z", &[]),
        ..LoadOptions::default()
    };
    (load_with::<&Path>(&[], &options), folder)
}

fn list<'s>(set: &'s RuleSet, name: &str) -> &'s List {
    let names: Vec<&str> = set.lists.iter().map(|list| list.name.as_str()).collect();
    set.lists
        .get(name)
        .unwrap_or_else(|| panic!("`{name}` is not among {names:?}"))
}

fn entries(list: &List) -> Vec<&str> {
    list.entries.iter().map(|entry| &**entry).collect()
}

/// Each diagnostic with the text that it stands at.
fn said(set: &RuleSet) -> Vec<String> {
    let of = set.report.beside.iter();
    of.flat_map(|file| {
        file.diagnostics
            .iter()
            .map(|found| format!("{} @ {}", found.message, found.span.text(&file.text)))
    })
    .collect()
}

#[test]
fn all_forms_say_the_same() {
    let (set, _folder) = load(&[
        (
            "a.yaml",
            "name: from_yaml\ntype: cidr\nowner: net\ndescription: the office\nexpires: 2027-01-31\nentries:\n  - 10.0.0.0/8\n  - value: 192.0.2.7\n    comment: door\n  - 10.0.0.0/8\n",
        ),
        (
            "b.txt",
            "# name: from_text\n# type: cidr\n#   owner: net\n# description: the office\n# expires: 2027-01-31\n# a remark: with a colon\n\n10.0.0.0/8\n  192.0.2.7\n# another\n",
        ),
        (
            "c.csv",
            "# type: cidr\n# owner: net\n# description: the office\n# expires: 2027-01-31\nvalue,comment\n10.0.0.0/8,\"all, inside\"\n192.0.2.7,door\n",
        ),
    ]);
    assert_eq!(said(&set), [] as [&str; 0]);
    for name in ["from_yaml", "from_text", "c"] {
        let list = list(&set, name);
        assert_eq!(list.kind, ListKind::Cidr, "{name}");
        assert_eq!(list.owner.as_deref(), Some("net"), "{name}");
        assert_eq!(list.description.as_deref(), Some("the office"), "{name}");
        assert_eq!(entries(list), ["10.0.0.0/8", "192.0.2.7"], "{name}");
    }
    let counts = set.report.counts();
    assert_eq!((counts.files, counts.files_beside), (3, 3));
}

#[test]
fn numbers_and_truths_are_texts_as_written() {
    let (set, _folder) = load(&[
        ("bare.yml", "- 4625\n- true\n- 1.50\n- '007'\n"),
        ("one.csv", "alice\nbob\n"),
        ("plain", "x y\n"),
    ]);
    assert_eq!(said(&set), [] as [&str; 0]);
    assert_eq!(entries(list(&set, "bare")), ["4625", "true", "1.50", "007"]);
    assert_eq!(entries(list(&set, "one")), ["alice", "bob"]);
    assert_eq!(entries(list(&set, "plain")), ["x y"]);
}

#[test]
fn what_is_over_does_not_count() {
    let (set, _folder) = load(&[
        ("gone.txt", "# expires: 2026-11-21\nalice\n"),
        // The day itself still counts.
        ("today.txt", "# expires: 2026-11-22\nalice\n"),
        (
            "parts.yml",
            "entries:\n  - value: alice\n    expires: 2026-01-01\n  - value: bob\n    expires: 2026-11-22T12:00:01Z\n  - carol\n",
        ),
        ("table.csv", "value,expires\nalice,2026-01-01\nbob,\n"),
    ]);
    assert!(entries(list(&set, "gone")).is_empty() && list(&set, "gone").is_expired);
    assert_eq!(entries(list(&set, "today")), ["alice"]);
    assert_eq!(entries(list(&set, "parts")), ["bob", "carol"]);
    assert_eq!(entries(list(&set, "table")), ["bob"]);
    assert_eq!(list(&set, "table").expired_entries, 1);
    let said = said(&set);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        said.first()
            .is_some_and(|first| first.starts_with("the list `gone` expired at 2026-11-21T23:59:59"))
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let (set, _folder) = load(&[
        ("a.txt", "# type: cidr\n10.0.0.0/8\nbuild-server\n10.0.0.0/33\n"),
        (
            "b.yml",
            "type: regex\nexpires: soon\nentrys: [x]\nentries: ['a(', b, {comment: c}, [d]]\n",
        ),
        ("c.yml", "name: a\ntype: glob\nentries: []\n"),
        ("d.csv", "name,address\nx,y\n"),
        ("e.yml", "a: [1\n"),
    ]);
    assert_eq!(entries(list(&set, "a")), ["10.0.0.0/8"]);
    assert_eq!(entries(list(&set, "b")), ["b"]);
    let said = said(&set);
    for wanted in [
        "`build-server` is neither an address nor a network such as `10.0.0.0/8` @ build-server",
        "`10.0.0.0/33` is neither an address nor a network such as `10.0.0.0/8` @ 10.0.0.0/33",
        "`soon` is not a date @ soon",
        "`list` has no key `entrys` @ entrys",
        "`list.entries.value` is missing @ {comment: c}",
        "an entry is a text, but this is a list @ [d]",
        "`glob` is not a type of list @ glob",
        "no column is called `value` @ name,address",
    ] {
        assert!(said.iter().any(|found| found == wanted), "{wanted}\n{said:#?}");
    }
    let starts = [
        "`a(` is not a regular expression: ",
        "the name `a` belongs to a list of `",
    ];
    for start in starts {
        assert!(
            said.iter().any(|found| found.starts_with(start)),
            "{start}\n{said:#?}"
        );
    }
    assert!(
        set.report
            .beside
            .iter()
            .any(|file| file.name.ends_with("e.yml") && !file.diagnostics.is_empty())
    );
}

#[test]
fn a_flood_of_wrong_entries_is_told_in_twenty_lines() {
    let text: String = std::iter::once("# type: cidr\n".to_owned())
        .chain((0..500).map(|number| format!("host{number}\n")))
        .collect();
    let (set, _folder) = load(&[("a.txt", &text)]);
    let said = said(&set);
    assert_eq!(said.len(), 20);
    assert!(
        said.last()
            .is_some_and(|last| last.contains("and 480 more entries are wrong"))
    );
}
