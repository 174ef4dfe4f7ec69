//! Table automata for expressions with complement and intersection, built by derivatives.
//!
//! The derivative of an expression by a character is the expression of what may follow that character; complement and
//! intersection have derivatives as simple as union's, which is why they need no construction of their own. Expressions
//! are normalised and shared, so that the set of derivatives, the automaton's states, is finite.
//! Source: Owens, Reppy and Turon, "Regular-expression derivatives re-examined", 2009
//! (<https://www.khoury.northeastern.edu/home/turon/re-deriv.pdf>).

use ahash::{AHashMap, AHashSet};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::lucene::Node;
use super::{RegexError, too_large};

const MAX_STATES: usize = 4_096;
/// Bound on the work of building, in parts of expressions touched: some expressions have derivatives beyond number.
const MAX_WORK: usize = 300_000;
/// Bound on the nesting of expressions, which derivatives walk recursively.
const MAX_DEPTH: u32 = 1_000;

/// A deterministic automaton over classes of characters.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// First character of every class but the first, ascending: characters of one class behave alike.
    boundaries: Vec<char>,
    /// `next[state * classes + class]`; state 0 is the start.
    next: Vec<u32>,
    accepting: Vec<bool>,
}

impl Automaton {
    pub(super) fn is_match(&self, value: &str) -> bool {
        let classes = self.boundaries.len() + 1;
        let mut state = 0_usize;
        for character in value.chars() {
            let class = self.boundaries.partition_point(|boundary| *boundary <= character);
            match self.next.get(state * classes + class) {
                Some(next) => state = *next as usize,
                None => return false,
            }
        }
        self.accepting.get(state).copied().unwrap_or(false)
    }

    pub(super) fn build(node: &Node) -> Result<Self, RegexError> {
        let boundaries = boundaries(&classes(node));
        let mut representatives = vec!['\0'];
        representatives.extend(&boundaries);

        let mut expressions = Expressions::default();
        let start = expressions.of_node(node)?;
        let mut states = vec![start];
        let mut by_expression = AHashMap::from([(start, 0_u32)]);
        let (mut next, mut accepting) = (Vec::new(), Vec::new());
        let mut position = 0;
        while let Some(&expression) = states.get(position) {
            position += 1;
            accepting.push(expressions.accepts_empty(expression));
            for representative in &representatives {
                let derivative = expressions.derivative(expression, *representative)?;
                let state = match by_expression.get(&derivative) {
                    Some(state) => *state,
                    None => {
                        let state = u32::try_from(states.len()).map_err(|_| too_large())?;
                        if states.len() >= MAX_STATES {
                            return Err(too_large());
                        }
                        by_expression.insert(derivative, state);
                        states.push(derivative);
                        state
                    }
                };
                next.push(state);
            }
        }
        Ok(Self {
            boundaries,
            next,
            accepting,
        })
    }
}

/// Whether some text matches: the states of the automaton are looked for until one accepts.
pub(super) fn has_match(node: &Node) -> Result<bool, RegexError> {
    let mut expressions = Expressions::default();
    let start = expressions.of_node(node)?;
    let representatives = representatives(node);
    let mut open = vec![start];
    // Nothing follows where nothing matches.
    let mut known = AHashSet::from([start, NOTHING]);
    while let Some(expression) = open.pop() {
        if expressions.accepts_empty(expression) {
            return Ok(true);
        }
        for representative in &representatives {
            let derivative = expressions.derivative(expression, *representative)?;
            if known.insert(derivative) {
                if known.len() > MAX_STATES {
                    return Err(too_large());
                }
                open.push(derivative);
            }
        }
    }
    Ok(false)
}

/// One character of all that are in the same classes of characters: these behave alike wherever they stand.
fn representatives(node: &Node) -> Vec<char> {
    let classes = classes(node);
    let is_in = |class: &[ClassUnicodeRange], character: char| {
        let mut ranges = class.iter();
        ranges.any(|range| (range.start()..=range.end()).contains(&character))
    };
    let mut known: AHashSet<Vec<bool>> = AHashSet::new();
    let mut characters = vec!['\0'];
    characters.extend(boundaries(&classes));
    characters
        .retain(|character| known.insert(classes.iter().map(|class| is_in(class, *character)).collect()));
    characters
}

/// Where the ranges of classes begin, and what follows where they end.
fn boundaries(classes: &[&[ClassUnicodeRange]]) -> Vec<char> {
    let mut boundaries = Vec::new();
    for range in classes.iter().copied().flatten() {
        boundaries.extend((range.start() > '\0').then_some(range.start()));
        boundaries.extend(successor(range.end()));
    }
    boundaries.sort_unstable();
    boundaries.dedup();
    boundaries
}

/// The classes of characters of an expression, each once.
fn classes(node: &Node) -> Vec<&[ClassUnicodeRange]> {
    let mut classes = Vec::new();
    collect_classes(node, &mut classes);
    classes.sort_unstable();
    classes.dedup();
    classes
}

fn collect_classes<'n>(node: &'n Node, classes: &mut Vec<&'n [ClassUnicodeRange]>) {
    match node {
        Node::Nothing | Node::Anything => {}
        Node::Class(class) => classes.push(class.ranges()),
        Node::Concat(nodes) | Node::Union(nodes) | Node::Intersection(nodes) => {
            nodes.iter().for_each(|node| collect_classes(node, classes));
        }
        Node::Complement(node) | Node::Repeat(node, ..) => collect_classes(node, classes),
    }
}

/// The next character; surrogates are no characters.
fn successor(character: char) -> Option<char> {
    let next = u32::from(character) + 1;
    char::from_u32(if next == 0xD800 { 0xE000 } else { next })
}

/// A shared expression.
type Id = u32;

const NOTHING: Id = 0;
const EMPTY: Id = 1;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Expression {
    Nothing,
    Empty,
    /// Ranges of characters.
    Class(Vec<(char, char)>),
    Concat(Id, Id),
    Star(Id),
    /// Sorted, without repetition.
    Union(Vec<Id>),
    /// Sorted, without repetition.
    Intersection(Vec<Id>),
    Complement(Id),
}

struct Expressions {
    all: Vec<Expression>,
    accepts_empty: Vec<bool>,
    depth: Vec<u32>,
    ids: AHashMap<Expression, Id>,
    derivatives: AHashMap<(Id, char), Id>,
    work: usize,
}

impl Default for Expressions {
    fn default() -> Self {
        Self {
            all: vec![Expression::Nothing, Expression::Empty],
            accepts_empty: vec![false, true],
            depth: vec![0, 0],
            ids: AHashMap::from([(Expression::Nothing, NOTHING), (Expression::Empty, EMPTY)]),
            derivatives: AHashMap::new(),
            work: 0,
        }
    }
}

impl Expressions {
    fn accepts_empty(&self, id: Id) -> bool {
        self.accepts_empty.get(id as usize).copied().unwrap_or(false)
    }

    fn get(&self, id: Id) -> Expression {
        self.all.get(id as usize).cloned().unwrap_or(Expression::Nothing)
    }

    fn spend(&mut self, work: usize) -> Result<(), RegexError> {
        self.work += work;
        if self.work > MAX_WORK {
            Err(too_large())
        } else {
            Ok(())
        }
    }

    fn intern(&mut self, expression: Expression) -> Result<Id, RegexError> {
        self.spend(match &expression {
            Expression::Union(parts) | Expression::Intersection(parts) => parts.len(),
            _ => 1,
        })?;
        if let Some(id) = self.ids.get(&expression) {
            return Ok(*id);
        }
        let accepts = match &expression {
            Expression::Nothing | Expression::Class(_) => false,
            Expression::Empty | Expression::Star(_) => true,
            Expression::Concat(a, b) => self.accepts_empty(*a) && self.accepts_empty(*b),
            Expression::Union(parts) => parts.iter().any(|part| self.accepts_empty(*part)),
            Expression::Intersection(parts) => parts.iter().all(|part| self.accepts_empty(*part)),
            Expression::Complement(part) => !self.accepts_empty(*part),
        };
        let deepest = |parts: &[Id]| {
            parts
                .iter()
                .filter_map(|part| self.depth.get(*part as usize))
                .max()
                .map_or(0, |deep| deep + 1)
        };
        let depth = match &expression {
            Expression::Nothing | Expression::Empty | Expression::Class(_) => 0,
            Expression::Concat(a, b) => deepest(&[*a, *b]),
            Expression::Union(parts) | Expression::Intersection(parts) => deepest(parts),
            Expression::Star(part) | Expression::Complement(part) => deepest(&[*part]),
        };
        if depth > MAX_DEPTH {
            return Err(too_large());
        }
        let id = Id::try_from(self.all.len()).map_err(|_| too_large())?;
        self.all.push(expression.clone());
        self.depth.push(depth);
        self.accepts_empty.push(accepts);
        self.ids.insert(expression, id);
        Ok(id)
    }

    fn of_node(&mut self, node: &Node) -> Result<Id, RegexError> {
        match node {
            Node::Nothing => Ok(NOTHING),
            Node::Class(class) => self.class(class),
            Node::Anything => self.complement(NOTHING),
            Node::Concat(nodes) => {
                let mut whole = EMPTY;
                for node in nodes.iter().rev() {
                    let part = self.of_node(node)?;
                    whole = self.concat(part, whole)?;
                }
                Ok(whole)
            }
            Node::Union(nodes) => {
                let parts = nodes
                    .iter()
                    .map(|node| self.of_node(node))
                    .collect::<Result<Vec<Id>, RegexError>>()?;
                self.union(parts)
            }
            Node::Intersection(nodes) => {
                let parts = nodes
                    .iter()
                    .map(|node| self.of_node(node))
                    .collect::<Result<Vec<Id>, RegexError>>()?;
                self.intersection(parts)
            }
            Node::Complement(node) => {
                let part = self.of_node(node)?;
                self.complement(part)
            }
            Node::Repeat(node, min, max) => {
                let part = self.of_node(node)?;
                let mut whole = match max {
                    None => self.star(part)?,
                    Some(max) => {
                        // r{0,n} = (r r{0,n-1})?
                        let mut optional = EMPTY;
                        for _ in *min..*max {
                            let more = self.concat(part, optional)?;
                            optional = self.union(vec![EMPTY, more])?;
                        }
                        optional
                    }
                };
                for _ in 0..*min {
                    whole = self.concat(part, whole)?;
                }
                Ok(whole)
            }
        }
    }

    fn class(&mut self, class: &ClassUnicode) -> Result<Id, RegexError> {
        let ranges: Vec<_> = class
            .ranges()
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect();
        if ranges.is_empty() {
            Ok(NOTHING)
        } else {
            self.intern(Expression::Class(ranges))
        }
    }

    fn concat(&mut self, a: Id, b: Id) -> Result<Id, RegexError> {
        match (a, b) {
            (NOTHING, _) | (_, NOTHING) => Ok(NOTHING),
            (EMPTY, other) | (other, EMPTY) => Ok(other),
            (a, b) => self.intern(Expression::Concat(a, b)),
        }
    }

    fn star(&mut self, part: Id) -> Result<Id, RegexError> {
        match self.get(part) {
            Expression::Nothing | Expression::Empty => Ok(EMPTY),
            Expression::Star(_) => Ok(part),
            _ => self.intern(Expression::Star(part)),
        }
    }

    fn complement(&mut self, part: Id) -> Result<Id, RegexError> {
        match self.get(part) {
            Expression::Complement(inner) => Ok(inner),
            _ => self.intern(Expression::Complement(part)),
        }
    }

    fn union(&mut self, parts: Vec<Id>) -> Result<Id, RegexError> {
        let everything = self.complement(NOTHING)?;
        let mut flat = Vec::new();
        for part in parts {
            match self.get(part) {
                Expression::Union(inner) => flat.extend(inner),
                Expression::Nothing => {}
                _ => flat.push(part),
            }
        }
        if flat.contains(&everything) {
            return Ok(everything);
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => Ok(NOTHING),
            [only] => Ok(*only),
            _ => self.intern(Expression::Union(flat)),
        }
    }

    fn intersection(&mut self, parts: Vec<Id>) -> Result<Id, RegexError> {
        let everything = self.complement(NOTHING)?;
        let mut flat = Vec::new();
        for part in parts {
            match self.get(part) {
                Expression::Intersection(inner) => flat.extend(inner),
                Expression::Nothing => return Ok(NOTHING),
                _ if part == everything => {}
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => Ok(everything),
            [only] => Ok(*only),
            _ => self.intern(Expression::Intersection(flat)),
        }
    }

    fn derivative(&mut self, id: Id, character: char) -> Result<Id, RegexError> {
        if let Some(known) = self.derivatives.get(&(id, character)) {
            return Ok(*known);
        }
        self.spend(1)?;
        let derivative = match self.get(id) {
            Expression::Nothing | Expression::Empty => NOTHING,
            Expression::Class(ranges) => {
                if ranges.iter().any(|(from, to)| (*from..=*to).contains(&character)) {
                    EMPTY
                } else {
                    NOTHING
                }
            }
            Expression::Concat(a, b) => {
                let first = self.derivative(a, character)?;
                let through = self.concat(first, b)?;
                if self.accepts_empty(a) {
                    let skipped = self.derivative(b, character)?;
                    self.union(vec![through, skipped])?
                } else {
                    through
                }
            }
            Expression::Star(part) => {
                let first = self.derivative(part, character)?;
                self.concat(first, id)?
            }
            Expression::Union(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| self.derivative(*part, character))
                    .collect::<Result<_, _>>()?;
                self.union(parts)?
            }
            Expression::Intersection(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| self.derivative(*part, character))
                    .collect::<Result<_, _>>()?;
                self.intersection(parts)?
            }
            Expression::Complement(part) => {
                let inner = self.derivative(part, character)?;
                self.complement(inner)?
            }
        };
        self.derivatives.insert((id, character), derivative);
        Ok(derivative)
    }
}
