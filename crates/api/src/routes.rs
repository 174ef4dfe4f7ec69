//! All routes.

use crate::route::Route;
use crate::{
    admin, alerts, counts, hunt, live, metrics, outputs, overlays, rules, session, status, views, work,
};

/// All routes of the API, by subject.
pub static ROUTES: &[&[Route]] = &[
    alerts::ROUTES,
    counts::ROUTES,
    rules::ROUTES,
    overlays::ROUTES,
    hunt::ROUTES,
    work::ROUTES,
    views::ROUTES,
    live::ROUTES,
    status::ROUTES,
    outputs::ROUTES,
    admin::ROUTES,
    session::ROUTES,
    metrics::ROUTES,
];
