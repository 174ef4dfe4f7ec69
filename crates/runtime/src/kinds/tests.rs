//! Rules that can find something, and rules that cannot.

use std::path::Path;

use super::*;

fn kind(values: &[(&str, &str)], has: &[&str]) -> RecordKind {
    RecordKind {
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect(),
        has: has.iter().map(|name| (*name).to_owned()).collect(),
        lacks: vec!["process.hash".to_owned()],
    }
}

/// Programs that start, and files that are opened.
fn kinds() -> [RecordKind; 2] {
    let of = |category, action, dataset, has: &[&str]| {
        let values = [
            ("event.category", category),
            ("event.action", action),
            ("event.type", "start"),
            ("data_stream.dataset", dataset),
            ("host.os.type", "linux"),
        ];
        kind(&values, has)
    };
    [
        of("process", "exec", "endpoint.events.process", &["process", "user"]),
        of(
            "file",
            "open",
            "endpoint.events.file",
            &["process", "user", "file"],
        ),
    ]
}

fn with_plan<T>(language: &str, query: &str, with: impl FnOnce(&Plan) -> T) -> T {
    let rule = format!(
        "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\ntype = \"{}\"\nlanguage = \"{language}\"\nindex = [\"logs-endpoint.events.*\"]\nquery = '''{query}'''\n",
        if language == "eql" { "eql" } else { "query" }
    );
    let set = neph_rules::load_text(Path::new("folder/r.toml"), rule);
    assert_eq!(set.rules.len(), 1, "{query}: {:?}", set.report.failures);
    with(set.rules[0].plan.as_ref().unwrap())
}

#[test]
fn rules_that_can_find_nothing_are_told_from_those_that_may() {
    for (language, query, expected) in [
        (
            "eql",
            "process where event.action == \"exec\" and process.name == \"x\"",
            true,
        ),
        ("eql", "process where event.action == \"EXEC\"", false),
        ("eql", "process where event.action : \"EX*\"", true),
        ("eql", "process where event.action != \"exec\"", false),
        (
            "eql",
            "process where event.action in (\"fork\", \"exec\") and process.hash.sha256 : \"a*\"",
            false,
        ),
        ("eql", "process where process.hash.sha256 == null", true),
        ("eql", "file where event.type == \"deletion\"", false),
        (
            "eql",
            "file where event.action == \"open\" and file.path : \"/etc/*\"",
            true,
        ),
        ("eql", "process where file.path : \"/etc/*\"", false),
        ("eql", "any where length(process.name) > 3", true),
        (
            "eql",
            "any where host.os.type == \"windows\" and process.name == \"x\"",
            false,
        ),
        (
            "eql",
            "sequence by user.id [process where true] [file where event.action == \"open\"]",
            true,
        ),
        (
            "eql",
            "sequence by user.id [process where true] [network where true]",
            false,
        ),
        (
            "eql",
            "sequence by user.id with maxspan=1m [process where true] ![network where true]",
            true,
        ),
        (
            "eql",
            "sequence by file.path [process where true] [file where true]",
            false,
        ),
        ("kuery", "event.category: process and process.name: x", true),
        (
            "kuery",
            "not event.category: process and not event.category: file",
            false,
        ),
        ("kuery", "event.category: (network or registry)", false),
    ] {
        let can = with_plan(language, query, |plan| {
            Kinds::new(kinds().to_vec()).can_find(plan)
        });
        assert_eq!(can, expected, "{query}");
    }
    // Events of another integration.
    let [mut elsewhere, _] = kinds();
    elsewhere.values.retain(|(name, _)| name != "data_stream.dataset");
    elsewhere.values.push((
        "data_stream.dataset".to_owned(),
        vec!["aws.cloudtrail".to_owned()],
    ));
    assert!(!with_plan("eql", "process where true", |plan| Kinds::new(vec![
        elsewhere
    ])
    .can_find(plan)));
}

#[test]
fn texts_that_a_field_must_have() {
    let one_of = |texts: &[&str]| Texts::OneOf(texts.iter().map(|text| (*text).to_owned()).collect());
    let [programs, files] = kinds();
    for (query, expected) in [
        (
            "file where file.path == \"/etc/shadow\"",
            vec![one_of(&["/etc/shadow"])],
        ),
        (
            "file where file.path : (\"/etc/shadow\", \"/root/.ssh/*\")",
            vec![one_of(&["/etc/shadow", "/root/.ssh/*"])],
        ),
        (
            "file where event.action == \"open\" and (file.path : \"/a\" or (event.action == \"rename\" and file.path : \"/b\"))",
            vec![one_of(&["/a"])],
        ),
        (
            "file where file.path : \"/e?c/shadow\" and file.path : \"/etc/*\"",
            vec![one_of(&["/e*c/shadow"])],
        ),
        (
            "file where file.path : \"/a\" or process.name : \"x\"",
            vec![Texts::Any],
        ),
        (
            "file where process.name : \"x\" and not file.path : \"/a\"",
            vec![Texts::Any],
        ),
        (
            "file where endswith(file.path, \"/key\")",
            vec![one_of(&["*/key"])],
        ),
        // No pattern says what an expression does.
        (
            "file where file.path regex \"/home/[^/]+/\\\\.ssh/id_.*\"",
            vec![Texts::Any],
        ),
        (
            "file where file.path regex \"/srv/.*\" and file.path : \"/srv/*/key\"",
            vec![one_of(&["/srv/*/key"])],
        ),
        ("process where process.name == \"x\"", vec![]),
        ("any where process.name == \"x\"", vec![]),
        (
            "file where event.action == \"deletion\" and file.path : \"/a\"",
            vec![],
        ),
        (
            "sequence by user.id [process where true] [file where file.path : \"/a\"] [file where file.path : \"/b\"]",
            vec![one_of(&["/a"]), one_of(&["/b"])],
        ),
    ] {
        let good = |text: &str| text.ends_with("shadow");
        let found = with_plan("eql", query, |plan| {
            let others = Kinds::new(vec![programs.clone()]);
            Kinds::new(vec![files.clone()]).texts_of(&others, plan, "file.path", &good)
        });
        assert_eq!(found, expected, "{query}");
    }
}
