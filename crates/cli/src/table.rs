//! Tables that fit the terminal.

use anstyle::{AnsiColor, Color, Style};
use comfy_table::{ContentArrangement, Table, presets};

/// Width when the output is no terminal.
const WIDTH: u16 = 160;

/// A table without frames, its columns wrapped to the terminal's width.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}

/// The colour of a severity.
pub(crate) fn severity_style(word: &str) -> Style {
    let colour = match word {
        "critical" => AnsiColor::Magenta,
        "high" => AnsiColor::Red,
        "medium" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(Color::Ansi(colour)))
}

/// Text with control characters made visible, so that a record cannot write to the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}
