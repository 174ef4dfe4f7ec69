//! `neph serve`: the service.

mod first;
mod listen;
mod log;
mod notify;
mod outputs;
mod readers;
mod rules;
mod schedule;
mod trouble;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use neph_api::{
    App, AppLimits, AppParts, BaselineFiles, FixedToken, Keys, PostureFiles, overlay_folder, rule_folder,
};
use neph_config::{Config, LogFormat};
use neph_enrich::Enrichment;
use neph_runtime::RunOptions;
use neph_runtime::service::{Memory, Service, ServiceOptions};
use neph_store::{SilenceLimits, Store, StoreOptions};

use crate::config;
use crate::exit::{Exit, Failure};
use crate::service::{ADDRESS, ServiceArgs};
use crate::status::silence_streams;
use crate::terminal::Terminal;
use listen::Listening;
use log::Log;
use notify::Manager;
pub(crate) use rules::Rules;

/// Run the service: take records in, run rules over them without end, keep events and alerts, answer on the API
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph serve                                   # on 127.0.0.1:9470, with the built-in rules\n  neph serve --config /etc/neph/neph.toml\n  neph serve --data ./data --listen 127.0.0.1:9500\n\nThe first start makes a token for you, prints it, and keeps it in the file `token` of the data folder. With it you log in to the\nconsole, which a browser shows at the address that the service listens on.\nSIGHUP reads configuration and rules again; SIGTERM and SIGINT end the service in order."
)]
pub(crate) struct Args {
    /// The configuration. [default: neph.toml here, else /etc/neph/neph.toml, if there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder. [default: that of the configuration, else /var/lib/neph for root, else neph in the user's data folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, instead of those of the configuration; may be given several times. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Form of the log on standard error, instead of that of the configuration.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Form>,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A line of text.
    Text,
    /// A JSON object a line.
    Json,
}

impl Args {
    /// The configuration, with what the command line says instead.
    fn settings(&self, terminal: &Terminal) -> Result<Option<Config>, Failure> {
        let mut settings = match self.config.clone().or_else(config::usual) {
            None => Config::default(),
            Some(path) => {
                let loaded = config::load(&path)?;
                loaded.show(terminal);
                match loaded.config {
                    Some(settings) => settings,
                    None => return Ok(None),
                }
            }
        };
        if !self.listen.is_empty() {
            settings.api.listen.clone_from(&self.listen);
        }
        if self.data.is_some() {
            settings.data.clone_from(&self.data);
        }
        match self.log_format {
            Some(Form::Text) => settings.log.format = LogFormat::Text,
            Some(Form::Json) => settings.log.format = LogFormat::Json,
            None => {}
        }
        Ok(Some(settings))
    }

    fn data(&self, settings: &Config) -> Result<PathBuf, Failure> {
        match &settings.data {
            Some(data) => Ok(data.clone()),
            None => ServiceArgs::default().data(),
        }
    }
}

/// How long what is under way may take when the service ends.
const LAST: Duration = Duration::from_secs(15);

/// How long what is looked at on schedule may take then; it is begun again by the next start.
const LAST_JOB: Duration = Duration::from_secs(3);

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Message(error.to_string())
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let Some(settings) = args.settings(terminal)? else {
        return Ok(Exit::Errors);
    };
    let log = Log::new(settings.log);
    let data = args.data(&settings)?;
    first::make_folder(&data)?;
    let (store, recovery) = Store::open(&data, &store_options(&settings)).map_err(|error| failed(&error))?;
    let store = Arc::new(store);
    log.info("the store is open", &[("data", &data.display())]);
    first::tell_recovery(&log, &recovery);
    let fixed = fixed_tokens(&settings)?;
    let has_admin = settings.tokens.iter().any(|token| token.role == "admin");
    first::token(&store, &data, has_admin, terminal)?;
    let keys = Arc::new(Keys::new(store.db.clone(), fixed));

    first::make_folder(&overlay_folder(&data))?;
    first::make_folder(&rule_folder(&data))?;
    let (mut rules, running) = Rules::load(&settings, &data);
    rules.tell(&log);
    let options = service_options(&settings, &log);
    let outputs = outputs::outputs(&store, &data, &settings, log);
    let names = options.outputs.clone();
    // Before anything is evaluated, so that no alert misses its outputs.
    outputs::change(&outputs, &names, &settings);
    let service =
        Service::start(Arc::clone(&store), running, options.clone()).map_err(|error| failed(&error))?;
    let app = App::new(AppParts {
        store: Arc::clone(&store),
        keys: Arc::clone(&keys),
        service,
        options,
        rules: rules.set(),
        files: rules.files(),
        data: data.clone(),
        limits: limits(&settings),
        silences: SilenceLimits {
            streams: silence_streams(&settings.silences),
            ..SilenceLimits::default()
        },
        tls: settings.api.tls.is_some(),
        baselines: baselines(&settings, &data),
        posture: posture(&settings, &data),
    });
    app.set_outputs(Arc::clone(&outputs));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("neph-io")
        // Searches read records here, which may be as deep as anywhere.
        .thread_stack_size(neph_runtime::pipeline::STACK)
        .build()
        .map_err(|error| failed(&error))?;
    let mut listening = Listening::start(&runtime, &settings, &store, &data, &keys, &app, log)?;
    listening.readers().look_for(&rules.set());
    listening.readers().change(&settings);
    let address_file = data.join(ADDRESS);
    write_address(&address_file, &listening)?;
    let manager = Manager::of_environment();
    manager.ready();
    log.info(
        "the service is ready; a browser shows the console there",
        &[("address", &listening.base())],
    );

    let scheduler = schedule::start(&store, &app, &names, &settings, log);
    let mut watch = watch::Watch::new(args, settings, &rules);
    let mut troubles = trouble::Troubles::default();
    let mut act = |action: watch::Action<'_>| match action {
        watch::Action::Apply(change) => {
            listening.readers().change(change.settings());
            outputs::change(&outputs, &names, change.settings());
            if let Some(scheduler) = &scheduler {
                scheduler.change(schedule::jobs(change.settings(), &app, log));
            }
            change.apply(&mut rules, &app, &keys, log)
        }
        watch::Action::Retain(settings) => {
            retain(&store, &app, settings, log);
            rules.paths()
        }
        watch::Action::Look => {
            troubles.look(&app, log);
            rules.paths()
        }
    };
    let outcome = runtime.block_on(watch.until_end(&manager, log, *terminal, &mut act));
    log.info("the service ends", &[("reason", &outcome)]);
    manager.stopping();
    if let Some(scheduler) = &scheduler {
        scheduler.stop(LAST_JOB);
    }
    // First nothing new comes in, then what came is evaluated and written down.
    app.close();
    // Whoever reads it finds no service; that it stays where it cannot be removed hurts nobody.
    let _ = std::fs::remove_file(&address_file);
    listening.stop(&runtime, LAST);
    runtime.shutdown_timeout(LAST);
    stop(&app, &log);
    // What the pipeline told last waits for the next start.
    outputs.stop();
    Ok(Exit::Nothing)
}

/// Ends the pipeline: what it remembers is written down.
fn stop(app: &App, log: &Log) {
    match app.take_service().map(|service| service.end()) {
        Some(Err(error)) => log.error("the pipeline ended badly", &[("error", &error)]),
        Some(Ok(())) | None => log.info("the service has ended", &[]),
    }
}

/// Removes what is past its time, and tells what happened meanwhile.
fn retain(store: &Store, app: &App, settings: &Config, log: Log) {
    for notice in app
        .service()
        .map(|service| service.take_notices())
        .unwrap_or_default()
    {
        log.warn("the service noticed something", &[("notice", &notice)]);
    }
    let now = neph_api::now();
    let before =
        |time: Duration| now.saturating_sub_nanos(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX));
    // What the pipeline reads again after a crash is kept.
    let needed = app.service().map_or(0, |service| {
        let status = service.status();
        status.snapshot_offset.unwrap_or(0).min(status.processed)
    });
    match store.retain(needed, now) {
        Ok(removed) if removed.segments > 0 => log.info(
            "old events are removed",
            &[("segments", &removed.segments), ("bytes", &removed.bytes)],
        ),
        Ok(_) => {}
        Err(error) => log.error("old events cannot be removed", &[("error", &error)]),
    }
    if let Err(error) = store.db.prune_audit(before(settings.retention.audit)) {
        log.error(
            "old entries of the audit log cannot be removed",
            &[("error", &error)],
        );
    }
    if let Err(error) = store
        .db
        .prune_ledger(before(settings.retention.ledger), store.log.begin())
    {
        log.error("old rows of the ledger cannot be removed", &[("error", &error)]);
    }
    match store.db.prune_alerts(before(settings.retention.alerts)) {
        Ok(0) => {}
        Ok(count) => log.info("old alerts are removed", &[("alerts", &count)]),
        Err(error) => log.error("old alerts cannot be removed", &[("error", &error)]),
    }
}

fn baselines(settings: &Config, data: &Path) -> BaselineFiles {
    let named = &settings.baselines;
    let folder = named.folder.clone().unwrap_or_else(|| data.join("baselines"));
    BaselineFiles {
        collected: named.collected.clone(),
        approvals: named
            .approvals
            .clone()
            .unwrap_or_else(|| folder.join("approvals.toml")),
        folder,
    }
}

fn posture(settings: &Config, data: &Path) -> PostureFiles {
    let named = &settings.posture;
    let folder = data.join("posture");
    PostureFiles {
        collected: named.collected.clone(),
        mutes: named.mutes.clone().unwrap_or_else(|| folder.join("mutes.toml")),
        history: named.history.clone().unwrap_or_else(|| folder.join("runs")),
    }
}

fn service_options(settings: &Config, log: &Log) -> ServiceOptions {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let threads = match settings.limits.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let enrichment = match settings.enrich.is_empty() {
        true => None,
        false => {
            let (enrichment, problems) = Enrichment::load(&settings.enrich);
            for problem in &problems {
                log.warn("a file of enrichment cannot be used", &[("problem", problem)]);
            }
            Some(Arc::new(enrichment))
        }
    };
    ServiceOptions {
        run: RunOptions {
            threads,
            enrichment,
            ..RunOptions::default()
        },
        memory: Memory {
            rule_bytes: size(settings.limits.rule_memory),
            total_bytes: size(settings.limits.memory),
        },
        snapshot_every: settings.stream.snapshot,
        idle: settings.stream.idle,
        max_lag: settings.stream.max_lag,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ServiceOptions::default()
    }
}

fn store_options(settings: &Config) -> StoreOptions {
    let mut options = StoreOptions::default();
    options.limits.max_age = settings.retention.events;
    options.limits.max_bytes = settings.retention.events_size;
    options.limits.min_free_bytes = settings.retention.keep_free;
    options
}

fn limits(settings: &Config) -> AppLimits {
    AppLimits {
        body: settings.api.body,
        query_time: settings.api.query_time,
        searches: settings.api.queries,
        requests: settings.api.requests,
        streams: settings.api.streams,
    }
}

/// The tokens of the configuration.
fn fixed_tokens(settings: &Config) -> Result<Vec<FixedToken>, Failure> {
    /// A secret that is shorter can be guessed.
    const SHORTEST: usize = 16;
    let token = |token: &neph_config::Token| {
        let secret = token.secret.read().map_err(|error| failed(&error))?;
        if secret.len() < SHORTEST {
            return Err(Failure::Message(format!(
                "the token `{}` of the configuration is shorter than {SHORTEST} characters",
                token.name
            )));
        }
        let role = neph_api::role(&token.role)
            .ok_or_else(|| Failure::Message(format!("`{}` is no role", token.role)))?;
        Ok(FixedToken::new(&token.name, role, &secret))
    };
    settings.tokens.iter().map(token).collect()
}

/// Says in the data folder where the service is reached, for the commands of this machine. Whoever finds the file finds all of it.
fn write_address(path: &Path, listening: &Listening) -> Result<(), Failure> {
    let unfinished = path.with_extension("new");
    let written = std::fs::write(&unfinished, format!("{}\n", listening.base()));
    written
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|source| Failure::Write {
            path: path.display().to_string(),
            source,
        })
}
