//! Loads rules from files and folders.

mod gather;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_engine::{CompileError, Exception, Program, RuleIndex};
use neph_event::Instant;
use neph_plan::Plan;
use neph_sigma::Mappings;

use crate::builtin::is_builtin;
use crate::codes;
use crate::compile::now;
use crate::elastic::Reading;
use crate::embedded::Embedded;
use crate::exceptions::{self, ExceptionSource, Raw, RuleException};
use crate::file::Contents;
use crate::files;
use crate::indicators::Indicators;
use crate::library::Library;
use crate::lists::{self, Lists};
use crate::overlay::{self, Overlay};
use crate::report::{Failure, IgnoredFile, LoadReport, Reason, RuleFile, RuleReport, RuleState};
use crate::rule::{Rule, RuleKind};
use crate::shared_text::SharedText;
use crate::sigma;
use crate::texts::{self, Lang};
use crate::threat_match;
use gather::ReadFile;

/// The rules that can run, and what became of all that were found.
#[derive(Debug)]
pub struct RuleSet {
    /// The active and the degraded rules, but not those that are switched off; each has a plan.
    pub rules: Vec<Arc<Rule>>,
    /// The typed lists.
    pub lists: Lists,
    /// Events that some of the rules are not to see.
    pub exceptions: Vec<RuleException>,
    /// The rules and exceptions as one program, a rule's position here being its index there.
    pub program: Program,
    /// Everything that was found.
    pub report: LoadReport,
    /// For each of `rules` its place in the report.
    places: Vec<usize>,
    /// For each of `rules` the way from its query's offsets to its file's.
    maps: Vec<Option<Embedded>>,
    /// Rules that do not run, as far as they could be read, with their places in the report.
    idle: BTreeMap<usize, Arc<Rule>>,
}

impl RuleSet {
    /// Takes out what runs: the rules with their exceptions, report and program. What is left tells of the rules as before, and its
    /// program is empty.
    #[must_use]
    pub fn take_running(&mut self) -> Self {
        let empty = Program::compile([]).0;
        Self {
            rules: self.rules.clone(),
            lists: Lists::default(),
            exceptions: self.exceptions.clone(),
            program: std::mem::replace(&mut self.program, empty),
            report: self.report.clone(),
            places: self.places.clone(),
            maps: Vec::new(),
            idle: BTreeMap::new(),
        }
    }

    /// What is said of a rule's query, as it is said of the file; with the file. `rule` is a position in `rules`.
    pub fn in_file(&self, rule: usize, diagnostic: Diagnostic) -> Option<(&RuleFile, Diagnostic)> {
        let report = self.report.rules.get(*self.places.get(rule)?)?;
        let file = self.report.files.get(report.file)?;
        let of = self.rules.get(rule)?;
        let placed = match self.maps.get(rule) {
            _ if diagnostic.span.is_empty() => diagnostic,
            _ if of.kind.is_sigma() => {
                let moved = |span| sigma::in_file(&of.query, &file.text, span);
                diagnostic.map_spans(moved, |span| Some(moved(span)))
            }
            Some(Some(map)) => map.place(diagnostic),
            _ => diagnostic,
        };
        Some((file, placed))
    }

    /// The program of these rules, where the one at a position has another plan.
    pub fn program_with(&self, position: usize, plan: &Plan) -> Program {
        let plans = self
            .rules
            .iter()
            .enumerate()
            .filter_map(|(place, rule)| match place == position {
                true => Some(plan),
                false => rule.plan.as_ref(),
            });
        Program::compile_excepting(plans, &excepting(&self.exceptions)).0
    }

    /// Everything that was found, each with the rule as far as it could be read: also rules that are switched off, rejected or
    /// of a type that is not supported.
    pub fn all(&self) -> Vec<(&RuleReport, Option<&Rule>)> {
        let mut rules: BTreeMap<usize, &Rule> =
            self.idle.iter().map(|(place, rule)| (*place, &**rule)).collect();
        let running = self.rules.iter().map(|rule| &**rule);
        rules.extend(self.places.iter().copied().zip(running));
        let reports = self.report.rules.iter().enumerate();
        reports
            .map(|(place, report)| (report, rules.get(&place).copied()))
            .collect()
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            lists: Lists::default(),
            exceptions: Vec::new(),
            program: Program::compile(&[]).0,
            report: LoadReport::default(),
            places: Vec::new(),
            maps: Vec::new(),
            idle: BTreeMap::new(),
        }
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
    /// The language of names, descriptions and guides, as far as texts in it stand beside the rules, and of the reasons of
    /// alerts.
    pub lang: Lang,
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
    Loader::new(options).load(paths, None)
}

/// Loads the rules of a text as if it were a file of this name.
pub fn load_text(name: &Path, text: String) -> RuleSet {
    load_text_with(name, text, &LoadOptions::default())
}

/// [`load_text`] with what is given beside the rules.
pub fn load_text_with(name: &Path, text: String, options: &LoadOptions) -> RuleSet {
    let mut loader = Loader::new(options);
    loader.take(name, text);
    loader.finish(None)
}

pub(crate) struct Loader {
    set: RuleSet,
    /// The files read so far.
    read: Vec<ReadFile>,
    mappings: Mappings,
    /// The texts of the mappings that were added.
    mapping_texts: Vec<String>,
    /// The time by which expiries count.
    now: Instant,
    /// Ids of the rules read so far, and the path of their files.
    ids: BTreeMap<(bool, String), PathBuf>,
    /// For each rule of the set its place in the report, and the way from its query's offsets to its file's.
    running: Vec<(usize, Option<Embedded>)>,
    /// What rules of type `threat_match` compare events with.
    indicators: Indicators,
    /// Overlays, with their files.
    overlays: Vec<(Place, Overlay)>,
    /// Exception lists and their items, with their files.
    raw: Vec<(Place, Raw)>,
    lang: Lang,
    /// Files of texts, by the paths of their rule files without the ending.
    texts: BTreeMap<PathBuf, PathBuf>,
}

/// A file of the report.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Of rules.
    Rules(usize),
    /// Beside them.
    Beside(usize),
}

impl Loader {
    pub(crate) fn new(options: &LoadOptions) -> Self {
        let mut loader = Self {
            set: RuleSet::default(),
            read: Vec::new(),
            mappings: Mappings::shipped(),
            mapping_texts: Vec::new(),
            now: options.now.unwrap_or_else(now),
            ids: BTreeMap::new(),
            running: Vec::new(),
            indicators: Indicators::default(),
            overlays: Vec::new(),
            raw: Vec::new(),
            lang: options.lang,
            texts: BTreeMap::new(),
        };
        loader.read_lists(&options.lists);
        loader.read_mappings(&options.mappings);
        loader.read_overlays(&options.overlays);
        loader.read_indicators(&options.indicators);
        loader
    }

    /// Loads the rules of these paths; the library, where there is one, has what was loaded before.
    pub(crate) fn load<P: AsRef<Path>>(mut self, paths: &[P], library: Option<&mut Library>) -> RuleSet {
        let found = files::find(paths);
        self.set.report.failures.extend(found.failures);
        // What is built in comes last, so that the user's rules of the same ids stand in its place.
        let (builtin, own): (Vec<_>, Vec<_>) =
            found.files.into_iter().partition(|(path, _)| is_builtin(path));
        self.read_files(own.into_iter().chain(builtin).collect(), library.as_deref());
        self.finish(library)
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
                    text: text.into(),
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
                    // The user's list of the same name, which was read before, stands in place of a built-in one.
                    if is_builtin(path) {
                        continue;
                    }
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
                Some("yml" | "yaml") => {
                    loader.mapping_texts.push(text.to_owned());
                    Ok(loader.mappings.add(text))
                }
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

    /// Gives the rules of a file the texts that stand beside it, and puts all into the language that is wanted.
    fn translate(&mut self, path: &Path, rules: &mut [Reading]) {
        if let Some(beside) = self.texts.remove(&path.with_extension("")) {
            match files::read_text(&beside) {
                Ok(text) => {
                    let diagnostics = texts::give(&text, rules);
                    self.set.report.beside.push(RuleFile {
                        name: beside.display().to_string(),
                        path: beside,
                        text: text.into(),
                        diagnostics,
                        other_objects: 0,
                    });
                }
                Err(reason) => self.fail(&beside, reason),
            }
        }
        for reading in rules {
            if let Some(rule) = &mut reading.rule {
                let texts = &rule.texts;
                if texts.lang != self.lang || texts.others.contains_key(&self.lang) {
                    Arc::make_mut(rule).speak(self.lang);
                }
                reading.name = Some(rule.name.clone());
            }
        }
    }

    fn take_in(&mut self, path: &Path, text: SharedText, mut contents: Contents) {
        self.translate(path, &mut contents.rules);
        let file = self.set.report.files.len();
        let exceptions = contents.exceptions.into_iter();
        self.raw.extend(exceptions.map(|raw| (Place::Rules(file), raw)));
        for reading in contents.rules {
            if let Some(first) = self.replaced(path, &reading) {
                self.ignore(
                    path,
                    format!("the rule of the same id in `{first}` stands in its place"),
                );
                continue;
            }
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

    /// The file of the user's rule that stands in place of a built-in one.
    fn replaced(&self, path: &Path, reading: &Reading) -> Option<String> {
        let key = (reading.kind.is_some_and(RuleKind::is_sigma), reading.id.clone()?);
        let first = self.ids.get(&key)?;
        (is_builtin(path) && !is_builtin(first)).then(|| first.display().to_string())
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
            // Sigma's rules are numbered apart from Elastic's, and some of both sets share an id.
            let key = (reading.kind.is_some_and(RuleKind::is_sigma), id.clone());
            if let Some(first) = self.ids.get(&key) {
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
            self.ids.insert(key, path.to_owned());
        }
        let place = self.set.report.rules.len();
        let Some(rule) = reading.rule else {
            return report;
        };
        if rule.plan.is_none() {
            self.set.idle.insert(place, rule);
            return report;
        }
        report.diagnostics.extend(reading.impossible);
        report.reasons = reasons(&rule, &reading.not_honoured, reading.unfilled);
        report.reasons.extend(reading.reasons);
        report.state = match report.reasons.is_empty() {
            true => RuleState::Active,
            false => RuleState::Degraded,
        };
        if !reading.only_correlated {
            self.running.push((place, reading.query_map));
            self.set.rules.push(rule);
        } else {
            self.set.idle.insert(place, rule);
        }
        report
    }

    fn read_overlays(&mut self, paths: &[PathBuf]) {
        self.read_beside(paths, |loader, path, text| {
            let read = overlay::read(path, text, &loader.set.lists, loader.now)?;
            let file = Place::Beside(loader.set.report.beside.len());
            loader
                .overlays
                .extend(read.overlays.into_iter().map(|overlay| (file, overlay)));
            loader
                .raw
                .extend(read.exceptions.into_iter().map(|raw| (file, raw)));
            Ok(read.diagnostics)
        });
    }

    /// Applies the overlays, in the order of their files.
    fn apply_overlays(&mut self) {
        let mut taken = overlay::Taken::new();
        for (place, overlay) in std::mem::take(&mut self.overlays) {
            let name = overlay.name.clone();
            let has_problems = self.file(place).is_some_and(|file| !file.diagnostics.is_empty());
            let file = self.file(place).map(|file| file.name.clone()).unwrap_or_default();
            let mut applied = overlay::apply(overlay, &file, &mut self.set.rules, &mut taken);
            applied.report.has_problems |= has_problems;
            for (position, enabled) in applied.switched {
                let Some(report) = self.report_of(position) else {
                    continue;
                };
                report
                    .reasons
                    .retain(|reason| !matches!(reason, Reason::Disabled | Reason::DisabledByOverlay { .. }));
                if !enabled {
                    report.reasons.push(Reason::DisabledByOverlay {
                        overlay: name.clone(),
                    });
                }
            }
            self.set.exceptions.append(&mut applied.exceptions);
            self.set.report.overlays.push(applied.report);
            if let Some(file) = self.file(place) {
                file.diagnostics.append(&mut applied.diagnostics);
            }
        }
    }

    /// Makes the items of exception lists ready that rules name; rules whose lists are not there, or have an item that
    /// cannot be applied, are degraded.
    fn bind_exceptions(&mut self) {
        let mut named: BTreeMap<String, Vec<(RuleIndex, Span)>> = BTreeMap::new();
        for (number, rule) in (0_u32..).zip(&mut self.set.rules) {
            if rule.tuning.exception_lists.is_empty() {
                continue;
            }
            for list in &mut Arc::make_mut(rule).tuning.exception_lists {
                let rules = named.entry(list.list_id.clone()).or_default();
                // What a rule is does not depend on where it stands.
                rules.push((RuleIndex(number), std::mem::take(&mut list.span)));
            }
        }
        let mut there: BTreeMap<String, bool> = BTreeMap::new();
        for (place, raw) in std::mem::take(&mut self.raw) {
            let Some(list) = raw.table.text("list_id").map(str::to_owned) else {
                continue;
            };
            let is_whole = there.entry(list.clone()).or_insert(true);
            if raw.table.entry("item_id").is_none() && raw.table.entry("entries").is_none() {
                continue;
            }
            let Some(text) = self.file(place).map(|file| file.text.clone()) else {
                continue;
            };
            let mut found = Vec::new();
            match exceptions::item(&raw, &text, &self.set.lists, self.now, &mut found) {
                Some(draft) => self.set.exceptions.push(RuleException {
                    name: draft.name,
                    source: ExceptionSource::ExceptionList(list.clone()),
                    upkeep: draft.upkeep,
                    fields: draft.fields,
                    condition: draft.condition,
                    rules: named
                        .get(&list)
                        .map(|rules| rules.iter().map(|(rule, _)| *rule).collect())
                        .unwrap_or_default(),
                }),
                None => *is_whole &= !neph_diag::has_errors(&found),
            }
            if let Some(file) = self.file(place) {
                file.diagnostics.append(&mut found);
            }
        }
        for (list, rules) in named {
            let message = match there.get(&list) {
                Some(true) => continue,
                Some(false) => format!("the exception list `{list}` has items that cannot be applied"),
                None => format!("the exception list `{list}` is not there"),
            };
            for (rule, span) in rules {
                let Some(report) = self.report_of(rule.0 as usize) else {
                    continue;
                };
                let help = "give the exported list (`*.ndjson`) beside the rules or with `--overlay`";
                report
                    .diagnostics
                    .push(Diagnostic::new(&codes::EXCEPTIONS_MISSING, span, message.clone()).with_help(help));
                let missing = report.reasons.iter_mut().find_map(|reason| match reason {
                    Reason::ExceptionsMissing { lists } => Some(lists),
                    _ => None,
                });
                match missing {
                    Some(lists) => lists.push(list.clone()),
                    None => report.reasons.push(Reason::ExceptionsMissing {
                        lists: vec![list.clone()],
                    }),
                }
            }
        }
    }

    fn report_of(&mut self, position: usize) -> Option<&mut RuleReport> {
        let (place, _) = self.running.get(position)?;
        self.set.report.rules.get_mut(*place)
    }

    fn file(&mut self, place: Place) -> Option<&mut RuleFile> {
        match place {
            Place::Rules(number) => self.set.report.files.get_mut(number),
            Place::Beside(number) => self.set.report.beside.get_mut(number),
        }
    }

    /// Takes rules out of those that run, by ascending positions.
    fn remove(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let mut kept = 0_u32;
        let mut map = Vec::with_capacity(self.set.rules.len());
        let rules = std::mem::take(&mut self.set.rules);
        let running = std::mem::take(&mut self.running);
        for (position, (rule, (place, query_map))) in rules.into_iter().zip(running).enumerate() {
            if gone.binary_search(&position).is_ok() {
                map.push(None);
                self.set.idle.insert(place, rule);
            } else {
                map.push(Some(RuleIndex(kept)));
                kept += 1;
                self.set.rules.push(rule);
                self.running.push((place, query_map));
            }
        }
        let stays = |position: usize| map.get(position).copied().flatten();
        for exception in &mut self.set.exceptions {
            let rules = exception.rules.iter();
            exception.rules = rules.filter_map(|rule| stays(rule.0 as usize)).collect();
        }
    }

    fn compile(
        &self,
    ) -> (
        Program,
        Vec<CompileError>,
        Vec<(usize, neph_engine::ConditionError)>,
    ) {
        Program::compile_excepting(
            self.set.rules.iter().filter_map(|rule| rule.plan.as_ref()),
            &excepting(&self.set.exceptions),
        )
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
    fn finish(mut self, library: Option<&mut Library>) -> RuleSet {
        self.link(library);
        self.ids = BTreeMap::new();
        self.bind_indicators();
        self.apply_overlays();
        self.bind_exceptions();
        for place in self.running.iter().map(|(place, _)| *place) {
            if let Some(report) = self.set.report.rules.get_mut(place) {
                report.state = match report.reasons.is_empty() {
                    true => RuleState::Active,
                    false => RuleState::Degraded,
                };
            }
        }
        let off = self
            .set
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.enabled);
        let off: Vec<usize> = off.map(|(position, _)| position).collect();
        self.remove(&off);
        let (mut program, refused, unapplied) = self.compile();
        if !refused.is_empty() {
            self.reject(&refused);
            program = self.compile().0;
        }
        for (position, reason) in unapplied {
            if let Some(exception) = self.set.exceptions.get(position) {
                let message = format!("the exception `{}` cannot be run: {reason}", exception.name);
                self.set.report.failures.push(Failure {
                    path: PathBuf::from(match &exception.source {
                        ExceptionSource::ExceptionList(name) | ExceptionSource::Overlay(name) => name,
                    }),
                    reason: message,
                });
            }
        }
        self.set.program = program;
        (self.set.places, self.set.maps) = std::mem::take(&mut self.running).into_iter().unzip();
        let LoadReport {
            rules, files, beside, ..
        } = &mut self.set.report;
        for rule in rules.iter_mut() {
            rule.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
            if let Some(file) = files.get_mut(rule.file) {
                file.diagnostics.extend(rule.diagnostics.iter().cloned());
            }
        }
        for file in files.iter_mut().chain(beside) {
            file.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        }
        self.set
    }

    fn reject(&mut self, refused: &[CompileError]) {
        let mut gone = Vec::new();
        for refusal in refused {
            let position = refusal.rule.0 as usize;
            gone.push(position);
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
            if let Some(rule) = self.set.rules.get_mut(position) {
                Arc::make_mut(rule).plan = None;
            }
        }
        self.remove(&gone);
    }
}

/// The exceptions as the engine takes them.
fn excepting(exceptions: &[RuleException]) -> Vec<Exception<'_>> {
    exceptions
        .iter()
        .map(|exception| Exception {
            fields: &exception.fields,
            condition: &exception.condition,
            rules: &exception.rules,
        })
        .collect()
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
