//! Reading the cases out of a Markdown file.

use std::ops::Range;
use std::sync::Arc;

use neph_engine::Fetch;

/// A file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its text.
    pub text: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// A query and what is expected of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Headings, from the outermost; with a number where several cases stand under one heading.
    pub name: String,
    /// Line of the query's block, from 1.
    pub line: usize,
    /// What is examined.
    pub subject: Subject,
    /// What is expected, in order of the file; never empty.
    pub expectations: Vec<Expectation>,
}

/// What a case examines.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A query over events.
    Query {
        /// The language of the text.
        language: Language,
        /// Its text.
        text: String,
        /// What the request sets.
        options: Options,
        /// The mapping, where there is one.
        mapping: Option<Arc<str>>,
        /// The events, one JSON object a line.
        events: Arc<str>,
    },
    /// Constant expressions; they stand in the expectation itself.
    Expressions,
}

/// Languages of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// EQL.
    Eql,
    /// Kibana's query language.
    Kql,
    /// Lucene's query strings.
    Lucene,
}

impl Language {
    /// The language of a block, by its first word.
    fn of(word: &str) -> Option<Self> {
        match word {
            "eql" => Some(Self::Eql),
            "kql" => Some(Self::Kql),
            "lucene" => Some(Self::Lucene),
            _ => None,
        }
    }
}

/// What a request sets.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of rows.
    pub size: u64,
    /// Which end of the result is kept.
    pub fetch: Fetch,
    /// Field that orders events of one time.
    pub tiebreaker: Option<String>,
    /// Samples for each join key.
    pub max_samples_per_key: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: 10,
            fetch: Fetch::Tail,
            tiebreaker: None,
            max_samples_per_key: 1,
        }
    }
}

/// What is expected in one respect.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// In which.
    pub kind: Kind,
    /// The text; each line ends with a line break.
    pub text: String,
    /// Where the text stands: lines of the file, from 0.
    pub lines: Range<usize>,
}

/// What an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the query finds.
    Matches,
    /// What is said about it.
    Diagnostics,
    /// The query with its sure fixes.
    Fixed,
    /// Expressions and their values.
    Values,
}

/// Why a file is no suite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SuiteError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// What holds under a heading.
#[derive(Clone, Debug, Default)]
struct Section {
    level: usize,
    title: String,
    events: Option<Arc<str>>,
    mapping: Option<Arc<str>>,
}

impl Suite {
    /// Reads a file.
    ///
    /// # Errors
    /// The first place that does not have the form.
    pub fn parse(text: impl Into<String>) -> Result<Self, SuiteError> {
        let text = text.into();
        let mut cases: Vec<Case> = Vec::new();
        let mut sections = vec![Section::default()];
        // Whether the last case is still open for expectations.
        let mut open = false;
        let mut lines = text.split_inclusive('\n').enumerate();
        while let Some((number, line)) = lines.next() {
            let fail = |reason: String| SuiteError {
                line: number + 1,
                reason,
            };
            if let Some((level, title)) = heading(line) {
                sections.retain(|section| section.level < level);
                sections.push(Section {
                    level,
                    title: title.to_owned(),
                    ..Section::default()
                });
                open = false;
            }
            let Some(info) = line.trim_end().strip_prefix("```") else {
                continue;
            };
            let mut body = String::new();
            let mut end = None;
            for (inner, line) in lines.by_ref() {
                if line.trim_end() == "```" {
                    end = Some(inner);
                    break;
                }
                body.push_str(line);
            }
            let end = end.ok_or_else(|| fail("the block is not closed".into()))?;
            let (word, options) = info.split_once(' ').unwrap_or((info, ""));
            let kind = match word {
                "text" | "sh" | "toml" | "json" => continue,
                "events" | "mapping" => {
                    let shared: Arc<str> = body.into();
                    if let Some(section) = sections.last_mut() {
                        let place = if word == "events" {
                            &mut section.events
                        } else {
                            &mut section.mapping
                        };
                        *place = Some(shared);
                    }
                    continue;
                }
                word if let Some(language) = Language::of(word) => {
                    let innermost = |pick: fn(&Section) -> &Option<Arc<str>>| {
                        sections.iter().rev().find_map(|s| pick(s).clone())
                    };
                    let subject = Subject::Query {
                        language,
                        text: body.trim_end().to_owned(),
                        options: Options::parse(options).map_err(fail)?,
                        mapping: innermost(|section| &section.mapping),
                        events: innermost(|section| &section.events).unwrap_or_default(),
                    };
                    cases.push(Case {
                        name: name_of(&sections),
                        line: number + 1,
                        subject,
                        expectations: Vec::new(),
                    });
                    open = true;
                    continue;
                }
                "values" => {
                    let subject = Subject::Expressions;
                    cases.push(Case {
                        name: name_of(&sections),
                        line: number + 1,
                        subject,
                        expectations: Vec::new(),
                    });
                    open = true;
                    Kind::Values
                }
                "matches" => Kind::Matches,
                "diagnostics" => Kind::Diagnostics,
                "fixed" => Kind::Fixed,
                other => return Err(fail(format!("`{other}` is no kind of block"))),
            };
            let Some(case) = cases.last_mut().filter(|_| open) else {
                return Err(fail("no query stands before it".into()));
            };
            if case
                .expectations
                .iter()
                .any(|expectation| expectation.kind == kind)
            {
                return Err(fail(format!("a second `{word}` block of one query")));
            }
            case.expectations.push(Expectation {
                kind,
                text: body,
                lines: number + 1..end,
            });
            open = kind != Kind::Values;
        }
        if let Some(case) = cases.iter().find(|case| case.expectations.is_empty()) {
            return Err(SuiteError {
                line: case.line,
                reason: "nothing is expected of the query".into(),
            });
        }
        number_equal_names(&mut cases);
        Ok(Self { text, cases })
    }
}

/// Level and title of a heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let title = rest.strip_prefix(' ')?.trim();
    (level > 0).then_some((level, title))
}

fn name_of(sections: &[Section]) -> String {
    let titles: Vec<&str> = sections
        .iter()
        .map(|section| section.title.as_str())
        .filter(|title| !title.is_empty())
        .collect();
    titles.join(" / ")
}

fn number_equal_names(cases: &mut [Case]) {
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    for (index, case) in cases.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == case.name).count() > 1 {
            let number = names
                .iter()
                .take(index + 1)
                .filter(|name| **name == case.name)
                .count();
            case.name = format!("{} ({number})", case.name);
        }
    }
}

impl Options {
    fn parse(words: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words.split_whitespace() {
            let wrong = || format!("`{word}` is no option of a query");
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            match name {
                "size" => options.size = value.parse().map_err(|_| wrong())?,
                "fetch" => {
                    options.fetch = match value {
                        "head" => Fetch::Head,
                        "tail" => Fetch::Tail,
                        _ => return Err(wrong()),
                    }
                }
                "tiebreaker" => options.tiebreaker = Some(value.to_owned()),
                "max_samples_per_key" => options.max_samples_per_key = value.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Top\n```events\n{1}\n```\n## A\n```eql size=2\nany\n```\n```matches\na\nb\n```\n\
                        ### Deep\n```events\n{2}\n```\n```eql\nx\n```\n```diagnostics\n```\n```eql\ny\n```\n```fixed\nz\n```\n\
                        ## B\n```mapping\n{}\n```\n```eql\nlast\n```\n```matches\n```\n```values\n1 => 1\n```\n";

    #[test]
    fn headings_name_cases_and_blocks_hold_below_them() {
        let suite = Suite::parse(TEXT).unwrap();
        let names: Vec<&str> = suite.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Top / A",
                "Top / A / Deep (1)",
                "Top / A / Deep (2)",
                "Top / B (1)",
                "Top / B (2)"
            ]
        );
        let seen: Vec<(&str, bool)> = suite
            .cases
            .iter()
            .filter_map(|case| match &case.subject {
                Subject::Query { mapping, events, .. } => Some((&**events, mapping.is_some())),
                Subject::Expressions => None,
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("{1}\n", false),
                ("{2}\n", false),
                ("{2}\n", false),
                ("{1}\n", true)
            ]
        );
        assert_eq!(suite.cases[0].expectations[0].text, "a\nb\n");
        assert_eq!(suite.cases[0].expectations[0].lines, 9..11);
    }

    #[test]
    fn what_has_not_the_form_is_told() {
        for (text, line, reason) in [
            ("```eql\nany\n", 1, "the block is not closed"),
            ("\n```matches\n```\n", 2, "no query stands before it"),
            (
                "```eql\nx\n```\n# H\n```matches\n```\n",
                5,
                "no query stands before it",
            ),
            ("```eql\nx\n```\n", 1, "nothing is expected of the query"),
            ("```match\n```\n", 1, "`match` is no kind of block"),
            ("```eql sise=2\n```\n", 1, "`sise=2` is no option of a query"),
            (
                "```eql\nx\n```\n```matches\n```\n```matches\n```\n",
                6,
                "a second `matches` block of one query",
            ),
        ] {
            let error = Suite::parse(text).unwrap_err();
            assert_eq!((error.line, error.reason.as_str()), (line, reason));
        }
    }
}
