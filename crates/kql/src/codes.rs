//! The kinds of problems of KQL and Lucene queries, with a page for each.

use neph_diag::{Code, Severity};
pub use neph_plan::codes::*;

macro_rules! codes {
    ($($constant:ident = $severity:ident $name:literal: $summary:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $constant: Code = Code {
                name: $name,
                severity: Severity::$severity,
                summary: $summary,
                explanation: include_str!(concat!("codes/", $name, ".md")),
            };
        )*

        /// The codes of this crate; those of [`neph_plan::codes`] are reported besides.
        pub static CODES: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    KQL_SYNTAX = Error "kql-syntax": "the text does not follow the grammar of KQL";
    LUCENE_SYNTAX = Error "lucene-syntax": "the text does not follow the grammar of Lucene queries";
    KQL_ESCAPE = Error "kql-escape": "a backslash in a bare value starts no escape";
    KQL_NULL = Error "kql-null": "`null` stands where a value must";
    KQL_RANGE = Error "kql-range": "the bound of a range has a wildcard";
    FIELD_PATTERN = Error "field-pattern": "a field name with wildcards names no field, or too many";
    FREE_TEXT = Warning "free-text": "what looks like a condition is read as a text";
    WILDCARD_WITH_SPACE = Warning "wildcard-with-space": "a value with a wildcard is split at its spaces";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_pages_say_something() {
        let mut names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        for code in CODES {
            assert!(
                code.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                code.name
            );
            assert!(
                code.explanation.len() > 150,
                "the page of {} is too short",
                code.name
            );
            assert!(!code.summary.ends_with('.'));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }
}
