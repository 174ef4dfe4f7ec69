//! Files of a user, as they are read, and what they add to documents.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

mod mmdb;

use std::path::PathBuf;
use std::sync::Arc;

use neph_enrich::{Enrichment, EnrichmentProblem};
use neph_normalize::Normalizer;
use serde_json::{Value, json};

/// Writes files, and loads them as one folder and the word for user agents.
fn load(files: &[(&str, &[u8])]) -> (Arc<Enrichment>, Vec<EnrichmentProblem>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    let (enrichment, problems) = Enrichment::load(&[folder.path().to_owned(), PathBuf::from("user-agent")]);
    (Arc::new(enrichment), problems)
}

/// A document as it leaves a normaliser.
fn enriched(enrichment: &Arc<Enrichment>, record: &Value) -> Value {
    let mut normalizer = Normalizer::new(None)
        .expect("no source was named")
        .with_enricher(enrichment.enricher());
    let text = record.to_string();
    let outcome = normalizer.push(text.as_bytes());
    let document = &outcome.documents.first().expect("a document").document;
    serde_json::from_slice(&document.to_json()).expect("JSON")
}

fn event(fields: &Value) -> Value {
    let mut event = json!({"@timestamp": "2026-01-01T00:00:00Z", "event": {"kind": "event", "category": ["network"]}, "ecs": {"version": "8.11.0"}});
    if let (Some(event), Some(fields)) = (event.as_object_mut(), fields.as_object()) {
        event.extend(fields.clone());
    }
    event
}

fn databases() -> Vec<(&'static str, Vec<u8>)> {
    let city = mmdb::write(
        "GeoLite2-City",
        &[(
            "203.0.113.0/24",
            json!({
                "city": {"names": {"en": "Linköping", "de": "Linköping"}},
                "continent": {"code": "EU", "names": {"en": "Europe"}},
                "country": {"iso_code": "SE", "names": {"en": "Sweden"}},
                "location": {"latitude": 58.4167, "longitude": 15.6167, "time_zone": "Europe/Stockholm"},
                "subdivisions": [{"iso_code": "E", "names": {"en": "Östergötland County"}}],
            }),
        )],
    );
    let systems = mmdb::write(
        "GeoLite2-ASN",
        &[(
            "203.0.113.0/25",
            json!({"autonomous_system_number": 29518, "autonomous_system_organization": "Bredband2 AB"}),
        )],
    );
    vec![("city.bin", city), ("systems.bin", systems)]
}

#[test]
fn databases_tell_where_and_whose_an_address_is() {
    let files = databases();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .collect();
    let (enrichment, problems) = load(&files);
    assert!(problems.is_empty(), "{problems:?}");
    let document = enriched(
        &enrichment,
        &event(&json!({
            "source": {"ip": "203.0.113.7"},
            "destination": {"ip": ["203.0.113.200", "10.0.0.1"]},
            "client": {"ip": "203.0.113.7", "geo": {"country_name": "as the vendor says"}},
            "server": {"ip": "192.0.2.1"},
        })),
    );
    assert_eq!(
        document["source"],
        json!({
            "ip": "203.0.113.7",
            "geo": {
                "city_name": "Linköping", "continent_code": "EU", "continent_name": "Europe", "country_iso_code": "SE",
                "country_name": "Sweden", "region_iso_code": "SE-E", "region_name": "Östergötland County",
                "timezone": "Europe/Stockholm", "location": {"lat": 58.4167, "lon": 15.6167},
            },
            "as": {"number": 29518, "organization": {"name": "Bredband2 AB"}},
        })
    );
    assert_eq!(document["destination"]["geo"]["city_name"], "Linköping");
    assert_eq!(
        document["destination"].get("as"),
        None,
        "beside the network of the database"
    );
    assert_eq!(
        document["client"]["geo"],
        json!({"country_name": "as the vendor says"})
    );
    assert_eq!(document["client"]["as"]["number"], 29518);
    assert_eq!(document["server"], json!({"ip": "192.0.2.1"}));
}

#[test]
fn published_ranges_tell_the_cloud() {
    let aws = json!({"syncToken": "1", "prefixes": [
        {"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
        {"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"},
        {"ip_prefix": "no network", "region": "eu-west-1", "service": "EC2"},
    ], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32", "region": "us-east-1", "service": "S3"}]});
    let google = json!({"syncToken": "1", "prefixes": [{"ipv4Prefix": "192.0.2.0/25", "service": "Google Cloud", "scope": "europe-west4"}]});
    let azure = json!({"changeNumber": 1, "cloud": "Public", "values": [
        {"name": "Storage.WestEurope", "id": "Storage.WestEurope",
         "properties": {"region": "westeurope", "systemService": "AzureStorage", "addressPrefixes": ["192.0.2.128/25"]}},
    ]});
    let texts = [aws.to_string(), google.to_string(), azure.to_string()];
    let files: Vec<(&str, &[u8])> = ["aws", "google", "azure"]
        .into_iter()
        .zip(texts.iter().map(String::as_bytes))
        .collect();
    let (enrichment, problems) = load(&files);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("1 entries of") && told[0].ends_with("`no network` is no network"));
    let document = enriched(
        &enrichment,
        &event(&json!({
            "source": {"ip": "198.51.100.9"}, "destination": {"ip": "192.0.2.1"}, "client": {"ip": "192.0.2.200"},
            "server": {"ip": "2001:db8::1"},
        })),
    );
    assert_eq!(
        document["neph"]["cloud_range"],
        json!({
            "source": {"provider": "aws", "network": "198.51.100.0/24", "region": "eu-west-1", "services": ["AMAZON", "EC2"]},
            "destination": {"provider": "gcp", "network": "192.0.2.0/25", "region": "europe-west4", "services": ["Google Cloud"]},
            "client": {"provider": "azure", "network": "192.0.2.128/25", "region": "westeurope", "services": ["AzureStorage"]},
            "server": {"provider": "aws", "network": "2001:db8::/32", "region": "us-east-1", "services": ["S3"]},
        })
    );
    assert_eq!(
        document["source"],
        json!({"ip": "198.51.100.9"}),
        "the owner of a range is not the owner of the address"
    );
}

#[test]
fn own_lists_add_their_fields() {
    let assets = "# assets\nhost.name,host.risk.static_level,labels.owner\nweb-1,High,\"shop, front\"\nweb-2,,\n,Low,x\n";
    let people = "{\"match\": {\"user.name\": [\"ann\", \"ann@example.com\"]}, \"add\": {\"user.full_name\": \"Ann\", \"user.roles\": [\"admin\"]}}\n\nnonsense\n";
    let networks = "- match: {source.ip: 10.1.0.0/16}\n  add: {labels.site: Bremen}\n- match: {source.ip: 10.0.0.0/8}\n  add: {labels.site: elsewhere}\n- match: {}\n  add: {}\n";
    let (enrichment, problems) = load(&[
        ("a.csv", assets.as_bytes()),
        ("b.ndjson", people.as_bytes()),
        ("c.yaml", networks.as_bytes()),
    ]);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    let document = enriched(
        &enrichment,
        &event(&json!({
            "host": {"name": "web-1", "risk": {"static_level": "Low"}}, "user": {"name": "ann"},
            "source": {"ip": "10.1.2.3"},
        })),
    );
    assert_eq!(
        document["host"]["risk"]["static_level"], "Low",
        "what a record says stays"
    );
    assert_eq!(
        document["labels"],
        json!({"owner": "shop, front", "site": "Bremen"})
    );
    assert_eq!(
        document["user"],
        json!({"name": "ann", "full_name": "Ann", "roles": ["admin"]})
    );
    let other = enriched(
        &enrichment,
        &event(&json!({"source": {"ip": "10.2.2.3"}, "user": {"name": "Ann"}})),
    );
    assert_eq!(other["labels"], json!({"site": "elsewhere"}));
    assert_eq!(other["user"], json!({"name": "Ann"}));
}

#[test]
fn user_agents_are_taken_apart() {
    let (enrichment, _) = load(&[]);
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";
    for _ in 0..2 {
        let document = enriched(&enrichment, &event(&json!({"user_agent": {"original": chrome}})));
        assert_eq!(document["user_agent"]["name"], "Chrome");
        assert_eq!(document["user_agent"]["version"], "120.0.0.0");
        assert_eq!(document["user_agent"]["os"]["name"], "Windows 10");
    }
    let known = json!({"original": chrome, "name": "as the vendor says"});
    assert_eq!(
        enriched(&enrichment, &event(&json!({"user_agent": known})))["user_agent"],
        known
    );
    let cli = json!({"original": "aws-cli/2.32.3 md/awscrt#0.28.4"});
    assert_eq!(
        enriched(&enrichment, &event(&json!({"user_agent": cli})))["user_agent"]["name"],
        Value::Null
    );
}

#[test]
fn damaged_files_are_told_and_survived() {
    let databases = databases();
    let (_, city) = databases.first().expect("a database");
    for cut in (0..city.len()).step_by(7) {
        for mend in [0_u8, 0xff, 0x80] {
            let mut damaged = city.clone();
            damaged[cut] = mend;
            let (enrichment, _) = load(&[("damaged", &damaged)]);
            enriched(&enrichment, &event(&json!({"source": {"ip": "203.0.113.7"}})));
        }
        let (enrichment, _) = load(&[("cut", city.get(cut..).unwrap_or(&[]))]);
        enriched(&enrichment, &event(&json!({"source": {"ip": "203.0.113.7"}})));
    }
    for text in [
        "",
        "x",
        "{",
        "[",
        "[1,2]",
        "{\"prefixes\": 7}",
        "{\"values\": [7]}",
        "- ",
        "---\n- x",
        "a b,c\n1,2",
        "a,\n1,2",
        "a,b\n",
        "{\"match\":{\"a\":{}},\"add\":{}}",
        "\u{0}\u{0}",
        "- &a [*a]",
    ] {
        let (enrichment, problems) = load(&[("file", text.as_bytes())]);
        assert!(!problems.is_empty(), "{text:?}");
        enriched(&enrichment, &event(&json!({"a": "1"})));
    }
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!load(&[("deep", deep.as_bytes())]).1.is_empty());
    assert!(!load(&[("binary", &[0xff, 0xfe, 0, 1])]).1.is_empty());
}
