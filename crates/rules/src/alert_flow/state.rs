//! What a flow knows, written down for another process: each rule by itself, and what belongs to none.

use neph_engine::{BadState, RuleIndex, StateReader, StateWriter};

use super::AlertFlow;
use crate::grouping::Run;

impl AlertFlow {
    /// What is known of a rule's alerts, as a section of what `to` writes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, rule: RuleIndex, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let rule = rule.0 as usize;
        let suppressor = self.suppressors.get(&rule);
        let suppressor = suppressor.map(|suppressor| suppressor.save(to)).transpose()?;
        to.write(&(suppressor, self.grouping.open_runs(rule)))
    }

    /// Gives a rule what [`Self::save`] wrote of it. What was suppressed under other settings is not taken over: alerts of the
    /// rule are told anew from there on.
    ///
    /// # Errors
    /// The section is damaged. The rule knows what it knew before.
    pub fn restore(
        &mut self,
        rule: RuleIndex,
        section: &[u8],
        from: &mut StateReader,
    ) -> Result<(), BadState> {
        let (suppressor, runs): (Option<Vec<u8>>, Vec<(i128, Run)>) = from.read(section)?;
        let rule = rule.0 as usize;
        if let (Some(section), Some(own)) = (suppressor, self.suppressors.get_mut(&rule)) {
            own.restore(&section, from)?;
        }
        self.grouping.reopen(rule, runs);
        Ok(())
    }

    /// What belongs to no single rule, as a section of what `to` writes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_rest(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        to.write(&(self.latest, &self.grouped.recent, &self.grouped.older))
    }

    /// Takes over what [`Self::save_rest`] wrote.
    ///
    /// # Errors
    /// The section is damaged.
    pub fn restore_rest(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        (self.latest, self.grouped.recent, self.grouped.older) = from.read(section)?;
        Ok(())
    }
}
