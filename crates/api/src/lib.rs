//! The service's HTTP interface, `/api/v1/…`: alerts and what analysts do with them, rules, hunts, events, the coverage ledger, live
//! streams, metrics, health.
//!
//! - [`App`]: what the routes work on; [`router`] serves them.
//! - [`ROUTES`]: one table, from which routes are served, guarded by roles, audited and documented ([`openapi()`]).
//! - [`Keys`]: whose a token is.
//! - [`StatusReport`]: what was not seen since when, and why; also from a store whose service is down.
//!
//! **Architecture invariant:** what a page or command can do goes through a route or a public function here; nothing here
//! knows how an event matches a rule. **Architecture invariant:** no route works without a row in the table, so none is without a role.

mod admin;
mod alerts;
mod app;
mod baselines;
mod cases;
mod completeness;
mod counts;
mod dispatch;
mod edits;
mod execution;
mod findings;
mod hidden;
mod hunt;
mod incidents;
mod keys;
mod known;
mod live;
mod metrics;
mod openapi;
mod outputs;
mod overlays;
mod posture;
mod prevalence;
mod problem;
mod proof;
mod query;
mod route;
mod routes;
mod rule_files;
mod rules;
mod schedule;
mod scratch;
mod search;
mod session;
mod sources;
mod status;
mod stretches;
mod techniques;
mod views;
mod when;
mod wire;
mod work;

pub use admin::tokens_json;
pub use app::{App, AppLimits, AppParts, RuleFiles, overlay_folder, rule_folder};
pub use baselines::BaselineFiles;
pub use dispatch::router;
pub use keys::{FixedToken, Keys, Who, role};
pub use openapi::openapi;
pub use posture::PostureFiles;
pub use problem::Problem;
pub use route::{Gives, Need, Route, Verb};
pub use routes::ROUTES;
pub use schedule::StatusJob;
pub use status::{
    StatusBackfill, StatusBalance, StatusGap, StatusName, StatusOutput, StatusReport, StatusSource, report,
};
pub use when::{now, parse as parse_when};
