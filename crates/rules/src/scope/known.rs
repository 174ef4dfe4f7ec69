//! Names of indices and datasets that say what is in them.
//!
//! Names of data streams are `TYPE-DATASET-NAMESPACE`, and the datasets of integrations begin with the integration's name
//! (<https://www.elastic.co/docs/reference/ecs/ecs-data_stream>); Beats write to indices of their own names
//! (<https://www.elastic.co/docs/reference/beats/libbeat/config-file-format-refs>). A name like `logs-mine` says nothing.

use std::sync::{Arc, LazyLock};

use neph_plan::{Case, RegexDialect};

/// Types of data streams; a pattern that begins with another word names no data stream.
pub(super) const STREAM_TYPES: [&str; 5] = ["logs", "metrics", "traces", "synthetics", "profiling"];

/// Names of shippers, which tell who sent and not what it is.
const SHIPPERS: [&str; 9] = [
    "auditbeat",
    "endgame",
    "filebeat",
    "functionbeat",
    "heartbeat",
    "journalbeat",
    "metricbeat",
    "packetbeat",
    "winlogbeat",
];

/// Indices that the stack itself writes.
const OWN: [&str; 4] = ["apm", ".alerts", ".internal.alerts", ".siem-signals"];

/// What the datasets of integrations begin with, up to the dot.
#[rustfmt::skip]
const INTEGRATIONS: [&str; 113] = [
    "1password", "akamai", "apache", "apache_tomcat", "apm", "arista_ngfw", "atlassian_bitbucket", "atlassian_confluence",
    "atlassian_jira", "auditd", "auditd_manager", "auth0", "aws", "aws_bedrock", "aws_logs", "azure", "azure_app_service",
    "azure_blob_storage", "azure_frontdoor", "azure_openai", "barracuda", "beyondtrust_pra", "bitdefender", "bitwarden",
    "box_events", "carbon_black_cloud", "carbonblack_edr", "checkpoint", "cisco_asa", "cisco_duo", "cisco_ftd", "cisco_ios",
    "cisco_ise", "cisco_meraki", "cisco_secure_endpoint", "cisco_umbrella", "citrix_adc", "cloud_defend",
    "cloud_security_posture", "cloudflare", "cloudflare_logpush", "containerd", "corelight", "crowdstrike", "cyberarkpas",
    "cylance", "darktrace", "docker", "elastic_agent", "endpoint", "entityanalytics_ad", "entityanalytics_entra_id",
    "entityanalytics_okta", "f5_bigip", "falco", "fim", "fireeye", "fortinet_fortigate", "gcp", "gcp_vertexai", "github",
    "gitlab", "google_scc", "google_workspace", "haproxy", "iis", "imperva", "jamf_protect", "jumpcloud", "juniper_srx",
    "kubernetes", "lastpass", "linux", "m365_defender", "microsoft_defender_cloud", "microsoft_defender_endpoint",
    "microsoft_dhcp", "microsoft_sqlserver", "mimecast", "mongodb", "mysql", "netflow", "netskope", "network_traffic",
    "nginx", "o365", "ocsf", "okta", "openstack", "osquery", "osquery_manager", "otel", "panw", "panw_cortex_xdr", "pfsense",
    "podman", "postgresql", "sentinel_one", "sentinel_one_cloud_funnel", "snort", "sonicwall_firewall", "sophos", "squid",
    "suricata", "sysmon_linux", "system", "tetragon", "traefik", "trend_micro_vision_one", "windows", "winlog", "zeek",
    "zscaler_zia",
];

/// Integrations with many datasets of one purpose: feeds of indicators.
const FEEDS: &str = "ti_";

/// A regular expression of Lucene's dialect, and whether texts match it.
pub(super) struct Names {
    pub(super) pattern: Arc<[Box<str>]>,
    regex: Option<neph_plan::regex::Regex>,
}

impl Names {
    fn new(pattern: String) -> Self {
        let pattern: Arc<[Box<str>]> = [pattern.into_boxed_str()].into();
        let regex = neph_plan::regex::compile(&pattern, RegexDialect::Lucene, Case::Sensitive).ok();
        Self { pattern, regex }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}

fn any_of(names: &[&str]) -> String {
    names.join("|").replace('.', "\\.")
}

/// What a remote cluster and the indices behind a data stream put in front of a name.
const FRONT: &str = "(.*:)?(\\.ds-)?";

fn streams() -> String {
    let (types, known) = (any_of(&STREAM_TYPES), any_of(&INTEGRATIONS));
    format!("({types})-(({known})(\\..*|-.*)?|{FEEDS}.*)")
}

/// Names of indices that say what is in them.
pub(super) static CONTENTS: LazyLock<Names> =
    LazyLock::new(|| Names::new(format!("{FRONT}({}|({})-.*)", streams(), any_of(&OWN))));

/// Those, and names of shippers.
pub(super) static CONTENTS_AND_SHIPPERS: LazyLock<Names> = LazyLock::new(|| {
    let (own, shippers) = (any_of(&OWN), any_of(&SHIPPERS));
    Names::new(format!("{FRONT}({}|({own}|{shippers})-.*)", streams()))
});

/// Datasets of integrations.
pub(super) static DATASETS: LazyLock<Names> =
    LazyLock::new(|| Names::new(format!("({})(\\..*)?|{FEEDS}.*", any_of(&INTEGRATIONS))));

/// What a pattern of indices speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Of what is in indices, by the names of integrations, or of any.
    Contents,
    /// Of shippers.
    Shippers,
    /// Of names that the author of the rule knows.
    Others,
}

/// What a pattern, without the name of a remote cluster, speaks of.
pub(super) fn speaks(pattern: &str) -> Speaks {
    let pattern = pattern.strip_prefix(".ds-").unwrap_or(pattern);
    let fixed = pattern.split('*').next().unwrap_or("");
    let is_of = |names: &[&str]| {
        names.iter().any(|name| match pattern.strip_prefix(name) {
            Some(rest) => rest.is_empty() || rest.starts_with(['-', '*']),
            None => false,
        })
    };
    if is_of(&SHIPPERS) {
        return Speaks::Shippers;
    }
    let is_any_type = STREAM_TYPES.iter().any(|kind| kind.starts_with(fixed));
    if fixed.is_empty() || is_of(&OWN) || (is_any_type && fixed.len() < pattern.len()) {
        return Speaks::Contents;
    }
    let Some((_, rest)) = pattern
        .split_once('-')
        .filter(|(kind, _)| STREAM_TYPES.contains(kind))
    else {
        return Speaks::Others;
    };
    let integration = rest.split(['.', '-']).next().unwrap_or("");
    let is_known = match integration.split_once('*') {
        Some(("", _)) => true,
        Some((head, _)) => INTEGRATIONS.iter().any(|name| name.starts_with(head)) || head.starts_with(FEEDS),
        None => INTEGRATIONS.contains(&integration) || integration.starts_with(FEEDS),
    };
    match is_known {
        true => Speaks::Contents,
        false => Speaks::Others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_what_is_in_them() {
        for (name, contents, shipper) in [
            ("logs-endpoint.events.process-default", true, true),
            (".ds-logs-aws.cloudtrail-default-2026.01.31-000001", true, true),
            ("remote:logs-okta.system-default", true, true),
            ("logs-ti_abusech.url-default", true, true),
            ("filebeat-8.15.0", false, true),
            (".ds-winlogbeat-8.15.0-2026.01.31-000001", false, true),
            (".alerts-security.alerts-default", true, true),
            ("logs-mine", false, false),
            ("logs-generic-default", false, false),
            ("logs-my.app-default", false, false),
            ("logstash-2026.01.31", false, false),
            ("my-filebeat-1", false, false),
            ("audit", false, false),
        ] {
            assert_eq!(CONTENTS.has(name), contents, "{name}");
            assert_eq!(CONTENTS_AND_SHIPPERS.has(name), shipper, "{name}");
        }
        for (name, known) in [
            ("aws.cloudtrail", true),
            ("ti_otx.pulses_subscribed", true),
            ("fim", true),
            ("generic", false),
            ("mine.aws", false),
            ("awsome.log", false),
        ] {
            assert_eq!(DATASETS.has(name), known, "{name}");
        }
    }

    #[test]
    fn what_patterns_speak_of() {
        for (pattern, speaks_of) in [
            ("*", Speaks::Contents),
            ("logs-*", Speaks::Contents),
            ("logs*", Speaks::Contents),
            ("logs-endpoint.events.*", Speaks::Contents),
            ("logs-okta*", Speaks::Contents),
            ("logs-ti_*", Speaks::Contents),
            ("traces-apm*", Speaks::Contents),
            ("apm-*-transaction*", Speaks::Contents),
            (".alerts-security.*", Speaks::Contents),
            ("winlogbeat-*", Speaks::Shippers),
            ("filebeat*", Speaks::Shippers),
            ("endgame-*", Speaks::Shippers),
            ("logs-mine*", Speaks::Others),
            ("team-a-*", Speaks::Others),
            ("logs", Speaks::Others),
            ("mine", Speaks::Others),
        ] {
            assert_eq!(speaks(pattern), speaks_of, "{pattern}");
        }
    }
}
