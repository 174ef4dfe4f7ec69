//! The outputs of the service.

use std::path::Path;
use std::sync::Arc;

use neph_config::{Config, Output};
use neph_outputs::{Notice, OutputOptions, Outputs};
use neph_runtime::service::OutputNames;
use neph_store::Store;

use super::log::Log;

/// The outputs, of which there are none yet.
pub(super) fn outputs(store: &Store, data: &Path, settings: &Config, log: Log) -> Arc<Outputs> {
    Arc::new(Outputs::new(
        store.db.clone(),
        OutputOptions {
            dead_letters: data.join("dead-letters"),
            link: settings.api.alerts_url.clone(),
            now: neph_api::now,
            hear: Arc::new(move |notice| tell(log, notice)),
        },
    ))
}

/// Makes those of the configuration the outputs. Alerts go to a new one from now on, and to one that is gone no more.
pub(super) fn change(outputs: &Outputs, names: &OutputNames, settings: &Config) {
    let name = |output: &Output| output.name.as_str().into();
    names.set(settings.outputs.iter().map(name).collect());
    outputs.change(&settings.outputs);
}

fn tell(log: Log, notice: &Notice<'_>) {
    match notice {
        Notice::Fails { output, error } => log.warn(
            "an output fails, and is tried again",
            &[("output", output), ("error", error)],
        ),
        Notice::Recovered { output } => log.info("an output works again", &[("output", output)]),
        Notice::GaveUp {
            output,
            alerts,
            error,
        } => log.error(
            "alerts became dead letters; `neph outputs dead` shows them",
            &[("output", output), ("alerts", alerts), ("error", error)],
        ),
        Notice::Letters { output, error } => log.error(
            "dead letters cannot be written into their file; the database has them",
            &[("output", output), ("error", error)],
        ),
        Notice::Store { output, error } => log.error(
            "an output cannot read what waits for it",
            &[("output", output), ("error", error)],
        ),
        Notice::Refused { output, error } => log.error(
            "an output cannot be started; what is for it waits",
            &[("output", output), ("error", error)],
        ),
        _ => {}
    }
}
