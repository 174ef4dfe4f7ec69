//! Conditions that no event can meet, whatever the language of the rule.
//!
//! What the values of a field look like is data here: an expression of Lucene that all of them match. A test whose own
//! expression has no match in common with it never holds.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use neph_diag::{Diagnostic, Span};
use neph_plan::{Case, Pattern, PatternPart, Plan, RegexDialect, Test, regex};

use crate::codes;
use crate::to_lucene_regex;

/// Fields whose values all look alike.
struct Shape {
    /// What such a value is, for people.
    what: &'static str,
    /// An expression of Lucene that every value matches.
    expression: &'static str,
    fields: &'static [&'static str],
}

/// Sources: <https://datatracker.ietf.org/doc/html/rfc9110#name-status-codes>,
/// <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>,
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const SHAPES: &[Shape] = &[
    Shape {
        what: "a status code of HTTP, a number from 100 to 599",
        expression: "[1-5][0-9]{2}",
        fields: &[
            "http.response.status_code",
            "kubernetes.audit.responseStatus.code",
            "responseStatus.code",
            "azure.platformlogs.properties.log.responseStatus.code",
        ],
    },
    Shape {
        what: "one of the stages `RequestReceived`, `ResponseStarted`, `ResponseComplete` and `Panic`",
        expression: "RequestReceived|ResponseStarted|ResponseComplete|Panic",
        fields: &["kubernetes.audit.stage"],
    },
    Shape {
        what: "one of the levels `None`, `Metadata`, `Request` and `RequestResponse`",
        expression: "None|Metadata|Request|RequestResponse",
        fields: &["kubernetes.audit.level"],
    },
    Shape {
        what: "one of the decisions `allow` and `forbid`",
        expression: "allow|forbid",
        fields: &["kubernetes.audit.annotations.authorization_k8s_io/decision"],
    },
    Shape {
        what: "an ARN, in which the name of a role that an account has holds no `:`",
        expression: "[^:/]*:[^:/]*:[^:/]*:[^:/]*:[^:/]*:(assumed-role/[-A-Za-z0-9_+=,.@]+/[^:]*|~((.*:)?assumed-role/.*))",
        fields: &["aws.cloudtrail.user_identity.arn", "userIdentity.arn"],
    },
];

/// The fields of all shapes.
static SHAPED: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| SHAPES.iter().flat_map(|shape| shape.fields).copied().collect());

/// What stands at the top of an audit event of Kubernetes.
/// Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event>
const AUDIT: (&str, &[&str]) = (
    "kubernetes.audit.",
    &[
        "apiVersion",
        "annotations",
        "auditID",
        "authenticationMetadata",
        // Some shippers put the whole event below this.
        "event",
        "impersonatedUser",
        "kind",
        "level",
        "metadata",
        "objectRef",
        "requestObject",
        "requestReceivedTimestamp",
        "requestURI",
        "responseObject",
        "responseStatus",
        "sourceIPs",
        "stage",
        "stageTimestamp",
        "timestamp",
        "user",
        "userAgent",
        "verb",
    ],
);

/// What of a plan never holds; the places are those of its query.
pub(crate) fn check(plan: &Plan) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    // Of thousands of rules few read such fields.
    let is_told = |path: &str| path.starts_with(AUDIT.0) || SHAPED.contains(path);
    let reads_one = plan.fields.iter().any(|field| is_told(&field.path));
    // Lists of expressions, by where they are: one that is looked for in several fields is looked at once.
    let mut asked: BTreeSet<usize> = BTreeSet::new();
    for condition in plan.query.conditions() {
        condition.for_each_leaf(&mut |leaf| {
            let is_expression = matches!(leaf.test, Test::Regex(_, _, RegexDialect::Search, _));
            // What a mapping or an index pattern added is not the rule's.
            if !(reads_one || is_expression) || leaf.span.is_empty() {
                return;
            }
            let never = match &leaf.test {
                Test::Regex(_, expressions, RegexDialect::Search, _) => {
                    let is_new = asked.insert(expressions.as_ptr().addr());
                    is_new.then(|| never_found(expressions, leaf.span)).flatten()
                }
                _ => None,
            };
            let of_field = || {
                let test = test(plan, &leaf.test, leaf.span);
                test.or_else(|| place(plan, &leaf.test, leaf.span))
            };
            if let Some(diagnostic) = never.or_else(|| reads_one.then(of_field).flatten())
                && !found
                    .iter()
                    .any(|known| known.span == diagnostic.span && known.code.name == diagnostic.code.name)
            {
                found.push(diagnostic);
            }
        });
    }
    found
}

/// An expression that no text matches.
fn never_found(expressions: &[Box<str>], span: Span) -> Option<Diagnostic> {
    let never = expressions
        .iter()
        .find(|text| to_lucene_regex::never_found(text))?;
    let message = format!("no text matches the regular expression `{never}`");
    Some(
        Diagnostic::new(&codes::REGEX_IMPOSSIBLE, span, message)
            .with_help("put a `\\` before a `^` or `$` that is meant as a character"),
    )
}

fn test(plan: &Plan, test: &Test, span: Span) -> Option<Diagnostic> {
    let field = &plan.field(test.field()?)?.path;
    if let Some(shape) = SHAPES.iter().find(|shape| shape.fields.contains(&&**field)) {
        let (texts, case) = expressions(test)?;
        let never = |text: &(String, String)| {
            // An expression too large to tell is left alone.
            regex::have_common_match(shape.expression, &text.1, case) == Ok(false)
        };
        let text = texts.iter().find(|text| never(text))?;
        let message = format!("`{field}` never is `{}`: it is {}", text.0, shape.what);
        return Some(
            Diagnostic::new(&codes::VALUE_IMPOSSIBLE, span, message)
                .with_help("look at an event of the source for the values that the field has"),
        );
    }
    None
}

/// The alternatives of a test as they are shown, and as expressions of Lucene; `None` where it has none.
fn expressions(test: &Test) -> Option<(Vec<(String, String)>, Case)> {
    let literal = |text: &str| PatternPart::Literal(text.into());
    let of = |parts: Vec<PatternPart>| to_lucene_regex::pattern(&Pattern { parts });
    let folding = |case: Case| match case {
        Case::Insensitive => Case::AsciiInsensitive,
        other => other,
    };
    let shown = |text: &str, parts: Vec<PatternPart>| (text.to_owned(), of(parts));
    Some(match test {
        Test::Equals(_, constants, case) => {
            let texts = constants.iter().map(|constant| {
                let text = constant.to_string();
                let parts = vec![literal(&text)];
                shown(&text, parts)
            });
            (texts.collect(), folding(*case))
        }
        Test::Like(_, patterns, case) => {
            let texts = patterns.iter().map(|pattern| {
                let text: String = pattern
                    .parts
                    .iter()
                    .map(|part| match part {
                        PatternPart::Literal(text) => &**text,
                        PatternPart::One => "?",
                        PatternPart::Any => "*",
                    })
                    .collect();
                (text, to_lucene_regex::pattern(pattern))
            });
            (texts.collect(), folding(*case))
        }
        Test::StartsWith(_, texts, case) => {
            let texts = texts
                .iter()
                .map(|text| shown(text, vec![literal(text), PatternPart::Any]));
            (texts.collect(), folding(*case))
        }
        Test::EndsWith(_, texts, case) => {
            let texts = texts
                .iter()
                .map(|text| shown(text, vec![PatternPart::Any, literal(text)]));
            (texts.collect(), folding(*case))
        }
        Test::Contains(_, texts, case) => {
            let texts = texts
                .iter()
                .map(|text| shown(text, vec![PatternPart::Any, literal(text), PatternPart::Any]));
            (texts.collect(), folding(*case))
        }
        Test::Regex(_, expressions, dialect, case) => {
            let texts = expressions.iter().filter_map(|text| {
                let written = match dialect {
                    RegexDialect::Lucene => text.to_string(),
                    RegexDialect::Search => to_lucene_regex::search(text, *case).ok()?,
                    RegexDialect::Java => return None,
                };
                Some((text.to_string(), written))
            });
            (texts.collect(), folding(*case))
        }
        _ => return None,
    })
}

/// A field at a place where events of a closed format have none.
fn place(plan: &Plan, test: &Test, span: Span) -> Option<Diagnostic> {
    let (prefix, known) = AUDIT;
    let mut wrong = None;
    test.for_each_field(&mut |field| {
        let path = plan.field(field).map_or("", |field| &field.path);
        let top = path.strip_prefix(prefix).and_then(|rest| rest.split('.').next());
        if let Some(top) = top.filter(|top| !known.contains(top)) {
            wrong.get_or_insert_with(|| top.to_owned());
        }
    });
    let top = wrong?;
    let message = format!("an audit event of Kubernetes has no field `{top}` at its top");
    let help =
        "what the request asked for stands below `requestObject`, the kind of object below `objectRef`";
    Some(Diagnostic::new(&codes::FIELD_IMPOSSIBLE, span, message).with_help(help))
}
