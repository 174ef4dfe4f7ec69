//! The grammar of conditions.
//! <https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html#condition>

use neph_diag::{Diagnostic, Span};

use crate::ast::{Aggregated, Aggregation, Condition, Placed};
use crate::{aggregation, codes};

/// Parentheses and `not` nested deeper than this are refused.
const MAX_DEPTH: u32 = 64;

/// Reads a condition. `place` moves a span of the text to the file.
pub(crate) fn read(
    text: &str,
    place: &dyn Fn(Span) -> Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Read> {
    let (detection, aggregation) = match text.split_once('|') {
        Some((detection, aggregation)) => (detection, Some(aggregation)),
        None => (text, None),
    };
    let tokens = tokens(detection);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        end: Span::new(detection.len(), detection.len()),
        depth: 0,
    };
    let outcome = parser.or().and_then(|condition| match parser.peek() {
        None => Ok(condition),
        Some(token) => Err((token.span, format!("`{}` is not expected here", token.text))),
    });
    match outcome {
        Ok(condition) => {
            let start = detection.len() + 1;
            let aggregation = match aggregation.map(|text| aggregation::read(text, start)) {
                None => None,
                Some(Ok(asked)) => Some(Aggregation {
                    asked: placed(asked, place),
                    span: place(Span::new(start - 1, text.len())),
                }),
                Some(Err((span, message))) => {
                    diagnostics.push(Diagnostic::new(&codes::AGGREGATION, place(span), message));
                    return None;
                }
            };
            Some(Read {
                condition: moved(condition, place),
                aggregation,
            })
        }
        Err((span, message)) => {
            diagnostics.push(Diagnostic::new(&codes::CONDITION_SYNTAX, place(span), message));
            None
        }
    }
}

/// A condition, and what old rules ask behind it.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) condition: Condition,
    pub(crate) aggregation: Option<Aggregation>,
}

fn placed(asked: Aggregated, place: &dyn Fn(Span) -> Span) -> Aggregated {
    let moved = |mut word: Placed| {
        word.span = place(word.span);
        word
    };
    match asked {
        Aggregated::Number {
            measure,
            field,
            group,
            bound,
        } => Aggregated::Number {
            measure,
            field: field.map(moved),
            group: group.map(moved),
            bound,
        },
        Aggregated::Near { present, absent } => Aggregated::Near {
            present: present.into_iter().map(moved).collect(),
            absent: absent.into_iter().map(moved).collect(),
        },
    }
}

fn moved(condition: Condition, place: &dyn Fn(Span) -> Span) -> Condition {
    let list = |parts: Vec<Condition>| parts.into_iter().map(|part| moved(part, place)).collect();
    match condition {
        Condition::Name(name, span) => Condition::Name(name, place(span)),
        Condition::Of { all, pattern, span } => Condition::Of {
            all,
            pattern,
            span: place(span),
        },
        Condition::And(parts) => Condition::And(list(parts)),
        Condition::Or(parts) => Condition::Or(list(parts)),
        Condition::Not(part) => Condition::Not(Box::new(moved(*part, place))),
    }
}

#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    text: &'t str,
    span: Span,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut word: Option<usize> = None;
    let mut take = |start: usize, end: usize| {
        if let Some(part) = text.get(start..end) {
            tokens.push(Token {
                text: part,
                span: Span::new(start, end),
            });
        }
    };
    for (at, character) in text.char_indices() {
        let single = matches!(character, '(' | ')');
        if single || character.is_whitespace() {
            if let Some(start) = word.take() {
                take(start, at);
            }
            if single {
                take(at, at + 1);
            }
        } else if word.is_none() {
            word = Some(at);
        }
    }
    if let Some(start) = word {
        take(start, text.len());
    }
    tokens
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    end: Span,
    depth: u32,
}

type Parsed = Result<Condition, (Span, String)>;

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Parsed {
        let mut parts = vec![self.and()?];
        while self.accept("or") {
            parts.push(self.and()?);
        }
        Ok(single(parts, Condition::Or))
    }

    fn and(&mut self) -> Parsed {
        let mut parts = vec![self.not()?];
        while self.accept("and") {
            parts.push(self.not()?);
        }
        Ok(single(parts, Condition::And))
    }

    fn not(&mut self) -> Parsed {
        let Some(token) = self.peek() else {
            return Err((self.end, "a search identifier is missing at the end".into()));
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((
                token.span,
                format!("the condition is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let outcome = if self.accept("not") {
            self.not().map(|part| Condition::Not(Box::new(part)))
        } else if self.accept("(") {
            let inside = self.or()?;
            match self.peek() {
                Some(token) if token.is(")") => {
                    self.at += 1;
                    Ok(inside)
                }
                Some(other) => Err((
                    other.span,
                    format!("`)` is expected in place of `{}`", other.text),
                )),
                None => Err((token.span, "the parenthesis is not closed".into())),
            }
        } else {
            self.name(token)
        };
        self.depth -= 1;
        outcome
    }

    fn name(&mut self, token: Token<'t>) -> Parsed {
        if [")", "and", "or"].iter().any(|word| token.is(word)) {
            return Err((
                token.span,
                format!("a search identifier is expected in place of `{}`", token.text),
            ));
        }
        self.at += 1;
        if !self.peek().is_some_and(|next| next.is("of")) {
            if token.text.contains('*') {
                let message = format!("`{}` is a pattern; write `1 of {0}` or `all of {0}`", token.text);
                return Err((token.span, message));
            }
            return Ok(Condition::Name(token.text.to_owned(), token.span));
        }
        let all = match token.text {
            text if text.eq_ignore_ascii_case("all") => true,
            text if text == "1" || text.eq_ignore_ascii_case("any") => false,
            other => {
                let message = format!("`1`, `any` or `all` is expected before `of` in place of `{other}`");
                return Err((token.span, message));
            }
        };
        self.at += 1;
        let Some(pattern) = self.peek().filter(|next| !["(", ")"].contains(&next.text)) else {
            let message = "behind `of` stands `them` or a pattern of names";
            return Err((token.span, message.into()));
        };
        self.at += 1;
        let span = token.span.to(pattern.span);
        let pattern = (!pattern.is("them")).then(|| pattern.text.to_owned());
        Ok(Condition::Of { all, pattern, span })
    }
}

fn single(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            parts.push(last);
            join(parts)
        }
        (_, None) => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(condition: &Condition) -> String {
        let list = |parts: &[Condition], word: &str| {
            let parts: Vec<String> = parts.iter().map(shown).collect();
            format!("({})", parts.join(word))
        };
        match condition {
            Condition::Name(name, _) => name.clone(),
            Condition::Of { all, pattern, .. } => format!(
                "{}:{}",
                if *all { "all" } else { "1" },
                pattern.as_deref().unwrap_or("them")
            ),
            Condition::And(parts) => list(parts, "&"),
            Condition::Or(parts) => list(parts, "|"),
            Condition::Not(part) => format!("!{}", shown(part)),
        }
    }

    fn check(text: &str) -> String {
        let mut diagnostics = Vec::new();
        match read(text, &|span| span, &mut diagnostics) {
            Some(read) => shown(&read.condition),
            None => {
                let first = &diagnostics[0];
                format!("{} @{}", first.message, first.span.text(text))
            }
        }
    }

    #[test]
    fn not_binds_before_and_before_or() {
        assert_eq!(check("a or not b and c"), "(a|(!b&c))");
        assert_eq!(check("(a or b) and not (c)"), "((a|b)&!c)");
        assert_eq!(check("1 of sel_* AND NOT all of them"), "(1:sel_*&!all:them)");
        assert_eq!(check("any of them or not not a"), "(1:them|!!a)");
        assert_eq!(check("1_of"), "1_of");
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        assert_eq!(check("a and"), "a search identifier is missing at the end @");
        assert_eq!(check("(a"), "the parenthesis is not closed @(");
        assert_eq!(check("a b"), "`b` is not expected here @b");
        assert_eq!(check("a) or b"), "`)` is not expected here @)");
        assert_eq!(
            check("2 of a*"),
            "`1`, `any` or `all` is expected before `of` in place of `2` @2"
        );
        assert_eq!(
            check("a*"),
            "`a*` is a pattern; write `1 of a*` or `all of a*` @a*"
        );
        assert_eq!(check("a | count() by b > 3"), "a");
        assert!(check(&format!("{}a", "not ".repeat(100))).contains("nested"));
        assert!(check(&"(".repeat(100_000)).contains("nested"));
    }
}
