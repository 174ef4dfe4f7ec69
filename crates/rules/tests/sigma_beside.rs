//! What changes Sigma's rules from other files: filters, mappings, lists. And what bad files do to good ones.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::path::Path;
use std::time::{Duration, Instant};

use neph_rules::{LoadOptions, Reason, RuleSet, RuleState, load, load_with};

mod support;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn rule(name: &str, logsource: &str, detection: &str) -> String {
    let digit = name.bytes().map(u32::from).sum::<u32>() % 10_000;
    format!(
        "title: {name}\nid: 00000000-0000-4000-8000-00000000{digit:04}\nname: {name}\nlogsource: {logsource}\ndetection: {detection}\n"
    )
}

const PROCESS: &str = "{product: linux, category: process_creation}";

fn process(image: &str, user: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-01-31T10:00:00Z","event":{{"category":["process"],"type":["start"]}},"host":{{"os":{{"type":"linux"}}}},"process":{{"executable":"{image}"}},"user":{{"name":"{user}"}}}}"#
    )
}

/// By rule the lines of the events that it finds.
fn found(set: &RuleSet, events: &[String]) -> Vec<(String, Vec<u64>)> {
    let mut found: Vec<(String, Vec<u64>)> = Vec::new();
    for rule in &set.rules {
        let matches = support::matches(std::slice::from_ref(rule), events, None);
        let lines = matches.iter().flat_map(|found| &found.events);
        let lines = lines.map(|(_, event)| event.as_ref().unwrap().origin().line);
        found.push((rule.name.clone(), lines.collect()));
    }
    found
}

fn told(set: &RuleSet) -> Vec<(&'static str, String)> {
    let files = set.report.files.iter().chain(&set.report.beside);
    let all = files.flat_map(|file| &file.diagnostics);
    all.map(|found| (found.code.name, found.message.clone()))
        .collect()
}

#[test]
fn filters_reach_over_files_by_id_by_name_and_by_log_source() {
    let shells = rule("shells", PROCESS, "{s: {Image|endswith: /sh}, condition: s}");
    let tools = rule("tools", PROCESS, "{s: {Image|endswith: /curl}, condition: s}");
    let elsewhere = rule(
        "files",
        "{product: linux, category: file_event}",
        "{s: {TargetFilename: a}, condition: s}",
    );
    let filter = |rules: &str, source: &str| {
        format!(
            "title: Administrators\nid: 00000000-0000-4000-8000-999999999999\nlogsource: {source}\nfilter: {{rules: {rules}, admins: {{User|startswith: adm_}}, condition: not admins}}\n"
        )
    };
    let events = [
        process("/bin/sh", "bob"),
        process("/bin/sh", "adm_eve"),
        process("/usr/bin/curl", "bob"),
        process("/usr/bin/curl", "adm_eve"),
    ];
    let folder = Folder::new(&[
        ("a/shells.yml", &shells),
        ("b/tools.yml", &tools),
        ("c/files.yml", &elsewhere),
    ]);
    let check = |rules: &str, source: &str, lines: [&[u64]; 2], expected: &[(&str, &str)]| {
        folder.write("0-filter.yml", &filter(rules, source));
        let set = load(&[folder.path()]);
        let found = found(&set, &events);
        assert_eq!(found[0], ("shells".into(), lines[0].to_vec()), "{rules}");
        assert_eq!(found[1], ("tools".into(), lines[1].to_vec()), "{rules}");
        let told = told(&set);
        let told: Vec<(&str, &str)> = told.iter().map(|(code, text)| (*code, text.as_str())).collect();
        assert_eq!(told, expected, "{rules}");
    };
    check("[shells]", PROCESS, [&[1], &[3, 4]], &[]);
    let id = shells
        .lines()
        .nth(1)
        .unwrap()
        .trim_start_matches("id: ")
        .to_owned();
    check(&format!("[{id}, tools]"), PROCESS, [&[1], &[3]], &[]);
    check("any", PROCESS, [&[1], &[3]], &[]);
    check("shells", "{product: linux}", [&[1], &[3, 4]], &[]);
    check(
        "[tool]",
        PROCESS,
        [&[1, 2], &[3, 4]],
        &[("sigma-filter-target", "no rule that is loaded is called `tool`")],
    );
    check(
        "[shells]",
        "{product: windows}",
        [&[1, 2], &[3, 4]],
        &[(
            "sigma-filter-target",
            "the rule `shells` is of another log source than the filter",
        )],
    );
    check(
        "any",
        "{product: macos, category: process_creation}",
        [&[1, 2], &[3, 4]],
        &[(
            "sigma-filter-target",
            "no rule that is loaded is of the filter's log source `product: macos, category: process_creation`",
        )],
    );
}

#[test]
fn the_filter_is_also_in_the_correlation_over_the_rule() {
    let shells = rule("shells", PROCESS, "{s: {Image|endswith: /sh}, condition: s}");
    let filter = format!(
        "title: f\nlogsource: {PROCESS}\nfilter: {{rules: [shells], admins: {{User: adm}}, condition: not admins}}\n"
    );
    let many =
        "title: many\ncorrelation: {type: event_count, rules: [shells], timespan: 1m, condition: {gte: 2}}\n";
    let folder = Folder::new(&[("a.yml", &shells), ("b.yml", &filter), ("c.yml", many)]);
    let set = load(&[folder.path()]);
    let events = [process("/bin/sh", "bob"), process("/bin/sh", "adm")];
    assert_eq!(found(&set, &events), [("many".to_owned(), vec![])]);
    let events = [process("/bin/sh", "bob"), process("/bin/sh", "eve")];
    assert_eq!(found(&set, &events), [("many".to_owned(), vec![1, 2])]);
    let correlated = format!(
        "title: f\nlogsource: {PROCESS}\nfilter: {{rules: [many_shells], s: {{User: adm}}, condition: not s}}\n"
    );
    folder.write("b.yml", &correlated);
    folder.write(
        "c.yml",
        &many.replace("title: many", "title: many\nname: many_shells"),
    );
    let told = told(&load(&[folder.path()]));
    assert!(
        told.iter()
            .any(|(_, text)| text
                == "`many_shells` is a correlation rule, and filters are for detection rules"),
        "{told:?}"
    );
}

#[test]
fn mappings_of_users_say_where_fields_stand_and_which_events_count() {
    let acme = rule(
        "acme",
        "{product: acme, service: audit}",
        "{s: {Actor: bob}, condition: s}",
    );
    let mapping = "- logsource: {product: acme, service: audit}\n  when: {event.dataset: acme.audit}\n  fields: {Actor: [acme.who, user.name]}\n";
    let folder = Folder::new(&[
        ("rules/acme.yml", &acme),
        ("mappings/acme.yml", mapping),
        ("wrong/acme.yml", "- fields: {A: b}\n"),
    ]);
    let rules = folder.path().join("rules");
    let set = load(&[&rules]);
    assert_eq!(set.report.rules[0].state, RuleState::Degraded);
    assert_eq!(
        set.report.rules[0].reasons,
        [
            Reason::FieldsUnknown {
                fields: vec!["Actor".into()]
            },
            Reason::LogSourceUnknown {
                logsource: "product: acme, service: audit".into()
            }
        ]
    );
    let with = |name: &str| {
        let options = LoadOptions {
            mappings: vec![folder.path().join(name)],
            ..LoadOptions::default()
        };
        load_with(&[&rules], &options)
    };
    let set = with("mappings");
    assert_eq!(set.report.rules[0].state, RuleState::Active);
    let events = [
        r#"{"event":{"dataset":"acme.audit"},"acme":{"who":"Bob"}}"#.to_owned(),
        r#"{"event":{"dataset":"acme.audit"},"user":{"name":"bob"}}"#.to_owned(),
        r#"{"event":{"dataset":"acme.other"},"user":{"name":"bob"}}"#.to_owned(),
    ];
    assert_eq!(found(&set, &events), [("acme".to_owned(), vec![1, 2])]);
    let set = with("wrong");
    assert_eq!(set.report.rules[0].state, RuleState::Degraded);
    assert!(told(&set).contains(&("sigma-mapping", "`logsource` is missing".into())));
}

#[test]
fn lists_that_are_given_make_placeholders_whole() {
    let staff = rule("staff", PROCESS, "{s: {User|expand: '%Admins%'}, condition: s}");
    let folder = Folder::new(&[("rules/staff.yml", &staff), ("lists/Admins.txt", "bob\neve\n")]);
    let rules = folder.path().join("rules");
    let set = load(&[&rules]);
    assert_eq!(
        set.report.rules[0].reasons,
        [Reason::ListsMissing {
            lists: vec!["Admins".into()]
        }]
    );
    let options = LoadOptions {
        lists: vec![folder.path().join("lists")],
        ..LoadOptions::default()
    };
    let set = load_with(&[&rules], &options);
    assert_eq!(set.report.rules[0].state, RuleState::Active);
    let events = [process("/bin/sh", "Eve"), process("/bin/sh", "mallory")];
    assert_eq!(found(&set, &events), [("staff".to_owned(), vec![1])]);
}

#[test]
fn bad_files_are_told_of_in_bounded_time_and_good_ones_go_on() {
    let good = rule("good", PROCESS, "{s: {Image|endswith: /sh}, condition: s}");
    let laughs = (1..12).fold(
        String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n"),
        |text, level| {
            let below = format!("*a{}", level - 1);
            format!("{text}a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "))
        },
    );
    let bomb =
        format!("title: bomb\nlogsource: {PROCESS}\ndetection: {{s: {{Image: a}}, condition: s}}\n{laughs}");
    let deep = format!(
        "title: deep\nlogsource: {PROCESS}\ndetection: {}\n",
        "{a: ".repeat(50_000)
    );
    let brackets = format!(
        "title: brackets\nlogsource: {PROCESS}\ndetection: {{s: {{Image: a}}, condition: '{}s'}}\n",
        "(".repeat(100_000)
    );
    let values = "        - some value of a list that has far too many\n".repeat(210_000);
    let long = format!(
        "title: long\nlogsource: {PROCESS}\ndetection:\n    s:\n      Image:\n{values}    condition: s\n"
    );
    assert!(long.len() > 10_000_000);
    let modifiers = rule(
        "modifiers",
        PROCESS,
        "{s: {Image|contians: a, User|cidr|re: b}, condition: s}",
    );
    let types = format!(
        "title: [a]\nid: 5\nlogsource: {PROCESS}\ndetection: {{s: {{Image: {{a: b}}}}, condition: 5}}\nlevel: huge\ntags: {{a: b}}\n"
    );
    let twin = rule("good", PROCESS, "{s: {Image|endswith: /bash}, condition: s}");
    let folder = Folder::new(&[
        ("a-good.yml", &good),
        ("bomb.yml", &bomb),
        ("brackets.yml", &brackets),
        ("deep.yml", &deep),
        ("long.yml", &long),
        ("modifiers.yml", &modifiers),
        ("twin.yml", &twin),
        ("types.yml", &types),
    ]);
    let start = Instant::now();
    let set = load(&[folder.path()]);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let events = [process("/bin/sh", "bob")];
    assert_eq!(found(&set, &events), [("good".to_owned(), vec![1])]);
    let counts = set.report.counts();
    assert_eq!((counts.rules, counts.active, counts.rejected), (8, 1, 7));
    let codes = |name: &str| {
        let file = set
            .report
            .files
            .iter()
            .find(|file| file.path.ends_with(name))
            .unwrap();
        for found in &file.diagnostics {
            assert!(
                file.text
                    .get(found.span.start as usize..found.span.end as usize)
                    .is_some(),
                "{name}"
            );
        }
        let errors = file
            .diagnostics
            .iter()
            .filter(|found| found.severity() == neph_diag::Severity::Error);
        errors.map(|found| found.code.name).collect::<Vec<_>>()
    };
    assert_eq!(codes("bomb.yml"), ["sigma-too-large"]);
    assert_eq!(codes("deep.yml").first(), Some(&"sigma-too-large"));
    assert_eq!(codes("long.yml"), ["sigma-too-large"]);
    assert_eq!(codes("brackets.yml"), ["sigma-condition-syntax"]);
    assert_eq!(
        codes("modifiers.yml"),
        ["sigma-modifier-unknown", "sigma-modifier-conflict", "sigma-value"]
    );
    assert_eq!(codes("twin.yml"), ["rule-id-duplicate"]);
    assert_eq!(
        codes("types.yml"),
        [
            "sigma-value-type",
            "sigma-value-type",
            "sigma-value-type",
            "sigma-value",
            "sigma-value-type"
        ]
    );
}
