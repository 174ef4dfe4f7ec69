//! What old rules ask behind the `|` of their condition: `count() by user > 5`, `near other and not third`.
//! <https://github.com/SigmaHQ/sigma-specification/blob/main/other/version-1.0-2.0.md>

use neph_diag::Span;
use neph_plan::{Bound, Measure};

use crate::ast::{Aggregated, Placed};

/// A token with its place in the text.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    span: Span,
}

/// Reads what stands behind the `|`, which begins at `start` of the text. `Err` says what is wrong, and where.
pub(crate) fn read(text: &str, start: usize) -> Result<Aggregated, (Span, String)> {
    let tokens = tokens(text, start);
    let end = Span::new(start + text.len(), start + text.len());
    let mut reader = Reader { tokens, at: 0, end };
    let Some(first) = reader.next() else {
        return Err((end, "an aggregation is missing behind `|`".into()));
    };
    if first.text.eq_ignore_ascii_case("near") {
        return reader.near();
    }
    let measure = match first.text.to_lowercase().as_str() {
        "count" => None,
        "sum" => Some(Measure::Sum),
        "avg" => Some(Measure::Average),
        "min" => Some(Measure::Percentile(0.0)),
        "max" => Some(Measure::Percentile(100.0)),
        _ => {
            let message = format!("there is no aggregation `{}`", first.text);
            return Err((first.span, message));
        }
    };
    reader.expect("(")?;
    let field = match reader.peek() {
        Some(token) if token.text != ")" => Some(reader.word("a field")?),
        _ => None,
    };
    reader.expect(")")?;
    let group = match reader.accept("by") {
        true => Some(reader.word("a field")?),
        false => None,
    };
    let sign = reader.word("`<`, `<=`, `>`, `>=` or `==`")?;
    let number = reader.word("a number")?;
    let Some(value) = number.text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
        return Err((
            number.span,
            format!("a number is needed in place of `{}`", number.text),
        ));
    };
    let bound = match sign.text.as_str() {
        "<" => Bound::Less(value),
        "<=" => Bound::LessOrEqual(value),
        ">" => Bound::Greater(value),
        ">=" => Bound::GreaterOrEqual(value),
        "=" | "==" => Bound::Equal(value),
        "!=" => Bound::NotEqual(value),
        other => {
            let message = format!("a comparison is expected in place of `{other}`");
            return Err((sign.span, message));
        }
    };
    if let Some(more) = reader.next() {
        return Err((more.span, format!("`{}` is not expected here", more.text)));
    }
    let measure = match (measure, &field) {
        (Some(measure), Some(_)) => measure,
        (Some(_), None) => return Err((first.span, format!("`{}` needs a field", first.text))),
        (None, Some(_)) => Measure::Distinct,
        (None, None) => Measure::Count,
    };
    Ok(Aggregated::Number {
        measure,
        field,
        group,
        bound,
    })
}

fn tokens(text: &str, start: usize) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open = false;
    let kind = |character: char| match character {
        '(' | ')' => 1,
        '<' | '>' | '=' | '!' => 2,
        _ => 3,
    };
    let mut last = 0;
    for (place, character) in text.char_indices() {
        let span = Span::new(start + place, start + place + character.len_utf8());
        if character.is_whitespace() {
            open = false;
            continue;
        }
        match tokens.last_mut() {
            Some(token) if open && kind(character) == last && last != 1 => {
                token.text.push(character);
                token.span.end = span.end;
            }
            _ => tokens.push(Token {
                text: character.to_string(),
                span,
            }),
        }
        (open, last) = (true, kind(character));
    }
    tokens
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    end: Span,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|token| token.text.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), (Span, String)> {
        match self.next() {
            Some(token) if token.text == sign => Ok(()),
            Some(token) => Err((
                token.span,
                format!("`{sign}` is expected in place of `{}`", token.text),
            )),
            None => Err((self.end, format!("`{sign}` is missing"))),
        }
    }

    fn word(&mut self, what: &str) -> Result<Placed, (Span, String)> {
        match self.next() {
            Some(Token { text, span }) if text != "(" && text != ")" => Ok(Placed { text, span }),
            Some(token) => Err((
                token.span,
                format!("{what} is expected in place of `{}`", token.text),
            )),
            None => Err((self.end, format!("{what} is missing"))),
        }
    }

    /// `near a and b and not c`
    fn near(&mut self) -> Result<Aggregated, (Span, String)> {
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        loop {
            let list = match self.accept("not") {
                true => &mut absent,
                false => &mut present,
            };
            let name = match self.tokens.get(self.at) {
                Some(token) => token.clone(),
                None => return Err((self.end, "a search identifier is missing".into())),
            };
            self.at += 1;
            list.push(Placed {
                text: name.text,
                span: name.span,
            });
            if !self.accept("and") {
                break;
            }
        }
        match self.next() {
            None => Ok(Aggregated::Near { present, absent }),
            Some(token) => Err((token.span, format!("`{}` is not expected here", token.text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match read(text, 0) {
            Ok(Aggregated::Number {
                measure,
                field,
                group,
                bound,
            }) => {
                let name = |placed: Option<Placed>| placed.map_or_else(|| "-".into(), |placed| placed.text);
                format!("{measure:?} {} {} {bound:?}", name(field), name(group))
            }
            Ok(Aggregated::Near { present, absent }) => {
                let names =
                    |list: Vec<Placed>| list.into_iter().map(|placed| placed.text).collect::<Vec<_>>();
                format!("near {:?} not {:?}", names(present), names(absent))
            }
            Err((span, message)) => format!("{message} @{}", span.text(text)),
        }
    }

    #[test]
    fn numbers_and_nearness_are_read() {
        assert_eq!(check(" count() by src_ip > 10"), "Count - src_ip Greater(10.0)");
        assert_eq!(
            check("count(User) by Host>=5"),
            "Distinct User Host GreaterOrEqual(5.0)"
        );
        assert_eq!(check("count( ) < 3"), "Count - - Less(3.0)");
        assert_eq!(check("sum(bytes) by a == 1.5"), "Sum bytes a Equal(1.5)");
        assert_eq!(check("min(x) < 3"), "Percentile(0.0) x - Less(3.0)");
        assert_eq!(check("max(x) > 3"), "Percentile(100.0) x - Greater(3.0)");
        assert_eq!(check("near a and b and not c"), "near [\"a\", \"b\"] not [\"c\"]");
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        assert_eq!(check("median(x) > 3"), "there is no aggregation `median` @median");
        assert_eq!(check("sum() > 3"), "`sum` needs a field @sum");
        assert_eq!(check("count( by a > 3"), "`)` is expected in place of `a` @a");
        assert_eq!(check("count() by > 3"), "a number is missing @");
        assert_eq!(
            check("count() > many"),
            "a number is needed in place of `many` @many"
        );
        assert_eq!(check("count() > 3 or 4"), "`or` is not expected here @or");
        assert_eq!(check("near"), "a search identifier is missing @");
        assert_eq!(check(""), "an aggregation is missing behind `|` @");
    }
}
