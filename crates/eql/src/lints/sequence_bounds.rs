//! Sequences whose events have nothing in common, or that may take any time.
//!
//! Without a join key any event of one step goes with any event of the next, of whatever host or user. Without `maxspan` a
//! first event waits for ever: the engine must hold it until its memory for the rule is used up.

use neph_diag::Diagnostic;

use super::Checked;
use crate::ast::{Body, Sequence};
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    let Body::Sequence(sequence) = &checked.query.body else {
        return;
    };
    if !has_keys(sequence) {
        diagnostics.push(
            Diagnostic::new(&codes::SEQUENCE_WITHOUT_KEY, sequence.keyword, "the events of this sequence need nothing in common")
                .with_help("`sequence by host.id` joins events of one host; other steps may join by other fields: `[…] by field`"),
        );
    }
    if sequence.maxspan.is_none() {
        diagnostics.push(
            Diagnostic::new(
                &codes::SEQUENCE_WITHOUT_MAXSPAN,
                sequence.keyword,
                "this sequence may take any time",
            )
            .with_help(
                "`with maxspan=5m`, behind the join keys, bounds the time from the first event to the last",
            ),
        );
    }
}

fn has_keys(sequence: &Sequence) -> bool {
    !sequence.keys.is_empty() || sequence.terms.iter().any(|term| !term.keys.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::found;

    #[test]
    fn unbounded_sequences_are_reported() {
        let bare = "sequence [any where flag] [any where true]";
        assert_eq!(found(bare, "sequence-without-key").len(), 1);
        assert_eq!(found(bare, "sequence-without-maxspan").len(), 1);
        for keyed in [
            "sequence by host.id with maxspan=1m [any where flag] [any where true]",
            "sequence with maxspan=1m [any where flag] by host.id [any where true] by user.id",
        ] {
            assert!(found(keyed, "sequence-without-key").is_empty());
            assert!(found(keyed, "sequence-without-maxspan").is_empty());
        }
    }
}
