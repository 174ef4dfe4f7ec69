//! Operators that go on in another process.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use neph_engine::{OperatorConfig, Operators, RuleIndex, RuleStatistics, StateReader, StateWriter};
use neph_plan::Plan;

/// The operators of one plan as another process has them that was given what these wrote. What they count is the same, but
/// for the room of tables.
pub(crate) fn restarted(operators: &Operators, plan: &Plan, config: &OperatorConfig) -> Operators {
    let mut writer = StateWriter::default();
    let section = operators.save(RuleIndex(0), &mut writer).unwrap();
    let mut reader = StateReader::new(&writer.finish().unwrap()).unwrap();
    let mut again = Operators::new(&[plan], config);
    again.restore(RuleIndex(0), &section, &mut reader).unwrap();
    let counts = |operators: &Operators| RuleStatistics {
        state_bytes: 0,
        peak_bytes: 0,
        ..operators.statistics(RuleIndex(0))
    };
    assert_eq!(counts(&again), counts(operators));
    again
}
