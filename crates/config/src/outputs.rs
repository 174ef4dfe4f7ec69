//! Where alerts go: the tables `[[outputs]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use neph_diag::Span;

use crate::check::Values;
use crate::secret::Secret;
use crate::shape::{Key, Kind, Shape, Variants};

use Kind::{Choice, Duration as Time, Integer, List, Path, Text, Texts};

/// An output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it stands in the file.
    pub places: Places,
    /// Its name, for the ledger and the dead letters.
    pub name: String,
    /// Alerts at least as severe go to it.
    pub severity: String,
    /// Alerts of these rules only, by id; of all where it is empty.
    pub rules: Vec<String>,
    /// A query in KQL that an alert must meet.
    pub filter: Option<String>,
    /// `ecs` or `ocsf`.
    pub form: String,
    /// Messages in a minute at most; what is beyond is told together. Without it there is no bound.
    pub rate: Option<u64>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long delivery is tried again before an alert becomes a dead letter.
    pub retry: Duration,
    /// Where to.
    pub kind: OutputKind,
}

/// Where parts of an output stand in the file, for what only shows when they are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The filter.
    pub filter: Span,
    /// The name of the template's file.
    pub template: Span,
    /// The URL.
    pub url: Span,
    /// The address or server.
    pub address: Span,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Standard output, one alert a line.
    Stdout,
    /// A file, one alert a line.
    File {
        /// The file.
        path: PathBuf,
    },
    /// An HTTP request for each alert.
    Webhook {
        /// Where to; empty where it is secret.
        url: String,
        /// Where that stands, if it is secret.
        secret_url: Option<Secret>,
        /// `json`, `slack`, `teams` or `telegram`.
        shape: String,
        /// A file with the template of the body.
        template: Option<PathBuf>,
        /// Headers.
        headers: BTreeMap<String, String>,
        /// The value of the header `Authorization`.
        authorization: Option<Secret>,
        /// The chat, for Telegram.
        chat: Option<String>,
        /// A file with the authorities to trust instead of the system's.
        ca: Option<PathBuf>,
    },
    /// Syslog messages.
    Syslog {
        /// `host:port`.
        address: String,
        /// `udp`, `tcp` or `tls`.
        transport: String,
        /// A file with the authorities to trust instead of the system's.
        ca: Option<PathBuf>,
    },
    /// Mail.
    Mail {
        /// `host:port`.
        server: String,
        /// `none`, `starttls` or `tls`.
        tls: String,
        /// The sender.
        from: String,
        /// The receivers.
        to: Vec<String>,
        /// The name to log in with.
        user: Option<String>,
        /// Its password.
        password: Option<Secret>,
        /// A file with the template of the text.
        template: Option<PathBuf>,
        /// A file with the authorities to trust instead of the system's.
        ca: Option<PathBuf>,
    },
    /// An index of Elasticsearch or OpenSearch.
    Elasticsearch {
        /// The cluster.
        url: String,
        /// The index or data stream.
        index: String,
        /// The value of the header `Authorization`.
        authorization: Option<Secret>,
        /// A file with the authorities to trust instead of the system's.
        ca: Option<PathBuf>,
    },
}

pub(crate) static OUTPUT: Shape = Shape {
    about: "Where alerts go beside the alert store. Each is tried again until it is delivered, or else kept as a dead letter.",
    keys: &[
        Key::new("name", Text, "The output's name.")
            .required()
            .such_as("\"soc-chat\""),
        Key::new(
            "type",
            Choice(&["stdout", "file", "webhook", "syslog", "mail", "elasticsearch"]),
            "What kind of output it is.",
        )
        .required()
        .such_as("\"webhook\""),
        Key::new(
            "severity",
            Choice(&["low", "medium", "high", "critical"]),
            "Alerts at least as severe go to it.",
        )
        .or("\"low\""),
        Key::new(
            "rules",
            List(&Text),
            "Ids of the rules whose alerts go to it; of all where there are none.",
        )
        .or("[]"),
        Key::new("filter", Text, "A query in KQL that alerts must meet.").such_as("\"host.name : prod-*\""),
        Key::new(
            "form",
            Choice(&["ecs", "ocsf"]),
            "How alerts are written: ECS, or OCSF Detection Finding.",
        )
        .or("\"ecs\""),
        Key::new(
            "rate",
            Integer(1, 1_000_000),
            "Messages in a minute at most; alerts beyond are told together in one. Without it 60 for webhooks and mail, and no bound for others.",
        )
        .such_as("60"),
        Key::new("timeout", Time, "How long one attempt may take.").or("\"10s\""),
        Key::new("retry", Time, "How long delivery is tried again.").or("\"24h\""),
    ],
    variants: Some(Variants {
        key: "type",
        of: &[
            ("stdout", &STDOUT),
            ("file", &FILE),
            ("webhook", &WEBHOOK),
            ("syslog", &SYSLOG),
            ("mail", &MAIL),
            ("elasticsearch", &ELASTICSEARCH),
        ],
    }),
};

const fn shape(about: &'static str, keys: &'static [Key]) -> Shape {
    Shape {
        about,
        keys,
        variants: None,
    }
}

const AUTHORITIES: Key = Key::new(
    "ca",
    Path,
    "A file with the certificates of the authorities that are trusted instead of the system's.",
);

static STDOUT: Shape = shape("Standard output, one alert a line.", &[]);

static FILE: Shape = shape(
    "A file, one alert a line.",
    &[Key::new("path", Path, "The file; lines are added to it.")
        .required()
        .such_as("\"/var/log/neph/alerts.ndjson\"")],
);

static WEBHOOK: Shape = shape(
    "An HTTP request for each alert.",
    &[
        Key::new("url", Text, "Where to.").such_as("\"https://hooks.example.com/neph\""),
        Key::new(
            "secret_url",
            Kind::Secret,
            "Where the URL stands, instead of `url`: those of chats let everyone write who knows them.",
        ),
        Key::new(
            "shape",
            Choice(&["json", "slack", "teams", "telegram"]),
            "What the body looks like.",
        )
        .or("\"json\""),
        Key::new(
            "template",
            Path,
            "A file with a template of the body, instead of a shape.",
        ),
        Key::new("headers", Texts, "Further headers."),
        Key::new(
            "authorization",
            Kind::Secret,
            "Where the value of the header `Authorization` stands, whole.",
        ),
        Key::new("chat", Text, "The chat, with `shape = \"telegram\"`."),
        AUTHORITIES,
    ],
);

static SYSLOG: Shape = shape(
    "Syslog messages (RFC 5424).",
    &[
        Key::new("address", Text, "`HOST:PORT`.")
            .required()
            .such_as("\"siem.example.com:6514\""),
        Key::new("transport", Choice(&["udp", "tcp", "tls"]), "How messages go.").or("\"tcp\""),
        AUTHORITIES,
    ],
);

static MAIL: Shape = shape(
    "Mail.",
    &[
        Key::new("server", Text, "`HOST:PORT`.")
            .required()
            .such_as("\"mail.example.com:587\""),
        Key::new(
            "tls",
            Choice(&["none", "starttls", "tls"]),
            "How the connection is protected.",
        )
        .or("\"starttls\""),
        Key::new("from", Text, "The sender.")
            .required()
            .such_as("\"neph@example.com\""),
        Key::new("to", List(&Text), "The receivers.")
            .required()
            .such_as("[\"soc@example.com\"]"),
        Key::new("user", Text, "The name to log in with."),
        Key::new("password", Kind::Secret, "Where its password stands."),
        Key::new(
            "template",
            Path,
            "A file with a template of the text, instead of the usual text and page.",
        ),
        AUTHORITIES,
    ],
);

static ELASTICSEARCH: Shape = shape(
    "An index of Elasticsearch or OpenSearch.",
    &[
        Key::new("url", Text, "The cluster.")
            .required()
            .such_as("\"https://search.example.com:9200\""),
        Key::new("index", Text, "The index or data stream.").or("\"neph-alerts\""),
        Key::new(
            "authorization",
            Kind::Secret,
            "Where the value of the header `Authorization` stands, whole.",
        ),
        AUTHORITIES,
    ],
);

impl OutputKind {
    /// The word of the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File { .. } => "file",
            Self::Webhook { .. } => "webhook",
            Self::Syslog { .. } => "syslog",
            Self::Mail { .. } => "mail",
            Self::Elasticsearch { .. } => "elasticsearch",
        }
    }
}

impl Output {
    pub(crate) fn new(values: &Values) -> Option<Self> {
        let kind: String = values.find("type")?;
        let kind = match kind.as_str() {
            "stdout" => OutputKind::Stdout,
            "file" => OutputKind::File {
                path: values.get("path"),
            },
            "webhook" => OutputKind::Webhook {
                url: values.get("url"),
                secret_url: values.find("secret_url"),
                shape: values.get("shape"),
                template: values.find("template"),
                headers: values.get("headers"),
                authorization: values.find("authorization"),
                chat: values.find("chat"),
                ca: values.find("ca"),
            },
            "syslog" => OutputKind::Syslog {
                address: values.get("address"),
                transport: values.get("transport"),
                ca: values.find("ca"),
            },
            "mail" => OutputKind::Mail {
                server: values.get("server"),
                tls: values.get("tls"),
                from: values.get("from"),
                to: values.get("to"),
                user: values.find("user"),
                password: values.find("password"),
                template: values.find("template"),
                ca: values.find("ca"),
            },
            _ => OutputKind::Elasticsearch {
                url: values.get("url"),
                index: values.get("index"),
                authorization: values.find("authorization"),
                ca: values.find("ca"),
            },
        };
        // People read these, and programs the others.
        let for_people = matches!(kind, OutputKind::Webhook { .. } | OutputKind::Mail { .. });
        Some(Self {
            places: Places {
                filter: values.span("filter"),
                template: values.span("template"),
                url: values.span("url"),
                address: match kind {
                    OutputKind::Mail { .. } => values.span("server"),
                    _ => values.span("address"),
                },
            },
            name: values.get("name"),
            severity: values.get("severity"),
            rules: values.get("rules"),
            filter: values.find("filter"),
            form: values.get("form"),
            rate: values
                .find::<i64>("rate")
                .and_then(|rate| u64::try_from(rate).ok())
                .or(for_people.then_some(60)),
            timeout: values.get("timeout"),
            retry: values.get("retry"),
            kind,
        })
    }
}
