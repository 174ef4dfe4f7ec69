//! All routes.

use crate::route::Route;
use crate::{
    admin, alerts, baselines, cases, completeness, counts, execution, findings, hidden, hunt, incidents,
    live, metrics, outputs, overlays, posture, prevalence, proof, rule_files, rules, schedule, session,
    sources, status, techniques, views, work,
};

/// All routes of the API, by subject.
pub static ROUTES: &[&[Route]] = &[
    alerts::ROUTES,
    counts::ROUTES,
    completeness::ROUTES,
    prevalence::ROUTES,
    cases::ROUTES,
    findings::ROUTES,
    incidents::ROUTES,
    rules::ROUTES,
    hidden::ROUTES,
    techniques::ROUTES,
    execution::ROUTES,
    proof::ROUTES,
    rule_files::ROUTES,
    overlays::ROUTES,
    hunt::ROUTES,
    work::ROUTES,
    views::ROUTES,
    live::ROUTES,
    baselines::ROUTES,
    posture::ROUTES,
    schedule::ROUTES,
    status::ROUTES,
    sources::ROUTES,
    outputs::ROUTES,
    admin::ROUTES,
    session::ROUTES,
    metrics::ROUTES,
];
