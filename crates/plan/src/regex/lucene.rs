//! Lucene's regular expressions, as its `RegExp` class parses them with all operators on.
//!
//! Source: <https://lucene.apache.org/core/9_12_0/core/org/apache/lucene/util/automaton/RegExp.html> and
//! <https://www.elastic.co/docs/reference/query-languages/query-dsl/regexp-syntax>. A character that could be an operator
//! is an ordinary one where an operand is expected (`*a`, `a||b`), as there.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, Repetition};

use super::RegexError;
use crate::Case;

const MAX_DEPTH: u32 = 200;
/// How many repetition operators may follow each other (`a+?` has two); each nests one level deeper.
const MAX_OPERATORS: u32 = 4;
/// Largest count of a repetition.
const MAX_REPEAT: u32 = 100_000;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `#`: nothing, not even the empty text.
    Nothing,
    /// One character of the set.
    Class(ClassUnicode),
    /// `@`: any text.
    Anything,
    /// One behind the other; the empty text where there are none.
    Concat(Vec<Node>),
    /// Any of them.
    Union(Vec<Node>),
    /// All of them (`&`).
    Intersection(Vec<Node>),
    /// Every text but these (`~`).
    Complement(Box<Node>),
    /// At least so often, and at most so often if bounded.
    Repeat(Box<Node>, u32, Option<u32>),
}

impl Node {
    /// The same expression for `regex-automata`; `None` where it has a complement or an intersection.
    pub fn to_hir(&self) -> Option<Hir> {
        let all = |nodes: &[Self]| nodes.iter().map(Self::to_hir).collect::<Option<Vec<Hir>>>();
        Some(match self {
            Self::Nothing => Hir::fail(),
            Self::Class(class) => Hir::class(Class::Unicode(class.clone())),
            Self::Anything => repeated(Hir::dot(Dot::AnyChar), 0, None),
            Self::Concat(nodes) => Hir::concat(all(nodes)?),
            Self::Union(nodes) => Hir::alternation(all(nodes)?),
            Self::Repeat(node, min, max) => repeated(node.to_hir()?, *min, *max),
            Self::Intersection(_) | Self::Complement(_) => return None,
        })
    }
}

fn repeated(hir: Hir, min: u32, max: Option<u32>) -> Hir {
    Hir::repetition(Repetition {
        min,
        max,
        greedy: true,
        sub: Box::new(hir),
    })
}

/// Parses a pattern; letters of its literals and classes stand for all that they equal under `case`.
///
/// # Errors
/// What Lucene refuses too, nesting beyond a bound, and named automata (`<name>`), which an index does not have.
pub fn parse(pattern: &str, case: Case) -> Result<Node, RegexError> {
    if pattern.is_empty() {
        return Ok(Node::Concat(Vec::new()));
    }
    let mut parser = Parser {
        pattern,
        at: 0,
        case,
        depth: 0,
    };
    let node = parser.union()?;
    if parser.at < pattern.len() {
        return Err(parser.error("unmatched `)`"));
    }
    Ok(node)
}

struct Parser<'a> {
    pattern: &'a str,
    at: usize,
    case: Case,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.pattern.get(self.at..)?.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn next(&mut self) -> Result<char, RegexError> {
        let Some(next) = self.peek() else {
            return Err(self.error("the regular expression ends too early"));
        };
        self.at += next.len_utf8();
        Ok(next)
    }

    fn error(&self, reason: impl Into<String>) -> RegexError {
        RegexError::new(Some(self.at), reason)
    }

    fn union(&mut self) -> Result<Node, RegexError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("groups are nested deeper than {MAX_DEPTH} levels")));
        }
        let mut parts = vec![self.intersection()?];
        while self.eat('|') {
            parts.push(self.intersection()?);
        }
        self.depth -= 1;
        Ok(single_or(parts, Node::Union))
    }

    fn intersection(&mut self) -> Result<Node, RegexError> {
        let mut parts = vec![self.concatenation()?];
        while self.eat('&') {
            parts.push(self.concatenation()?);
        }
        Ok(single_or(parts, Node::Intersection))
    }

    fn concatenation(&mut self) -> Result<Node, RegexError> {
        let mut parts = vec![self.repetition()?];
        while self.peek().is_some_and(|next| !")|&".contains(next)) {
            parts.push(self.repetition()?);
        }
        Ok(single_or(parts, Node::Concat))
    }

    fn repetition(&mut self) -> Result<Node, RegexError> {
        let mut node = self.complement()?;
        for _ in 0..=MAX_OPERATORS {
            let (min, max) = match self.peek() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') => {
                    self.at += 1;
                    let min = self.count()?;
                    let max = if !self.eat(',') {
                        Some(min)
                    } else if self.peek().is_some_and(|next| next.is_ascii_digit()) {
                        Some(self.count()?)
                    } else {
                        None
                    };
                    if self.peek() != Some('}') {
                        return Err(self.error("expected `}` behind the count"));
                    }
                    if max.is_some_and(|max| max < min) {
                        return Err(self.error("the counts of the repetition are the wrong way round"));
                    }
                    (min, max)
                }
                _ => return Ok(node),
            };
            self.at += 1;
            node = Node::Repeat(Box::new(node), min, max);
        }
        Err(self.error("too many repetition operators in a row"))
    }

    fn count(&mut self) -> Result<u32, RegexError> {
        let digits = self.digits();
        if digits.is_empty() {
            return Err(self.error("expected a number behind `{`"));
        }
        match digits.parse() {
            Ok(count) if count <= MAX_REPEAT => Ok(count),
            _ => Err(self.error(format!("repeated more than {MAX_REPEAT} times"))),
        }
    }

    fn digits(&mut self) -> String {
        let rest = self.pattern.get(self.at..).unwrap_or("");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        self.at += digits.len();
        digits
    }

    fn complement(&mut self) -> Result<Node, RegexError> {
        let mut negated = false;
        while self.eat('~') {
            negated = !negated;
        }
        let node = self.class_or_simple()?;
        Ok(if negated {
            Node::Complement(Box::new(node))
        } else {
            node
        })
    }

    fn class_or_simple(&mut self) -> Result<Node, RegexError> {
        if !self.eat('[') {
            return self.simple();
        }
        let negated = self.eat('^');
        let mut ranges = Vec::new();
        loop {
            self.class_member(&mut ranges)?;
            match self.peek() {
                Some(']') => break,
                Some(_) => {}
                None => return Err(self.error("expected `]`")),
            }
        }
        self.at += 1;
        let mut class = self.class(ranges);
        if negated {
            class.negate();
        }
        Ok(Node::Class(class))
    }

    fn class_member(&mut self, ranges: &mut Vec<ClassUnicodeRange>) -> Result<(), RegexError> {
        if let Some(predefined) = self.predefined()? {
            ranges.extend(predefined.ranges());
            return Ok(());
        }
        let from = self.character()?;
        let to = if self.eat('-') { self.character()? } else { from };
        if from > to {
            return Err(self.error(format!("the range `{from}-{to}` is the wrong way round")));
        }
        ranges.push(ClassUnicodeRange::new(from, to));
        Ok(())
    }

    fn simple(&mut self) -> Result<Node, RegexError> {
        if let Some(predefined) = self.predefined()? {
            return Ok(Node::Class(predefined));
        }
        match self.peek() {
            Some('.') => {
                self.at += 1;
                Ok(Node::Class(ClassUnicode::new([ClassUnicodeRange::new(
                    '\0',
                    char::MAX,
                )])))
            }
            Some('#') => {
                self.at += 1;
                Ok(Node::Nothing)
            }
            Some('@') => {
                self.at += 1;
                Ok(Node::Anything)
            }
            Some('"') => {
                self.at += 1;
                let mut characters = Vec::new();
                while self.peek() != Some('"') {
                    match self.peek() {
                        Some(next) => characters.push(self.literal(next)),
                        None => return Err(self.error("expected a closing `\"`")),
                    }
                    self.next()?;
                }
                self.at += 1;
                Ok(single_or(characters, Node::Concat))
            }
            Some('(') => {
                self.at += 1;
                if self.eat(')') {
                    return Ok(Node::Concat(Vec::new()));
                }
                let node = self.union()?;
                if self.eat(')') {
                    Ok(node)
                } else {
                    Err(self.error("expected `)`"))
                }
            }
            Some('<') => {
                self.at += 1;
                self.interval()
            }
            _ => {
                let character = self.character()?;
                Ok(self.literal(character))
            }
        }
    }

    /// `\d`, `\w`, `\s` and their contraries; any other letter behind `\` is an error, as in Lucene.
    fn predefined(&mut self) -> Result<Option<ClassUnicode>, RegexError> {
        let mut ahead = self.pattern.get(self.at..).unwrap_or("").chars();
        let (Some('\\'), Some(letter)) = (ahead.next(), ahead.next()) else {
            return Ok(None);
        };
        let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            's' => &[('\t', '\n'), ('\r', '\r'), (' ', ' ')],
            'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            other if other.is_ascii_alphabetic() => {
                return Err(self.error(format!(
                    "`\\{letter}` is no character class of Lucene's regular expressions"
                )));
            }
            _ => return Ok(None),
        };
        self.at += 2;
        let mut class = ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)));
        if letter.is_ascii_uppercase() {
            class.negate();
        }
        Ok(Some(class))
    }

    fn character(&mut self) -> Result<char, RegexError> {
        self.eat('\\');
        self.next()
    }

    fn literal(&self, character: char) -> Node {
        Node::Class(self.class(vec![ClassUnicodeRange::new(character, character)]))
    }

    /// The set of characters, widened by case.
    fn class(&self, mut ranges: Vec<ClassUnicodeRange>) -> ClassUnicode {
        if self.case == Case::AsciiInsensitive {
            let shifted = |from: char, to: char, range: &ClassUnicodeRange| {
                let (low, high) = (range.start().max(from), range.end().min(to));
                let flip = |c: char| {
                    if c.is_ascii_lowercase() {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    }
                };
                (low <= high).then(|| ClassUnicodeRange::new(flip(low), flip(high)))
            };
            let other_case: Vec<_> = ranges
                .iter()
                .flat_map(|range| [shifted('a', 'z', range), shifted('A', 'Z', range)])
                .flatten()
                .collect();
            ranges.extend(other_case);
        }
        let mut class = ClassUnicode::new(ranges);
        if self.case == Case::Insensitive {
            // Fails only without Unicode tables, which are built in; the class is then as it was.
            let _ = class.try_case_fold_simple();
        }
        class
    }

    /// `<low-high>` behind its `<`: decimal numbers. Bounds of equal length fix the number of digits.
    fn interval(&mut self) -> Result<Node, RegexError> {
        let low = self.digits();
        let dash = self.eat('-');
        let high = self.digits();
        if self.peek() != Some('>') {
            return Err(self.error("expected `<low-high>` with two numbers"));
        }
        let (true, Ok(a), Ok(b)) = (dash, low.parse::<u32>(), high.parse::<u32>()) else {
            return Err(self.error("expected `<low-high>` with two numbers"));
        };
        self.at += 1;
        let width = (low.len() == high.len()).then_some(low.len());
        Ok(decimal_interval(a.min(b), a.max(b), width))
    }
}

fn single_or(mut parts: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => many(parts),
    }
}

fn digit(from: u8, to: u8) -> Node {
    let character = |digit: u8| char::from(b'0' + digit);
    Node::Class(ClassUnicode::new([ClassUnicodeRange::new(
        character(from),
        character(to),
    )]))
}

/// The numbers `low..=high`, with exactly `width` digits or else with any number of leading zeros.
fn decimal_interval(low: u32, high: u32, width: Option<usize>) -> Node {
    let digits = high.to_string().len().max(width.unwrap_or(1));
    let expand = |number: u32| -> Vec<u8> {
        format!("{number:0digits$}")
            .bytes()
            .map(|byte| byte - b'0')
            .collect()
    };
    let exact = fixed_width(&expand(low), &expand(high));
    if width.is_some() {
        return exact;
    }
    // Any number of leading zeros, also fewer than the padded form has: each shorter length has its own bounds.
    let mut alternatives = Vec::new();
    for length in 1..=digits {
        let smallest = if length == 1 {
            0
        } else {
            10_u64.pow(u32::try_from(length - 1).unwrap_or(0))
        };
        let largest = 10_u64.pow(u32::try_from(length).unwrap_or(0)) - 1;
        let (from, to) = (smallest.max(low.into()), largest.min(high.into()));
        if from <= to {
            let bytes =
                |number: u64| -> Vec<u8> { number.to_string().bytes().map(|byte| byte - b'0').collect() };
            alternatives.push(fixed_width(&bytes(from), &bytes(to)));
        }
    }
    let zeros = Node::Repeat(Box::new(digit(0, 0)), 0, None);
    Node::Concat(vec![zeros, single_or(alternatives, Node::Union)])
}

/// The texts of digits between two of the same length, both included.
fn fixed_width(low: &[u8], high: &[u8]) -> Node {
    let (Some((first_low, rest_low)), Some((first_high, rest_high))) =
        (low.split_first(), high.split_first())
    else {
        return Node::Concat(Vec::new());
    };
    if first_low == first_high {
        return Node::Concat(vec![
            digit(*first_low, *first_low),
            fixed_width(rest_low, rest_high),
        ]);
    }
    let any = |count: usize| Node::Concat(vec![digit(0, 9); count]);
    let (nines, zeros) = (vec![9; rest_low.len()], vec![0; rest_high.len()]);
    let mut alternatives = vec![
        Node::Concat(vec![digit(*first_low, *first_low), fixed_width(rest_low, &nines)]),
        Node::Concat(vec![
            digit(*first_high, *first_high),
            fixed_width(&zeros, rest_high),
        ]),
    ];
    if first_low + 1 < *first_high {
        alternatives.push(Node::Concat(vec![
            digit(first_low + 1, first_high - 1),
            any(rest_low.len()),
        ]));
    }
    Node::Union(alternatives)
}
