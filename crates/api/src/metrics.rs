//! Figures for Prometheus, in its text form (<https://prometheus.io/docs/instrumenting/exposition_formats/>), and the OpenAPI
//! document.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use neph_ingest::{Refused, Row};
use neph_rules::RuleState;
use neph_store::{AlertQuery, Facet, Role};
use serde_json::Value;

use crate::live;
use crate::openapi::openapi;
use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::status::report;
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/metrics",
        Role::Viewer,
        "metrics.read",
        "Figures for Prometheus.",
        schema_of::<String>,
        metrics,
    )
    .giving(Gives::Text("text/plain")),
    Route::get(
        "/api/openapi.json",
        Role::Viewer,
        "openapi.read",
        "This document.",
        schema_of::<Value>,
        |_| Answer::json(&openapi()),
    )
    .open(),
];

/// The text form's type.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Sources are told with what they sent in so long a time.
const RECENT: i128 = 86_400 * 1_000_000_000;

/// The text, as it grows.
#[derive(Default)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Begins a figure: `kind` is `counter` or `gauge`.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of the figure that was begun.
    pub(crate) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", escape(text)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }
}

/// The names of streams come from senders.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the text form has floating numbers only"
)]
fn float(number: u64) -> f64 {
    number as f64
}

fn metrics(call: &Call<'_>) -> Result<Answer, Problem> {
    let app = call.app;
    let now = now();
    let mut out = Metrics::default();
    let report = report(&app.store, now.saturating_sub_nanos(RECENT), now, &app.silences)?;
    out.one(
        "neph_log_bytes",
        "gauge",
        "Bytes that events take on disk.",
        float(report.stored_bytes),
    );
    out.one(
        "neph_log_offset",
        "counter",
        "Bytes of records received since the log began.",
        float(app.store.log.end()),
    );
    out.one(
        "neph_pending_bytes",
        "gauge",
        "Bytes of records received and not yet evaluated.",
        float(report.pending_bytes),
    );
    for (name, help, of) in [
        (
            "neph_source_records",
            "Records of a source within a day.",
            (|source| float(source.records)) as fn(&crate::StatusSource) -> f64,
        ),
        (
            "neph_source_refused",
            "Records of a source that could not be read, within a day.",
            |source| float(source.refused),
        ),
        (
            "neph_source_unrecognised",
            "Records of a source that nothing knows, within a day.",
            |source| float(source.unrecognised),
        ),
        (
            "neph_source_late",
            "Records of a source that came too late, within a day.",
            |source| float(source.late),
        ),
        (
            "neph_source_untimed",
            "Records of a source whose time is that of their receipt, within a day.",
            |source| float(source.untimed),
        ),
        (
            "neph_source_lag_seconds",
            "How much later than its newest event a source was received.",
            |source| source.lag_seconds.unwrap_or(0.0),
        ),
    ] {
        out.head(name, "gauge", help);
        for source in &report.sources {
            out.value(name, &[("stream", &source.stream)], of(source));
        }
    }
    names(&report, &mut out);
    out.head("neph_open_gaps", "gauge", "Gaps that last, by kind.");
    for kind in [
        "service_down",
        "source_silent",
        "rule_broken",
        "rule_absent",
        "loss",
        "late",
    ] {
        let open = report
            .gaps
            .iter()
            .filter(|gap| gap.open && gap.kind == kind)
            .count();
        out.value(
            "neph_open_gaps",
            &[("kind", kind)],
            float(u64::try_from(open).unwrap_or(0)),
        );
    }
    alerts(app, &mut out)?;
    if let Some(service) = app.service() {
        let status = service.status();
        for (name, kind, help, value) in [
            (
                "neph_records_total",
                "counter",
                "Records evaluated since the start.",
                status.records,
            ),
            (
                "neph_events_total",
                "counter",
                "Events that they became.",
                status.events,
            ),
            (
                "neph_refused_total",
                "counter",
                "Records that could not be read.",
                status.refused,
            ),
            (
                "neph_dropped_total",
                "counter",
                "Records that their source has no use for.",
                status.dropped,
            ),
            (
                "neph_unrecognised_total",
                "counter",
                "Records that no source knows.",
                status.unrecognised,
            ),
            (
                "neph_late_total",
                "counter",
                "Records that came too late for some rule.",
                status.late,
            ),
            (
                "neph_alerts_raised_total",
                "counter",
                "Alerts that were not there before.",
                status.alerts_raised,
            ),
            (
                "neph_latency_milliseconds",
                "gauge",
                "From receipt to commit, of the last commit.",
                status.latency_millis,
            ),
            (
                "neph_state_bytes",
                "gauge",
                "What rules remembered when it was last written down.",
                status.state_bytes,
            ),
            (
                "neph_snapshot_milliseconds",
                "gauge",
                "How long writing it down took.",
                status.snapshot_millis,
            ),
            (
                "neph_pipeline_running",
                "gauge",
                "Whether the pipeline runs.",
                u64::from(status.running),
            ),
        ] {
            out.one(name, kind, help, float(value));
        }
    }
    let shown = app.rules();
    let set = &shown.set;
    out.head("neph_rules", "gauge", "Rules by state.");
    for (state, name) in [
        (RuleState::Active, "active"),
        (RuleState::Degraded, "degraded"),
        (RuleState::Rejected, "rejected"),
    ] {
        let count = set.report.rules.iter().filter(|rule| rule.state == state).count();
        out.value(
            "neph_rules",
            &[("state", name)],
            float(u64::try_from(count).unwrap_or(0)),
        );
    }
    for (name, help, of) in [
        (
            "neph_output_waiting",
            "Alerts that wait for an output.",
            (|output| output.waiting) as fn(&crate::status::StatusOutput) -> u64,
        ),
        ("neph_output_dead", "Alerts that an output gave up.", |output| {
            output.dead
        }),
        (
            "neph_output_left_out",
            "Alerts that the filter of an output left out.",
            |output| output.left_out,
        ),
        (
            "neph_output_messages",
            "Messages of an output that were delivered.",
            |output| output.messages,
        ),
        (
            "neph_output_delivered",
            "Alerts that an output delivered.",
            |output| output.delivered,
        ),
    ] {
        out.head(name, "gauge", help);
        for output in &report.outputs {
            out.value(name, &[("output", &output.name)], float(of(output)));
        }
    }
    for (name, help, of) in [
        (
            "neph_job_failed",
            "Whether the newest run of what is looked at on a schedule failed.",
            (|job| u64::from(job.state.as_deref() == Some("failed"))) as fn(&crate::StatusJob) -> u64,
        ),
        ("neph_job_findings", "Open findings of its newest run.", |job| {
            job.found
        }),
    ] {
        out.head(name, "gauge", help);
        for job in &report.jobs {
            out.value(name, &[("job", &job.name)], float(of(job)));
        }
    }
    received(app, &mut out);
    for (name, help, count) in [
        (
            "neph_api_requests_total",
            "Requests to the API.",
            &app.counts.requests,
        ),
        (
            "neph_api_refused_total",
            "Requests without a token, or without the right.",
            &app.counts.refused,
        ),
        (
            "neph_api_failures_total",
            "Requests that the service failed.",
            &app.counts.failures,
        ),
    ] {
        out.one(name, "counter", help, float(count.load(Ordering::Relaxed)));
    }
    out.one(
        "neph_live_streams",
        "gauge",
        "Live streams that are open.",
        float(u64::try_from(live::count(app)).unwrap_or(0)),
    );
    if let Some(bytes) = resident() {
        out.one(
            "process_resident_memory_bytes",
            "gauge",
            "Memory of the process.",
            float(bytes),
        );
    }
    out.one(
        "process_start_time_seconds",
        "gauge",
        "When the service started.",
        float(u64::try_from(app.started.seconds).unwrap_or(0)),
    );
    Ok(Answer::Body(axum::http::StatusCode::OK, KIND, out.0.into_bytes()))
}

/// Where records say that they belong that no rule names.
fn names(report: &crate::StatusReport, out: &mut Metrics) {
    type Of = fn(&crate::StatusName) -> u64;
    let figures: [(&str, &str, Of); 2] = [
        (
            "neph_unnamed_records",
            "Records of an index or dataset that no rule's index patterns name, since they were first seen.",
            |name| name.records,
        ),
        (
            "neph_unnamed_rules",
            "Rules that look at such records for their content.",
            |name| name.rules_by_content,
        ),
    ];
    for (figure, help, of) in figures {
        out.head(figure, "gauge", help);
        for name in report.names.iter().filter(|name| name.rules_by_name == 0) {
            let labels = [
                ("stream", name.stream.as_str()),
                ("index", name.index.as_deref().unwrap_or_default()),
                ("dataset", name.dataset.as_deref().unwrap_or_default()),
                ("made", if name.made { "true" } else { "false" }),
            ];
            out.value(figure, &labels, float(of(name)));
        }
    }
}

/// What senders sent, by protocol.
fn received(app: &crate::App, out: &mut Metrics) {
    let Some(counts) = app.intake.get() else {
        return;
    };
    let rows = counts.rows();
    for (name, help, of) in [
        (
            "neph_received_requests_total",
            "Requests or connections of a sender.",
            (|row| row.requests) as fn(&Row) -> u64,
        ),
        ("neph_received_bytes_total", "Bytes of a sender.", |row| row.bytes),
        (
            "neph_received_records_total",
            "Records of a sender that were taken.",
            |row| row.accepted,
        ),
    ] {
        out.head(name, "counter", help);
        for row in &rows {
            out.value(
                name,
                &[("protocol", row.protocol.name()), ("sender", &row.sender)],
                float(of(row)),
            );
        }
    }
    let name = "neph_received_refused_total";
    out.head(
        name,
        "counter",
        "Records or requests of a sender that were refused.",
    );
    for row in &rows {
        for reason in Refused::ALL {
            let count = row.refused_for(reason);
            if count > 0 {
                let labels = [
                    ("protocol", row.protocol.name()),
                    ("sender", &*row.sender),
                    ("reason", reason.name()),
                ];
                out.value(name, &labels, float(count));
            }
        }
    }
}

fn alerts(app: &crate::App, out: &mut Metrics) -> Result<(), Problem> {
    let query = AlertQuery::default();
    for (name, help, facet, label) in [
        ("neph_alerts", "Alerts by status.", Facet::State, "status"),
        (
            "neph_alerts_by_severity",
            "Alerts by severity.",
            Facet::Severity,
            "severity",
        ),
    ] {
        out.head(name, "gauge", help);
        for (value, count) in app.store.db.count_by(&query, &facet, 10)? {
            out.value(name, &[(label, &value)], float(count));
        }
    }
    Ok(())
}

/// Resident memory of this process, from `/proc` where there is one.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
