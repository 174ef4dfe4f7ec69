//! All checks, a file for each subject.

use super::check::Check;

mod aws_images;
mod aws_metadata;
mod aws_waf;
mod azure;
mod docker;
mod gcp;
mod host_firewall;
mod image_reference;
mod images;
mod kubernetes_access;
mod kubernetes_api;
mod kubernetes_network;
mod openstack;
mod terraform;

/// Every check that there is, by subject.
pub static CHECKS: &[&Check] = &[
    &host_firewall::METADATA_FIREWALL,
    &host_firewall::METADATA_FIREWALL_CONTAINERS,
    &host_firewall::METADATA_FIREWALL_IPV6,
    &host_firewall::METADATA_FIREWALL_ALIBABA,
    &aws_metadata::IMDSV1,
    &aws_metadata::HOP_LIMIT,
    &aws_metadata::TAGS,
    &aws_metadata::DEFAULTS,
    &aws_metadata::TEMPLATE,
    &aws_metadata::CONFIGURATION,
    &gcp::LEGACY_ENDPOINTS,
    &gcp::WORKLOAD_METADATA,
    &gcp::DEFAULT_ACCOUNT,
    &azure::METADATA_PROTOCOL,
    &azure::USER_DATA,
    &openstack::METADATA_SECRET,
    &terraform::IMDSV1,
    &terraform::HOP_LIMIT,
    &terraform::GKE_METADATA,
    &aws_waf::RULES,
    &aws_waf::ASSOCIATION,
    &azure::WAF,
    &gcp::ARMOR,
    &aws_images::SNAPSHOT_PUBLIC,
    &aws_images::SNAPSHOT_SHARED,
    &aws_images::SNAPSHOT_BLOCK,
    &aws_images::SNAPSHOT_ENCRYPTED,
    &aws_images::VOLUME_ENCRYPTION,
    &aws_images::IMAGE_PUBLIC,
    &aws_images::IMAGE_SHARED,
    &aws_images::IMAGE_BLOCK,
    &azure::SNAPSHOT_NETWORK,
    &azure::GALLERY_PUBLIC,
    &gcp::PUBLIC_IMAGE,
    &openstack::IMAGE_VISIBLE,
    &images::LATEST,
    &images::MUTABLE,
    &images::REPOSITORY_MUTABLE,
    &images::TEMPLATE_LATEST,
    &azure::IMAGE_LATEST,
    &terraform::MOST_RECENT,
    &terraform::OWNERLESS,
    &images::ADMISSION,
    &images::HOST_POLICY,
    &azure::REGISTRY_ANONYMOUS,
    &gcp::BINARY_AUTHORIZATION,
    &openstack::IMAGE_SIGNATURE,
    &docker::TCP,
    &docker::SOCKET,
    &docker::INSECURE_REGISTRY,
    &kubernetes_api::ANONYMOUS,
    &kubernetes_api::AUTHORIZATION,
    &kubernetes_api::INSECURE_PORT,
    &kubernetes_api::KUBELET_ANONYMOUS,
    &kubernetes_api::KUBELET_READ_ONLY,
    &kubernetes_api::RANGES,
    &kubernetes_access::ANONYMOUS_BINDING,
    &kubernetes_access::WILDCARD,
    &kubernetes_access::MASTERS,
    &kubernetes_access::DASHBOARD,
    &kubernetes_network::METADATA,
    &kubernetes_network::API,
];
