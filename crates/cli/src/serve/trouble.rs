//! What is wrong with the store, as the log tells it: once when it begins, once when it is over.

use neph_api::App;

use super::log::Log;

/// What was wrong at the last look.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// No records are taken.
    untaken: Option<String>,
    /// What rules make of records cannot be kept.
    unkept: Option<String>,
    /// What rules remember cannot be written down.
    unwritten: Option<String>,
}

impl Troubles {
    pub(super) fn look(&mut self, app: &App, log: Log) {
        let Some(service) = app.service() else { return };
        let status = service.status();
        let looks = [
            (
                &mut self.untaken,
                status.log_problem,
                "no records are taken",
                "records are taken again",
            ),
            (
                &mut self.unkept,
                status.store_problem,
                "alerts and the ledger cannot be written; evaluation waits",
                "alerts and the ledger are written again",
            ),
            (
                &mut self.unwritten,
                status.snapshot_problem,
                "what rules remember cannot be written down",
                "what rules remember is written down again",
            ),
        ];
        for (before, now, begins, ends) in looks {
            match (&before, &now) {
                (None, Some(why)) => log.error(begins, &[("reason", why)]),
                (Some(_), None) => log.info(ends, &[]),
                _ => {}
            }
            *before = now;
        }
    }
}
