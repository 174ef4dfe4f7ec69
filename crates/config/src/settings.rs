//! The configuration as the service uses it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use neph_diag::{Diagnostic, Span, has_errors};

use crate::check::{Checker, Values};
use crate::codes;
use crate::outputs::Output;
use crate::scheduled::{self, Baselines, Collect, Images, Posture};
use crate::secret::Secret;
use crate::shapes::FILE;

/// What a text says.
#[derive(Debug)]
pub struct Read {
    /// The configuration; none when an error was found.
    pub config: Option<Config>,
    /// Everything that is wrong or doubtful, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Where prefixes of object storage stand.
    objects: Vec<Span>,
}

impl Read {
    /// For a service that was built without object storage: its tables are mistakes.
    #[must_use]
    pub fn without_object_storage(mut self) -> Self {
        for span in std::mem::take(&mut self.objects) {
            self.config = None;
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::NOT_BUILT,
                    span,
                    "this `neph` is built without object storage",
                )
                .with_help(
                    "use a `neph` that is built with `--features object-store`, or take the table away",
                ),
            );
        }
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self
    }
}

/// A configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder, where one is named.
    pub data: Option<PathBuf>,
    /// What the service says of itself.
    pub log: Log,
    /// The API.
    pub api: Api,
    /// Tokens beside those of the store.
    pub tokens: Vec<Token>,
    /// The rules.
    pub rules: Rules,
    /// Files that add to events.
    pub enrich: Vec<PathBuf>,
    /// How long things are kept.
    pub retention: Retention,
    /// How much of the machine may be taken.
    pub limits: Limits,
    /// How time goes on.
    pub stream: Stream,
    /// Listeners for syslog.
    pub syslog: Vec<Syslog>,
    /// Files to follow.
    pub files: Vec<Files>,
    /// Object storage to read.
    pub objects: Vec<Objects>,
    /// The sensor of this host, if it is to look.
    pub sensor: Option<Sensor>,
    /// Snapshots and images that are held against a baseline.
    pub baselines: Baselines,
    /// Settings that are checked against mitigations.
    pub posture: Posture,
    /// Container images that are looked at.
    pub images: Vec<Images>,
    /// What is collected again and again.
    pub collect: Vec<Collect>,
    /// When sources count as silent.
    pub silences: Vec<Silence>,
    /// Where alerts go.
    pub outputs: Vec<Output>,
}

/// What the service says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important that is said.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something is lost or does not work.
    Error,
    /// Something is doubtful.
    Warn,
    /// What the service does.
    Info,
    /// Details.
    Debug,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The API.
#[derive(Clone, Debug)]
pub struct Api {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The certificate.
    pub tls: Option<Tls>,
    /// Names by which clients ask.
    pub hosts: Vec<String>,
    /// The largest body, in bytes.
    pub body: u64,
    /// The longest search.
    pub query_time: Duration,
    /// Where people see an alert: its id goes behind it.
    pub alerts_url: Option<String>,
    /// Searches at once.
    pub queries: usize,
    /// Requests at once.
    pub requests: usize,
    /// Live streams at once.
    pub streams: usize,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs clients' certificates, if clients must have one.
    pub client_ca: Option<PathBuf>,
}

/// A token of the file.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// `ingest`, `viewer`, `analyst`, `engineer` or `admin`.
    pub role: String,
    /// Where it stands.
    pub secret: Secret,
}

/// The rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Files and folders, and `builtin`.
    pub paths: Vec<PathBuf>,
    /// What tunes them.
    pub overlays: Vec<PathBuf>,
    /// Typed lists.
    pub lists: Vec<PathBuf>,
    /// Mappings of Sigma's fields.
    pub mappings: Vec<PathBuf>,
    /// Indicators.
    pub indicators: Vec<PathBuf>,
    /// `en`, `ru` or `zh`.
    pub lang: String,
    /// Whether the files are watched.
    pub watch: bool,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events.
    pub events: Duration,
    /// Bytes of events at most.
    pub events_size: u64,
    /// Bytes of the disk that events leave free.
    pub keep_free: u64,
    /// Alerts.
    pub alerts: Duration,
    /// The ledger.
    pub ledger: Duration,
    /// The audit log.
    pub audit: Duration,
}

/// How much of the machine may be taken; sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that match; 0 for as many as there are processors.
    pub threads: usize,
    /// What all rules may remember.
    pub memory: u64,
    /// What one may.
    pub rule_memory: u64,
    /// The largest body, decompressed.
    pub body: u64,
    /// The largest record.
    pub record: u64,
    /// Bodies under way together.
    pub pending: u64,
    /// Records that are received and not yet evaluated.
    pub lag: u64,
    /// Connections at once.
    pub connections: usize,
}

/// How time goes on.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// When a silent source does not hold time any more.
    pub idle: Duration,
    /// How far behind one may be that does.
    pub max_lag: Duration,
    /// How often state is written down.
    pub snapshot: Duration,
}

/// How syslog comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram a message.
    Udp,
    /// A stream of messages.
    Tcp,
    /// The same with TLS.
    Tls,
}

/// A listener for syslog.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// The address.
    pub listen: SocketAddr,
    /// How messages come.
    pub transport: Transport,
    /// Networks that may send; everyone where there is none.
    pub allow: Vec<IpNet>,
    /// The certificate, with TLS.
    pub tls: Option<Tls>,
}

/// Files to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Files, folders and patterns.
    pub paths: Vec<PathBuf>,
    /// Whether what files hold at the first start is left out.
    pub from_end: bool,
    /// The source that all of them are of, if it is forced.
    pub source: Option<String>,
}

/// Object storage to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// The prefix.
    pub url: String,
    /// How often it is looked at.
    pub every: Duration,
    /// The source that all of them are of, if it is forced.
    pub source: Option<String>,
}

/// The sensor of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// `ebpf`, `audit` or `connector`; none for the best that works.
    pub mode: Option<String>,
    /// The host's name in events, if it is not its own.
    pub host: Option<String>,
    /// The control group that it looks at, if it is not the whole host.
    pub cgroup: Option<PathBuf>,
    /// Bytes that it may take.
    pub memory: u64,
    /// Percent of a processor core that it may use.
    pub cpu: u8,
}

/// When a source counts as silent.
#[derive(Clone, Debug)]
pub struct Silence {
    /// The beginning of its name.
    pub stream: String,
    /// After how long.
    pub after: Duration,
}

impl Default for Config {
    /// What counts without a file.
    fn default() -> Self {
        let mut checker = Checker::new(Path::new(""));
        let values = checker.table(&neph_document::Table::default(), Span::default(), &FILE);
        Self::new(&values)
    }
}

/// Reads a configuration; `folder` is where relative paths count from.
pub fn read(text: &str, folder: &Path) -> Read {
    let (table, syntax) = neph_document::toml::parse(text, &codes::SYNTAX);
    let mut checker = Checker::new(folder);
    checker.diagnostics = syntax;
    let values = checker.table(&table, Span::new(0, 0), &FILE);
    let mut diagnostics = checker.diagnostics;
    together(&values, &mut diagnostics);
    paths_there(&values, &mut diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    let config = (!has_errors(&diagnostics)).then(|| {
        let mut config = Config::new(&values);
        config.images.iter_mut().for_each(|images| images.locate(folder));
        config
    });
    Read {
        config,
        diagnostics,
        objects: values
            .tables("objects")
            .iter()
            .map(|table| table.span("url"))
            .collect(),
    }
}

impl Config {
    fn new(values: &Values) -> Self {
        let log: Values = values.get("log");
        let api: Values = values.get("api");
        let retention: Values = values.get("retention");
        let limits: Values = values.get("limits");
        let stream: Values = values.get("stream");
        Self {
            data: values.find("data"),
            log: Log {
                level: match log.get::<String>("level").as_str() {
                    "error" => LogLevel::Error,
                    "warn" => LogLevel::Warn,
                    "debug" => LogLevel::Debug,
                    _ => LogLevel::Info,
                },
                format: match log.get::<String>("format").as_str() {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                },
            },
            api: Api {
                listen: api.get("listen"),
                tls: api.find("tls").map(tls),
                hosts: api.get("hosts"),
                body: api.get("body"),
                query_time: api.get("query_time"),
                alerts_url: api.find("alerts_url"),
                queries: number(&api, "queries"),
                requests: number(&api, "requests"),
                streams: number(&api, "streams"),
            },
            tokens: values.tables("tokens").iter().filter_map(token).collect(),
            rules: rules(&values.get("rules")),
            enrich: values.get::<Values>("enrich").get("paths"),
            retention: Retention {
                events: retention.get("events"),
                events_size: retention.get("events_size"),
                keep_free: retention.get("keep_free"),
                alerts: retention.get("alerts"),
                ledger: retention.get("ledger"),
                audit: retention.get("audit"),
            },
            limits: Limits {
                threads: number(&limits, "threads"),
                memory: limits.get("memory"),
                rule_memory: limits.get("rule_memory"),
                body: limits.get("body"),
                record: limits.get("record"),
                pending: limits.get("pending"),
                lag: limits.get("lag"),
                connections: number(&limits, "connections"),
            },
            stream: Stream {
                idle: stream.get("idle"),
                max_lag: stream.get("max_lag"),
                snapshot: stream.get("snapshot"),
            },
            syslog: values.tables("syslog").iter().filter_map(syslog).collect(),
            files: values.tables("files").iter().map(files).collect(),
            objects: values.tables("objects").iter().map(objects).collect(),
            sensor: sensor(&values.get("sensor")),
            baselines: scheduled::baselines(&values.get("baselines")),
            posture: scheduled::posture(&values.get("posture")),
            images: values.tables("images").iter().map(scheduled::images).collect(),
            collect: values.tables("collect").iter().map(scheduled::collect).collect(),
            silences: values.tables("silences").iter().map(silence).collect(),
            outputs: values.tables("outputs").iter().filter_map(Output::new).collect(),
        }
    }
}

fn number(values: &Values, key: &str) -> usize {
    usize::try_from(values.get::<i64>(key)).unwrap_or_default()
}

fn tls(values: Values) -> Tls {
    Tls {
        certificate: values.get("certificate"),
        key: values.get("key"),
        client_ca: values.find("client_ca"),
    }
}

fn token(values: &Values) -> Option<Token> {
    Some(Token {
        name: values.get("name"),
        role: values.get("role"),
        secret: values.find("secret")?,
    })
}

fn rules(values: &Values) -> Rules {
    Rules {
        paths: values.get("paths"),
        overlays: values.get("overlays"),
        lists: values.get("lists"),
        mappings: values.get("mappings"),
        indicators: values.get("indicators"),
        lang: values.get("lang"),
        watch: values.get("watch"),
    }
}

fn syslog(values: &Values) -> Option<Syslog> {
    Some(Syslog {
        listen: values.find("listen")?,
        transport: match values.get::<String>("transport").as_str() {
            "udp" => Transport::Udp,
            "tls" => Transport::Tls,
            _ => Transport::Tcp,
        },
        allow: values.get("allow"),
        tls: values.find("tls").map(tls),
    })
}

fn files(values: &Values) -> Files {
    Files {
        paths: values.get("paths"),
        from_end: values.get::<String>("start") == "end",
        source: values.find("source"),
    }
}

fn objects(values: &Values) -> Objects {
    Objects {
        url: values.get("url"),
        every: values.get("every"),
        source: values.find("source"),
    }
}

fn sensor(values: &Values) -> Option<Sensor> {
    values.get::<bool>("enabled").then(|| Sensor {
        mode: Some(values.get("mode")).filter(|mode| mode != "best"),
        host: values.find("host"),
        cgroup: values.find("cgroup"),
        memory: values.get("memory"),
        cpu: u8::try_from(number(values, "cpu")).unwrap_or(u8::MAX),
    })
}

fn silence(values: &Values) -> Silence {
    Silence {
        stream: values.get("stream"),
        after: values.get("after"),
    }
}

/// A webhook has one URL.
fn webhooks(values: &Values, diagnostics: &mut Vec<Diagnostic>) {
    for table in values.tables("outputs") {
        if table.find::<String>("type").as_deref() != Some("webhook") {
            continue;
        }
        let (plain, secret) = (table.find::<String>("url"), table.find::<Secret>("secret_url"));
        let (code, span, message) = match (plain, secret) {
            // Where one is there and wrong, that is told already.
            (None, None) if !has_errors(diagnostics) => {
                (&codes::KEY_MISSING, table.span, "the key `url` is missing")
            }
            (Some(_), Some(_)) => (
                &codes::CONFLICT,
                table.span("secret_url"),
                "a webhook has one URL",
            ),
            _ => continue,
        };
        diagnostics.push(Diagnostic::new(code, span, message).with_help(
            "write `url = \"https://…\"`, or `secret_url = { file = \"…\" }` if who knows it may write",
        ));
    }
}

/// What only shows when parts are seen together.
fn together(values: &Values, diagnostics: &mut Vec<Diagnostic>) {
    webhooks(values, diagnostics);
    scheduled::together(values, diagnostics);
    let api: Values = values.get("api");
    let listen: Vec<SocketAddr> = api.get("listen");
    let encrypted = api.find::<Values>("tls").is_some();
    if listen.is_empty() && !has_errors(diagnostics) {
        diagnostics.push(
            Diagnostic::new(
                &codes::VALUE,
                api.span("listen"),
                "the API has no address to listen on",
            )
            .with_help("name at least one, for example `listen = [\"127.0.0.1:9470\"]`"),
        );
    }
    for address in listen
        .iter()
        .filter(|address| !address.ip().is_loopback() && !encrypted)
    {
        diagnostics.push(
            Diagnostic::new(
                &codes::RISK,
                api.span("listen"),
                format!("`{address}` is reached from other machines, without TLS"),
            )
            .with_help("give a certificate in `[api.tls]`, or listen on a loopback address behind a proxy that has one"),
        );
    }
    let mut taken: BTreeMap<(bool, SocketAddr), Span> = BTreeMap::new();
    for address in &listen {
        if address.port() != 0 && taken.insert((false, *address), api.span("listen")).is_some() {
            diagnostics.push(Diagnostic::new(
                &codes::CONFLICT,
                api.span("listen"),
                format!("`{address}` stands twice in `listen`"),
            ));
        }
    }
    for table in values.tables("syslog") {
        let Some(listener) = syslog(table) else { continue };
        let datagrams = listener.transport == Transport::Udp;
        if listener.listen.port() != 0
            && let Some(first) = taken.insert((datagrams, listener.listen), table.span("listen"))
        {
            let message = format!("`{}` belongs to another listener already", listener.listen);
            diagnostics.push(
                Diagnostic::new(&codes::CONFLICT, table.span("listen"), message)
                    .with_secondary(first, "here"),
            );
        }
        match (listener.transport, &listener.tls) {
            (Transport::Tls, None) => diagnostics.push(
                Diagnostic::new(
                    &codes::CONFLICT,
                    table.span("transport"),
                    "a TLS listener needs a certificate",
                )
                .with_help("add `tls = { certificate = \"…\", key = \"…\" }`"),
            ),
            (Transport::Udp | Transport::Tcp, Some(_)) => diagnostics.push(
                Diagnostic::new(
                    &codes::CONFLICT,
                    table.span("tls"),
                    "the certificate is not used by this transport",
                )
                .with_help("write `transport = \"tls\"`, or take the certificate away"),
            ),
            _ => {}
        }
    }
    let mut prefixes: BTreeMap<String, Span> = BTreeMap::new();
    for table in values.tables("objects") {
        let (objects, span) = (objects(table), table.span("url"));
        let known = ["s3://", "gs://", "az://"];
        if table.find::<String>("url").is_some()
            && !known.iter().any(|scheme| objects.url.starts_with(scheme))
        {
            let message = format!("`{}` is no prefix of an object store", objects.url);
            diagnostics.push(
                Diagnostic::new(&codes::VALUE, span, message).with_help(
                    "write `s3://BUCKET/PREFIX/`, `gs://BUCKET/PREFIX/` or `az://CONTAINER/PREFIX/`",
                ),
            );
        } else if let Some(first) = prefixes.insert(objects.url.clone(), span) {
            let message = format!("`{}` is read already", objects.url);
            diagnostics.push(Diagnostic::new(&codes::CONFLICT, span, message).with_secondary(first, "here"));
        }
    }
    for (key, what) in [("tokens", "token"), ("outputs", "output")] {
        let mut names: BTreeMap<String, Span> = BTreeMap::new();
        for table in values.tables(key) {
            let Some(name) = table.find::<String>("name") else {
                continue;
            };
            if let Some(first) = names.insert(name.clone(), table.span("name")) {
                let message = format!("another {what} is called `{name}` already");
                diagnostics.push(
                    Diagnostic::new(&codes::CONFLICT, table.span("name"), message)
                        .with_secondary(first, "here"),
                );
            }
        }
    }
}

/// Whether the files are there that the configuration cannot do without.
fn paths_there(values: &Values, diagnostics: &mut Vec<Diagnostic>) {
    let mut look = |table: &Values, key: &str, paths: Vec<PathBuf>| {
        for path in paths {
            let text = path.to_string_lossy();
            if text != "builtin" && !text.contains(['*', '?', '[']) && !path.exists() {
                let message = format!("`{text}` is not there");
                diagnostics.push(Diagnostic::new(&codes::PATH_MISSING, table.span(key), message));
            }
        }
    };
    let rules: Values = values.get("rules");
    for key in ["paths", "overlays", "lists", "mappings", "indicators"] {
        look(&rules, key, rules.get(key));
    }
    let enrich: Values = values.get("enrich");
    look(&enrich, "paths", enrich.get("paths"));
    let api: Values = values.get("api");
    let certificates = values.tables("syslog").iter().chain([&api]);
    for table in certificates.filter_map(|table| table.find::<Values>("tls")) {
        for key in ["certificate", "key", "client_ca"] {
            look(&table, key, table.find(key).into_iter().collect());
        }
    }
    for (tables, key) in [
        ("tokens", "secret"),
        ("outputs", "authorization"),
        ("outputs", "secret_url"),
        ("outputs", "password"),
        ("images", "password"),
    ] {
        for table in values.tables(tables) {
            if let Some(Secret::File(path)) = table.find(key) {
                look(table, key, vec![path]);
            }
        }
    }
    for (tables, keys) in [("outputs", ["template", "ca"]), ("images", ["keys", "ca"])] {
        for table in values.tables(tables) {
            for key in keys {
                look(table, key, table.find(key).into_iter().collect());
            }
        }
    }
}
