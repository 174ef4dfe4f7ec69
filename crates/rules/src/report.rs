//! What came of loading: each file and each rule, once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use neph_diag::render::{self, FileReport};
use neph_diag::{Diagnostic, SourceFile};
use serde::Serialize;

use crate::indicators::IndicatorFile;
use crate::overlay::OverlayReport;
use crate::rule::RuleKind;
use crate::shared_text::SharedText;

/// The report of a load. Every rule found is in `rules`, in exactly one state; every file found is counted once.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// All rules found, in the order of the files and their text.
    pub rules: Vec<RuleReport>,
    /// The files that rules were read from.
    pub files: Vec<RuleFile>,
    /// The files beside the rules: lists, overlays.
    pub beside: Vec<RuleFile>,
    /// The overlays, in the order in which they were applied.
    pub overlays: Vec<OverlayReport>,
    /// Files that are no rule files.
    pub ignored: Vec<IgnoredFile>,
    /// Files and folders that could not be read.
    pub failures: Vec<Failure>,
    /// The files of indicators.
    pub indicators: Vec<IndicatorFile>,
}

/// A file that rules were read from.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Its path as given, or as found below a given folder.
    pub path: PathBuf,
    /// The path for display.
    pub name: String,
    /// Its text.
    pub text: SharedText,
    /// All diagnostics of the file, those of its rules included, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Objects of an export that are no rules (exception lists and their items, connectors), filters of a Sigma file.
    pub other_objects: u64,
}

/// A rule that was found, and what became of it.
#[derive(Clone, Debug)]
pub struct RuleReport {
    /// Index into [`LoadReport::files`].
    pub file: usize,
    /// `rule_id`, as far as it could be read.
    pub id: Option<String>,
    /// Display name, as far as it could be read.
    pub name: Option<String>,
    /// Type, where it is one.
    pub kind: Option<RuleKind>,
    /// What became of it.
    pub state: RuleState,
    /// Why it is degraded; empty otherwise.
    pub reasons: Vec<Reason>,
    /// Its diagnostics; their spans are those of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// It runs as its author wrote it.
    Active,
    /// It runs less well than its author wrote it, or is switched off; [`RuleReport::reasons`] say how.
    Degraded,
    /// It does not run; its diagnostics say why.
    Rejected,
}

/// Why a rule is degraded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The query reads fields that no known source fills, so that the conditions on them see nothing.
    FieldsUnknown {
        /// The fields.
        fields: Vec<String>,
    },
    /// No mapping knows which events the rule's log source is.
    LogSourceUnknown {
        /// The log source.
        logsource: String,
    },
    /// Placeholders of the rule have no lists, so that values with them match nothing.
    ListsMissing {
        /// The names of the lists.
        lists: Vec<String>,
    },
    /// A key asks for what is not done yet.
    KeyNotHonoured {
        /// The key.
        key: String,
        /// What does not happen.
        effect: String,
    },
    /// No indicator is given that the rule's `threat_query` chooses, so that it matches nothing.
    IndicatorsMissing {
        /// How many are given.
        given: u64,
    },
    /// The file says `enabled = false`: the rule does not run.
    Disabled,
    /// An overlay switches the rule off.
    DisabledByOverlay {
        /// The overlay's name.
        overlay: String,
    },
    /// Exception lists that the rule names are not there, or cannot be applied whole, so that it alerts on events that they
    /// except.
    ExceptionsMissing {
        /// The ids of the lists.
        lists: Vec<String>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldsUnknown { fields } => {
                let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                let noun = if fields.len() == 1 {
                    "the field"
                } else {
                    "the fields"
                };
                write!(f, "no known source fills {noun} {}", fields.join(", "))
            }
            Self::LogSourceUnknown { logsource } => {
                write!(f, "no mapping knows the log source `{logsource}`")
            }
            Self::ListsMissing { lists } => {
                let lists: Vec<String> = lists.iter().map(|list| format!("`{list}`")).collect();
                let noun = if lists.len() == 1 {
                    "is no list"
                } else {
                    "are no lists"
                };
                write!(f, "there {noun} {}", lists.join(", "))
            }
            Self::KeyNotHonoured { key, effect } => write!(f, "`{key}` is not honoured yet: {effect}"),
            Self::IndicatorsMissing { given: 0 } => {
                f.write_str("no indicators are given to compare events with (`--indicators`)")
            }
            Self::IndicatorsMissing { given } => write!(
                f,
                "its `threat_query` and `threat_filters` choose none of the {given} indicators that are given"
            ),
            Self::DisabledByOverlay { overlay } => {
                write!(f, "the overlay `{overlay}` switches the rule off")
            }
            Self::ExceptionsMissing { lists } => {
                let names: Vec<String> = lists.iter().map(|list| format!("`{list}`")).collect();
                let noun = if names.len() == 1 { "list" } else { "lists" };
                write!(
                    f,
                    "the exception {noun} {} cannot be applied whole: events that they except take part",
                    names.join(", ")
                )
            }
            Self::Disabled => f.write_str("the rule is switched off in its file (`enabled` is false)"),
        }
    }
}

/// A file that is not a rule file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IgnoredFile {
    /// The file.
    pub path: PathBuf,
    /// Why it is none.
    pub reason: String,
}

/// A file or folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system says.
    pub reason: String,
}

/// The counts of a report; `active + degraded + rejected = rules` and `read + beside + ignored + failed = files`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files and unreadable folders found.
    pub files: usize,
    /// Files that rules were read from.
    pub files_read: usize,
    /// Files of lists and overlays.
    pub files_beside: usize,
    /// Files that are no rule files.
    pub files_ignored: usize,
    /// Files and folders that could not be read.
    pub files_failed: usize,
    /// Rules found.
    pub rules: usize,
    /// Rules that run as written.
    pub active: usize,
    /// Rules that run less well, or are switched off.
    pub degraded: usize,
    /// Rules that do not run.
    pub rejected: usize,
    /// Of the rejected, those of a type that is not supported yet.
    pub unsupported: BTreeMap<&'static str, usize>,
}

impl LoadReport {
    /// Counts everything.
    pub fn counts(&self) -> Counts {
        let of = |state| self.rules.iter().filter(|rule| rule.state == state).count();
        let mut unsupported = BTreeMap::new();
        for rule in &self.rules {
            if let Some(kind) = rule.kind.filter(|kind| !kind.is_supported()) {
                *unsupported.entry(kind.word()).or_insert(0) += 1;
            }
        }
        Counts {
            files: self.files.len() + self.beside.len() + self.ignored.len() + self.failures.len(),
            files_read: self.files.len(),
            files_beside: self.beside.len(),
            files_ignored: self.ignored.len(),
            files_failed: self.failures.len(),
            rules: self.rules.len(),
            active: of(RuleState::Active),
            degraded: of(RuleState::Degraded),
            rejected: of(RuleState::Rejected),
            unsupported,
        }
    }

    /// The diagnostics by file, for the renderers of `neph-diag`.
    pub fn file_reports(&self) -> Vec<FileReport<'_>> {
        self.files
            .iter()
            .chain(&self.beside)
            .map(|file| FileReport {
                source: SourceFile {
                    name: &file.name,
                    text: &file.text,
                },
                diagnostics: &file.diagnostics,
            })
            .collect()
    }

    /// The report as JSON: counts, each rule with state, reasons and diagnostics, ignored files, failures.
    pub fn to_json(&self) -> serde_json::Value {
        let rules: Vec<serde_json::Value> = self
            .rules
            .iter()
            .map(|rule| {
                let file = self.files.get(rule.file);
                let source = SourceFile {
                    name: file.map_or("", |file| &file.name),
                    text: file.map_or("", |file| &file.text),
                };
                let records: Vec<render::Record> = rule
                    .diagnostics
                    .iter()
                    .map(|diagnostic| render::record(diagnostic, &source))
                    .collect();
                serde_json::json!({
                    "file": source.name,
                    "rule_id": rule.id,
                    "name": rule.name,
                    "type": rule.kind.map(RuleKind::word),
                    "state": rule.state,
                    "reasons": rule.reasons,
                    "diagnostics": records,
                })
            })
            .collect();
        let beside: Vec<serde_json::Value> = self
            .beside
            .iter()
            .map(|file| {
                let source = SourceFile {
                    name: &file.name,
                    text: &file.text,
                };
                let records = file.diagnostics.iter();
                let records: Vec<render::Record> = records
                    .map(|diagnostic| render::record(diagnostic, &source))
                    .collect();
                serde_json::json!({"file": source.name, "diagnostics": records})
            })
            .collect();
        serde_json::json!({
            "counts": self.counts(),
            "rules": rules,
            "overlays": self.overlays,
            "beside": beside,
            "ignored": self.ignored,
            "failures": self.failures,
            "indicators": self.indicators,
        })
    }
}

impl fmt::Display for Counts {
    /// One line: `1024 rules (1000 active, 24 degraded, 0 rejected) in 1024 files; 2 files ignored`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        write!(
            f,
            "{} ({} active, {} degraded, {} rejected) in {}",
            noun(self.rules, "rule"),
            self.active,
            self.degraded,
            self.rejected,
            noun(self.files_read, "file")
        )?;
        if !self.unsupported.is_empty() {
            let kinds: Vec<String> = self
                .unsupported
                .iter()
                .map(|(kind, count)| format!("{kind} {count}"))
                .collect();
            write!(f, "; not supported yet: {}", kinds.join(", "))?;
        }
        if self.files_ignored > 0 {
            write!(f, "; {} ignored", noun(self.files_ignored, "file"))?;
        }
        if self.files_failed > 0 {
            write!(f, "; {} unreadable", noun(self.files_failed, "file"))?;
        }
        Ok(())
    }
}
