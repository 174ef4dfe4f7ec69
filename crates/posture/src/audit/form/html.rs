//! One page that stands alone: nothing is loaded, nothing runs, and it prints well.

use maud::{DOCTYPE, Markup, PreEscaped, html as page};
use neph_attack::attack;
use neph_diag::is_invisible;

use super::Told;
use crate::audit::collected::Collected;
use crate::audit::finding::{Finding, Outcome};
use crate::audit::mutes::Mutes;
use crate::audit::report::Report;

/// Findings of one check that are shown; how many more there are is said.
const MOST: usize = 500;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:68em;margin:2em auto;padding:0 1em;color:#17202a;background:#fff;overflow-wrap:anywhere}\
h1{font-size:1.4em}h2{font-size:1.1em;border-bottom:1px solid #ccd;margin-top:1.8em}h3{font-size:1em;margin:1.4em 0 .2em}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:3px 10px 3px 0;border-bottom:1px solid #dde}\
th{color:#56626e;font-weight:normal}code,pre{font:12px/1.5 monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
pre{background:#f4f6f8;padding:6px;margin:.3em 0}.one{border-left:3px solid #99a;padding-left:1em;margin:1em 0;break-inside:avoid}\
.critical{border-color:#7b1fa2}.high{border-color:#b3261e}.medium{border-color:#a15c00}.low{border-color:#0b5cad}.dim{color:#56626e}\
b.critical{color:#7b1fa2}b.high{color:#b3261e}b.medium{color:#a15c00}b.low{color:#0b5cad}@media print{body{margin:0;max-width:none}}";

/// The report as a page.
pub fn html(report: &Report, collected: &Collected, mutes: &Mutes, told: Told<'_>) -> String {
    let failed: Vec<_> = report
        .checks
        .iter()
        .filter(|check| of(report, check.id, Outcome::Fail).next().is_some())
        .collect();
    let (problems, more) = collected.problems();
    page! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Audit of mitigations" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                p.dim { "Nephoscope " (told.version) " · " (told.at.strftime("%Y-%m-%d %H:%M UTC").to_string()) " · " (collected.files()) " files" }
                h1 { "Audit of mitigations" }
                p {
                    b { (report.count(Outcome::Fail)) " failed" } ", " (report.count(Outcome::Unknown)) " unknown, " (report.count(Outcome::Pass)) " passed"
                    @if !report.muted.is_empty() { ", " (report.muted.len()) " muted" }
                    @if !report.new.is_empty() { ", " b { (report.new.len()) " new" } }
                }
                h2 { "Checks" }
                table {
                    tr { th { "Check" } th { "Severity" } th { "Technique" } th { "Mitigation" } th { "Failed" } th { "Unknown" } th { "Passed" } }
                    @for check in &report.checks {
                        tr {
                            td { code { (check.id) } br; span.dim { (check.title) } }
                            td { b class=(check.severity.name()) { (check.severity.name()) } }
                            td { (check.techniques.join(" ")) }
                            td {
                                @for id in check.mitigations { (id) " " span.dim { (attack().mitigation(id).unwrap_or_default()) } br; }
                            }
                            td { (of(report, check.id, Outcome::Fail).count()) }
                            td { (of(report, check.id, Outcome::Unknown).count()) }
                            td { (of(report, check.id, Outcome::Pass).count()) }
                        }
                    }
                }
                @for check in failed {
                    h2 { (check.title) }
                    p.dim { code { (check.id) } " · " (check.row) " · " (check.techniques.join(", ")) " · " (check.mitigations.join(", ")) }
                    p { (check.why) }
                    @for finding in of(report, check.id, Outcome::Fail).take(MOST) { (one(report, finding)) }
                    @let count = of(report, check.id, Outcome::Fail).count();
                    @if count > MOST { p { (count - MOST) " further resources" } }
                }
                @if report.count(Outcome::Unknown) > 0 {
                    h2 { "What is not known" }
                    table {
                        @for finding in report.findings.iter().filter(|finding| finding.outcome == Outcome::Unknown).take(MOST) {
                            tr { td { code { (finding.check) } } td { (shown(&finding.scope.to_string())) } td { (shown(&finding.resource)) } td { (shown(&finding.what)) } }
                        }
                    }
                }
                @if !report.muted.is_empty() {
                    h2 { "Muted" }
                    table {
                        tr { th { "Check" } th { "Resource" } th { "Owner" } th { "Reason" } th { "Until" } }
                        @for (finding, index) in report.muted.iter().take(MOST) {
                            @if let Some(mute) = mutes.entries.get(*index) {
                                tr { td { code { (finding.check) } } td { (shown(&finding.resource)) } td { (shown(&mute.owner)) } td { (shown(&mute.reason)) } td { (mute.expires.to_string()) } }
                            }
                        }
                    }
                }
                @if !problems.is_empty() {
                    h2 { "Files that could not be read" }
                    table { @for problem in problems { tr { td { code { (shown(&problem.file)) } } td { (shown(&problem.what)) } } } }
                    @if more > 0 { p { (more) " further problems" } }
                }
            }
        }
    }
    .into_string()
}

fn of<'r>(report: &'r Report, id: &'r str, outcome: Outcome) -> impl Iterator<Item = &'r Finding> {
    report
        .findings
        .iter()
        .filter(move |finding| finding.check == id && finding.outcome == outcome)
}

fn one(report: &Report, finding: &Finding) -> Markup {
    page! {
        div class=(format!("one {}", finding.severity.name())) {
            h3 { (shown(&finding.resource)) }
            p {
                b class=(finding.severity.name()) { (finding.severity.name()) } " "
                @if report.is_new(finding) { b { "new " } }
                (shown(&finding.what)) " " span.dim { (shown(&finding.scope.to_string())) }
            }
            @if !finding.evidence.is_empty() {
                table {
                    @for evidence in &finding.evidence {
                        tr {
                            td { code { (shown(&evidence.field)) } }
                            td { code { (shown(&evidence.value)) } }
                            td.dim { (shown(&evidence.file)) @if evidence.line > 0 { ":" (evidence.line) } }
                        }
                    }
                }
            }
            @if !finding.fix.is_empty() { pre { (shown(&finding.fix.join("\n"))) } }
        }
    }
}

/// Text of strangers without characters that nobody sees or that turn its direction.
fn shown(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            other if other.is_control() || is_invisible(other) => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}
