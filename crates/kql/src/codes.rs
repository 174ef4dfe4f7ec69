//! The kinds of problems of KQL and Lucene queries, with a page for each.

pub use neph_plan::codes::*;

neph_diag::codes! {
    KQL_SYNTAX = Error "kql-syntax": "the text does not follow the grammar of KQL";
    LUCENE_SYNTAX = Error "lucene-syntax": "the text does not follow the grammar of Lucene queries";
    KQL_ESCAPE = Error "kql-escape": "a backslash in a bare value starts no escape";
    KQL_NULL = Error "kql-null": "`null` stands where a value must";
    KQL_RANGE = Error "kql-range": "the bound of a range has a wildcard";
    FIELD_PATTERN = Error "field-pattern": "a field name with wildcards names no field, or too many";
    FREE_TEXT = Warning "free-text": "what looks like a condition is read as a text";
    WILDCARD_WITH_SPACE = Warning "wildcard-with-space": "a value with a wildcard is split at its spaces";
}
