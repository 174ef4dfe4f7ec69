//! `neph audit`: what collected settings and permissions mean for the techniques that the rules look for.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

mod checks;
mod run;

use jiff::tz::TimeZone;
use neph_diag::{SourceFile, has_errors, render};
use neph_posture::capability::{CAPABILITIES, Capability, Cloud};
use neph_posture::entitlement::{Entitlement, Way, review};
use neph_posture::expected::{Entry, Expected, Finding, draft};
use neph_posture::glob::{Case, Pattern, Segments};
use neph_posture::{Inventory, Verdict};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Check collected settings and permissions against what the techniques need
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Checks(checks::Args),
    Entitlements(Entitlements),
}

/// List who can make, share, copy and restore snapshots and images, push images, list and enter containers …, by which policy, on which conditions, and compare it with who should
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aws iam get-account-authorization-details > collected/iam.json
  neph audit entitlements collected/
  neph audit entitlements --format toml collected/ > expected.toml    # review it, sign it off, keep it
  neph audit entitlements --expected expected.toml --fail-on unexpected collected/

Files are what these commands print as JSON; which is which, is told by the content:
  aws iam get-account-authorization-details; organizations describe-policy, describe-organization; ec2 describe-snapshot-attribute,
      describe-image-attribute; rds describe-db-snapshot-attributes; ecr get-repository-policy; kms get-key-policy; policy documents
  az role definition list; role assignment list --all; account management-group show --expand --recurse; deny assignments by az rest
  gcloud asset search-all-iam-policies; projects get-ancestors-iam-policy, get-iam-policy; iam roles describe; iam policies get
  openstack role assignment list --names, implied role list (-f json); policy files of cinder, nova, glance (cinder/policy.yaml)
  kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A -o json")]
struct Entitlements {
    /// Files and folders of what was collected.
    #[arg(value_name = "PATH", required_unless_present = "list_capabilities")]
    paths: Vec<PathBuf>,
    /// Ask for these capabilities only; `*` stands for any text; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    capability: Vec<String>,
    /// The list of who is expected to have which capability (TOML); differences are shown instead of everything.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// End with exit code 1 when somebody can do what is not expected, or when there is any finding.
    #[arg(long, value_enum, value_name = "WHICH", requires = "expected")]
    fail_on: Option<FailOn>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// List the capabilities that there are, and the techniques that need them.
    #[arg(long)]
    list_capabilities: bool,
}

/// What ends with exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Somebody can do what no entry expects.
    Unexpected,
    /// Any finding.
    Any,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// One JSON object.
    Json,
    /// A list of what is, to begin a list of what is expected with.
    Toml,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::Run(args) => run::run(args, terminal),
        Command::Checks(args) => checks::run(args),
        Command::Entitlements(args) => entitlements(args, terminal),
    }
}

fn entitlements(args: &Entitlements, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.list_capabilities {
        list_capabilities(&mut out, args.format)?;
        out.flush()?;
        return Ok(Exit::Nothing);
    }
    let now = jiff::Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let expected = match &args.expected {
        Some(path) => Some(read_expected(path, today, terminal)?),
        None => None,
    };
    if expected.as_ref().is_some_and(Option::is_none) {
        return Ok(Exit::Errors);
    }
    let expected = expected.flatten();
    let wanted = patterns(&args.capability)?;
    let (inventory, refused) = Inventory::read(&args.paths);
    for (path, reason) in &refused {
        terminal.warning(&harmless(&format!("`{}` {reason}", path.display())));
    }
    let (problems, more) = inventory.problems();
    for problem in problems {
        let told = match problem.file.as_str() {
            "" => problem.what.clone(),
            file => format!("`{file}`: {}", problem.what),
        };
        terminal.warning(&harmless(&told));
    }
    if more > 0 {
        terminal.warning(&format!("{more} further problems"));
    }
    if inventory.files() == 0 {
        terminal.error("nothing was read: none of the files is one of a collector");
        return Ok(Exit::Errors);
    }
    let mut found = review(&inventory, now);
    found.retain(|one| is_wanted(&wanted, one.capability.id));
    let findings = expected.as_ref().map(|expected| {
        let mut findings = expected.compare(&found, today);
        findings.retain(|finding| is_about(finding, &wanted));
        findings
    });
    match (args.format, &findings) {
        (Format::Json, findings) => {
            let refused: Vec<_> = refused
                .iter()
                .map(|(path, reason)| json!({"file": path.display().to_string(), "what": reason.to_string()}))
                .collect();
            let capabilities: Vec<_> = CAPABILITIES.iter().map(Capability::document).collect();
            let document = json!({
                "entitlements": found, "findings": findings, "files": inventory.files(), "refused": refused, "problems": problems,
                "capabilities": capabilities,
            });
            writeln!(out, "{document}")?;
        }
        (Format::Toml, _) => write!(out, "{}", draft(&found))?,
        (Format::Table, Some(findings)) => findings_table(&mut out, findings, &found)?,
        (Format::Table, None) => entitlements_table(&mut out, &found, inventory.files())?,
    }
    out.flush()?;
    let fails = |finding: &Finding<'_>| match args.fail_on {
        Some(FailOn::Any) => true,
        Some(FailOn::Unexpected) => matches!(finding, Finding::NotExpected { .. }),
        None => false,
    };
    Ok(match findings {
        Some(findings) if findings.iter().any(fails) => Exit::Alerts,
        _ => Exit::Nothing,
    })
}

/// `None` says that the list has errors, which were shown.
fn read_expected(
    path: &std::path::Path,
    today: jiff::civil::Date,
    terminal: &Terminal,
) -> Result<Option<Expected>, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: name.clone(),
        source,
    })?;
    let (expected, diagnostics) = Expected::read(&text, today);
    let source = SourceFile {
        name: &name,
        text: &text,
    };
    for diagnostic in &diagnostics {
        terminal.note_plain(&render::text(diagnostic, &source, terminal.colour_err));
    }
    Ok((!has_errors(&diagnostics)).then_some(expected))
}

fn patterns(written: &[String]) -> Result<Vec<Pattern>, Failure> {
    let mut patterns = Vec::new();
    for text in written {
        let pattern = Pattern::new(text, Case::Kept, Segments::None);
        if !CAPABILITIES
            .iter()
            .any(|capability| pattern.matches(capability.id, Case::Kept))
        {
            return Err(Failure::Message(format!(
                "there is no capability `{text}`; --list-capabilities lists them"
            )));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn is_wanted(wanted: &[Pattern], id: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|pattern| pattern.matches(id, Case::Kept))
}

/// Findings about entries, when only some capabilities are asked for, are those of entries about them.
fn is_about(finding: &Finding<'_>, wanted: &[Pattern]) -> bool {
    let entry_is = |entry: &Entry| {
        CAPABILITIES
            .iter()
            .filter(|capability| is_wanted(wanted, capability.id))
            .any(|capability| {
                entry
                    .capabilities
                    .iter()
                    .any(|own| own.matches(capability.id, Case::Kept))
            })
    };
    match finding {
        Finding::NotExpected { .. } | Finding::ReviewOver { .. } => true,
        Finding::NotSignedOff { entry } | Finding::Gone { entry, .. } => entry_is(entry),
    }
}

fn list_capabilities(out: &mut impl Write, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let capabilities: Vec<_> = CAPABILITIES.iter().map(Capability::document).collect();
        writeln!(out, "{}", json!(capabilities))?;
        return Ok(());
    }
    let mut table = table(&["CAPABILITY", "WHAT ONE CAN DO", "TECHNIQUES", "MITIGATIONS"]);
    for capability in CAPABILITIES {
        table.add_row([
            capability.id.to_owned(),
            capability.what.to_owned(),
            capability.techniques.join(" "),
            capability.mitigations.join(" "),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// The first way, and how many more there are.
fn how(entitlement: &Entitlement) -> String {
    let Some(first) = entitlement.ways.first() else {
        return String::new();
    };
    let mut told = format!(
        "{}: {}",
        first.action,
        first.by.first().map_or("", String::as_str)
    );
    // Where a role is bound, and the whole of a kind of resources, is told or understood already.
    if entitlement.cloud == Cloud::Kubernetes || (entitlement.cloud == Cloud::Aws && !first.on.contains('*'))
    {
        told.push_str(&format!(" ({})", first.on));
    }
    match entitlement.ways.len() {
        0 | 1 => {}
        2 => told.push_str("; 1 more way"),
        count => told.push_str(&format!("; {} more ways", count - 1)),
    }
    if !entitlement.assumed_by.is_empty() {
        told.push_str(&format!("; assumed by {}", entitlement.assumed_by.join(", ")));
    }
    harmless(&told)
}

fn provisos(entitlement: &Entitlement) -> String {
    match entitlement.verdict {
        Verdict::Depends => {
            let first: Option<&Way> = entitlement.ways.first();
            let words: Vec<String> = first
                .map_or(&[][..], |way| &way.provisos)
                .iter()
                .map(ToString::to_string)
                .collect();
            harmless(&words.join("; "))
        }
        _ => String::new(),
    }
}

fn place(entitlement: &Entitlement) -> String {
    match (entitlement.cloud, entitlement.scope.as_str()) {
        (cloud, "") => cloud.name().to_owned(),
        (Cloud::Kubernetes, scope) => harmless(scope),
        (cloud, scope) => harmless(&format!("{} {scope}", cloud.name())),
    }
}

fn entitlements_table(out: &mut impl Write, found: &[Entitlement], files: usize) -> Result<(), Failure> {
    if !found.is_empty() {
        let mut table = table(&["WHERE", "WHO", "WHAT", "HOW", "ON CONDITION"]);
        for one in found {
            table.add_row([
                place(one),
                harmless(&format!("{} ({})", one.principal, one.principal_kind)),
                one.capability.id.to_owned(),
                how(one),
                provisos(one),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    let who: BTreeSet<(&str, Cloud)> = found
        .iter()
        .map(|one| (one.principal.as_str(), one.cloud))
        .collect();
    let sure = found.iter().filter(|one| one.verdict == Verdict::Allowed).count();
    writeln!(
        out,
        "{} principals have {} entitlements, {} of them for sure and {} on conditions that no file tells; {files} files read",
        who.len(),
        found.len(),
        sure,
        found.len() - sure
    )?;
    Ok(())
}

fn findings_table(
    out: &mut impl Write,
    findings: &[Finding<'_>],
    found: &[Entitlement],
) -> Result<(), Failure> {
    if !findings.is_empty() {
        let mut table = table(&["FINDING", "WHO", "WHAT", "OWNER", "WHY"]);
        for finding in findings {
            let owner = |entry: &Entry| harmless(entry.owner.as_deref().unwrap_or(""));
            let who = |one: &Entitlement| harmless(&format!("{} ({})", one.principal, one.principal_kind));
            let row = match finding {
                Finding::NotExpected { entitlement } => [
                    who(entitlement),
                    entitlement.capability.id.to_owned(),
                    String::new(),
                    how(entitlement),
                ],
                Finding::ReviewOver { entitlement, entry } => {
                    let day = entry.expires.map_or_else(String::new, |day| day.to_string());
                    let why = format!("the review counted until {day}");
                    [
                        who(entitlement),
                        entitlement.capability.id.to_owned(),
                        owner(entry),
                        why,
                    ]
                }
                Finding::NotSignedOff { entry } => {
                    let names: Vec<&str> = entry.capabilities.iter().map(Pattern::text).collect();
                    let why = "the entry has no `signed_off_by`".to_owned();
                    [
                        harmless(entry.principal.text()),
                        harmless(&names.join(" ")),
                        owner(entry),
                        why,
                    ]
                }
                Finding::Gone { entry, capabilities } => {
                    let why = "expected, but nobody can do it any more".to_owned();
                    [
                        harmless(entry.principal.text()),
                        harmless(&capabilities.join(" ")),
                        owner(entry),
                        why,
                    ]
                }
            };
            table.add_row(std::iter::once(finding.name().to_owned()).chain(row));
        }
        writeln!(out, "{table}")?;
    }
    let count = |name: &str| findings.iter().filter(|finding| finding.name() == name).count();
    writeln!(
        out,
        "{} entitlements: {} not expected, {} whose review is over; {} entries gone, {} not signed off",
        found.len(),
        count("not-expected"),
        count("review-over"),
        count("gone"),
        count("not-signed-off")
    )?;
    Ok(())
}
