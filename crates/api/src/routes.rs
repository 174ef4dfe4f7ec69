//! All routes.

use crate::route::Route;
use crate::{admin, alerts, hunt, live, metrics, outputs, overlays, rules, status, work};

/// All routes of the API, by subject.
pub static ROUTES: &[&[Route]] = &[
    alerts::ROUTES,
    rules::ROUTES,
    overlays::ROUTES,
    hunt::ROUTES,
    work::ROUTES,
    live::ROUTES,
    status::ROUTES,
    outputs::ROUTES,
    admin::ROUTES,
    metrics::ROUTES,
];
