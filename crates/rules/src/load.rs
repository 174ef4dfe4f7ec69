//! Loads rules from files and folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_diag::Diagnostic;
use neph_engine::Program;
use neph_event::Instant;
use neph_sigma::Mappings;

use crate::codes;
use crate::compile::now;
use crate::elastic::Reading;
use crate::embedded::Embedded;
use crate::file::{self, Contents, Format};
use crate::files;
use crate::indicators::Indicators;
use crate::lists::{self, Lists};
use crate::report::{Failure, IgnoredFile, LoadReport, Reason, RuleFile, RuleReport, RuleState};
use crate::rule::Rule;
use crate::rule_tests;
use crate::sigma::{self, SigmaFile};
use crate::threat_match;

/// The rules that can run, and what became of all that were found.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The active and the degraded rules, but not those that are switched off; each has a plan.
    pub rules: Vec<Rule>,
    /// The typed lists.
    pub lists: Lists,
    /// Everything that was found.
    pub report: LoadReport,
    /// For each of `rules` its place in the report.
    places: Vec<usize>,
    /// Rules that do not run, as far as they could be read, with their places in the report.
    idle: BTreeMap<usize, Rule>,
}

impl RuleSet {
    /// Everything that was found, each with the rule as far as it could be read: also rules that are switched off, rejected or
    /// of a type that is not supported.
    pub fn all(&self) -> Vec<(&RuleReport, Option<&Rule>)> {
        let mut rules: BTreeMap<usize, &Rule> =
            self.idle.iter().map(|(place, rule)| (*place, rule)).collect();
        rules.extend(self.places.iter().copied().zip(&self.rules));
        let reports = self.report.rules.iter().enumerate();
        reports
            .map(|(place, report)| (report, rules.get(&place).copied()))
            .collect()
    }
}

/// What is given beside the rules. Files may be named, or folders of them.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Overlays: what tunes rules without touching their files.
    pub overlays: Vec<PathBuf>,
    /// Typed lists, which exceptions, overlays and the placeholders of Sigma name.
    pub lists: Vec<PathBuf>,
    /// Mappings of Sigma's fields and log sources, beside those that are shipped.
    pub mappings: Vec<PathBuf>,
    /// Indicators, which rules of type `threat_match` compare events with.
    pub indicators: Vec<PathBuf>,
    /// The time by which expiries count; the clock's where none is given.
    pub now: Option<Instant>,
}

/// [`load_with`] without anything beside the rules.
pub fn load<P: AsRef<Path>>(paths: &[P]) -> RuleSet {
    load_with(paths, &LoadOptions::default())
}

/// Loads all rules of the given files and of the folders below the given ones: `*.toml`, `*.ndjson`, `*.jsonl`, `*.json`,
/// `*.eql` and, for Sigma, `*.yml` and `*.yaml`. Files are read in the order of their paths, and each only once.
///
/// Nothing is thrown: what cannot be read, is no rule file or is wrong stands in the report.
pub fn load_with<P: AsRef<Path>>(paths: &[P], options: &LoadOptions) -> RuleSet {
    let mut loader = Loader::new(options);
    let found = files::find(paths);
    loader.set.report.failures.extend(found.failures);
    for (path, given) in found.files {
        loader.read(&path, given);
    }
    loader.finish()
}

/// Loads the rules of a text as if it were a file of this name.
pub fn load_text(name: &Path, text: String) -> RuleSet {
    load_text_with(name, text, &LoadOptions::default())
}

/// [`load_text`] with what is given beside the rules.
pub fn load_text_with(name: &Path, text: String, options: &LoadOptions) -> RuleSet {
    let mut loader = Loader::new(options);
    loader.take(name, text, true);
    loader.finish()
}

struct Loader {
    set: RuleSet,
    /// The files read so far.
    read: Vec<(PathBuf, String, Contents)>,
    mappings: Mappings,
    /// The time by which expiries count.
    now: Instant,
    /// Ids of the rules read so far, and the path of their files.
    ids: BTreeMap<String, PathBuf>,
    /// For each rule of the set its place in the report, and the way from its query's offsets to its file's.
    running: Vec<(usize, Option<Embedded>)>,
    /// What rules of type `threat_match` compare events with.
    indicators: Indicators,
}

impl Loader {
    fn new(options: &LoadOptions) -> Self {
        let mut loader = Self {
            set: RuleSet::default(),
            read: Vec::new(),
            mappings: Mappings::shipped().clone(),
            now: options.now.unwrap_or_else(now),
            ids: BTreeMap::new(),
            running: Vec::new(),
            indicators: Indicators::default(),
        };
        loader.read_lists(&options.lists);
        loader.read_mappings(&options.mappings);
        loader.read_indicators(&options.indicators);
        loader
    }

    /// Reads what stands beside the rules: hands each file's path and text to `take`, which gives its diagnostics.
    fn read_beside(
        &mut self,
        paths: &[PathBuf],
        mut take: impl FnMut(&mut Self, &Path, &str) -> Result<Vec<Diagnostic>, String>,
    ) {
        let found = files::find(paths);
        self.set.report.failures.extend(found.failures);
        for (path, given) in found.files {
            let text = match files::read_text(&path) {
                Ok(text) => text,
                Err(reason) => {
                    self.fail(&path, reason);
                    continue;
                }
            };
            match take(self, &path, &text) {
                Ok(diagnostics) => self.set.report.beside.push(RuleFile {
                    name: path.display().to_string(),
                    path,
                    text,
                    diagnostics,
                    other_objects: 0,
                }),
                Err(reason) if given => self.fail(&path, reason),
                Err(reason) => self.ignore(&path, reason),
            }
        }
    }

    fn read_lists(&mut self, paths: &[PathBuf]) {
        self.read_beside(paths, |loader, path, text| {
            let mut read = lists::read(path, text, loader.now)?;
            for (list, place) in read.lists {
                if let Err(list) = loader.set.lists.insert(list) {
                    let first = loader
                        .set
                        .lists
                        .get(&list.name)
                        .map(|first| first.path.display().to_string());
                    let message = format!(
                        "the name `{}` belongs to a list of `{}` already",
                        list.name,
                        first.unwrap_or_default()
                    );
                    read.diagnostics.push(
                        Diagnostic::new(&codes::LIST_NAME, place, message)
                            .with_help("give this list a name of its own"),
                    );
                }
            }
            Ok(read.diagnostics)
        });
    }

    /// Reads mappings of Sigma; later files go before earlier ones.
    fn read_mappings(&mut self, paths: &[PathBuf]) {
        self.read_beside(paths, |loader, path, text| {
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("yml" | "yaml") => Ok(loader.mappings.add(text)),
                _ => Err("its name does not say what it is; mapping files end with `.yml`".into()),
            }
        });
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.set.report.failures.push(Failure {
            path: path.to_owned(),
            reason,
        });
    }

    fn ignore(&mut self, path: &Path, reason: String) {
        self.set.report.ignored.push(IgnoredFile {
            path: path.to_owned(),
            reason,
        });
    }

    fn read(&mut self, path: &Path, given: bool) {
        if rule_tests::is_test_file(path) {
            return self.ignore(
                path,
                "it holds tests of rules; `neph rules test` runs them".into(),
            );
        }
        if Format::of(path).is_none() && !given {
            return self.ignore(
                path,
                "its name does not end with `.toml`, `.ndjson`, `.jsonl`, `.json`, `.yml` or `.eql`".into(),
            );
        }
        match files::read_text(path) {
            Ok(text) => self.take(path, text, given),
            Err(reason) => self.fail(path, reason),
        }
    }

    fn take(&mut self, path: &Path, text: String, given: bool) {
        let text = files::without_mark(text);
        let Some(format) = Format::of(path) else {
            return self.fail(
                path,
                "its name does not say what it is; rule files end with `.toml`, `.ndjson`, `.json`, `.yml` or `.eql`"
                    .into(),
            );
        };
        match file::read(path, format, &text) {
            Ok(contents) => self.read.push((path.to_owned(), text, contents)),
            // What was named by the user and holds no rule is a mistake; what lies around in a folder is not.
            Err(reason) if given => self.fail(path, format!("it is not a rule file: {reason}")),
            Err(reason) => self.ignore(path, reason),
        }
    }

    /// Compiles the documents of Sigma, which may mean one another, and takes in what the files hold, in their order.
    fn link(&mut self) {
        let mut read = std::mem::take(&mut self.read);
        let linked = {
            let files: Vec<SigmaFile<'_>> = read
                .iter()
                .map(|(path, text, contents)| SigmaFile {
                    text,
                    documents: &contents.sigma,
                    origin: Box::new(file::sigma_origin(path, text)),
                })
                .collect();
            sigma::link(&files, &self.mappings, &self.set.lists.texts())
        };
        for ((_, _, contents), linked) in read.iter_mut().zip(linked) {
            contents.rules.extend(linked.rules);
            contents.diagnostics.extend(linked.diagnostics);
        }
        for (path, text, contents) in read {
            self.keep(&path, text, contents);
        }
    }

    fn keep(&mut self, path: &Path, text: String, contents: Contents) {
        let file = self.set.report.files.len();
        for reading in contents.rules {
            let report = self.judge(path, file, reading);
            self.set.report.rules.push(report);
        }
        self.set.report.files.push(RuleFile {
            path: path.to_owned(),
            name: path.display().to_string(),
            text,
            diagnostics: contents.diagnostics,
            other_objects: contents.other_objects,
        });
    }

    /// Decides the state of a rule, and takes it in if it runs.
    fn judge(&mut self, path: &Path, file: usize, reading: Reading) -> RuleReport {
        let mut report = RuleReport {
            file,
            id: reading.id,
            name: reading.name,
            kind: reading.kind,
            state: RuleState::Rejected,
            reasons: Vec::new(),
            diagnostics: reading.diagnostics,
        };
        if let Some(id) = &report.id {
            if let Some(first) = self.ids.get(id) {
                let message = format!(
                    "the `rule_id` `{id}` belongs to a rule of `{}` already",
                    first.display()
                );
                let duplicate = Diagnostic::new(&codes::ID_DUPLICATE, reading.id_place, message);
                report
                    .diagnostics
                    .push(duplicate.with_help("give this rule an id of its own; `uuidgen` makes one"));
                return report;
            }
            self.ids.insert(id.clone(), path.to_owned());
        }
        let place = self.set.report.rules.len();
        let Some(rule) = reading.rule else {
            return report;
        };
        if rule.plan.is_none() {
            self.set.idle.insert(place, rule);
            return report;
        }
        report.reasons = reasons(&rule, &reading.not_honoured, reading.unfilled);
        report.reasons.extend(reading.reasons);
        report.state = if report.reasons.is_empty() {
            RuleState::Active
        } else {
            RuleState::Degraded
        };
        if rule.enabled && !reading.only_correlated {
            self.running.push((place, reading.query_map));
            self.set.rules.push(rule);
        } else {
            self.set.idle.insert(place, rule);
        }
        report
    }

    fn read_indicators(&mut self, paths: &[PathBuf]) {
        let mut read = Indicators::read(paths, self.now);
        self.set.report.failures.append(&mut read.failures);
        self.set.report.indicators = std::mem::take(&mut read.files);
        self.indicators = read;
    }

    /// Gives rules of type `threat_match` their indicators; those that have none are degraded.
    fn bind_indicators(&mut self) {
        let indicators = std::mem::take(&mut self.indicators);
        for (position, reason) in threat_match::bind(&mut self.set.rules, &Arc::new(indicators)) {
            let place = self.running.get(position).map(|(place, _)| *place);
            let Some(report) = place.and_then(|place| self.set.report.rules.get_mut(place)) else {
                continue;
            };
            report.state = RuleState::Degraded;
            report.reasons.push(reason);
        }
    }

    /// Rejects what the engine cannot run, so that no rule counts as active that will not, and gives every file the
    /// diagnostics of its rules.
    fn finish(mut self) -> RuleSet {
        self.link();
        self.bind_indicators();
        let (_, refused) = Program::compile(self.set.rules.iter().filter_map(|rule| rule.plan.as_ref()));
        for refusal in refused.iter().rev() {
            let position = refusal.rule.0 as usize;
            let Some((place, map)) = self.running.get(position) else {
                continue;
            };
            let Some(report) = self.set.report.rules.get_mut(*place) else {
                continue;
            };
            let message = format!("the query cannot be run: {}", refusal.reason);
            let diagnostic =
                Diagnostic::new(&codes::QUERY_REFUSED, refusal.span.unwrap_or_default(), message);
            report.diagnostics.push(
                map.as_ref()
                    .map_or(diagnostic.clone(), |map| map.place(diagnostic)),
            );
            report.state = RuleState::Rejected;
            report.reasons.clear();
            let place = *place;
            let mut rule = self.set.rules.remove(position);
            rule.plan = None;
            self.set.idle.insert(place, rule);
            self.running.remove(position);
        }
        self.set.places = self.running.iter().map(|(place, _)| *place).collect();
        let LoadReport { rules, files, .. } = &mut self.set.report;
        for rule in rules.iter_mut() {
            rule.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
            if let Some(file) = files.get_mut(rule.file) {
                file.diagnostics.extend(rule.diagnostics.iter().cloned());
            }
        }
        for file in files {
            file.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        }
        self.set
    }
}

fn reasons(rule: &Rule, not_honoured: &[(&'static str, &'static str)], unfilled: Vec<String>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = not_honoured
        .iter()
        .map(|(key, effect)| Reason::KeyNotHonoured {
            key: (*key).into(),
            effect: (*effect).into(),
        })
        .collect();
    if !unfilled.is_empty() {
        reasons.push(Reason::FieldsUnknown { fields: unfilled });
    }
    if !rule.enabled {
        reasons.push(Reason::Disabled);
    }
    reasons
}
