//! All routes.

use crate::route::Route;
use crate::{admin, alerts, live, metrics, rules, status};

/// All routes of the API, by subject.
pub static ROUTES: &[&[Route]] = &[
    alerts::ROUTES,
    rules::ROUTES,
    live::ROUTES,
    status::ROUTES,
    admin::ROUTES,
    metrics::ROUTES,
];
