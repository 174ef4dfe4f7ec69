//! The table of sources.

mod audit;
mod auditd_manager;
mod azure;
mod cloud;
mod cloudtrail;
mod container_logs;
pub(crate) mod docker;
mod falco;
mod gcp_audit;
mod gke;
mod guardduty;
mod k8s_audit;
mod linux;
mod ocsf;
pub(crate) mod otlp;
mod podman;
mod sensor;
mod tetragon;
mod vpcflow;
mod web;
mod windows;

use crate::join::{Context, Joining};
use crate::source::SourceInfo;

/// The place of what is ECS already.
pub(crate) const ECS: usize = 0;

/// All sources, in the order in which they are asked.
static SOURCES: &[SourceInfo] = &[
    crate::ecs::INFO,
    cloudtrail::INFO,
    cloudtrail::DIGESTS,
    guardduty::INFO,
    vpcflow::INFO,
    k8s_audit::AKS,
    k8s_audit::INFO,
    gcp_audit::INFO,
    gke::INFO,
    cloud::vkcloud::KUBERNETES,
    cloud::vkcloud::INFO,
    cloud::openstack::INFO,
    cloud::yandex::INFO,
    azure::signin::INFO,
    azure::audit::INFO,
    azure::graph::INFO,
    azure::graph::AAD,
    azure::risk::INFO,
    azure::entra::INFO,
    azure::activity::INFO,
    azure::platform::INFO,
    auditd_manager::INFO,
    audit::events::INFO,
    audit::laurel::INFO,
    audit::log::INFO,
    audit::libaudit::INFO,
    windows::sysmon_linux::INFO,
    windows::sysmon::INFO,
    windows::security::INFO,
    windows::powershell::CLASSIC,
    windows::powershell::OPERATIONAL,
    windows::FORWARDED,
    docker::events::INFO,
    docker::authz::INFO,
    docker::daemon::INFO,
    docker::cri::INFO,
    docker::registry::INFO,
    podman::events::INFO,
    podman::api_log::INFO,
    ocsf::INFO,
    falco::INFO,
    tetragon::INFO,
    web::traefik::INFO,
    web::envoy::INFO,
    web::squid::INFO,
    web::aws::ELB,
    web::aws::S3,
    web::aws::WAF,
    web::w3c::IIS,
    web::w3c::CLOUDFRONT,
    web::access::NGINX,
    web::access::APACHE,
    otlp::INFO,
    container_logs::INFO,
    linux::auth::INFO,
    linux::syslog::INFO,
];

/// How the lines of text logs belong together, for the sources that write one event over several; see [`crate::Joiner`].
static JOININGS: &[Joining] = &[
    audit::events::JOINING,
    vpcflow::JOINING,
    docker::daemon::JOINING,
    web::w3c::IIS_JOINING,
    web::w3c::CLOUDFRONT_JOINING,
];

/// What remembers the earlier records of an input for the joined records of a source, where any does.
pub(crate) fn context(source: &str) -> Option<fn() -> Box<dyn Context>> {
    (source == audit::events::JOINING.source).then_some(audit::programs::start)
}

pub(crate) fn joinings() -> &'static [Joining] {
    JOININGS
}

/// All sources.
pub fn sources() -> &'static [SourceInfo] {
    SOURCES
}

/// The source of a name, which may be one of its aliases.
pub(crate) fn position(name: &str) -> Option<usize> {
    SOURCES
        .iter()
        .position(|info| info.name == name || info.aliases.contains(&name))
}
