//! Every code by its name, and its page on a terminal.

use annotate_snippets::renderer::{AnsiColor, Effects, Style};

use crate::{Code, Severity};

/// Names less alike than this are not suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// The codes of all crates.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Ascending by name, no name twice.
    codes: Vec<&'static Code>,
}

impl Registry {
    /// Brings together the `CODES` of the crates; of two codes with one name the first stays.
    pub fn new(lists: &[&[&'static Code]]) -> Self {
        let mut codes: Vec<&'static Code> = lists.iter().copied().flatten().copied().collect();
        codes.sort_by_key(|code| code.name);
        codes.dedup_by_key(|code| code.name);
        Self { codes }
    }

    /// All codes, ascending by name.
    pub fn codes(&self) -> &[&'static Code] {
        &self.codes
    }

    /// Place of a code in [`Registry::codes`].
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.codes.binary_search_by_key(&name, |code| code.name).ok()
    }

    /// The code of a name.
    pub fn get(&self, name: &str) -> Option<&'static Code> {
        self.codes.get(self.index_of(name)?).copied()
    }

    /// Names that `name` may have been meant as, best first, at most three.
    pub fn similar(&self, name: &str) -> Vec<&'static str> {
        let name = name.to_lowercase();
        let mut close: Vec<(f64, &'static str)> = self
            .codes
            .iter()
            .map(|code| (strsim::jaro_winkler(&name, code.name), code.name))
            .filter(|(score, known)| *score > ALIKE || (name.len() > 2 && known.contains(&name)))
            .collect();
        close.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        close.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

impl Code {
    /// The page of this code for a terminal: its Markdown, with headings, code and bold text styled where `colour` is on
    /// and as they were written where it is not.
    pub fn page(&self, colour: bool) -> String {
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let mut out = String::new();
        styled(
            &mut out,
            colour,
            Style::new().effects(Effects::BOLD),
            &format!("{} ({severity})", self.name),
        );
        out.push_str(&format!("\n{}\n\n", self.summary));
        let mut in_code = false;
        for line in self.explanation.trim().lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
                continue;
            }
            if in_code {
                out.push_str("    ");
                styled(&mut out, colour, CODE, line);
            } else if line.starts_with('#') {
                let title = line.trim_start_matches('#').trim_start();
                styled(
                    &mut out,
                    colour,
                    Style::new().effects(Effects::BOLD.insert(Effects::UNDERLINE)),
                    title,
                );
            } else {
                inline(&mut out, colour, line);
            }
            out.push('\n');
        }
        out
    }
}

const CODE: Style = AnsiColor::Cyan.on_default();

fn styled(out: &mut String, colour: bool, style: Style, text: &str) {
    if colour && !text.is_empty() {
        out.push_str(&format!("{style}{text}{style:#}"));
    } else {
        out.push_str(text);
    }
}

/// A line of prose: text between backticks is code and between double asterisks bold; an unpaired mark stands for itself.
fn inline(out: &mut String, colour: bool, line: &str) {
    let mut rest = line;
    while let Some(at) = rest.find(['`', '*']) {
        let (before, marked) = rest.split_at(at);
        out.push_str(before);
        let (mark, style) = match marked.starts_with("**") {
            true => ("**", Style::new().effects(Effects::BOLD)),
            false => ("`", CODE),
        };
        let Some((inside, behind)) = marked.strip_prefix(mark).and_then(|inner| inner.split_once(mark))
        else {
            let mut characters = marked.chars();
            out.extend(characters.next());
            rest = characters.as_str();
            continue;
        };
        // Without colour the backticks stay: they tell code from prose.
        match (colour, mark) {
            (false, "`") => out.push_str(&format!("`{inside}`")),
            _ => styled(out, colour, style, inside),
        }
        rest = behind;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    static MIXED: Code = Code {
        name: "and-or-mixed",
        severity: Severity::Warning,
        summary: "`and` and `or` are mixed without parentheses",
        explanation: "# Why\n\n`and` binds **tighter** than `or`: 2 * 3.\n\n```eql\nany where a or b and c\n```\nSo.",
    };
    static UNKNOWN: Code = Code {
        name: "unknown-field",
        severity: Severity::Error,
        summary: "no such field",
        explanation: "x",
    };

    #[test]
    fn codes_are_found_and_guessed() {
        let registry = Registry::new(&[&[&UNKNOWN], &[&MIXED, &UNKNOWN]]);
        assert_eq!(registry.codes().len(), 2);
        assert_eq!(registry.get("unknown-field"), Some(&UNKNOWN));
        assert_eq!(registry.get("unknown"), None);
        assert_eq!(registry.similar("unknwon-field"), ["unknown-field"]);
        assert_eq!(registry.similar("AND-OR"), ["and-or-mixed"]);
        assert_eq!(registry.similar("mixed"), ["and-or-mixed"]);
        assert!(registry.similar("zzz").is_empty());
    }

    #[test]
    fn a_page_is_readable_with_and_without_colour() {
        let plain = "and-or-mixed (warning)\n`and` and `or` are mixed without parentheses\n\nWhy\n\n\
                     `and` binds tighter than `or`: 2 * 3.\n\n    any where a or b and c\nSo.\n";
        assert_eq!(MIXED.page(false), plain);
        let coloured = MIXED.page(true);
        assert!(coloured.contains("\u{1b}[1mtighter\u{1b}[0m"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[36mand\u{1b}[0m binds"), "{coloured:?}");
        assert!(coloured.contains("2 * 3"), "{coloured:?}");
    }
}
