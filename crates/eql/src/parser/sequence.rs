//! `sequence` and `sample`.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::Parser;
use crate::ast::{Field, Maxspan, Runs, Sample, Sequence, Term};
use crate::codes;
use crate::lexer::TokenKind;

/// The largest count of `with runs`.
/// Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax#eql-with-runs-keyword>
const MAX_RUNS: u32 = 100;

impl Parser<'_> {
    pub(super) fn sequence(&mut self) -> Sequence {
        let keyword = self.bump().span;
        let mut keys = self.keys();
        let mut maxspan = None;
        while self.word().is_some_and(|word| word.eq_ignore_ascii_case("with")) {
            let with = self.peek().span;
            let clause = self.maxspan();
            if maxspan.is_some() {
                self.diagnostics.push(Diagnostic::new(
                    &codes::MAXSPAN_FORM,
                    with,
                    "`with maxspan` stands here for the second time",
                ));
            }
            maxspan = maxspan.or(clause);
            if self.word() == Some("by") {
                keys.extend(self.late_keys(with));
            }
        }
        let (terms, until) = self.terms(keyword, true);
        Sequence {
            keyword,
            keys,
            maxspan,
            terms,
            until,
        }
    }

    pub(super) fn sample(&mut self) -> Sample {
        let keyword = self.bump().span;
        let keys = self.keys();
        let (terms, _) = self.terms(keyword, false);
        Sample { keyword, keys, terms }
    }

    /// `by …` behind `with maxspan=…`, where it does not belong.
    fn late_keys(&mut self, with: Span) -> Vec<Field> {
        let by = self.peek().span;
        let keys = self.keys();
        let clause = Span {
            start: by.start,
            end: self.previous_end(),
        };
        let before = clause.start as usize;
        let gap = self
            .text
            .get(..before)
            .map_or(0, |text| text.len() - text.trim_end().len());
        self.diagnostics.push(
            Diagnostic::new(&codes::SYNTAX_ERROR, by, "`by` stands before `with maxspan`").with_fix(
                "move `by` to the front",
                vec![
                    Edit {
                        span: Span {
                            start: with.start,
                            end: with.start,
                        },
                        replacement: format!("{} ", clause.text(self.text)),
                    },
                    Edit {
                        span: Span::new(before - gap, clause.end as usize),
                        replacement: String::new(),
                    },
                ],
                Applicability::Sure,
            ),
        );
        keys
    }

    /// `with maxspan=…`.
    fn maxspan(&mut self) -> Option<Maxspan> {
        self.eat_keyword("with", true);
        if self.eat_keyword("maxspan", true).is_none() {
            self.unexpected("`maxspan` behind `with`");
            self.skip_to_term();
            return None;
        }
        if self.eat(TokenKind::Assign).is_none() && self.eat(TokenKind::Equal).is_some() {
            let span = Span::new(self.previous_end() as usize - 2, self.previous_end() as usize);
            self.diagnostics.push(
                Diagnostic::new(&codes::SYNTAX_ERROR, span, "`maxspan` is set with `=`").with_fix(
                    "write `=`",
                    vec![Edit {
                        span,
                        replacement: "=".to_owned(),
                    }],
                    Applicability::Sure,
                ),
            );
        } else if self.token(self.at.saturating_sub(1)).kind != TokenKind::Assign {
            self.unexpected("`=` behind `maxspan`");
            self.skip_to_term();
            return None;
        }
        Some(self.duration())
    }

    fn duration(&mut self) -> Maxspan {
        let number = self.peek();
        let minus = self.eat(TokenKind::Minus);
        let number = if minus.is_some() { self.peek() } else { number };
        if !matches!(number.kind, TokenKind::Integer | TokenKind::Decimal) {
            self.unexpected("a duration such as `30s` or `5m`");
            self.skip_to_term();
            return Maxspan {
                nanos: None,
                span: number.span,
            };
        }
        self.bump();
        let digits = self.text_of(number);
        let unit_token = self.peek();
        let unit = self.word().filter(|word| !super::KEYWORDS.contains(word));
        let span = if unit.is_some() {
            self.bump();
            number.span.to(unit_token.span)
        } else {
            number.span
        };
        let span = minus.map_or(span, |minus| minus.span.to(span));
        let wrong = |message: String| Diagnostic::new(&codes::MAXSPAN_FORM, span, message);
        let (Some(unit), TokenKind::Integer, None) = (unit, number.kind, minus) else {
            let diagnostic = if minus.is_some() {
                wrong("`maxspan` must be longer than nothing".to_owned())
            } else if number.kind == TokenKind::Decimal {
                wrong(format!("`{}` is no whole number of its unit", span.text(self.text)))
                    .with_help("write it in a smaller unit: `2500ms` for two and a half seconds, `150s` for two and a half minutes")
            } else {
                wrong(format!("`{digits}` has no unit of time")).with_fix(
                    format!("write `{digits}s`"),
                    vec![Edit {
                        span,
                        replacement: format!("{digits}s"),
                    }],
                    Applicability::Maybe,
                )
            };
            self.diagnostics.push(diagnostic);
            return Maxspan { nanos: None, span };
        };
        let Some(unit_nanos) = unit_nanos(unit) else {
            let mut diagnostic = wrong(format!("`{unit}` is no unit of time"))
                .with_help("the units are `ms`, `s`, `m`, `h` and `d`");
            if let Some(short) = meant_unit(unit) {
                let replacement = format!("{digits}{short}");
                let title = format!("write `{replacement}`");
                diagnostic =
                    diagnostic.with_fix(title, vec![Edit { span, replacement }], Applicability::Sure);
            }
            self.diagnostics.push(diagnostic);
            return Maxspan { nanos: None, span };
        };
        let count: u64 = digits.parse().unwrap_or(u64::MAX);
        if count == 0 {
            self.diagnostics
                .push(wrong("`maxspan` must be longer than nothing".to_owned()));
            return Maxspan { nanos: None, span };
        }
        Maxspan {
            nanos: Some(count.saturating_mul(unit_nanos)),
            span,
        }
    }

    /// The steps, and for sequences what ends them.
    fn terms(&mut self, keyword: Span, until_allowed: bool) -> (Vec<Term>, Option<Term>) {
        let (mut terms, mut until) = (Vec::new(), None);
        loop {
            match self.peek().kind {
                TokenKind::OpenBracket | TokenKind::OpenMissing => {
                    let term = self.term();
                    if until.is_some() {
                        let diagnostic = Diagnostic::new(
                            &codes::SYNTAX_ERROR,
                            term.span,
                            "a step cannot stand behind `until`",
                        );
                        self.diagnostics.push(diagnostic);
                    } else {
                        terms.push(term);
                    }
                }
                TokenKind::Pipe | TokenKind::End => break,
                _ if until_allowed && until.is_none() && self.eat_keyword("until", true).is_some() => {
                    match self.peek().kind {
                        TokenKind::OpenBracket | TokenKind::OpenMissing => until = Some(self.term()),
                        _ => self.unexpected("`[` behind `until`"),
                    }
                }
                _ => {
                    self.unexpected_in_terms(keyword);
                    self.bump();
                    self.skip_to_term();
                }
            }
        }
        (terms, until)
    }

    fn unexpected_in_terms(&mut self, keyword: Span) {
        let span = self.peek().span;
        match self.word() {
            Some("fork") => self.report(
                Diagnostic::new(&codes::SYNTAX_ERROR, span, "`fork` is not supported")
                    .with_help("a partial sequence is always carried on by the newest event that fits"),
            ),
            Some("with") => self.report(
                Diagnostic::new(&codes::MAXSPAN_FORM, span, "`with maxspan` does not belong here")
                    .with_secondary(keyword, "it stands behind `sequence` and its `by`"),
            ),
            _ => self.unexpected("a step in brackets: `[ category where condition ]`"),
        }
    }

    fn skip_to_term(&mut self) {
        while !matches!(
            self.peek().kind,
            TokenKind::OpenBracket | TokenKind::OpenMissing | TokenKind::Pipe | TokenKind::End
        ) && self.word() != Some("until")
        {
            self.bump();
        }
    }

    fn term(&mut self) -> Term {
        let open = self.bump();
        let missing = open.kind == TokenKind::OpenMissing;
        let query = self.event_query();
        if self.eat(TokenKind::CloseBracket).is_none() {
            self.unexpected("`]` at the end of the step");
            // A step that opens before this one closes: the bracket was forgotten.
            self.skip_until(|kind| {
                matches!(
                    kind,
                    TokenKind::CloseBracket
                        | TokenKind::OpenBracket
                        | TokenKind::OpenMissing
                        | TokenKind::Pipe
                )
            });
            self.eat(TokenKind::CloseBracket);
        }
        let keys = self.keys();
        let runs = self.runs();
        let span = Span {
            start: open.span.start,
            end: self.previous_end(),
        };
        Term {
            query,
            keys,
            missing,
            runs,
            span,
        }
    }

    /// `with runs=…`, if it stands here.
    fn runs(&mut self) -> Option<Runs> {
        if self.word() != Some("with") || self.word_at(1) == Some("maxspan") {
            return None;
        }
        self.bump();
        let name = self.peek();
        if self.word() != Some("runs") {
            let message = format!("expected `runs`, found `{}`", self.text_of(name));
            self.report(Diagnostic::new(&codes::RUNS_FORM, name.span, message));
        }
        if self.bump().kind != TokenKind::Ident || self.eat(TokenKind::Assign).is_none() {
            self.unexpected("`=` behind `runs`");
            return None;
        }
        let start = self.peek().span;
        self.eat(TokenKind::Minus);
        let number = self.peek();
        let span = start.to(number.span);
        let count = if span == number.span {
            self.text_of(number).parse().ok()
        } else {
            None
        };
        if matches!(number.kind, TokenKind::Integer | TokenKind::Decimal) {
            self.bump();
        }
        match count {
            Some(count @ 1..=MAX_RUNS) => Some(Runs { count, span }),
            _ => {
                let message = format!("`runs` is a whole number from 1 to {MAX_RUNS}");
                self.diagnostics
                    .push(Diagnostic::new(&codes::RUNS_FORM, span, message));
                None
            }
        }
    }
}

fn unit_nanos(unit: &str) -> Option<u64> {
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(millis * 1_000_000)
}

/// The unit that another word for it means.
fn meant_unit(unit: &str) -> Option<&'static str> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    })
}
