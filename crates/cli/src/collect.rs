//! `neph collect`: fills a folder with what clouds, clusters, container engines and hosts answer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use neph_collect::{
    CollectError, Output, Report, Settings, Watch, aws, azure, docker, gcp, host, import, kubernetes,
    openstack,
};
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
  neph collect aws --profile audit
  neph collect kubernetes --context prod --to collected/2026-11-01
  neph collect docker; sudo neph collect host
  neph collect import exports/                     # what the clouds' own tools printed
  neph audit entitlements collected/

Answers are kept as they came, one file a call; collection.json says what was asked, when, and what failed. A run that was stopped goes on where
it was when it is started again. Exit codes: 0; 1 with --fail-on partial when a call failed or is partial; 2 when nothing could be collected.")]
pub(crate) struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Source {
    Aws(AwsArgs),
    Azure(AzureArgs),
    Gcp(GcpArgs),
    Openstack(OpenstackArgs),
    Kubernetes(KubernetesArgs),
    Docker(DockerArgs),
    Host(HostArgs),
    Import(ImportArgs),
}

/// Where to, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Collecting")]
struct Common {
    /// The folder that is filled; several sources may fill one folder.
    #[arg(long, value_name = "DIR", default_value = "collected")]
    to: PathBuf,
    /// Leave out calls that begin with this, and what follows from them; may be given several times. collection.json names calls.
    #[arg(long, value_name = "CALL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    skip: Vec<String>,
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

/// Ask an AWS account, in all its regions: snapshots, images, disks, instances, permissions, keys, registries, firewalls, clusters
///
/// Credentials are found as the clouds' own tool finds them: environment, profiles, single sign-on, roles, containers. docs/collect.md has the
/// policy with the least permissions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph collect aws --profile audit
  neph collect aws --region eu-west-1 --region us-east-1 --to collected/2026-11-01
  neph collect aws --skip 'ec2 describe-snapshot-attribute'     # one request a snapshot")]
struct AwsArgs {
    #[command(flatten)]
    common: Common,
    /// A profile in the files of the clouds' own tool. [default: $AWS_PROFILE]
    #[arg(long)]
    profile: Option<String>,
    /// Only this region; may be given several times. [default: all that the account may use]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Another address for all services. [default: $AWS_ENDPOINT_URL, or those of AWS]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Use the role of the instance that this runs on, if no other credentials are found.
    #[arg(long)]
    instance_role: bool,
}

/// Ask Azure subscriptions: snapshots, images, galleries, disks, machines, roles, firewalls, clusters, registries
///
/// The token comes from AZURE_ACCESS_TOKEN, from an application (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET), or from `az`.
#[derive(Debug, clap::Args)]
struct AzureArgs {
    #[command(flatten)]
    common: Common,
    /// Only this subscription, by its id; may be given several times. [default: all that the credentials see]
    #[arg(long, value_name = "ID")]
    subscription: Vec<String>,
    /// Another address of the management service, such as that of a sovereign cloud.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Another address of the service that hands out tokens. [default: $AZURE_AUTHORITY_HOST]
    #[arg(long, value_name = "URL")]
    authority_url: Option<String>,
    /// Use the identity of the machine that this runs on.
    #[arg(long)]
    instance_role: bool,
}

/// Ask Google Cloud projects: snapshots, images, disks, instances, firewalls, clusters, roles and who has them
///
/// The token comes from CLOUDSDK_AUTH_ACCESS_TOKEN, from the credentials that GOOGLE_APPLICATION_CREDENTIALS names or that applications use by
/// default, or from `gcloud`.
#[derive(Debug, clap::Args)]
struct GcpArgs {
    #[command(flatten)]
    common: Common,
    /// This project; may be given several times. [default: $GOOGLE_CLOUD_PROJECT, or that of the credentials]
    #[arg(long, value_name = "PROJECT")]
    project: Vec<String>,
    /// Another address for all services.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Use the account of the instance that this runs on.
    #[arg(long)]
    instance_role: bool,
}

/// Ask an OpenStack cloud, such as VK Cloud: volume snapshots, backups, volumes, images and whom they are shared with, roles
///
/// Credentials are those of clouds.yaml or of an openrc file (OS_AUTH_URL …): user and password, application credential, or token.
#[derive(Debug, clap::Args)]
struct OpenstackArgs {
    #[command(flatten)]
    common: Common,
    /// The entry of clouds.yaml. [default: $OS_CLOUD]
    #[arg(long, value_name = "NAME")]
    os_cloud: Option<String>,
    /// Only this region; may be given several times. [default: the credentials' own, or all of the catalogue]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Ask for what belongs to all projects, which administrators may.
    #[arg(long)]
    all_projects: bool,
}

/// Ask a Kubernetes cluster: roles and who has them, workloads, nodes, services, network policies, admission
///
/// No secrets are read. Clusters and credentials are those of `kubectl`, programs that hand out credentials included; within a pod, its own
/// account.
#[derive(Debug, clap::Args)]
struct KubernetesArgs {
    #[command(flatten)]
    common: Common,
    /// The file of settings. [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context. [default: the current one]
    #[arg(long)]
    context: Option<String>,
    /// Name of the cluster's folder. [default: that of the context]
    #[arg(long)]
    name: Option<String>,
    /// Try what somebody without credentials may do: five requests, of whose answers only the status is kept.
    #[arg(long)]
    probe_anonymous: bool,
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

/// Put what the clouds' own tools printed, in files of any names, into the form of a collected folder
///
/// What a file is and whose, is told by its content; what does not tell its account or region takes them from the options, or from folders that
/// are named like an account and a region. Nothing else is asked, and what is not known is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph collect import ~/Downloads/snapshots.json --account 111122223333 --region eu-west-1
  neph collect import exports/ --to collected/2026-11-01")]
struct ImportArgs {
    /// Files and folders.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The folder that is filled.
    #[arg(long, value_name = "DIR", default_value = "collected")]
    to: PathBuf,
    /// The account, subscription, project, cluster or host that all of it is of.
    #[arg(long)]
    account: Option<String>,
    /// The region of what does not tell it.
    #[arg(long)]
    region: Option<String>,
    /// End with exit code 1 when a file was left out or an answer is not whole.
    #[arg(long, value_enum, value_name = "WHICH")]
    fail_on: Option<FailOn>,
    /// Form of the summary.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Source::Import(args) = &args.source {
        return import(args, terminal);
    }
    let (report, common) = made(&args.source, terminal)?;
    let mut out = std::io::stdout().lock();
    match common.format {
        Format::Json => writeln!(out, "{}", document(&report, &common.to))?,
        Format::Table => tell(&mut out, &report, &common.to, terminal)?,
    }
    let total = report.total();
    Ok(match common.fail_on {
        _ if total.complete + total.partial + report.kept == 0 => Exit::Errors,
        Some(FailOn::Partial) if total.partial + total.failed > 0 => Exit::Alerts,
        _ => Exit::Nothing,
    })
}

/// Something that is collected again and again.
pub(crate) struct Scheduled(Source);

/// The line that says it.
#[derive(Debug, clap::Parser)]
#[command(name = "neph collect", no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(subcommand)]
    source: Source,
}

impl Scheduled {
    /// What the words of a line ask for; what is there already is asked for again.
    ///
    /// # Errors
    /// When the words are no such line: why.
    pub(crate) fn new(source: &str, to: &Path, options: &[String]) -> Result<Self, String> {
        let fixed = ["--to".into(), to.as_os_str().to_owned(), "--refresh".into()];
        let words = std::iter::once(source.into())
            .chain(fixed)
            .chain(options.iter().map(Into::into));
        let line = <Line as clap::Parser>::try_parse_from::<_, std::ffi::OsString>(words);
        let line = line.map_err(|error| {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            harmless(first.trim_start_matches("error: "))
        })?;
        Ok(Self(line.source))
    }

    /// Collects.
    ///
    /// # Errors
    /// When nothing could be collected: why.
    pub(crate) fn collect(&self) -> Result<Report, String> {
        let quiet = Terminal {
            interactive: false,
            ..Terminal::new(crate::terminal::Colour::Never)
        };
        let (report, _) = made(&self.0, &quiet).map_err(|failure| failure.to_string())?;
        let total = report.total();
        match (
            total.complete + total.partial + report.kept,
            report.problems.first(),
        ) {
            (0, Some(call)) => Err(problem_of(call)),
            (0, None) => Err("nothing was collected".to_owned()),
            _ => Ok(report),
        }
    }
}

/// A call that is not complete, and why.
pub(crate) fn problem_of(call: &Call) -> String {
    let problem = call.problem.as_deref().unwrap_or_default();
    harmless(&format!("{}: {}: {problem}", call.scope(), call.call))
}

/// Asks a source.
fn made<'a>(source: &'a Source, terminal: &Terminal) -> Result<(Report, &'a Common), Failure> {
    match source {
        Source::Import(_) => Err(Failure::Message(
            "what was exported by hand is not collected again".to_owned(),
        )),
        Source::Aws(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = aws::Options {
                profile: args.profile.clone(),
                regions: args.region.clone(),
                endpoint: given_or_set(args.endpoint_url.as_deref(), "AWS_ENDPOINT_URL"),
                is_instance: args.instance_role,
            };
            aws::collect(&options, output, settings, watch)
        }),
        Source::Azure(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = azure::Options {
                subscriptions: args.subscription.clone(),
                endpoint: args.endpoint_url.clone(),
                authority: args.authority_url.clone(),
                is_instance: args.instance_role,
            };
            azure::collect(&options, output, settings, watch)
        }),
        Source::Gcp(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = gcp::Options {
                projects: args.project.clone(),
                endpoint: args.endpoint_url.clone(),
                is_instance: args.instance_role,
            };
            gcp::collect(&options, output, settings, watch)
        }),
        Source::Openstack(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = openstack::Options {
                cloud: args.os_cloud.clone(),
                regions: args.region.clone(),
                is_for_all: args.all_projects,
            };
            openstack::collect(&options, output, settings, watch)
        }),
        Source::Kubernetes(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = kubernetes::Options {
                kubeconfig: args.kubeconfig.clone(),
                context: args.context.clone(),
                name: args.name.clone(),
                is_probed: args.probe_anonymous,
            };
            kubernetes::collect(&options, output, settings, watch)
        }),
        Source::Docker(args) => collect(&args.common, terminal, |output, settings, watch| {
            let default = || "unix:///var/run/docker.sock".to_owned();
            let certificates = args.certificates.clone();
            let options = docker::Options {
                host: given_or_set(args.host.as_deref(), "DOCKER_HOST").unwrap_or_else(default),
                certificates: certificates.or_else(|| set("DOCKER_CERT_PATH").map(PathBuf::from)),
                name: args.name.clone(),
            };
            docker::collect(&options, output, settings, watch)
        }),
        Source::Host(args) => collect(&args.common, terminal, |output, settings, watch| {
            let options = host::Options {
                root: args.root.clone(),
                name: args.name.clone(),
            };
            host::collect(&options, output, settings, watch)
        }),
    }
}

/// Runs a collector.
fn collect<'a>(
    common: &'a Common,
    terminal: &Terminal,
    source: impl FnOnce(&Output, &Settings, &dyn Watch) -> Result<Report, CollectError>,
) -> Result<(Report, &'a Common), Failure> {
    let settings = Settings {
        jobs: usize::from(common.jobs),
        refresh: common.refresh,
        skip: common.skip.clone(),
        tries: common.tries,
        timeout: Duration::from_secs(common.timeout),
        rate: common.rate,
    };
    let output = Output::open(&common.to).map_err(|error| message(&error))?;
    let bar = Bar::new(terminal.interactive && !common.no_progress);
    let report = source(&output, &settings, &bar);
    bar.0.finish_and_clear();
    Ok((report.map_err(|error| message(&error))?, common))
}

fn import(args: &ImportArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let options = import::Options {
        paths: args.paths.clone(),
        account: args.account.clone(),
        region: args.region.clone(),
    };
    let output = Output::open(&args.to).map_err(|error| message(&error))?;
    let (report, left_out) = import::import(&options, &output, &()).map_err(|error| message(&error))?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => {
            let mut document = document(&report, &args.to);
            let left_out: Vec<Value> = left_out
                .iter()
                .map(|one| json!({"file": one.path.display().to_string(), "why": one.why}))
                .collect();
            if let Some(object) = document.as_object_mut() {
                object.insert("left_out".to_owned(), left_out.into());
            }
            writeln!(out, "{document}")?;
        }
        Format::Table => {
            for one in &left_out {
                terminal.warning(&harmless(&format!("`{}` {}", one.path.display(), one.why)));
            }
            tell(&mut out, &report, &args.to, terminal)?;
        }
    }
    let total = report.total();
    Ok(match args.fail_on {
        _ if total.complete + total.partial == 0 => Exit::Errors,
        Some(FailOn::Partial) if total.partial > 0 || !left_out.is_empty() => Exit::Alerts,
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

fn tell(out: &mut impl Write, report: &Report, folder: &Path, terminal: &Terminal) -> Result<(), Failure> {
    for call in report.problems.iter().take(SHOWN) {
        terminal.warning(&problem_of(call));
    }
    let total = report.total();
    let shown = report.problems.len().min(SHOWN) as u64;
    let more = (total.partial + total.failed).saturating_sub(shown);
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
    terminal.note_plain(&harmless(&format!("collected into {}", folder.display())));
    Ok(())
}

fn document(report: &Report, folder: &Path) -> Value {
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
        "folder": folder.display().to_string(), "kept": report.kept, "complete": total.complete, "partial": total.partial,
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
