//! Regular expressions of the dialects that rule languages use, compiled to automata.
//!
//! Lucene's dialect is parsed here (`lucene`): most expressions become an ordinary `regex-automata` program; those that
//! use complement or intersection become a table automaton of their own (`product`), because no backtracking-free
//! regular expression engine has these operators. Java's and the searching dialect go to `regex-automata` as they are,
//! but for the classes that Java reads as ASCII.

mod java;
mod lucene;
mod necessary;
mod product;
mod shortest;
mod size;

use std::sync::OnceLock;

use regex_automata::meta;
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::{Case, RegexDialect};
pub use lucene::Node as LuceneNode;
pub use lucene::parse as parse_lucene;

/// Memory that one compiled expression may take; larger ones are refused.
const SIZE_LIMIT: usize = 8 << 20;
/// How many characters and classes an expression may have once its counted repetitions are written out; checked first,
/// because running into the memory limit takes long.
const MAX_EXPANDED: u64 = 50_000;

/// A compiled expression, or several joined by "or".
#[derive(Clone, Debug)]
pub struct Regex {
    program: Program,
    necessities: Option<Vec<Box<str>>>,
}

#[derive(Clone, Debug)]
enum Program {
    Automata(Box<Automata>),
    Product(Vec<product::Automaton>),
}

/// An expression that is known to have automata of bounded size. They are made when it is first asked: of the expressions of
/// many rules most never are.
#[derive(Clone, Debug)]
struct Automata {
    hir: Hir,
    made: OnceLock<Option<meta::Regex>>,
}

impl Automata {
    fn is_match(&self, value: &str) -> bool {
        // Without a limit: that it is not too large was told from the expression, and one that could not be made would never match.
        let made = self.made.get_or_init(|| make(&self.hir, None).ok());
        made.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

impl Regex {
    /// Texts of which one is in every value that matches, letters being alike whatever their case; `None` where none are known.
    pub fn necessities(&self) -> Option<&[Box<str>]> {
        self.necessities.as_deref()
    }

    /// Whether the value matches, whole or in part as the dialect says.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.program {
            Program::Automata(automata) => automata.is_match(value),
            Program::Product(automata) => automata.iter().any(|automaton| automaton.is_match(value)),
        }
    }
}

/// Why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RegexError {
    /// Which of the patterns.
    pub pattern: usize,
    /// Byte offset in the pattern, where known.
    pub offset: Option<usize>,
    /// What is wrong: lower case, no full stop.
    pub reason: String,
}

impl RegexError {
    fn new(offset: Option<usize>, reason: impl Into<String>) -> Self {
        Self {
            pattern: 0,
            offset,
            reason: reason.into(),
        }
    }

    fn in_pattern(mut self, pattern: usize) -> Self {
        self.pattern = pattern;
        self
    }
}

/// Compiles patterns of one dialect into one expression that matches where any of them does. The expression is anchored
/// at both ends, but for [`RegexDialect::Search`].
///
/// # Errors
/// The first pattern that is not valid in its dialect, that needs what the automata cannot do (look-around, back
/// references), or that would take too much memory.
pub fn compile(patterns: &[Box<str>], dialect: RegexDialect, case: Case) -> Result<Regex, RegexError> {
    match dialect {
        RegexDialect::Lucene => compile_lucene(patterns, case),
        RegexDialect::Java | RegexDialect::Search => {
            let mut alternatives = Vec::new();
            for (position, pattern) in patterns.iter().enumerate() {
                let text = if dialect == RegexDialect::Java {
                    java::translate(pattern)
                } else {
                    pattern.to_string()
                };
                let hir = java::parse(&text, case).map_err(|error| error.in_pattern(position))?;
                alternatives.push(if dialect == RegexDialect::Java {
                    anchored(hir)
                } else {
                    hir
                });
            }
            build(&Hir::alternation(alternatives))
        }
    }
}

fn compile_lucene(patterns: &[Box<str>], case: Case) -> Result<Regex, RegexError> {
    let mut nodes = Vec::new();
    for (position, pattern) in patterns.iter().enumerate() {
        nodes.push(lucene::parse(pattern, case).map_err(|error| error.in_pattern(position))?);
    }
    if let Some(alternatives) = nodes.iter().map(LuceneNode::to_hir).collect::<Option<Vec<Hir>>>() {
        return build(&anchored(Hir::alternation(alternatives)));
    }
    let mut automata = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        automata.push(product::Automaton::build(node).map_err(|error| error.in_pattern(position))?);
    }
    Ok(Regex {
        program: Program::Product(automata),
        necessities: None,
    })
}

/// Whether some text matches both expressions of Lucene, letters compared under `case`.
///
/// # Errors
/// An expression that does not parse, or two whose common automaton grows too large.
pub fn have_common_match(a: &str, b: &str, case: Case) -> Result<bool, RegexError> {
    let both = lucene::Node::Intersection(vec![lucene::parse(a, case)?, lucene::parse(b, case)?]);
    product::has_match(&both)
}

fn anchored(hir: Hir) -> Hir {
    Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)])
}

fn expanded_size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => expanded_size(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            expanded_size(&repetition.sub).saturating_mul(times.into())
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts
            .iter()
            .fold(1_u64, |sum, part| sum.saturating_add(expanded_size(part))),
    }
}

fn build(hir: &Hir) -> Result<Regex, RegexError> {
    if expanded_size(hir) > MAX_EXPANDED {
        return Err(too_large());
    }
    let made = OnceLock::new();
    if !size::is_below(hir, SIZE_LIMIT as u64) {
        // Only making it tells.
        let regex = make(hir, Some(SIZE_LIMIT))?;
        made.get_or_init(|| Some(regex));
    }
    Ok(Regex {
        program: Program::Automata(Box::new(Automata {
            hir: hir.clone(),
            made,
        })),
        necessities: necessary::necessary(hir),
    })
}

fn make(hir: &Hir, most_bytes: Option<usize>) -> Result<meta::Regex, RegexError> {
    let config = meta::Config::new()
        .nfa_size_limit(most_bytes)
        .which_captures(regex_automata::nfa::thompson::WhichCaptures::Implicit);
    let made = meta::Builder::new()
        .configure(config)
        .build_from_hir(&shortest::shortest(hir));
    made.map_err(|error| match error.size_limit() {
        Some(_) => too_large(),
        None => RegexError::new(None, error.to_string()),
    })
}

fn too_large() -> RegexError {
    RegexError::new(None, "the regular expression is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pattern: &str, value: &str, dialect: RegexDialect, case: Case) -> bool {
        compile(&[pattern.into()], dialect, case).unwrap().is_match(value)
    }

    fn lucene(pattern: &str, value: &str) -> bool {
        run(pattern, value, RegexDialect::Lucene, Case::Sensitive)
    }

    #[test]
    fn lucene_matches_the_whole_value_and_has_no_anchors() {
        assert!(lucene(".*?net1[ ]+localgroup.*?", "x net1  localgroup y"));
        assert!(!lucene("net", "net1"));
        assert!(lucene("^a$", "^a$"));
        assert!(!lucene("^a$", "a"));
        assert!(lucene("a.c", "a\nc"));
        assert!(lucene(r"\w+\d\s\D", "ab1 x"));
        assert!(lucene(r"[\w.\-]+", "a-b.c_9"));
        assert!(!lucene(r"[^\d]+", "ab1"));
        assert!(lucene("", ""));
        assert!(lucene("a{2,3}b?", "aaa"));
        assert!(!lucene("a{2,3}", "aaaa"));
        assert!(lucene("\"a.b\"", "a.b"));
        assert!(!lucene("\"a.b\"", "axb"));
        assert!(lucene(r"\.\*\\", r".*\"));
        assert!(lucene("()|x", ""));
        assert!(lucene("é+", "éé"));
    }

    #[test]
    fn common_matches_are_found() {
        for (a, b, common) in [
            ("[1-5][0-9]{2}", "ALLOW", false),
            ("[1-5][0-9]{2}", "40.", true),
            ("~(a.*)", "ab", false),
            ("~(a.*)", ".*b", true),
            (".*x.*", ".*y.*", true),
        ] {
            assert_eq!(have_common_match(a, b, Case::Sensitive), Ok(common), "{a} {b}");
        }
        assert_eq!(have_common_match("get", "GET", Case::AsciiInsensitive), Ok(true));
    }

    #[test]
    fn lucene_has_operators_of_its_own() {
        assert!(lucene("a@", "abc"));
        assert!(lucene("@", ""));
        assert!(!lucene("a#", "a"));
        assert!(lucene("<1-100>", "42"));
        assert!(lucene("<1-100>", "007"));
        assert!(!lucene("<1-100>", "101"));
        assert!(!lucene("<1-100>", "0"));
        assert!(lucene("host<01-20>", "host07"));
        assert!(!lucene("host<01-20>", "host7"));
        assert!(lucene("~(foo)", "bar"));
        assert!(!lucene("~(foo)", "foo"));
        assert!(lucene("[a-z]+&~(admin|root)", "guest"));
        assert!(!lucene("[a-z]+&~(admin|root)", "root"));
        assert!(!lucene("[a-z]+&~(admin|root)", "Guest"));
        assert!(lucene("x~(@bad@)y", "xgoody"));
        assert!(!lucene("x~(@bad@)y", "xabadby"));
        assert!(lucene("a~bc", "ac"));
        assert!(!lucene("a~bc", "abc"));
        assert!(lucene("~(~(a))&a", "a"));
    }

    #[test]
    fn every_decimal_range_holds_exactly_its_numbers() {
        for (low, high) in [
            (0, 0),
            (7, 7),
            (3, 19),
            (0, 255),
            (98, 1002),
            (1, 65),
            (990, 1000),
        ] {
            let regex = compile(
                &[format!("<{low}-{high}>").into()],
                RegexDialect::Lucene,
                Case::Sensitive,
            )
            .unwrap();
            for number in 0..1100 {
                assert_eq!(
                    regex.is_match(&number.to_string()),
                    (low..=high).contains(&number),
                    "{number} in {low}-{high}"
                );
            }
        }
    }

    #[test]
    fn case_is_ascii_for_fields_and_unicode_for_scripts() {
        assert!(run("[a-c]X", "Bx", RegexDialect::Lucene, Case::AsciiInsensitive));
        assert!(!run("é", "É", RegexDialect::Lucene, Case::AsciiInsensitive));
        assert!(run("é", "É", RegexDialect::Lucene, Case::Insensitive));
        assert!(run("É\\w", "éa", RegexDialect::Java, Case::Insensitive));
        assert!(run(
            "~(foo)&.*",
            "FOOx",
            RegexDialect::Lucene,
            Case::AsciiInsensitive
        ));
        assert!(!run(
            "~(foo)&.*",
            "FOO",
            RegexDialect::Lucene,
            Case::AsciiInsensitive
        ));
    }

    #[test]
    fn java_and_search_differ_in_anchoring() {
        let any = |pattern: &str, value: &str, dialect| run(pattern, value, dialect, Case::Sensitive);
        assert!(!any("net", "xnet", RegexDialect::Java));
        assert!(any("net", "xnet1", RegexDialect::Search));
        assert!(any(r"^\d{3}$", "123", RegexDialect::Java));
        assert!(!any(r"\d", "٣", RegexDialect::Java));
        assert!(any(r"[\w-]+\s", "a-b ", RegexDialect::Java));
        assert!(any(r"\Qa.b\E+", "a.bbb", RegexDialect::Java));
        assert!(any("a|b", "b", RegexDialect::Java));
        assert!(!any("a|b", "bc", RegexDialect::Java));
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        let error = |pattern: &str, dialect| {
            compile(&["ok".into(), pattern.into()], dialect, Case::Sensitive).unwrap_err()
        };
        for pattern in [
            "(a",
            "a)",
            "a|",
            "[a",
            "[b-a]",
            "a{2",
            "a{3,2}",
            r"a\",
            r"\b",
            "\"a",
            "<1-2",
            "<a-b>",
            "<name>",
            "a{1000000}",
        ] {
            let refusal = error(pattern, RegexDialect::Lucene);
            assert_eq!(refusal.pattern, 1, "{pattern}");
            assert!(!refusal.reason.is_empty());
        }
        assert!(error(r"(?=a)b", RegexDialect::Java).reason.contains("look"));
        assert_eq!(
            error("((((a{99}){99}){99}){99}){99}", RegexDialect::Lucene).reason,
            too_large().reason
        );
        assert_eq!(
            error("~((((a{99}){99}){99}){99}){99}", RegexDialect::Lucene).reason,
            too_large().reason
        );
        let nested = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
        assert!(error(&nested, RegexDialect::Lucene).reason.contains("nested"));
    }
}
