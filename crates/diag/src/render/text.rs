//! Diagnostics for people, in the manner of rustc.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::FileReport;
use super::view::View;
use crate::source::{LineIndex, SourceFile, fit};
use crate::{Applicability, Diagnostic, Fix, Severity, harmless};

/// Wider than any view, so that nothing is cut twice.
const UNBOUNDED: usize = 1 << 20;

/// One diagnostic with the text that it speaks of; ends with a line break.
///
/// Spans that do not fit the text are moved into it. Whatever the text holds, nothing but colour (where asked for) can
/// steer the terminal.
pub fn text(diagnostic: &Diagnostic, source: &SourceFile<'_>, colour: bool) -> String {
    text_of(diagnostic, source, &LineIndex::new(source.text), colour)
}

/// All diagnostics of a file, in the order of the text, with an empty line between them.
pub fn file_text(report: &FileReport<'_>, colour: bool) -> String {
    let lines = LineIndex::new(report.source.text);
    let shown: Vec<String> = report
        .in_order()
        .into_iter()
        .map(|diagnostic| text_of(diagnostic, &report.source, &lines, colour))
        .collect();
    shown.join("\n")
}

fn text_of(diagnostic: &Diagnostic, source: &SourceFile<'_>, lines: &LineIndex<'_>, colour: bool) -> String {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };

    let primary = fit(diagnostic.span, source.text);
    let mut marked: Vec<(Range<usize>, AnnotationKind, String)> = vec![(
        primary.clone(),
        AnnotationKind::Primary,
        harmless::line(&diagnostic.label),
    )];
    for label in &diagnostic.labels {
        marked.push((
            fit(label.span, source.text),
            AnnotationKind::Context,
            harmless::line(&label.message),
        ));
    }
    let ranges: Vec<Range<usize>> = marked.iter().map(|(range, ..)| range.clone()).collect();
    let view = View::new(source, lines, &ranges);

    let mut snippet = Snippet::source(&view.text).line_start(view.first_line);
    for (range, kind, label) in &marked {
        let annotation = kind.span(view.place(range));
        snippet = snippet.annotation(annotation.label((!label.is_empty()).then_some(label.as_str())));
    }
    let position = lines.position(primary.start);
    let origin = Origin::path(harmless::line(source.name))
        .line(position.line)
        .char_column(position.column);
    let title = level
        .primary_title(harmless::line(&diagnostic.message))
        .id(diagnostic.code.name);
    let mut group = title.element(origin).element(snippet);
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(harmless::lines(help)));
    }

    let mut groups = vec![group];
    let suggestion = diagnostic
        .fix
        .as_ref()
        .and_then(|fix| Suggestion::new(fix, source, lines));
    if let Some(suggestion) = &suggestion {
        groups.push(suggestion.group());
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    tidy(&renderer.term_width(UNBOUNDED).render(&groups))
}

/// A fix as it is shown: the lines that it changes.
struct Suggestion {
    title: String,
    view: View,
    edits: Vec<(Range<usize>, String)>,
}

impl Suggestion {
    /// `None` for a fix that cannot be made.
    fn new(fix: &Fix, source: &SourceFile<'_>, lines: &LineIndex<'_>) -> Option<Self> {
        let mut edits: Vec<(Range<usize>, String)> = fix
            .edits
            .iter()
            .map(|edit| (edit.span.range(), harmless::lines(&edit.replacement)))
            .collect();
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let fits = edits
            .iter()
            .all(|(range, _)| source.text.get(range.clone()).is_some());
        let apart = edits.windows(2).all(|pair| match pair {
            [(a, _), (b, _)] => a.end <= b.start && a != b,
            _ => true,
        });
        if edits.is_empty() || !fits || !apart {
            return None;
        }
        let ranges: Vec<Range<usize>> = edits.iter().map(|(range, _)| range.clone()).collect();
        let title = match fix.applicability {
            Applicability::Sure => harmless::line(&fix.title),
            Applicability::Maybe => format!("{} (not applied by `--fix`)", harmless::line(&fix.title)),
        };
        Some(Self {
            title,
            view: View::new(source, lines, &ranges),
            edits,
        })
    }

    fn group(&self) -> Group<'_> {
        let patches = self
            .edits
            .iter()
            .map(|(range, replacement)| Patch::new(self.view.place(range), replacement.as_str()));
        Level::HELP.secondary_title(self.title.as_str()).element(
            Snippet::source(&self.view.text)
                .line_start(self.view.first_line)
                .patches(patches),
        )
    }
}

/// Takes away trailing spaces, and the `:::` of the fourth line: the renderer takes a snippet without a path for one of
/// another file, but the path is the origin's, because the columns of the view are not those of the text.
fn tidy(rendered: &str) -> String {
    let mut out = String::with_capacity(rendered.len() + 1);
    for (index, line) in rendered.lines().enumerate() {
        if index == 3 && line.contains(":::") {
            continue;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Counts in one line: `3 errors, 1 warning in 2 of 5 files`; what does not occur is left out.
pub fn summary(reports: &[FileReport<'_>]) -> String {
    let count = |severity| {
        reports
            .iter()
            .flat_map(|report| report.diagnostics)
            .filter(|diagnostic| diagnostic.severity() == severity)
            .count()
    };
    let mut out = String::new();
    for (severity, one, many) in [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "remark", "remarks"),
    ] {
        let number = count(severity);
        if number > 0 {
            let comma = if out.is_empty() { "" } else { ", " };
            let _ = write!(out, "{comma}{number} {}", if number == 1 { one } else { many });
        }
    }
    if out.is_empty() {
        out.push_str("no problems");
    }
    let files = reports.len();
    let concerned = reports
        .iter()
        .filter(|report| !report.diagnostics.is_empty())
        .count();
    let of = if concerned > 0 && concerned < files {
        format!("{concerned} of {files}")
    } else {
        files.to_string()
    };
    let _ = write!(out, " in {of} {}", if files == 1 { "file" } else { "files" });
    out
}
