//! `neph collect`: fills a folder with what clouds, clusters, container engines and hosts answer.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use neph_collect::{Output, Report, Settings, Watch, docker, host};
use neph_inventory::Call;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// So many calls that failed are shown; all stand in collection.json.
const SHOWN: usize = 20;

/// Collect snapshots, images, permissions and settings into a folder, in the form in which the clouds' own tools print them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph collect host
  neph collect docker --to collected/
  neph audit entitlements collected/

Answers are kept as they came, one file a call; collection.json says what was asked, when, and what failed. A run that was stopped goes on where
it was when it is started again. Exit codes: 0; 1 with --fail-on partial when a call failed or is partial; 2 when nothing could be collected.")]
pub(crate) struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Source {
    Docker(DockerArgs),
    Host(HostArgs),
}

/// Where to, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Collecting")]
struct Common {
    /// The folder that is filled; several sources may fill one folder.
    #[arg(long, value_name = "DIR", default_value = "collected")]
    to: PathBuf,
    /// Ask again for what is there already. Answers of before are deleted first.
    #[arg(long)]
    refresh: bool,
    /// So many calls at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Requests a second to one server in one region at most; 0: as many as it takes. It is asked more slowly while it throttles.
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    rate: f64,
    /// A request is sent so many times at most, with growing pauses, where the server throttles or fails.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    tries: u32,
    /// A request and its answer take no longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// End with exit code 1 when a call failed or its answer is not whole.
    #[arg(long, value_enum, value_name = "WHICH")]
    fail_on: Option<FailOn>,
    /// Form of the summary.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show no progress bar, even on a terminal.
    #[arg(long)]
    no_progress: bool,
}

/// What ends with exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// A call that is not complete.
    Partial,
}

/// Forms of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// One JSON object.
    Json,
}

/// Ask a container engine by Docker's interface: settings, images with their history, containers with what changed in them
///
/// It needs to read the engine's socket, or a client certificate that the engine knows. Podman offers the same interface
/// (`podman system service`).
#[derive(Debug, clap::Args)]
struct DockerArgs {
    #[command(flatten)]
    common: Common,
    /// `unix://PATH` or `tcp://HOST:PORT`. [default: $DOCKER_HOST, or unix:///var/run/docker.sock]
    #[arg(long, value_name = "URL")]
    host: Option<String>,
    /// Use TLS with the files ca.pem, cert.pem and key.pem of this folder. [default: $DOCKER_CERT_PATH, if it is set]
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Name of the host's folder. [default: what the engine calls itself]
    #[arg(long)]
    name: Option<String>,
}

/// Keep what is set on this machine: firewall rules, settings of Docker, the kubelet and the API server, who listens
///
/// Firewall rules are for root only.
#[derive(Debug, clap::Args)]
struct HostArgs {
    #[command(flatten)]
    common: Common,
    /// Where the machine's files are, if another machine's disk is mounted; then no programs are run.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Name of the machine's folder. [default: what the machine calls itself]
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let common = match &args.source {
        Source::Docker(args) => &args.common,
        Source::Host(args) => &args.common,
    };
    let settings = Settings {
        jobs: usize::from(common.jobs),
        refresh: common.refresh,
        tries: common.tries,
        timeout: Duration::from_secs(common.timeout),
        rate: common.rate,
    };
    let output = Output::open(&common.to).map_err(|error| message(&error))?;
    let bar = Bar::new(terminal.interactive && !common.no_progress);
    let report = match &args.source {
        Source::Docker(args) => {
            let options = docker::Options {
                host: given_or_set(args.host.as_deref(), "DOCKER_HOST")
                    .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
                certificates: (args.certificates.clone())
                    .or_else(|| set("DOCKER_CERT_PATH").map(PathBuf::from)),
                name: args.name.clone(),
            };
            docker::collect(&options, &output, &settings, &bar)
        }
        Source::Host(args) => {
            let options = host::Options {
                root: args.root.clone(),
                name: args.name.clone(),
            };
            host::collect(&options, &output, &settings, &bar)
        }
    };
    bar.0.finish_and_clear();
    let report = report.map_err(|error| message(&error))?;
    summary(&report, common, terminal)?;
    let total = report.total();
    Ok(match common.fail_on {
        _ if total.complete + total.partial + report.kept == 0 => Exit::Errors,
        Some(FailOn::Partial) if total.partial + total.failed > 0 => Exit::Alerts,
        _ => Exit::Nothing,
    })
}

/// A variable of the environment that is not empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn given_or_set(given: Option<&str>, name: &str) -> Option<String> {
    given.map(str::to_owned).or_else(|| set(name))
}

fn message(error: &dyn std::fmt::Display) -> Failure {
    Failure::Message(harmless(&error.to_string()))
}

fn summary(report: &Report, common: &Common, terminal: &Terminal) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if common.format == Format::Json {
        writeln!(out, "{}", document(report, common))?;
        return Ok(());
    }
    let failures = report.problems.len() as u64;
    for call in report.problems.iter().take(SHOWN) {
        let problem = call.problem.as_deref().unwrap_or_default();
        terminal.warning(&harmless(&format!("{}: {}: {problem}", call.scope(), call.call)));
    }
    let more = (report.total().partial + report.total().failed).saturating_sub(failures.min(SHOWN as u64));
    if more > 0 {
        terminal.warning(&format!(
            "{more} further calls are not complete; collection.json has them all"
        ));
    }
    let mut rows = table(&["SCOPE", "COMPLETE", "PARTIAL", "FAILED", "ITEMS"]);
    for (scope, counts) in &report.scopes {
        let numbers = [counts.complete, counts.partial, counts.failed, counts.items];
        rows.add_row(std::iter::once(harmless(&scope.to_string())).chain(numbers.iter().map(u64::to_string)));
    }
    if !report.scopes.is_empty() {
        writeln!(out, "{rows}")?;
    }
    if report.kept > 0 {
        terminal.note_plain(&format!(
            "{} calls were complete already and were not made again; --refresh makes them again",
            report.kept
        ));
    }
    terminal.note_plain(&harmless(&format!("collected into {}", common.to.display())));
    Ok(())
}

fn document(report: &Report, common: &Common) -> Value {
    let scopes: Vec<Value> = report
        .scopes
        .iter()
        .map(|(scope, counts)| {
            json!({
                "cloud": scope.cloud, "account": scope.account, "region": scope.region,
                "complete": counts.complete, "partial": counts.partial, "failed": counts.failed, "items": counts.items,
            })
        })
        .collect();
    let total = report.total();
    json!({
        "folder": common.to.display().to_string(), "kept": report.kept, "complete": total.complete, "partial": total.partial,
        "failed": total.failed, "items": total.items, "scopes": scopes, "problems": report.problems,
    })
}

/// Calls that are done, of those known so far.
struct Bar(ProgressBar);

impl Bar {
    fn new(is_shown: bool) -> Self {
        if !is_shown {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} calls  {elapsed}  {wide_msg}");
        let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
}

impl Watch for Bar {
    fn at(&self, done: u64, known: u64, call: &Call) {
        self.0.set_length(known);
        self.0.set_position(done);
        self.0
            .set_message(harmless(&format!("{}: {}", call.scope(), call.call)));
    }
}
