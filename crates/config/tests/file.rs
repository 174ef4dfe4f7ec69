//! What is told of a configuration, and what it becomes.

use std::path::Path;
use std::time::Duration;

use neph_config::{Config, LogLevel, OutputKind, Secret, Transport, example, read, schema};
use neph_diag::{Severity, SourceFile, render};

/// Every diagnostic, as `severity code line: message`.
fn told(text: &str) -> Vec<String> {
    let read = read(text, Path::new("/etc/neph"));
    let lines = neph_diag::LineIndex::new(text);
    let line = |diagnostic: &neph_diag::Diagnostic| {
        let line = lines.line_of(diagnostic.span.start as usize) + 1;
        let word = match diagnostic.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        format!("{word} {} {line}: {}", diagnostic.code.name, diagnostic.message)
    };
    read.diagnostics.iter().map(line).collect()
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = r#"
dta = "/srv/neph"
[log]
level = "chatty"
[api]
listen = ["localhost", 9470]
queries = 900
[retention]
events = 7
alerts = "7 moons"
event_size = "1GiB"
[[tokens]]
name = "filebeat"
secret = "in the clear"
[[syslog]]
listen = "127.0.0.1:5514"
transport = "tsl"
[[outputs]]
name = "chat"
type = "webhok"
url = "https://example.com"
[[outputs]]
name = "chat"
type = "mail"
to = "soc@example.com"
"#;
    let told = told(text);
    let expected = [
        "error config-key-unknown 2: the key `dta` is not known here",
        "error config-value 4: `level` must be `\"error\"`, `\"warn\"`, `\"info\"` or `\"debug\"`, not `chatty`",
        "error config-value 6: an entry of `listen` must be an address with a port, such as `\"127.0.0.1:9470\"` or `\"[::1]:9470\"`, not `localhost`",
        "error config-value-type 6: an entry of `listen` must be an address with a port, such as `\"127.0.0.1:9470\"` or `\"[::1]:9470\"`",
        "error config-value 7: `queries` is out of range: `900`",
        "error config-value-type 9: `events` must be a duration such as `\"30s\"`, `\"15m\"`, `\"24h\"` or `\"7d\"`",
        "error config-value 10: `alerts` must be a duration such as `\"30s\"`, `\"15m\"`, `\"24h\"` or `\"7d\"`, not `7 moons`",
        "error config-key-unknown 11: the key `event_size` is not known here",
        "error config-key-missing 12: the key `role` is missing",
        "error config-value-type 14: `secret` must not stand here in plain text",
        "error config-value 17: `transport` must be `\"udp\"`, `\"tcp\"` or `\"tls\"`, not `tsl`",
        "error config-value 20: `type` must be `\"stdout\"`, `\"file\"`, `\"webhook\"`, `\"syslog\"`, `\"mail\"` or `\"elasticsearch\"`, not `webhok`",
        "error config-conflict 23: another output is called `chat` already",
        "error config-value-type 25: `to` must be a list, each entry a string",
    ];
    for line in expected {
        assert!(
            told.contains(&line.to_owned()),
            "{line}\nis not among\n{}",
            told.join("\n")
        );
    }
    // Beside these: the sender and the server of the mail are missing.
    assert_eq!(told.len(), expected.len() + 2, "{}", told.join("\n"));
}

#[test]
fn a_slip_of_the_pen_has_a_fix() {
    let text = "[retention]\nevent = \"7d\"\n";
    let read = read(text, Path::new(""));
    let diagnostic = &read.diagnostics[0];
    assert_eq!(diagnostic.help, ["did you mean `events`?"]);
    assert_eq!(diagnostic.fix.as_ref().unwrap().edits[0].replacement, "events");
    assert_eq!(diagnostic.span.text(text), "event");
    let source = SourceFile {
        name: "neph.toml",
        text,
    };
    assert!(render::text(diagnostic, &source, false).contains("neph.toml:2:1"));
}

#[test]
fn what_does_not_go_together_is_told() {
    let told = told(
        "api.listen = [\"0.0.0.0:9470\"]\n\
         [[syslog]]\nlisten = \"127.0.0.1:5514\"\ntransport = \"tls\"\n\
         [[syslog]]\nlisten = \"127.0.0.1:5514\"\ntls = { certificate = \"a\", key = \"b\" }\n\
         [[syslog]]\nlisten = \"127.0.0.1:5514\"\ntransport = \"udp\"\n",
    );
    assert_eq!(
        told,
        [
            "warning config-risk 1: `0.0.0.0:9470` is reached from other machines, without TLS",
            "error config-conflict 4: a TLS listener needs a certificate",
            "error config-conflict 6: `127.0.0.1:5514` belongs to another listener already",
            "error config-conflict 7: the certificate is not used by this transport",
            "warning config-path-missing 7: `/etc/neph/a` is not there",
            "warning config-path-missing 7: `/etc/neph/b` is not there",
        ]
    );
}

#[test]
fn broken_toml_does_not_hide_the_rest() {
    let told = told("[log]\nlevel = \"loud\"\nformat = \n[retention]\nevents = true\n");
    assert!(
        told.iter().any(|line| line.starts_with("error config-syntax 3:")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|line| line.starts_with("error config-value 2:")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|line| line.starts_with("error config-value-type 5:")),
        "{told:?}"
    );
}

#[test]
fn an_empty_file_is_what_counts_without_one() {
    let empty = read("", Path::new("/etc/neph"));
    assert!(empty.diagnostics.is_empty());
    let config = empty.config.unwrap();
    assert_eq!(config.api.listen, ["127.0.0.1:9470".parse().unwrap()]);
    assert_eq!(config.retention.events, Duration::from_secs(7 * 86_400));
    assert_eq!(config.retention.events_size, 20 << 30);
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.rules.paths, [Path::new("builtin")]);
    assert!(config.rules.watch && config.api.tls.is_none() && config.data.is_none());
    assert_eq!(format!("{:?}", Config::default()), format!("{config:?}"));
}

#[test]
fn values_become_what_they_say_and_paths_count_from_the_folder() {
    let text = r#"
data = "data"
[rules]
paths = ["builtin", "own"]
[[tokens]]
name = "a"
role = "ingest"
secret = { file = "a.token" }
[[syslog]]
listen = "[::1]:5514"
transport = "udp"
[[outputs]]
name = "o"
type = "webhook"
url = "https://example.com"
headers = { X-Team = "soc" }
"#;
    let read = read(text, Path::new("/etc/neph"));
    let config = read.config.unwrap();
    assert_eq!(config.data.as_deref(), Some(Path::new("/etc/neph/data")));
    assert_eq!(
        config.rules.paths,
        [Path::new("builtin"), Path::new("/etc/neph/own")]
    );
    assert_eq!(config.tokens[0].secret, Secret::File("/etc/neph/a.token".into()));
    assert_eq!(config.syslog[0].transport, Transport::Udp);
    assert_eq!(config.outputs[0].rate, Some(60));
    let OutputKind::Webhook { headers, shape, .. } = &config.outputs[0].kind else {
        panic!("{:?}", config.outputs[0].kind);
    };
    assert_eq!(headers["X-Team"], "soc");
    assert_eq!(shape, "json");
}

#[test]
fn a_secret_is_read_where_it_stands_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret-token-of-someone\n").unwrap();
    assert_eq!(
        Secret::File(path.clone()).read().unwrap(),
        "s3cret-token-of-someone"
    );
    std::fs::write(&path, " \n").unwrap();
    assert!(Secret::File(path).read().is_err());
    assert!(Secret::Env("NEPH_NO_SUCH_VARIABLE".into()).read().is_err());
    assert!(!format!("{:?}", Secret::Plain("hush".into())).contains("hush"));
}

#[test]
fn a_webhook_has_one_url_which_may_be_secret() {
    let read = |keys: &str| {
        let text = format!("[[outputs]]\nname = \"o\"\ntype = \"webhook\"\n{keys}");
        read(&text, Path::new("/etc/neph"))
    };
    let told = |keys: &str| -> Vec<&str> {
        let found = read(keys).diagnostics;
        found.iter().map(|diagnostic| diagnostic.code.name).collect()
    };
    assert_eq!(told(""), ["config-key-missing"]);
    let both = "url = \"http://a\"\nsecret_url = { env = \"HOOK\" }";
    assert_eq!(told(both), ["config-conflict"]);
    assert_eq!(told("url = 5"), ["config-value-type"]);
    let config = read("secret_url = { env = \"HOOK\" }").config.unwrap();
    let OutputKind::Webhook { secret_url, .. } = &config.outputs[0].kind else {
        panic!("{:?}", config.outputs[0].kind);
    };
    assert_eq!(*secret_url, Some(Secret::Env("HOOK".into())));
}

#[test]
fn the_example_is_right_and_says_what_counts_anyway() {
    let text = example();
    let as_is = read(&text, Path::new("/etc/neph"));
    assert!(as_is.diagnostics.is_empty(), "{:?}", as_is.diagnostics);
    assert_eq!(
        format!("{:?}", as_is.config.unwrap()),
        format!("{:?}", Config::default())
    );
    // What stands behind `#` is right too: taken in, nothing is unknown, of a wrong kind or missing.
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                rest
            }
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let taken = read(&all, Path::new("/etc/neph"));
    let wrong: Vec<_> = taken
        .diagnostics
        .iter()
        .filter(|diagnostic| !["config-path-missing", "config-conflict"].contains(&diagnostic.code.name))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{all}");
}

/// `UPDATE=1 cargo test -p neph-config` writes the file anew.
#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/neph.schema.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/neph.schema.json is out of date: UPDATE=1 cargo test -p neph-config"
    );
}

#[test]
fn prefixes_of_object_storage_are_checked_and_need_a_build_that_has_it() {
    let text = r#"
[[objects]]
url = "s3://trail/AWSLogs/"
source = "cloudtrail"
[[objects]]
url = "https://trail.s3.amazonaws.com/"
[[objects]]
url = "s3://trail/AWSLogs/"
every = "often"
"#;
    assert_eq!(
        told(text),
        [
            "error config-value 6: `https://trail.s3.amazonaws.com/` is no prefix of an object store",
            "error config-conflict 8: `s3://trail/AWSLogs/` is read already",
            "error config-value 9: `every` must be a duration such as `\"30s\"`, `\"15m\"`, `\"24h\"` or `\"7d\"`, not `often`",
        ]
    );
    let good = "[[objects]]\nurl = \"gs://trail/\"\n[log]\nlevel = \"loud\"\n";
    let with = read(good, Path::new("/etc/neph"));
    assert_eq!(with.diagnostics.len(), 1);
    let without = read(good, Path::new("/etc/neph")).without_object_storage();
    let messages: Vec<&str> = without
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.message.as_str())
        .collect();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], "this `neph` is built without object storage");
    assert!(without.config.is_none());
    let plain = read("", Path::new("/etc/neph")).without_object_storage();
    assert!(plain.config.is_some() && plain.diagnostics.is_empty());
}

#[test]
fn what_is_looked_at_again_and_again_is_checked() {
    let text = r#"
[baselines]
collected = ["collected"]
every = "1h"
alerts = "off"
[posture]
collected = ["/srv/infra"]
on_change = true
[[images]]
name = "shop"
images = ["docker://registry.example/shop/app:1.4", "oci:layout:1.4", "app.tar"]
golden = "golden.toml"
username = "neph"
password = { env = "REGISTRY" }
[[collect]]
name = "production"
source = "aws"
to = "collected"
options = ["--profile", "audit"]
every = "6h"
"#;
    let read = read(text, Path::new("/etc/neph"));
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    let config = read.config.unwrap();
    let schedule = &config.baselines.schedule;
    assert_eq!(schedule.every, Some(Duration::from_secs(3600)));
    assert_eq!((schedule.on_change, schedule.alerts.as_deref()), (false, None));
    let schedule = &config.posture.schedule;
    assert_eq!(
        (schedule.every, schedule.on_change, schedule.alerts.as_deref()),
        (None, true, Some("medium"))
    );
    let images = &config.images[0];
    assert_eq!(
        images.images,
        [
            "docker://registry.example/shop/app:1.4",
            "oci:/etc/neph/layout:1.4",
            "/etc/neph/app.tar"
        ]
    );
    assert_eq!(images.golden.as_deref(), Some("/etc/neph/golden.toml"));
    assert_eq!(images.schedule.every, Some(Duration::from_secs(24 * 3600)));
    let collect = &config.collect[0];
    assert_eq!(collect.to, Path::new("/etc/neph/collected"));
    assert_eq!(
        (collect.options.len(), collect.every),
        (2, Duration::from_secs(6 * 3600))
    );
    // Without a schedule nothing is done by itself.
    let quiet = Config::default();
    assert_eq!(quiet.baselines.schedule.every, None);
    assert!(!quiet.posture.schedule.on_change);

    let wrong = r#"
[baselines]
every = "1h"
[posture]
collected = ["/srv"]
every = "10ms"
alerts = "all"
[[images]]
name = "a shop"
images = []
keys = "/dev/null"
username = "neph"
[[images]]
name = "web"
images = ["web.tar"]
[[collect]]
name = "x"
source = "azur"
to = "collected"
every = "1h"
[[collect]]
name = "x"
source = "aws"
every = "1h"
"#;
    let expected = [
        "error config-conflict 2: there is a schedule, and nothing to look at",
        "error config-value 6: `every` is shorter than a second",
        "error config-value 7: `alerts` must be `\"off\"`, `\"low\"`, `\"medium\"`, `\"high\"` or `\"critical\"`, not `all`",
        "error config-key-missing 8: `username` and `password` belong together",
        "error config-value 9: `a shop` is no name",
        "error config-value 10: there is no image to look at",
        "error config-key-missing 13: nothing says what the images are held against",
        "error config-value 18: `source` must be `\"aws\"`, `\"azure\"`, `\"gcp\"`, `\"openstack\"`, `\"kubernetes\"`, `\"docker\"` or `\"host\"`, not `azur`",
        "error config-key-missing 21: the key `to` is missing",
        "error config-conflict 22: another of `collect` is called `x` already",
    ];
    assert_eq!(told(wrong), expected, "{}", told(wrong).join("\n"));
}
