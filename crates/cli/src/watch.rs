//! `neph watch`: rules over what happens on this host, as it happens.

mod check;
mod counts;
mod outlook;
mod show;
mod sight;
mod taps;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neph_config::{parse_duration, parse_size};
use neph_rules::Rule;
use neph_runtime::RunOptions;
use neph_runtime::input::Reader;
use neph_sensor::{Files, Mode, Options, Part};

use crate::detect::{Format, Loaded, Printer, RuleArgs, Tell, Way};
use crate::exit::{Exit, Failure};
use crate::input::Bar;
use crate::terminal::Terminal;
use counts::{Shared, report};
pub(crate) use outlook::add_files;
use outlook::{Asked, Outlook, file_lines};
use show::Live;
use sight::{Sight, Stop};
use taps::Taps;
pub(crate) use taps::host;

/// Watch this Linux host and its containers: run rules over what programs start, connect to and open, as it happens
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo neph watch                                  # the built-in rules; alerts as they come\n  sudo neph watch --rules own/ --format ndjson\n  sudo neph watch --record events.ndjson           # and again later: neph detect events.ndjson\n  sudo neph watch --events --for 10s               # what is seen, without rules\n  sudo neph watch --check                          # what would be seen on this host\n  sudo neph watch --watch-file '/srv/shop/*.pem'    # of these files, too, whatever rules name\n  sudo neph watch --ship https://neph.example.com:9470 --token-file /etc/neph/ship.token\n\nNothing on the host is stopped, changed or slowed down by more than the looking itself."
)]
pub(crate) struct Args {
    #[command(flatten)]
    rules: RuleArgs,
    /// Form of the alerts.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    #[command(flatten)]
    sensor: SensorArgs,
    /// Print the events, one ECS document a line, instead of running rules over them.
    #[arg(long, conflicts_with = "check")]
    events: bool,
    /// Write the events to this file too, one ECS document a line; `neph detect FILE` finds the same alerts in them.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    record: Option<PathBuf>,
    /// End after this time, such as `30s` or `10m`. Without it, Ctrl-C or SIGTERM ends.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "check")]
    time: Option<Duration>,
    /// Say what would be seen on this host in each mode, and what keeps it from more; then end.
    #[arg(long, visible_alias = "dry-run")]
    check: bool,
    #[command(flatten)]
    ship: ShipArgs,
}

/// How to look.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sensor")]
struct SensorArgs {
    /// How the kernel is asked. [default: the best of these, in this order, that works]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeWord>,
    /// Only what happens in this control group and below it, a folder such as `/sys/fs/cgroup/system.slice`.
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
    /// The socket of a container engine, instead of those at the usual places; may be given several times.
    #[arg(long, value_name = "PATH")]
    engine_socket: Vec<PathBuf>,
    /// Tell also of this file each time it is opened, or of all that are made in a folder: a path, where `*` stands for anything, such as
    /// `/srv/shop/*.pem` or `*/.pgpass`; may be given several times. The files that rules name are told of anyway.
    #[arg(long, value_name = "PATTERN", value_parser = watchable)]
    watch_file: Vec<String>,
    /// Tell of no file that fits this pattern; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    skip_file: Vec<String>,
    /// The name of this host in events. [default: its own]
    #[arg(long, value_name = "NAME")]
    host_name: Option<String>,
    /// Most memory of the sensor, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 80)]
    sensor_memory: u64,
    /// Most of one processor core that the sensor may use, in percent; above it, what matters least is given up and counted.
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
    sensor_cpu: u8,
}

/// To where events are brought.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Shipping")]
struct ShipArgs {
    /// Send the events to the service `neph serve` at this URL, whose rules judge them, instead of running rules here.
    #[arg(long, value_name = "URL", requires = "token_file", conflicts_with = "check")]
    ship: Option<String>,
    /// File with a token of the service, of the role `ingest`.
    #[arg(long, value_name = "FILE", requires = "ship")]
    token_file: Option<PathBuf>,
    /// PEM file of the authorities that sign the service's certificate, instead of those of the system.
    #[arg(long, value_name = "FILE", requires = "ship")]
    ca: Option<PathBuf>,
    /// Folder of the buffer, which holds what the service has not acknowledged.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/neph-watch")]
    buffer: PathBuf,
    /// Most room of the buffer on disk. When it fills, what matters least is given up first, and counted.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    buffer_size: u64,
}

/// Forms of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Some lines an alert, for people.
    Table,
    /// One alert, an ECS document, a line.
    Ndjson,
}

/// Ways to ask the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ModeWord {
    /// Programs in the kernel: everything is seen.
    Ebpf,
    /// The audit system, beside an auditd.
    Audit,
    /// The process connector: programs that run long enough to be looked at.
    Connector,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Ebpf => Self::Ebpf,
            ModeWord::Audit => Self::Audit,
            ModeWord::Connector => Self::Connector,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "a duration is a number and `s`, `m`, `h` or `d`, such as `30s`".to_owned())
}

fn watchable(text: &str) -> Result<String, String> {
    Files::looked(text)
        .map(|_| text.to_owned())
        .map_err(|why| why.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|size| *size >= 1 << 20)
        .ok_or_else(|| "a size is a number and `MiB` or `GiB`, at least `1MiB`".to_owned())
}

impl SensorArgs {
    /// With the files that rules ask for, and what they ask for.
    fn options_for(&self, rules: &[Arc<Rule>]) -> (Options, Vec<Asked>) {
        let mut options = self.options();
        let asked = add_files(rules.iter().map(AsRef::as_ref), &mut options.files);
        // What is not to be told is left out whoever asks for it.
        for pattern in &self.skip_file {
            options.files.leave_out(pattern);
        }
        (options, asked)
    }

    fn options(&self) -> Options {
        let mut options = Options {
            mode: self.mode.map(Into::into),
            cgroup: self.cgroup.clone(),
            ..Options::default()
        };
        options.host.name.clone_from(&self.host_name);
        if let (Some(containers), false) = (&mut options.containers, self.engine_socket.is_empty()) {
            containers.sockets = Some(self.engine_socket.clone());
        }
        for pattern in &self.watch_file {
            // That it can be looked for was seen when it was read; beyond the bound, those of rules come later.
            let _known = options.files.add(pattern);
        }
        options.limits.memory = self.sensor_memory << 20;
        options.limits.share = f64::from(self.sensor_cpu) / 100.0;
        options
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.check {
        let loaded = Loaded::new(&args.rules, false, &outlook::of_hosts(), terminal)?;
        return check::run(&args.sensor, loaded.rules());
    }
    let mut taps = Taps::open(args)?;
    if args.events || taps.ships() {
        let stop = Stop::after(args.time)?;
        let shared = Arc::new(Shared::default());
        let mut sight = Sight::start(
            args.sensor.options_for(&[]).0,
            stop,
            Arc::clone(&shared),
            *terminal,
        )?;
        let bar = Bar::telling(terminal, {
            let shared = Arc::clone(&shared);
            Box::new(move |_| shared.line())
        });
        let mut lines = Vec::new();
        while sight.read(&mut lines) {
            bar.suspend(|| taps.take(&lines, &mut sight))?;
            bar.show(neph_runtime::Progress::default());
            lines.clear();
        }
        bar.clear();
        let exit = taps.finish(terminal);
        report(&shared, terminal);
        return Ok(exit);
    }
    // Before anything is seen, so that nothing waits for it.
    let loaded = Loaded::new(&args.rules, true, &outlook::of_hosts(), terminal)?;
    let (options, asked) = args.sensor.options_for(loaded.rules());
    let files = options.files.clone();
    let stop = Stop::after(args.time)?;
    let shared = Arc::new(Shared::default());
    let mut sight = Sight::start(options, stop, Arc::clone(&shared), *terminal)?;
    // Alerts do not wait for what is said of the rules.
    let (rules, seen, told) = (loaded.rules().to_vec(), sight.abilities().clone(), *terminal);
    std::thread::spawn(move || {
        let mut about = Outlook::new(&rules, &seen).lines(false);
        if !seen.unseen.contains(&Part::Files) {
            about.extend(file_lines(&asked, &files, false));
        }
        about.push("`neph watch --check` lists them".to_owned());
        let about: Vec<String> = about.iter().map(|line| check::below(line)).collect();
        told.note_plain(&about.join("\n"));
    });
    let bar = Bar::telling(terminal, {
        let shared = Arc::clone(&shared);
        Box::new(move |progress| format!("{}, {} alerts", shared.line(), progress.matches))
    });
    let failed = Arc::new(std::sync::Mutex::new(None));
    let told = Arc::clone(&failed);
    let hand = move |lines: &mut Vec<u8>| {
        if !sight.read(lines) {
            return None;
        }
        if let Err(failure) = taps.take(lines, &mut sight) {
            // What was seen is still judged.
            *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(failure);
            sight.stop();
        }
        Some(neph_api::now())
    };
    let printer: Box<dyn Tell> = match args.format {
        Form::Table => Box::new(Live::new(*terminal)),
        Form::Ndjson => Box::new(Printer::new(Format::Ndjson, false, *terminal)),
    };
    let way = Way {
        reader: Reader::of_feed("sensor", Box::new(hand)),
        options: RunOptions::default(),
        printer,
        bar: &bar,
        saver: None,
    };
    let done = loaded.run(&args.rules, way, terminal)?;
    report(&shared, terminal);
    if let Some(failure) = failed
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take()
    {
        return Err(failure);
    }
    std::io::stdout().lock().flush()?;
    let Some(done) = done else {
        return Ok(Exit::Errors);
    };
    done.report(terminal);
    Ok(done.exit)
}
