//! Condition operators: what a policy demands of the context of a request.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

use std::net::IpAddr;

use base64::Engine as _;
use ipnet::IpNet;

use super::context::{Context, Filled, Known};
use super::document::Template;
use crate::glob::{Case, Pattern, Segments};
use crate::verdict::Truth;

/// So many values of a condition are told.
const TOLD_VALUES: usize = 4;

/// One key of a `Condition` element.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The operator as it was written.
    pub written: String,
    /// The operator.
    pub operator: Operator,
    /// The key of the context, in lower case.
    pub key: String,
    /// The key as it was written.
    pub key_written: String,
    /// The values; one of them has to match, and with a negated operator none.
    pub values: Vec<Template>,
}

/// A condition operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What is compared.
    pub test: Test,
    /// Whether it holds where nothing matches: `StringNotEquals`.
    pub negated: bool,
    /// Whether it also holds where the key is absent.
    pub if_exists: bool,
    /// How the values of a key that has several are taken together.
    pub quantifier: Quantifier,
}

/// How several values of a request are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// The key has one value.
    Single,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// What an operator compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Texts, exactly.
    Equals,
    /// Texts, whatever their case.
    EqualsIgnoreCase,
    /// Texts with wildcards.
    Like,
    /// Numbers.
    Number(Order),
    /// Points in time.
    Date(Order),
    /// `true` and `false`.
    Bool,
    /// Bytes, in base64.
    Binary,
    /// Addresses and networks.
    Address,
    /// ARNs, segment by segment, with wildcards.
    Arn,
    /// Whether the key is absent.
    Null,
    /// An operator that is not known; what it comes to is not known either.
    Other,
}

/// How two ordered values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// =
    Equal,
    /// <
    Less,
    /// <=
    LessOrEqual,
    /// >
    Greater,
    /// >=
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, request: &T, policy: &T) -> bool {
        match self {
            Self::Equal => request == policy,
            Self::Less => request < policy,
            Self::LessOrEqual => request <= policy,
            Self::Greater => request > policy,
            Self::GreaterOrEqual => request >= policy,
        }
    }
}

impl Operator {
    /// Reads the name of an operator, `ForAnyValue:StringNotLikeIfExists`.
    pub fn read(written: &str) -> Self {
        let lower = written.to_ascii_lowercase();
        let (quantifier, rest) = match lower.split_once(':') {
            Some(("forallvalues", rest)) => (Quantifier::All, rest),
            Some(("foranyvalue", rest)) => (Quantifier::Any, rest),
            _ => (Quantifier::Single, lower.as_str()),
        };
        let (if_exists, base) = match rest.strip_suffix("ifexists") {
            Some(base) => (true, base),
            None => (false, rest),
        };
        let (test, negated) = match base {
            "stringequals" => (Test::Equals, false),
            "stringnotequals" => (Test::Equals, true),
            "stringequalsignorecase" => (Test::EqualsIgnoreCase, false),
            "stringnotequalsignorecase" => (Test::EqualsIgnoreCase, true),
            "stringlike" => (Test::Like, false),
            "stringnotlike" => (Test::Like, true),
            "numericequals" => (Test::Number(Order::Equal), false),
            "numericnotequals" => (Test::Number(Order::Equal), true),
            "numericlessthan" => (Test::Number(Order::Less), false),
            "numericlessthanequals" => (Test::Number(Order::LessOrEqual), false),
            "numericgreaterthan" => (Test::Number(Order::Greater), false),
            "numericgreaterthanequals" => (Test::Number(Order::GreaterOrEqual), false),
            "dateequals" => (Test::Date(Order::Equal), false),
            "datenotequals" => (Test::Date(Order::Equal), true),
            "datelessthan" => (Test::Date(Order::Less), false),
            "datelessthanequals" => (Test::Date(Order::LessOrEqual), false),
            "dategreaterthan" => (Test::Date(Order::Greater), false),
            "dategreaterthanequals" => (Test::Date(Order::GreaterOrEqual), false),
            "bool" => (Test::Bool, false),
            "binaryequals" => (Test::Binary, false),
            "ipaddress" => (Test::Address, false),
            "notipaddress" => (Test::Address, true),
            "arnequals" | "arnlike" => (Test::Arn, false),
            "arnnotequals" | "arnnotlike" => (Test::Arn, true),
            "null" => (Test::Null, false),
            _ => (Test::Other, false),
        };
        Self {
            test,
            negated,
            if_exists,
            quantifier,
        }
    }
}

impl Condition {
    /// Whether the context meets the condition.
    pub fn holds(&self, context: &Context) -> Truth {
        let operator = self.operator;
        if operator.test == Test::Other {
            return Truth::when(self.told());
        }
        let known = context.get(&self.key);
        if operator.test == Test::Null {
            let is_absent = match known {
                Known::Unknown => return Truth::when(self.told()),
                Known::Absent => "true",
                Known::Values(_) => "false",
            };
            let wanted = |value: &Template| value.text.eq_ignore_ascii_case(is_absent);
            return self.values.iter().any(wanted).into();
        }
        let values = match known {
            Known::Unknown => return Truth::when(self.told()),
            Known::Absent => {
                return match operator.quantifier {
                    Quantifier::All => Truth::Yes,
                    // `IfExists` is asked of each value, of which there is none.
                    Quantifier::Any => Truth::No,
                    Quantifier::Single => (operator.if_exists || operator.negated).into(),
                };
            }
            Known::Values(values) => values,
        };
        let meets = |value: &String| {
            let matched = self.matches(value, context);
            if operator.negated {
                matched.negated()
            } else {
                matched
            }
        };
        match operator.quantifier {
            Quantifier::All => values.iter().map(meets).fold(Truth::Yes, Truth::and),
            Quantifier::Any => values.iter().map(meets).fold(Truth::No, Truth::or),
            // A key of several values where one is expected: a positive operator asks whether one of them matches, and a
            // negated one is its contrary.
            Quantifier::Single if operator.negated => values.iter().map(meets).fold(Truth::Yes, Truth::and),
            Quantifier::Single => values.iter().map(meets).fold(Truth::No, Truth::or),
        }
    }

    /// Whether a value of the request matches one of the policy's.
    fn matches(&self, request: &str, context: &Context) -> Truth {
        let mut answer = Truth::No;
        for template in &self.values {
            let truth = match template.fill(context) {
                Filled::Pieces(pieces) => self.operator.test.compares(request, &pieces).into(),
                Filled::Nothing => Truth::No,
                Filled::Unknown(_) => Truth::when(self.told()),
            };
            answer = answer.or(truth);
            if answer.is_yes() {
                break;
            }
        }
        answer
    }

    /// The condition in words: `StringEquals aws:RequestTag/team = dev`.
    pub fn told(&self) -> String {
        let mut values: Vec<&str> = self.values.iter().map(|value| value.text.as_str()).collect();
        let more = values.len().saturating_sub(TOLD_VALUES);
        values.truncate(TOLD_VALUES);
        let mut told = format!("{} {} = {}", self.written, self.key_written, values.join(" | "));
        if more > 0 {
            told.push_str(&format!(" | {more} more"));
        }
        told
    }
}

impl Test {
    fn compares(self, request: &str, pieces: &[(String, bool)]) -> bool {
        let policy: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
        match self {
            Self::Equals => request == policy,
            // The comparison knows letters beyond ASCII, as the cloud's does.
            Self::EqualsIgnoreCase => request.to_lowercase() == policy.to_lowercase(),
            Self::Like => Pattern::of_pieces(pieces, Segments::None).matches(request, Case::Kept),
            Self::Number(order) => match (number(request), number(&policy)) {
                (Some(request), Some(policy)) => order.holds(&request, &policy),
                _ => false,
            },
            Self::Date(order) => match (date(request), date(&policy)) {
                (Some(request), Some(policy)) => order.holds(&request, &policy),
                _ => false,
            },
            Self::Bool => request.eq_ignore_ascii_case(&policy),
            Self::Binary => {
                let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
                decode(request).is_some_and(|bytes| Some(bytes) == decode(&policy))
            }
            Self::Address => match (request.parse::<IpAddr>(), network(&policy)) {
                (Ok(request), Some(network)) => network.contains(&request),
                _ => false,
            },
            Self::Arn => arn_fits(request, pieces),
            Self::Null | Self::Other => false,
        }
    }
}

/// A decimal number; exponents and infinities are none of the language.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    text.parse().ok().filter(|_| is_plain)
}

/// A point in time: one of ISO 8601 (a day stands for its beginning in UTC), or seconds since 1970.
fn date(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        // Years are written with four digits, which no date of today has as seconds.
        return match text.len() {
            4 => day(&format!("{text}-01-01")),
            _ => jiff::Timestamp::from_second(seconds).ok(),
        };
    }
    text.parse().ok().or_else(|| day(text))
}

fn day(text: &str) -> Option<jiff::Timestamp> {
    let date: jiff::civil::Date = match text.len() {
        7 => format!("{text}-01").parse().ok()?,
        _ => text.parse().ok()?,
    };
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp())
}

fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok();
    net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The six segments of an ARN are compared one by one, so no wildcard reaches from one into the next.
fn arn_fits(request: &str, pieces: &[(String, bool)]) -> bool {
    let mut segments: Vec<Vec<(String, bool)>> = vec![Vec::new()];
    for (text, is_literal) in pieces {
        let mut rest = text.as_str();
        while segments.len() < 6 {
            let Some((before, behind)) = rest.split_once(':') else {
                break;
            };
            if let Some(last) = segments.last_mut() {
                last.push((before.to_owned(), *is_literal));
            }
            segments.push(Vec::new());
            rest = behind;
        }
        if let Some(last) = segments.last_mut() {
            last.push((rest.to_owned(), *is_literal));
        }
    }
    let parts: Vec<&str> = request.splitn(6, ':').collect();
    let alone = pieces.len() == 1 && pieces.iter().all(|(text, is_literal)| text == "*" && !is_literal);
    if alone {
        return parts.len() == 6;
    }
    parts.len() == 6
        && segments.len() == 6
        && parts
            .iter()
            .zip(&segments)
            .all(|(part, segment)| Pattern::of_pieces(segment, Segments::None).matches(part, Case::Kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(operator: &str, values: &[&str]) -> Condition {
        Condition {
            written: operator.to_owned(),
            operator: Operator::read(operator),
            key: "k".to_owned(),
            key_written: "k".to_owned(),
            values: values.iter().map(|value| Template::new(value, true)).collect(),
        }
    }

    fn holds(operator: &str, policy: &[&str], request: &[&str]) -> bool {
        let mut context = Context::complete();
        context.set("K", request.iter().copied());
        context.set("aws:username", ["ann"]);
        match condition(operator, policy).holds(&context) {
            Truth::Yes => true,
            Truth::No => false,
            Truth::Maybe(_) => panic!("everything is known"),
        }
    }

    /// Operator, values of the policy, values of the request (none: the key is absent), whether it holds. The reasons are
    /// the tables of the two pages that the module names.
    #[test]
    fn operators_compare_as_documented() {
        let cases: &[(&str, &[&str], &[&str], bool)] = &[
            ("StringEquals", &["a"], &["a"], true),
            ("StringEquals", &["a"], &["A"], false),
            ("StringEquals", &["a*"], &["ab"], false),
            ("StringEquals", &["a", "b"], &["b"], true),
            ("StringEquals", &["${aws:username}"], &["ann"], true),
            ("StringEquals", &["${aws:absent}"], &["ann"], false),
            ("StringEquals", &["${aws:absent,'ann'}"], &["ann"], true),
            ("StringEquals", &["a"], &[], false),
            ("StringNotEquals", &["a", "b"], &["b"], false),
            ("StringNotEquals", &["a", "b"], &["c"], true),
            ("StringNotEquals", &["a"], &[], true),
            ("StringEqualsIgnoreCase", &["Ab"], &["aB"], true),
            ("StringNotEqualsIgnoreCase", &["Ab"], &["aB"], false),
            ("StringLike", &["a*c?"], &["abbcd"], true),
            ("StringLike", &["a${*}c"], &["abc"], false),
            ("StringLike", &["a${*}c"], &["a*c"], true),
            ("StringLike", &["${aws:username}*"], &["annette"], true),
            ("StringNotLike", &["a*"], &["abc"], false),
            ("NumericEquals", &["10"], &["10.0"], true),
            ("NumericLessThan", &["10"], &["9"], true),
            ("NumericLessThan", &["10"], &["10"], false),
            ("NumericLessThanEquals", &["10"], &["10"], true),
            ("NumericGreaterThan", &["10"], &["9"], false),
            ("NumericGreaterThanEquals", &["10"], &["10"], true),
            ("NumericNotEquals", &["10"], &["11"], true),
            ("NumericEquals", &["ten"], &["ten"], false),
            ("NumericEquals", &["inf"], &["inf"], false),
            (
                "DateGreaterThan",
                &["2020-01-01T00:00:01Z"],
                &["2020-01-01T00:00:02Z"],
                true,
            ),
            ("DateLessThan", &["2020-01-01T00:00:00Z"], &["1577836799"], true),
            (
                "DateEquals",
                &["2020-01-01"],
                &["2020-01-01T01:00:00+01:00"],
                true,
            ),
            ("DateNotEquals", &["2020-01-01"], &["2020-01-02"], true),
            (
                "DateLessThanEquals",
                &["2020-06"],
                &["2020-06-01T00:00:00Z"],
                true,
            ),
            (
                "DateGreaterThanEquals",
                &["2020"],
                &["2019-12-31T23:59:59Z"],
                false,
            ),
            ("Bool", &["true"], &["True"], true),
            ("Bool", &["false"], &[], false),
            ("BoolIfExists", &["false"], &[], true),
            ("BinaryEquals", &["QmluYXJ5"], &["QmluYXJ5"], true),
            ("BinaryEquals", &["!"], &["!"], false),
            ("IpAddress", &["203.0.113.0/24"], &["203.0.113.9"], true),
            (
                "IpAddress",
                &["203.0.113.0/24", "2001:db8::/32"],
                &["2001:db8::1"],
                true,
            ),
            ("IpAddress", &["203.0.113.7"], &["203.0.113.8"], false),
            ("NotIpAddress", &["203.0.113.0/24"], &["198.51.100.1"], true),
            ("NotIpAddress", &["203.0.113.0/24"], &["203.0.113.1"], false),
            (
                "ArnEquals",
                &["arn:aws:sns:*:1:t*"],
                &["arn:aws:sns:eu:1:topic"],
                true,
            ),
            ("ArnLike", &["arn:aws:*:t"], &["arn:aws:sns:eu:1:t"], false),
            (
                "ArnLike",
                &["arn:aws:iam::*:role/a:b"],
                &["arn:aws:iam::1:role/a:b"],
                true,
            ),
            (
                "ArnNotEquals",
                &["arn:aws:sns:*:1:t"],
                &["arn:aws:sns:eu:2:t"],
                true,
            ),
            ("ArnNotLike", &["arn:aws:sns:*:1:t"], &[], true),
            ("ArnLike", &["*"], &["arn:aws:iam::1:role/a"], true),
            ("Null", &["true"], &[], true),
            ("Null", &["true"], &["x"], false),
            ("Null", &["false"], &["x"], true),
            ("StringEqualsIfExists", &["a"], &[], true),
            ("StringEqualsIfExists", &["a"], &["b"], false),
            ("ForAllValues:StringEquals", &["a", "b"], &["a", "b"], true),
            ("ForAllValues:StringEquals", &["a", "b"], &["a", "c"], false),
            ("ForAllValues:StringEquals", &["a", "b"], &[], true),
            ("ForAnyValue:StringEquals", &["a", "b"], &["c", "a"], true),
            ("ForAnyValue:StringEquals", &["a", "b"], &["c"], false),
            ("ForAnyValue:StringEquals", &["a", "b"], &[], false),
            ("ForAnyValue:StringEqualsIfExists", &["a", "b"], &[], false),
            ("ForAllValues:StringNotEquals", &["a"], &["b", "c"], true),
            ("ForAllValues:StringNotEquals", &["a"], &["b", "a"], false),
            ("ForAnyValue:StringNotEquals", &["a"], &["b", "a"], true),
            ("ForAnyValue:StringNotEquals", &["a"], &["a"], false),
        ];
        for (operator, policy, request, expected) in cases {
            let held = holds(operator, policy, request);
            assert_eq!(held, *expected, "{operator} {policy:?} of {request:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let context = Context::partial();
        for operator in [
            "StringNotEquals",
            "BoolIfExists",
            "ForAllValues:StringLike",
            "Null",
            "StringSortsBefore",
        ] {
            let answer = condition(operator, &["a", "b"]).holds(&context);
            assert_eq!(answer, Truth::when(format!("{operator} k = a | b")));
        }
        let mut context = Context::partial();
        context.set("k", ["x"]);
        let answer = condition("StringEquals", &["${aws:username}"]).holds(&context);
        assert_eq!(answer, Truth::when("StringEquals k = ${aws:username}"));
        assert_eq!(
            condition("StringEquals", &["${aws:username}", "x"]).holds(&context),
            Truth::Yes
        );
    }
}
