//! Text of a stranger, made safe to show on a terminal.

use std::borrow::Cow;

/// Whether a character makes a text look other than it is: control characters, those that turn the direction of writing, those that are
/// not seen, and those that are none (<https://trojansource.codes>, <https://www.unicode.org/reports/tr36/>). Tabs and line ends are such, too;
/// who keeps them looks for them first.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// What is shown for a character that must not reach a terminal, `None` where it is shown as it is: control characters
/// become their pictures, tabs four spaces, and what turns the writing direction or is invisible becomes `�`, so that a
/// text cannot look other than it is (<https://trojansource.codes>).
fn substitute(character: char) -> Option<Cow<'static, str>> {
    match character {
        '\t' => Some("    ".into()),
        '\u{7f}' => Some("␡".into()),
        '\u{0}'..='\u{1f}' => {
            let picture = char::from_u32(u32::from(character) + 0x2400).unwrap_or('\u{fffd}');
            Some(picture.to_string().into())
        }
        _ if is_invisible(character) => Some("\u{fffd}".into()),
        _ => None,
    }
}

/// Adds `text` to `out` in its harmless form.
pub(crate) fn push(out: &mut String, text: &str) {
    for character in text.chars() {
        match substitute(character) {
            Some(shown) => out.push_str(&shown),
            None => out.push(character),
        }
    }
}

/// A text of one line: line breaks become spaces.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        push(&mut out, part.strip_suffix('\r').unwrap_or(part));
    }
    out
}

/// A text of several lines, whose breaks stay.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        push(&mut out, part.strip_suffix('\r').unwrap_or(part));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_steers_it() {
        assert_eq!(
            line("a\u{1b}[31mb\tc\r\nd\u{202e}e\u{9b}f"),
            "a␛[31mb    c d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(lines("a\r\nb\rc"), "a\nb␍c");
        assert_eq!(line("plain ünïcödé 漢字 عربى"), "plain ünïcödé 漢字 عربى");
    }
}
