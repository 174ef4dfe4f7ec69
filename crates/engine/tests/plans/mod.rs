//! Plans made by hand, for tests of the operators, which do not look at conditions and fields.

use neph_event::{Field, FieldType};
use neph_plan::{Condition, FieldId, Plan, Query, Stage};

/// A plan of this query.
pub(crate) fn plan(query: Query) -> Plan {
    Plan {
        fields: vec![Field::new("@timestamp", FieldType::Date).into()],
        time: FieldId(0),
        tiebreaker: None,
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

/// A step of a sequence or a filter of a sample.
pub(crate) fn stage(missing: bool, runs: u32) -> Stage {
    Stage {
        condition: Condition::Const(true),
        keys: Vec::new(),
        missing,
        runs,
        span: Default::default(),
    }
}
