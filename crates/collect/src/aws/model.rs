//! How calls to AWS are sent and their answers read: `data/aws.json`, which is made of what AWS publishes about its services.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::problem::Problem;

/// A call, by the name that the command-line tool has for it.
#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) protocol: Protocol,
    pub(super) operation: String,
    /// The service's name in signatures.
    pub(super) signing: String,
    /// The first part of its host names.
    pub(super) endpoint: String,
    #[serde(default)]
    pub(super) version: String,
    /// The element of XML that the answer is in; none where it is the outermost.
    #[serde(default)]
    pub(super) wrapper: String,
    /// What `X-Amz-Target` says.
    #[serde(default)]
    pub(super) target: String,
    /// The path, with names of parameters in braces.
    #[serde(default)]
    pub(super) uri: String,
    /// Parameters of the path and of the query, by the names that the tool has for them.
    #[serde(default)]
    pub(super) path: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Where the marker of the next page goes, and where it comes from.
    #[serde(default)]
    pub(super) token: Option<(String, String)>,
    /// Where the size of a page goes.
    #[serde(default)]
    pub(super) limit: Option<String>,
    /// What is joined from page to page; without it every member that is a list.
    #[serde(default)]
    pub(super) lists: Option<Vec<String>>,
    /// What is taken from the first page beside the lists.
    #[serde(default)]
    pub(super) kept: Vec<String>,
    /// What an answer may have, without the marker.
    pub(super) members: Vec<String>,
    /// What values are; without it all of them are as they come.
    #[serde(default)]
    pub(super) answer: Option<Shape>,
}

/// <https://smithy.io/2.0/aws/protocols/index.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Protocol {
    #[serde(rename = "ec2")]
    Ec2,
    #[serde(rename = "query")]
    Query,
    #[serde(rename = "json")]
    Json,
    #[serde(rename = "rest-json")]
    RestJson,
}

/// What a value is.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Shape {
    Scalar(Scalar),
    List {
        /// The name of the items' elements, and what they are.
        l: (String, Box<Shape>),
    },
    Map {
        m: Box<Shape>,
    },
    Object {
        /// Members: what they are called in the answer, and what they are.
        o: BTreeMap<String, (String, Shape)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Scalar {
    #[serde(rename = "s")]
    Text,
    #[serde(rename = "b")]
    Bool,
    #[serde(rename = "i")]
    Integer,
    #[serde(rename = "f")]
    Float,
    #[serde(rename = "t")]
    Time,
    /// A policy document: JSON in the encoding of URLs.
    #[serde(rename = "p")]
    Policy,
}

static OPERATIONS: LazyLock<BTreeMap<String, Operation>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../data/aws.json")).unwrap_or_default());

/// All calls by their names: `ec2 describe-snapshots`.
pub(super) fn operations() -> &'static BTreeMap<String, Operation> {
    &OPERATIONS
}

pub(super) fn operation(call: &str) -> Result<&'static Operation, Problem> {
    operations()
        .get(call)
        .ok_or_else(|| Problem::Refused(format!("`{call}` is not a call that is known here")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_known_with_what_its_protocol_needs() {
        assert!(operations().len() > 40);
        for (call, operation) in operations() {
            let is_xml = matches!(operation.protocol, Protocol::Ec2 | Protocol::Query);
            assert_eq!(is_xml, !operation.version.is_empty(), "{call}");
            assert!(!is_xml || operation.answer.is_some(), "{call}");
            assert_eq!(
                operation.protocol == Protocol::Json,
                !operation.target.is_empty(),
                "{call}"
            );
            assert_eq!(
                operation.protocol == Protocol::RestJson,
                operation.uri.starts_with('/'),
                "{call}"
            );
        }
    }
}
