//! Diagnostics about what a *user wrote*: a rule, a query, a list, a configuration.
//!
//! They are collected and never thrown: a parser returns `(T, Vec<Diagnostic>)` and goes on, so that one run
//! shows every problem of a file. What the *world* did wrong (IO, corrupt records) is not a diagnostic; those are
//! typed errors of the crate that met them.
//!
//! A [`Diagnostic`] speaks in byte [`Span`]s of one text. Where that text is embedded in another (a query inside a
//! TOML string), [`Diagnostic::map_spans`] moves it to the outer file before it is rendered.
//!
//! - [`render`]: diagnostics as text for a terminal, as JSON and as SARIF.
//! - [`fix`]: applies fixes to a text.
//! - [`Registry`]: every [`Code`] by its name, for `neph explain`.
//!
//! **Architecture invariant:** this crate knows no language and no file format, and does no IO; whether there is colour
//! is handed in.

pub mod fix;
mod harmless;
mod registry;
pub mod render;
mod source;

pub use harmless::is_invisible;
pub use registry::Registry;
pub use source::{LineIndex, Position, SourceFile};

/// A half-open byte range `start..end` of a source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The span `start..end`; offsets beyond `u32::MAX` saturate (texts that large are refused before parsing).
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The same span as a `usize` range, for slicing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Number of bytes covered.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether no byte is covered; such a span marks a position.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The text under the span, or `""` where the span does not fit `text`.
    pub fn text(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or("")
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// It runs, but probably not as its author thinks.
    Warning,
    /// It cannot run.
    Error,
}

/// A kind of problem, as `neph explain NAME` describes it.
///
/// Each crate lists its codes in a `CODES` slice; the name is stable and never reused for something else.
#[derive(Debug)]
pub struct Code {
    /// Readable kebab-case name, for example `and-or-mixed`.
    pub name: &'static str,
    /// Severity of the diagnostics that carry this code.
    pub severity: Severity,
    /// One line: what is wrong.
    pub summary: &'static str,
    /// Markdown page: why it is a problem, an example that has it, and how to mend it.
    pub explanation: &'static str,
}

/// Declares codes as statics, `NAME = Severity "name": "summary";`, each with its page in `codes/NAME.md` beside the file, or
/// behind the summary (`"summary", "page";`), and a static `CODES` of them all, in their order.
#[macro_export]
macro_rules! codes {
    ($($constant:ident = $severity:ident $name:literal: $summary:literal $(, $page:literal)?;)*) => {
        $(
            #[doc = $summary]
            pub static $constant: $crate::Code = $crate::Code {
                name: $name,
                severity: $crate::Severity::$severity,
                summary: $summary,
                explanation: $crate::codes!(@page $name $($page)?),
            };
        )*

        /// The codes that are declared here.
        pub static CODES: &[&$crate::Code] = &[$(&$constant),*];
    };
    (@page $name:literal) => { include_str!(concat!("codes/", $name, ".md")) };
    (@page $name:literal $page:literal) => { $page };
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Code {}

/// A remark on a second place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be said of this place; lower case, no full stop.
    pub message: String,
}

/// Whether a fix may be applied without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// The meaning that the author had in mind is certain, or the fix keeps today's meaning; `--fix` applies it.
    Sure,
    /// A person has to choose; shown, never applied.
    Maybe,
}

/// A replacement of the text under a span (an empty span inserts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// What comes in its place.
    pub replacement: String,
}

/// A change of the source that mends the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the fix does, in the imperative: "put parentheses round the `and`".
    pub title: String,
    /// Edits that do not overlap, in ascending order.
    pub edits: Vec<Edit>,
    /// Whether `--fix` may apply it.
    pub applicability: Applicability,
}

/// One problem of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of problem; carries the severity.
    pub code: &'static Code,
    /// What is wrong, about this text: lower case, no full stop, user text in backticks, no Rust names.
    pub message: String,
    /// The place that is at fault.
    pub span: Span,
    /// What to write under the primary span; empty where the message says it all.
    pub label: String,
    /// Remarks on other places.
    pub labels: Vec<Label>,
    /// Help, a paragraph each.
    pub help: Vec<String>,
    /// A fix, where there is one.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic with its message and place only; the `with_*` methods add the rest.
    pub fn new(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span,
            label: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
            fix: None,
        }
    }

    /// Says something under the primary span.
    #[must_use]
    pub fn with_label(mut self, message: impl Into<String>) -> Self {
        self.label = message.into();
        self
    }

    /// Adds a remark on another place.
    #[must_use]
    pub fn with_secondary(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a paragraph of help.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds the fix.
    #[must_use]
    pub fn with_fix(
        mut self,
        title: impl Into<String>,
        edits: Vec<Edit>,
        applicability: Applicability,
    ) -> Self {
        self.fix = Some(Fix {
            title: title.into(),
            edits,
            applicability,
        });
        self
    }

    /// Severity, from the code.
    pub fn severity(&self) -> Severity {
        self.code.severity
    }

    /// Moves every span, for a text that is embedded in another. A fix is dropped when `place` says that the embedded
    /// text does not stand verbatim in the outer one (returns `None` for an edit's span).
    #[must_use]
    pub fn map_spans(
        mut self,
        place: impl Fn(Span) -> Span,
        verbatim: impl Fn(Span) -> Option<Span>,
    ) -> Self {
        self.span = place(self.span);
        for label in &mut self.labels {
            label.span = place(label.span);
        }
        if let Some(mut fix) = self.fix.take() {
            let mut whole = true;
            for edit in &mut fix.edits {
                match verbatim(edit.span) {
                    Some(span) => edit.span = span,
                    None => whole = false,
                }
            }
            if whole {
                self.fix = Some(fix);
            }
        }
        self
    }
}

/// Whether any of the diagnostics is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity() == Severity::Error)
}
