//! Every table and key of `neph.toml`.

use crate::outputs;
use crate::scheduled;
use crate::shape::{Key, Kind, Shape};

use Kind::{Address, Bool, Choice, Duration, Integer, List, Network, Path, Size, Table, Tables, Text};

const fn shape(about: &'static str, keys: &'static [Key]) -> Shape {
    Shape {
        about,
        keys,
        variants: None,
    }
}

/// The file.
pub(crate) static FILE: Shape = shape(
    "Configuration of `neph serve`. Every key may be left out; what counts then is the value that stands here. Relative paths count from the folder of this file.",
    &[
        Key::new("data", Path, "The folder of events, alerts, state and tokens. Without it: `/var/lib/neph` for root, else `neph` in the user's data folder.").such_as("\"/var/lib/neph\""),
        Key::new("log", Table(&LOG), "What the service says of itself."),
        Key::new("api", Table(&API), "The API, the console and what is received by HTTP."),
        Key::new("tokens", Tables(&TOKEN), "Tokens beside those of `neph token create`."),
        Key::new("rules", Table(&RULES), "The rules and what tunes them."),
        Key::new("enrich", Table(&ENRICH), "What files of yours add to events."),
        Key::new("retention", Table(&RETENTION), "How long things are kept."),
        Key::new("limits", Table(&LIMITS), "How much of the machine may be taken."),
        Key::new("stream", Table(&STREAM), "How time goes on in what is received."),
        Key::new("syslog", Tables(&SYSLOG), "Listeners for syslog (RFC 5424 and 3164)."),
        Key::new("files", Tables(&FILES), "Files that are followed as they grow and are rotated."),
        Key::new("objects", Tables(&OBJECTS), "Prefixes of object storage whose new objects are read."),
        Key::new("sensor", Table(&SENSOR), "What happens on this host, as `neph watch` sees it."),
        Key::new("baselines", Table(&scheduled::BASELINES), "Snapshots and images that are held against a baseline."),
        Key::new("posture", Table(&scheduled::POSTURE), "Settings that are checked against mitigations."),
        Key::new("images", Tables(&scheduled::IMAGES), "Container images that are held against golden ones, and whose signatures are verified."),
        Key::new("collect", Tables(&scheduled::COLLECT), "What is collected again and again."),
        Key::new("silences", Tables(&SILENCE), "From when on a source that sends nothing counts as silent."),
        Key::new("outputs", Tables(&outputs::OUTPUT), "Where alerts go beside the alert store."),
    ],
);

static LOG: Shape = shape(
    "What the service says of itself, on standard error.",
    &[
        Key::new(
            "level",
            Choice(&["error", "warn", "info", "debug"]),
            "The least important that is said.",
        )
        .or("\"info\""),
        Key::new(
            "format",
            Choice(&["text", "json"]),
            "A line of text, or a JSON object a line.",
        )
        .or("\"text\""),
    ],
);

static API: Shape = shape(
    "The API, the console, and everything that is received by HTTP: `_bulk`, NDJSON, OTLP, Splunk HEC, audit webhooks.",
    &[
        Key::new("listen", List(&Address), "Addresses to listen on.").or("[\"127.0.0.1:9470\"]"),
        Key::new(
            "tls",
            Table(&TLS),
            "The certificate; without it the listener speaks plain HTTP.",
        ),
        Key::new(
            "hosts",
            List(&Text),
            "Names by which clients ask, those of a proxy in front as well. Without any, a listener on loopback is asked by address and as `localhost`, others by any name.",
        )
        .or("[]"),
        Key::new("body", Size, "The largest body of a request to the API.").or("\"1MiB\""),
        Key::new(
            "alerts_url",
            Text,
            "Where people see an alert, for links in what outputs send: the alert's id goes behind it.",
        )
        .such_as("\"https://soc.example.com/alerts/\""),
        Key::new("query_time", Duration, "The longest that a search may take.").or("\"30s\""),
        Key::new(
            "queries",
            Integer(1, 64),
            "Searches over stored events that may run at once.",
        )
        .or("2"),
        Key::new(
            "requests",
            Integer(1, 65_536),
            "Requests to the API that may be under way at once.",
        )
        .or("256"),
        Key::new(
            "streams",
            Integer(1, 65_536),
            "Live streams that may be open at once.",
        )
        .or("64"),
    ],
);

static TLS: Shape = shape(
    "A certificate and, where clients must show one too, who signs theirs.",
    &[
        Key::new("certificate", Path, "The certificate with its chain, PEM.").required().such_as("\"/etc/neph/tls.crt\""),
        Key::new("key", Path, "Its private key, PEM.").required().such_as("\"/etc/neph/tls.key\""),
        Key::new("client_ca", Path, "Certificates of the authorities that sign clients' certificates, PEM. With it, every client must show one.").such_as("\"/etc/neph/clients.crt\""),
    ],
);

static TOKEN: Shape = shape(
    "A token whose secret you choose and keep.",
    &[
        Key::new("name", Text, "What the token is called in the audit log.")
            .required()
            .such_as("\"filebeat\""),
        Key::new(
            "role",
            Choice(&["ingest", "viewer", "analyst", "engineer", "admin"]),
            "What it may do: `ingest` sends records and nothing else; each of the others may do what those between `ingest` and it may; `admin` all of it.",
        )
        .required()
        .such_as("\"ingest\""),
        Key::new(
            "secret",
            Kind::Secret,
            "Where the token stands; it is at least 16 characters long.",
        )
        .required()
        .such_as("{ file = \"/etc/neph/filebeat.token\" }"),
    ],
);

static RULES: Shape = shape(
    "The rules and what tunes them. They are read again when their files change, and on SIGHUP.",
    &[
        Key::new(
            "paths",
            List(&Path),
            "Rule files and folders; `builtin` stands for the rules that the binary carries.",
        )
        .or("[\"builtin\"]"),
        Key::new(
            "overlays",
            List(&Path),
            "Overlays: files or folders that tune rules without touching theirs.",
        )
        .or("[]"),
        Key::new(
            "lists",
            List(&Path),
            "Typed lists that exceptions and Sigma's placeholders name.",
        )
        .or("[]"),
        Key::new(
            "mappings",
            List(&Path),
            "Mappings of Sigma's fields, beside those shipped.",
        )
        .or("[]"),
        Key::new(
            "indicators",
            List(&Path),
            "Indicators for rules of type `threat_match`.",
        )
        .or("[]"),
        Key::new(
            "lang",
            Choice(&["en", "ru", "zh"]),
            "The language of names and reasons.",
        )
        .or("\"en\""),
        Key::new("watch", Bool, "Whether files are watched for changes.").or("true"),
    ],
);

static ENRICH: Shape = shape(
    "Files that add to events: GeoIP and ASN databases, cloud ranges, assets, identities.",
    &[Key::new("paths", List(&Path), "Files and folders.").or("[]")],
);

static RETENTION: Shape = shape(
    "How long things are kept.",
    &[
        Key::new("events", Duration, "How long events can be searched.").or("\"7d\""),
        Key::new(
            "events_size",
            Size,
            "How much room they take at most; the oldest go first.",
        )
        .or("\"20GiB\""),
        Key::new(
            "keep_free",
            Size,
            "How much of the disk events leave free, for alerts and what rules remember; with less, no records are taken.",
        )
        .or("\"1GiB\""),
        Key::new("alerts", Duration, "How long alerts are kept.").or("\"365d\""),
        Key::new("ledger", Duration, "How long it is kept what was evaluated when.").or("\"90d\""),
        Key::new("audit", Duration, "How long the audit log of the API is kept.").or("\"365d\""),
    ],
);

static LIMITS: Shape = shape(
    "How much of the machine may be taken.",
    &[
        Key::new(
            "threads",
            Integer(0, 1024),
            "Threads that match records; 0: as many as the machine has processors.",
        )
        .or("0"),
        Key::new("memory", Size, "What all rules together may remember.").or("\"256MiB\""),
        Key::new("rule_memory", Size, "What one rule may remember.").or("\"64MiB\""),
        Key::new("body", Size, "The largest body of records, decompressed.").or("\"64MiB\""),
        Key::new("record", Size, "The largest record.").or("\"10MiB\""),
        Key::new(
            "pending",
            Size,
            "Bodies that may be under way together; above it clients are told to wait.",
        )
        .or("\"512MiB\""),
        Key::new(
            "lag",
            Size,
            "Records, uncompressed, that may be received and not yet evaluated; above it clients are told to wait.",
        )
        .or("\"16GiB\""),
        Key::new(
            "connections",
            Integer(1, 1_000_000),
            "Connections at once, each listener.",
        )
        .or("4096"),
    ],
);

static STREAM: Shape = shape(
    "How time goes on in what is received.",
    &[
        Key::new(
            "idle",
            Duration,
            "A source that has sent nothing for so long does not hold the others' time.",
        )
        .or("\"5m\""),
        Key::new(
            "max_lag",
            Duration,
            "Nor does one whose records are so much older than the others'.",
        )
        .or("\"24h\""),
        Key::new(
            "snapshot",
            Duration,
            "How often what rules remember is written down.",
        )
        .or("\"30s\""),
    ],
);

static SYSLOG: Shape = shape(
    "A listener for syslog.",
    &[
        Key::new("listen", Address, "The address.")
            .required()
            .such_as("\"127.0.0.1:5514\""),
        Key::new("transport", Choice(&["udp", "tcp", "tls"]), "How messages come.").or("\"tcp\""),
        Key::new(
            "allow",
            List(&Network),
            "Networks that may send; everyone where there is none.",
        )
        .or("[]")
        .such_as("[\"10.0.0.0/8\"]"),
        Key::new("tls", Table(&TLS), "The certificate, with `transport = \"tls\"`."),
    ],
);

static FILES: Shape = shape(
    "Files that are followed as they grow, are rotated, truncated and made anew.",
    &[
        Key::new("paths", List(&Path), "Files, folders and patterns.")
            .required()
            .such_as("[\"/var/log/audit/audit.log\"]"),
        Key::new(
            "start",
            Choice(&["begin", "end"]),
            "Where reading begins in files that are there at the first start.",
        )
        .or("\"begin\""),
        Key::new(
            "source",
            Text,
            "The source that all of them are of, as `neph sources` names it; recognised by their content without it.",
        )
        .such_as("\"auditd\""),
    ],
);

static OBJECTS: Shape = shape(
    "A prefix of object storage. Needs a build with the feature `object-store`.",
    &[
        Key::new("url", Text, "`s3://BUCKET/PREFIX/`, `gs://…`, `az://…`.")
            .required()
            .such_as("\"s3://trail/AWSLogs/\""),
        Key::new("every", Duration, "How often new objects are looked for.").or("\"1m\""),
        Key::new(
            "source",
            Text,
            "The source that all of them are of, as `neph sources` names it; recognised by their content without it.",
        )
        .such_as("\"cloudtrail\""),
    ],
);

static SENSOR: Shape = shape(
    "The sensor of this host: what programs start, connect to and open, on the host and in its containers. Needs Linux and the rights of `neph-watch.service`.",
    &[
        Key::new("enabled", Bool, "Whether the service looks.").or("false"),
        Key::new(
            "mode",
            Choice(&["best", "ebpf", "audit", "connector"]),
            "How the kernel is asked; `best` takes the first of the others, in this order, that works.",
        )
        .or("\"best\""),
        Key::new("host", Text, "The name of this host in events. Without it, its own.").such_as("\"web-1\""),
        Key::new(
            "cgroup",
            Path,
            "Only what happens in this control group and below it. Without it, the whole host.",
        )
        .such_as("\"/sys/fs/cgroup/system.slice\""),
        Key::new("memory", Size, "Most memory of the sensor.").or("\"80MiB\""),
        Key::new(
            "cpu",
            Integer(1, 100),
            "Most of one processor core that the sensor may use, in percent; above it, what matters least is given up and counted.",
        )
        .or("25"),
    ],
);

static SILENCE: Shape = shape(
    "From when on a source counts as silent. Without one: after 15 minutes or ten times its usual pause, whichever is longer.",
    &[
        Key::new(
            "stream",
            Text,
            "The source, as `neph status` names it; `*` stands for anything.",
        )
        .required()
        .such_as("\"syslog/*\""),
        Key::new("after", Duration, "How long it may send nothing.")
            .required()
            .such_as("\"1h\""),
    ],
);
