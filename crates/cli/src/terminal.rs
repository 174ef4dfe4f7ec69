//! Colours and the two output streams.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the command knows of the place where it prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether standard output takes colours.
    pub(crate) colour_out: bool,
    /// Whether standard error takes colours.
    pub(crate) colour_err: bool,
    /// Whether a person watches standard error, so that a progress bar makes sense.
    pub(crate) interactive: bool,
}

impl Terminal {
    /// Looks at the streams and at NO_COLOR (<https://no-color.org>).
    pub(crate) fn new(colour: Colour) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |is_terminal: bool| match colour {
            Colour::Auto => is_terminal && !refused,
            Colour::Always => true,
            Colour::Never => false,
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            colour_out: wanted(out),
            colour_err: wanted(err),
            interactive: err,
        }
    }

    /// Says on standard error what went wrong.
    pub(crate) fn error(&self, message: &str) {
        self.note("error", AnsiColor::Red, message);
    }

    /// Says on standard error what is doubtful.
    pub(crate) fn warning(&self, message: &str) {
        self.note("warning", AnsiColor::Yellow, message);
    }

    /// Says on standard error what was done.
    pub(crate) fn note_plain(&self, message: &str) {
        // Nothing can be done when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{message}");
    }

    fn note(&self, word: &str, colour: AnsiColor, message: &str) {
        let style = if self.colour_err {
            Style::new().bold().fg_color(Some(colour.into()))
        } else {
            Style::new()
        };
        // Nothing can be done when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{style}{word}{style:#}: {message}");
    }
}

/// Wraps `text` in a style, if colours are on.
pub(crate) fn paint(on: bool, style: Style, text: &str) -> String {
    if on {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}
