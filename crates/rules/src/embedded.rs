//! A text inside a string of another file, and the way back from its offsets to the file's.

use neph_diag::{Diagnostic, Span};

/// How the string is written, which decides what an inserted text must escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    /// TOML `'…'` and `'''…'''`: nothing can be escaped.
    Literal { lines: bool },
    /// TOML `"…"` and `"""…"""`.
    Basic { lines: bool },
    /// JSON `"…"`.
    Json,
}

/// A stretch of the embedded text and the stretch of the file that it is written as.
#[derive(Clone, Copy, Debug)]
struct Piece {
    inner: Span,
    outer: Span,
    /// Whether it stands there byte for byte; otherwise it is one escape.
    verbatim: bool,
}

/// The position map of one string.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    /// Without gaps in both texts; empty where the map is not known, and then everything lies at `whole`.
    pieces: Vec<Piece>,
    whole: Span,
    quotes: Quotes,
}

/// The languages whose strings can embed a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Toml,
    Json,
}

impl Embedded {
    /// The map for the string at `span` of `file`, whose value is `value`.
    pub(crate) fn new(file: &str, span: Span, value: &str, host: Host) -> Self {
        let raw = span.text(file);
        let (quotes, mark) = match host {
            Host::Json => (Quotes::Json, 1),
            Host::Toml if raw.starts_with("'''") => (Quotes::Literal { lines: true }, 3),
            Host::Toml if raw.starts_with('\'') => (Quotes::Literal { lines: false }, 1),
            Host::Toml if raw.starts_with("\"\"\"") => (Quotes::Basic { lines: true }, 3),
            Host::Toml => (Quotes::Basic { lines: false }, 1),
        };
        let body = raw.get(mark..raw.len().saturating_sub(mark)).unwrap_or("");
        let mut reader = Reader {
            pieces: Vec::new(),
            decoded: String::new(),
            at: span.start as usize + mark,
        };
        reader.read(body, quotes);
        let pieces = if reader.decoded == value {
            reader.pieces
        } else {
            Vec::new()
        };
        Self {
            pieces,
            whole: span,
            quotes,
        }
    }

    /// The map for a part of `file` that is written out as it is.
    pub(crate) fn part(span: Span) -> Self {
        Self {
            pieces: vec![Piece {
                inner: Span::new(0, span.len()),
                outer: span,
                verbatim: true,
            }],
            whole: span,
            quotes: Quotes::Literal { lines: true },
        }
    }

    /// The map for a text that stands at `span` in a form whose offsets are not known.
    pub(crate) fn elsewhere(span: Span) -> Self {
        Self {
            pieces: Vec::new(),
            ..Self::part(span)
        }
    }

    /// Moves a diagnostic about the embedded text to the file. Its fix is kept where each edit replaces whole characters
    /// of the file and the new text can be written in this kind of string.
    pub(crate) fn place(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let mut writable = true;
        if let Some(fix) = &mut diagnostic.fix {
            for edit in &mut fix.edits {
                match self.written(&edit.replacement) {
                    Some(text) => edit.replacement = text,
                    None => writable = false,
                }
            }
        }
        if !writable {
            diagnostic.fix = None;
        }
        diagnostic.map_spans(|span| self.outer(span), |span| self.exact(span))
    }

    /// The place of a span in the file; one that begins or ends inside an escape is widened to the whole escape.
    pub(crate) fn outer(&self, span: Span) -> Span {
        if self.pieces.is_empty() {
            return self.whole;
        }
        let start = self.start_of(span.start);
        let end = if span.is_empty() {
            start
        } else {
            self.end_of(span.end)
        };
        Span {
            start,
            end: end.max(start),
        }
    }

    fn exact(&self, span: Span) -> Option<Span> {
        let is_border = |offset: u32| {
            self.pieces.iter().any(|piece| {
                (piece.verbatim && piece.inner.start <= offset && offset <= piece.inner.end)
                    || piece.inner.start == offset
                    || piece.inner.end == offset
            })
        };
        (is_border(span.start) && is_border(span.end)).then(|| self.outer(span))
    }

    fn start_of(&self, offset: u32) -> u32 {
        // The last piece that begins at or before the offset holds it; pieces that decode to nothing are passed over.
        let holder = self
            .pieces
            .partition_point(|piece| piece.inner.start <= offset)
            .checked_sub(1);
        let Some(piece) = holder.and_then(|index| self.pieces.get(index)) else {
            return self.whole.start;
        };
        match piece.verbatim {
            true => (piece.outer.start + (offset - piece.inner.start)).min(piece.outer.end),
            false if offset >= piece.inner.end => piece.outer.end,
            false => piece.outer.start,
        }
    }

    fn end_of(&self, offset: u32) -> u32 {
        let holder = self.pieces.partition_point(|piece| piece.inner.end < offset);
        let Some(piece) = self.pieces.get(holder) else {
            return self.pieces.last().map_or(self.whole.end, |piece| piece.outer.end);
        };
        match piece.verbatim {
            true => piece.outer.start + offset.saturating_sub(piece.inner.start),
            false => piece.outer.end,
        }
    }

    /// `text` as it must be written inside this string; `None` where it cannot be.
    fn written(&self, text: &str) -> Option<String> {
        match self.quotes {
            Quotes::Literal { lines } => {
                let fits = if lines {
                    !text.contains("'''")
                } else {
                    !text.contains(['\'', '\n', '\r'])
                };
                fits.then(|| text.to_owned())
            }
            Quotes::Basic { lines } => {
                let mut out = String::with_capacity(text.len());
                for character in text.chars() {
                    match character {
                        '\n' if lines => out.push('\n'),
                        other => push_escaped(&mut out, other),
                    }
                }
                Some(out)
            }
            Quotes::Json => {
                let mut out = String::with_capacity(text.len());
                text.chars()
                    .for_each(|character| push_escaped(&mut out, character));
                Some(out)
            }
        }
    }
}

/// Escapes that TOML and JSON share.
fn push_escaped(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        control if control < ' ' || control == '\u{7f}' => {
            out.push_str(&format!("\\u{:04x}", control as u32))
        }
        other => out.push(other),
    }
}

/// Decodes the body of a string and notes the pieces.
struct Reader {
    pieces: Vec<Piece>,
    decoded: String,
    /// Offset in the file.
    at: usize,
}

impl Reader {
    fn read(&mut self, body: &str, quotes: Quotes) {
        let mut rest = body;
        if matches!(
            quotes,
            Quotes::Literal { lines: true } | Quotes::Basic { lines: true }
        ) {
            // A line break right behind the opening quotes does not belong to the value.
            let first = rest
                .strip_prefix("\r\n")
                .or_else(|| rest.strip_prefix('\n'))
                .unwrap_or(rest);
            self.at += rest.len() - first.len();
            rest = first;
        }
        if matches!(quotes, Quotes::Literal { .. }) {
            self.verbatim(rest);
            return;
        }
        while !rest.is_empty() {
            let plain = rest.find('\\').unwrap_or(rest.len());
            let (before, escaped) = rest.split_at_checked(plain).unwrap_or((rest, ""));
            self.verbatim(before);
            let Some((text, length)) = escape(escaped) else {
                return;
            };
            self.push(&text, length, false);
            rest = escaped.get(length..).unwrap_or("");
        }
    }

    fn verbatim(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(text, text.len(), true);
        }
    }

    fn push(&mut self, text: &str, length: usize, verbatim: bool) {
        let start = self.decoded.len();
        self.decoded.push_str(text);
        self.pieces.push(Piece {
            inner: Span::new(start, self.decoded.len()),
            outer: Span::new(self.at, self.at + length),
            verbatim,
        });
        self.at += length;
    }
}

/// The escape that `text` begins with: what it stands for, and its length. `None` where there is none.
fn escape(text: &str) -> Option<(String, usize)> {
    let mut characters = text.chars();
    if characters.next() != Some('\\') {
        return None;
    }
    let kind = characters.next()?;
    let single = |character: char| Some((character.to_string(), 2));
    match kind {
        'b' => single('\u{8}'),
        't' => single('\t'),
        'n' => single('\n'),
        'f' => single('\u{c}'),
        'r' => single('\r'),
        'e' => single('\u{1b}'),
        '"' | '\\' | '/' => single(kind),
        'x' => Some((char::from_u32(hex(text, 2, 2)?)?.to_string(), 4)),
        'U' => Some((char::from_u32(hex(text, 2, 8)?)?.to_string(), 10)),
        'u' => {
            let unit = hex(text, 2, 4)?;
            if let Some(character) = char::from_u32(unit) {
                return Some((character.to_string(), 6));
            }
            // JSON writes characters beyond the first plane as two escapes.
            let low = text
                .get(6..8)
                .filter(|mark| *mark == "\\u")
                .and_then(|_| hex(text, 8, 4))?;
            let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            Some((String::from_utf16(&pair).ok()?, 12))
        }
        // A backslash at the end of a line takes all white space with it.
        space if space.is_ascii_whitespace() => {
            let behind = text.get(1..)?;
            Some((
                String::new(),
                text.len() - behind.trim_start_matches([' ', '\t', '\n', '\r']).len(),
            ))
        }
        _ => None,
    }
}

fn hex(text: &str, at: usize, length: usize) -> Option<u32> {
    u32::from_str_radix(text.get(at..at + length)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use neph_diag::{Applicability, Edit};

    use super::*;

    fn map(file: &str, host: Host) -> (String, Embedded) {
        let (span, value) = match host {
            Host::Toml => {
                let (table, errors) = neph_document::toml::parse(file, &crate::codes::SYNTAX);
                assert!(errors.is_empty(), "{errors:?}");
                let node = table.get("q").unwrap().clone();
                (node.span, node.as_text().unwrap().to_owned())
            }
            Host::Json => {
                let node = neph_document::json::parse(file, 0, &crate::codes::SYNTAX).unwrap();
                let inner = node.as_table().unwrap().get("q").unwrap().clone();
                (inner.span, inner.as_text().unwrap().to_owned())
            }
        };
        let embedded = Embedded::new(file, span, &value, host);
        assert!(!embedded.pieces.is_empty(), "the map of {file} is known");
        (value, embedded)
    }

    /// Every word of the value lies at the same word of the file.
    fn words_map(file: &str, host: Host, words: &[&str]) {
        let (value, embedded) = map(file, host);
        for word in words {
            let start = value.find(word).unwrap();
            let outer = embedded.outer(Span::new(start, start + word.len()));
            assert_eq!(outer.text(file), *word, "in {file}");
        }
    }

    #[test]
    fn words_lie_where_they_are_written() {
        let words = ["alpha", "beta", "gamma"];
        words_map("q = '''\nalpha beta\ngamma\n'''\n", Host::Toml, &words);
        words_map("q = '''alpha beta gamma'''", Host::Toml, &words);
        words_map("q = 'alpha beta gamma'", Host::Toml, &words);
        words_map(
            "q = \"alpha \\\"beta\\\" \\u00e9\\x41 gamma\"",
            Host::Toml,
            &words,
        );
        words_map(
            "q = \"\"\"\nalpha \\\n    beta \\\\ \"x\"\ngamma\"\"\"",
            Host::Toml,
            &words,
        );
        words_map("# é\r\nq = '''\r\nalpha beta\r\ngamma'''\r\n", Host::Toml, &words);
        words_map(
            "{\"q\": \"alpha\\n\\ud83d\\ude00 beta \\\"gamma\\\"\"}",
            Host::Json,
            &words,
        );
    }

    #[test]
    fn a_place_inside_an_escape_is_the_escape() {
        let file = r#"q = "a\\b""#;
        let (_, embedded) = map(file, Host::Toml);
        assert_eq!(embedded.outer(Span::new(1, 2)).text(file), r"\\");
        assert_eq!(embedded.outer(Span::new(0, 3)).text(file), r"a\\b");
        assert_eq!(embedded.outer(Span::new(3, 3)), Span::new(9, 9));
    }

    fn fixed(file: &str, host: Host, word: &str, replacement: &str) -> Option<String> {
        let (value, embedded) = map(file, host);
        let start = value.find(word).unwrap();
        let span = Span::new(start, start + word.len());
        let edits = vec![Edit {
            span,
            replacement: replacement.to_owned(),
        }];
        let diagnostic =
            Diagnostic::new(&crate::codes::VALUE, span, "x").with_fix("fix", edits, Applicability::Sure);
        let fix = embedded.place(diagnostic).fix?;
        let mut text = file.to_owned();
        text.replace_range(fix.edits[0].span.range(), &fix.edits[0].replacement);
        let (changed, _) = map(&text, host);
        assert_eq!(
            changed,
            value.replacen(word, replacement, 1),
            "the fix does to the value what it says"
        );
        Some(text)
    }

    #[test]
    fn fixes_are_written_as_the_string_needs_it() {
        let quoted = r#"like "*\x""#;
        assert!(fixed("q = '''a == b'''", Host::Toml, "==", quoted).is_some());
        assert!(fixed("q = '''a == b'''", Host::Toml, "==", "'''").is_none());
        assert!(fixed("q = 'a == b'", Host::Toml, "==", "'").is_none());
        assert_eq!(
            fixed(r#"q = "a == \"b\"""#, Host::Toml, "==", quoted).as_deref(),
            Some(r#"q = "a like \"*\\x\" \"b\"""#)
        );
        assert!(
            fixed(
                "q = \"\"\"a\n== \\\"b\"\"\"",
                Host::Toml,
                "== \"b",
                "line\nx\"\"\"\""
            )
            .is_some()
        );
        assert!(fixed(r#"{"q": "a\n== b"}"#, Host::Json, "a\n==", quoted).is_some());
    }
}
