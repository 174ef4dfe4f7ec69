//! A library gives what loading everything anew gives, whatever changes between its loads.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly and says what it saw")]

use std::fs;
use std::path::{Path, PathBuf};

use neph_rules::{Library, LoadOptions, Reuse, RuleSet, load_with, unchanged};

const FIRST: &str = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a01";
const SECOND: &str = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a02";

fn sigma(id: &str, command: &str) -> String {
    format!(
        "title: {command}\nid: {id}\nstatus: test\nlogsource: {{product: linux, category: process_creation}}\ndetection:\n    \
         selection:\n        CommandLine|contains: {command}\n        User|expand: '%people%'\n    condition: selection\n"
    )
}

fn elastic(number: u32, query: &str) -> String {
    format!(
        "[rule]\nrule_id = \"1b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a{number:02}\"\nname = \"Rule {number}\"\ndescription = \"Text\"\n\
         type = \"query\"\nlanguage = \"kuery\"\nseverity = \"high\"\nrisk_score = 73\nquery = '{query}'\n"
    )
}

fn filter(rules: &str) -> String {
    format!(
        "title: Filter\nid: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a09\nlogsource: {{product: linux, category: process_creation}}\nfilter:\n    \
         rules: {rules}\n    known:\n        CommandLine|contains: known\n    condition: not known\n"
    )
}

fn correlation(rule: &str) -> String {
    format!(
        "title: Many\nid: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a08\ncorrelation:\n    type: event_count\n    rules: [{rule}]\n    \
         group-by: [User]\n    timespan: 5m\n    condition: {{gte: 3}}\n"
    )
}

struct Case {
    folder: tempfile::TempDir,
    library: Library,
    before: RuleSet,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            folder: tempfile::tempdir().unwrap(),
            library: Library::new(),
            before: RuleSet::default(),
        };
        fs::create_dir_all(case.path("rules/below")).unwrap();
        fs::create_dir_all(case.path("lists")).unwrap();
        fs::create_dir_all(case.path("mappings")).unwrap();
        case.write("lists/people.txt", "alice\nbob\n");
        case.write("rules/first.yml", &sigma(FIRST, "curl"));
        case.write("rules/below/second.yml", &sigma(SECOND, "wget"));
        case.write("rules/third.toml", &elastic(1, "event.action: exec"));
        case.write("rules/fourth.toml", &elastic(2, "process.name: nc"));
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Loads, and holds what comes out against loading everything anew. Gives how many files were read and kept.
    fn load(&mut self) -> (usize, usize) {
        let options = LoadOptions {
            lists: vec![self.path("lists")],
            mappings: vec![self.path("mappings")],
            ..LoadOptions::default()
        };
        let rules = [self.path("rules")];
        let set = self.library.load(&rules, &options);
        let anew = load_with(&rules, &options);
        assert_eq!(format!("{:#?}", set.rules), format!("{:#?}", anew.rules));
        assert_eq!(format!("{:#?}", set.report), format!("{:#?}", anew.report));
        assert_eq!(set.program.tests(), anew.program.tests());
        self.before = set;
        let Reuse { read, kept } = self.library.reuse();
        (read, kept)
    }
}

#[test]
fn only_what_changed_is_read() {
    let mut case = Case::new();
    assert_eq!(case.load(), (4, 0));
    assert_eq!(case.before.rules.len(), 4);
    assert_eq!(case.load(), (0, 4));
    case.write("rules/third.toml", &elastic(1, "event.action: fork"));
    assert_eq!(case.load(), (1, 3));
    case.write("rules/first.yml", &sigma(FIRST, "curl -k"));
    assert_eq!(case.load(), (1, 3));
    // A file that is broken is kept broken.
    case.write("rules/first.yml", "title: x\ndetection: [\n");
    assert_eq!(case.load(), (1, 3));
    assert_eq!(case.load(), (0, 4));
    fs::remove_file(case.path("rules/fourth.toml")).unwrap();
    assert_eq!(case.load(), (0, 3));
    case.write("rules/fourth.toml", &elastic(2, "process.name: nc"));
    // A file that says the same elsewhere is another file.
    fs::rename(case.path("rules/third.toml"), case.path("rules/fifth.toml")).unwrap();
    assert_eq!(case.load(), (2, 2));
}

#[test]
fn what_stands_beside_rules_of_sigma_changes_them() {
    let mut case = Case::new();
    assert_eq!(case.load(), (4, 0));
    case.write("lists/people.txt", "alice\ncarol\n");
    assert_eq!(case.load(), (2, 2));
    case.write(
        "mappings/own.yml",
        "- logsource: {product: linux}\n  fields: {User: [who.name]}\n",
    );
    assert_eq!(case.load(), (2, 2));
    assert_eq!(case.load(), (0, 4));
    // Texts in other languages are given to rules that were kept, too.
    case.write("rules/third.ru.yaml", "name: Правило\n");
    assert_eq!(case.load(), (0, 4));
}

#[test]
fn filters_and_correlations_are_linked_anew() {
    let mut case = Case::new();
    case.load();
    // The filter, the rule that it is about and, because a filter came, the other one.
    case.write("rules/filter.yml", &filter(&format!("[{FIRST}]")));
    assert_eq!(case.load(), (3, 2));
    assert_eq!(case.load(), (2, 3));
    case.write("rules/below/second.yml", &sigma(SECOND, "wget -q"));
    assert_eq!(case.load(), (3, 2));
    case.write("rules/filter.yml", &filter("any"));
    assert_eq!(case.load(), (3, 2));
    case.write("rules/correlation.yml", &correlation(SECOND));
    assert_eq!(case.load(), (4, 2));
    case.write("rules/third.toml", &elastic(1, "event.action: fork"));
    assert_eq!(case.load(), (5, 1));
    // Rules that a correlation is over change their ids.
    fs::remove_file(case.path("rules/filter.yml")).unwrap();
    case.write(
        "rules/below/second.yml",
        &sigma("0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a07", "wget"),
    );
    case.load();
    case.write("rules/first.yml", &sigma(SECOND, "curl"));
    case.load();
    case.write("rules/correlation.yml", &correlation("nobody"));
    case.load();
    fs::remove_file(case.path("rules/correlation.yml")).unwrap();
    case.load();
    assert_eq!(case.load(), (0, 4));
}

#[test]
fn rules_go_on_where_their_plans_say_the_same() {
    let mut case = Case::new();
    case.load();
    let before = case.before.rules.clone();
    // A comment moves what stands behind it, and means nothing.
    let text = sigma(FIRST, "curl").replace("detection:", "# comment\ndetection:");
    case.write("rules/first.yml", &text);
    case.write("rules/third.toml", &elastic(1, "event.action: fork"));
    case.load();
    let after = case.before.rules.clone();
    let same: Vec<&str> = unchanged(&before, &after)
        .into_iter()
        .map(|(_, new)| after[new.0 as usize].id.as_str())
        .collect();
    assert_eq!(same.len(), 3);
    assert!(
        !same.contains(&"1b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a01"),
        "{same:?}"
    );
    assert!(Path::new(&case.before.report.files[0].name).is_absolute());
}
