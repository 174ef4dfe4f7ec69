//! What every rule of the shipped pack must have, whether its tests need each part of it, and the scenarios.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use neph_rules::rule_tests::{cases_beside, find_test_files, parse_scenario, read_test_file};
use neph_rules::{
    BUILTIN_DEMO, BUILTIN_LISTS, BUILTIN_RULES, Lang, LoadOptions, Reason, Rule, RuleSet, RuleState,
    builtin_files, load_with,
};
use neph_runtime::rule_tests::{TestRunner, replay};

/// Of the parts of rules so many per cent are needed by a test at least.
const LEAST_KILLED: usize = 90;

/// Of the test files every so many-th is run with mutants; all of them where `NEPH_MUTATE` is `all`.
const STEP: usize = 6;

fn pack() -> RuleSet {
    let options = LoadOptions {
        lists: vec![BUILTIN_LISTS.into()],
        ..LoadOptions::default()
    };
    load_with(&[BUILTIN_RULES], &options)
}

/// The rows of the mission that a rule is for: its tags `Mission: C5`, or `mission.c5` as Sigma writes tags.
fn rows(rule: &Rule) -> Vec<String> {
    let row = |tag: &String| match tag.strip_prefix("Mission: ") {
        Some(row) => Some(row.to_owned()),
        None => tag.strip_prefix("mission.").map(str::to_uppercase),
    };
    rule.tags.iter().filter_map(row).collect()
}

/// Lists of what only a site can know: without them the rules for it have nothing to look for, and say so.
const OF_THE_SITE: [&str; 5] = [
    "known_cloud_accounts",
    "vk_critical_databases",
    "vk_critical_machines",
    "vk_critical_volumes",
    "vk_trusted_users",
];

#[test]
fn every_rule_has_what_a_rule_must_have() {
    let set = pack();
    let mut faults: Vec<String> = Vec::new();
    for failure in &set.report.failures {
        faults.push(format!("{}: {}", failure.path.display(), failure.reason));
    }
    for report in &set.report.rules {
        let name = report.name.as_deref().unwrap_or("?");
        let only_site = |reason: &Reason| match reason {
            Reason::ListsMissing { lists } => lists.iter().all(|list| OF_THE_SITE.contains(&list.as_str())),
            _ => false,
        };
        if report.state != RuleState::Active && !report.reasons.iter().all(only_site) {
            let reasons: Vec<String> = report.reasons.iter().map(ToString::to_string).collect();
            faults.push(format!("`{name}` is {:?}: {}", report.state, reasons.join("; ")));
        }
    }
    for file in set.report.files.iter().chain(&set.report.beside) {
        for found in &file.diagnostics {
            let of_site = OF_THE_SITE
                .iter()
                .any(|list| found.message.contains(&format!("`%{list}%`")));
            if found.severity() > neph_diag::Severity::Info && !of_site {
                faults.push(format!("{}: {}", file.name, found.message));
            }
        }
    }
    for rule in &set.rules {
        let mut fault = |what: &str| faults.push(format!("{}: {what}", rule.origin.path.display()));
        match cases_beside(rule) {
            None => fault("no tests stand beside it"),
            Some((0, _)) => fault("no test is an attack"),
            Some((_, 0)) => fault("no test is a benign look-alike"),
            Some(_) => {}
        }
        let is_row = |row: &String| {
            let mut letters = row.chars();
            letters.next().is_some_and(|letter| ('A'..='F').contains(&letter))
                && letters.as_str().parse::<u8>().is_ok()
        };
        let rows = rows(rule);
        if rows.is_empty() || !rows.iter().all(is_row) {
            fault("it does not say by tags such as `Mission: A1` which rows of the mission it is for");
        }
        if rule.threat.iter().all(|threat| threat.techniques.is_empty()) {
            fault("it names no technique of ATT&CK");
        }
        // Sigma has no place for a guide; it stands with the other texts.
        let russian = rule.texts.others.get(&Lang::Russian);
        if rule.note.is_none() && russian.is_none_or(|text| text.note.is_none()) {
            fault("it has no investigation guide");
        }
        if rule.false_positives.is_empty() {
            fault("it does not say what may trigger it without harm");
        }
        match russian {
            Some(text) if text.name.is_some() && text.description.is_some() && text.note.is_some() => {}
            _ => fault("it has no Russian name, description and guide"),
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn tests_need_the_parts_of_their_rules() {
    let (paths, failures) = find_test_files(&[BUILTIN_RULES]);
    assert!(failures.is_empty());
    let step = if std::env::var("NEPH_MUTATE").is_ok_and(|word| word == "all") {
        1
    } else {
        STEP
    };
    let (mut killed, mut total) = (0, 0);
    let mut alive = String::new();
    for path in paths.iter().step_by(step) {
        let file = read_test_file(path).expect("a test file");
        for rule in TestRunner::default().mutate(&file) {
            killed += rule.killed();
            total += rule.total;
            for survivor in &rule.survivors {
                let text = survivor.diagnostic.span.text(&rule.text);
                let _ = writeln!(alive, "`{}`: {} @ {text}", rule.name, survivor.diagnostic.message);
            }
        }
    }
    println!("{killed} of {total} parts are needed by a test; not these:\n{alive}");
    assert!(total > 0);
    assert!(
        killed * 100 >= total * LEAST_KILLED,
        "{killed} of {total} are less than {LEAST_KILLED} %:\n{alive}"
    );
}

#[test]
fn every_scenario_is_noticed_as_it_says() {
    let mut set = pack();
    let rules = std::mem::take(&mut set.rules);
    let program = Arc::new(set.program);
    let mut faults = Vec::new();
    let mut number = 0;
    for (path, text) in builtin_files(Path::new(BUILTIN_DEMO)) {
        number += 1;
        let (scenario, diagnostics) = parse_scenario(Path::new(path), text, None);
        for found in diagnostics {
            faults.push(format!("{path}: {}", found.message));
        }
        let Some(scenario) = scenario else { continue };
        for lang in [Lang::Russian, Lang::Chinese] {
            let told = scenario.text_in(lang).phases.len();
            if told != scenario.phases.len() || scenario.text_in(lang).title.is_empty() {
                faults.push(format!("{path}: its texts in `{}` are not whole", lang.code()));
            }
        }
        let phases = match replay(&rules, &program, &scenario) {
            Ok(phases) => phases,
            Err(failure) => {
                faults.push(format!("{path}:{}: {}", failure.line, failure.message));
                continue;
            }
        };
        let expected: usize = scenario.phases.iter().map(|phase| phase.expect.len()).sum();
        if expected == 0 {
            faults.push(format!("{path}: no phase expects an alert"));
        }
        for (phase, played) in scenario.phases.iter().zip(&phases) {
            for wanted in &phase.expect {
                let raised = played.alerts.iter();
                if !raised
                    .clone()
                    .any(|alert| alert.rule_id == *wanted || alert.rule_name == *wanted)
                {
                    let names: Vec<&str> = raised.map(|alert| alert.rule_name.as_str()).collect();
                    faults.push(format!(
                        "{path}: `{}`: no alert of `{wanted}`, but {names:?}",
                        phase.name
                    ));
                }
            }
        }
    }
    assert!(number >= 6, "{number} scenarios");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The table of `rules/README.md`.
fn table() -> String {
    let set = pack();
    let mut by_row: BTreeMap<String, Vec<&Rule>> = BTreeMap::new();
    for rule in &set.rules {
        for row in rows(rule) {
            by_row.entry(row).or_default().push(rule);
        }
    }
    let mut text =
        String::from("| row | rule | severity | techniques | file |\n| --- | --- | --- | --- | --- |\n");
    for (row, mut rules) in by_row {
        rules.sort_by_key(|rule| &rule.origin.path);
        for rule in rules {
            let techniques = rule.threat.iter().flat_map(|threat| &threat.techniques);
            let mut ids: Vec<&str> = techniques
                .flat_map(|technique| match technique.subtechniques.as_slice() {
                    [] => vec![technique.technique.id.as_str()],
                    subs => subs.iter().map(|sub| sub.id.as_str()).collect(),
                })
                .collect();
            ids.sort_unstable();
            ids.dedup();
            let path = rule
                .origin
                .path
                .strip_prefix(BUILTIN_RULES)
                .expect("a built-in path");
            let path = path.display();
            let _ = writeln!(
                text,
                "| {row} | {} | {} | {} | [{path}]({path}) |",
                rule.name,
                rule.severity.word(),
                ids.join(" "),
            );
        }
    }
    let _ = write!(text, "\n{} rules.\n", set.rules.len());
    text
}

#[test]
fn the_table_of_the_rules_is_current() {
    const BEGIN: &str = "<!-- The table is made by `UPDATE=1 cargo test -p neph-testkit --test pack`. -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/README.md");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let (before, current) = text
        .split_once(BEGIN)
        .expect("the file has a mark where the table begins");
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}")).expect("the file can be written");
    } else {
        assert_eq!(
            current, table,
            "run `UPDATE=1 cargo test -p neph-testkit --test pack`"
        );
    }
}

#[test]
fn the_sources_that_elastic_does_not_know_are_described() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pack.md");
    let text = std::fs::read_to_string(path).expect("the file is there");
    let schema = neph_event::Schema::builtin();
    let elastic: std::collections::BTreeSet<&str> = schema
        .fields()
        .filter(|def| def.sources.len() > 1)
        .flat_map(|def| def.sources.iter().copied())
        .collect();
    for info in neph_normalize::sources() {
        let named = text.contains(&format!("`logs-{}-*`", info.dataset));
        let unnamed = ["falco.alerts", "tetragon.events", ""].contains(&info.dataset);
        assert!(
            named || unnamed || elastic.contains(info.dataset),
            "{}",
            info.dataset
        );
    }
}
