//! The names that parts of a finding have under `aws.guardduty`, where they are not just those of the vendor in snake
//! case, and the types that are converted.

use crate::reshape::Reshape::{Bool, Date, Ip, Keep, Long, Parts, Text};
use crate::reshape::{Part, part};

pub(super) const FINDING: &[Part] = &[
    part("createdAt", "created_at", Date),
    part("updatedAt", "updated_at", Date),
    part("schemaVersion", "schema_version", Text),
    part("resource", "resource", Parts(RESOURCE)),
    part("service", "service", Parts(SERVICE)),
];

const RESOURCE: &[Part] = &[
    part("resourceType", "type", Keep),
    part("accessKeyDetails", "access_key_details", Parts(ACCESS_KEY)),
    part("containerDetails", "container_details", Parts(CONTAINER)),
    part("ebsVolumeDetails", "ebs_volume_details", Parts(VOLUMES)),
    part("ecsClusterDetails", "ecs_cluster_details", Parts(ECS_CLUSTER)),
    part("eksClusterDetails", "eks_cluster_details", Parts(EKS_CLUSTER)),
    part("instanceDetails", "instance_details", Parts(INSTANCE)),
    part("kubernetesDetails", "kubernetes_details", Parts(KUBERNETES)),
    part(
        "rdsDbInstanceDetails",
        "rdsdb_instance_details",
        Parts(RDS_INSTANCE),
    ),
    part("rdsDbUserDetails", "rdsdb_user_details", Parts(&[])),
    part("s3BucketDetails", "s3_bucket_details", Parts(BUCKET)),
];

const ACCESS_KEY: &[Part] = &[
    part("accessKeyId", "accesskey_id", Keep),
    part("userType", "user.type", Keep),
    part("userName", "user.name", Keep),
];

const CONTAINER: &[Part] = &[
    part("image", "image.value", Keep),
    part("imagePrefix", "image.prefix", Keep),
    part("securityContext", "security_context", Parts(SECURITY_CONTEXT)),
];

const SECURITY_CONTEXT: &[Part] = &[part("privileged", "privileged", Bool)];

const VOLUMES: &[Part] = &[
    part("scannedVolumeDetails", "scanned_volume_details", Parts(VOLUME)),
    part("skippedVolumeDetails", "skipped_volume_details", Parts(VOLUME)),
];

const VOLUME: &[Part] = &[
    part("kmsKeyArn", "kmskey_arn", Keep),
    part("volumeArn", "volume.arn", Keep),
    part("volumeSizeInGB", "volume.size_in_gb", Long),
    part("volumeType", "volume.type", Keep),
];

const ECS_CLUSTER: &[Part] = &[
    part("activeServicesCount", "active_services_count", Long),
    part(
        "registeredContainerInstancesCount",
        "registered_container_instances_count",
        Long,
    ),
    part("runningTasksCount", "running_tasks_count", Long),
    part("taskDetails", "task_details", Parts(TASK)),
];

const TASK: &[Part] = &[
    part("containers", "containers", Parts(CONTAINER)),
    part("definitionArn", "definitionarn", Keep),
    part("startedAt", "started_at", Date),
    part("createdAt", "created_at", Date),
];

const EKS_CLUSTER: &[Part] = &[
    part("createdAt", "created_at", Date),
    part("vpcId", "vpcid", Keep),
];

const INSTANCE: &[Part] = &[
    part("iamInstanceProfile", "iaminstance_profile", Keep),
    part("imageDescription", "image.description", Keep),
    part("imageId", "image.id", Keep),
    part("instanceId", "instance.id", Keep),
    part("instanceState", "instance.state", Keep),
    part("instanceType", "instance.type", Keep),
    part("launchTime", "launch_time", Date),
    part("networkInterfaces", "network_interfaces", Parts(INTERFACE)),
    part("productCodes", "product_codes", Parts(PRODUCT_CODE)),
];

const INTERFACE: &[Part] = &[
    part("privateDnsName", "private.dns_name", Keep),
    part("privateIpAddress", "private.ip_address", Ip),
    part(
        "privateIpAddresses",
        "private.ip_addresses",
        Parts(PRIVATE_ADDRESS),
    ),
    part("publicDnsName", "public.dns_name", Keep),
    part("publicIp", "public.ip", Ip),
    part("securityGroups", "security_groups", Parts(SECURITY_GROUP)),
];

const PRIVATE_ADDRESS: &[Part] = &[
    part("privateDnsName", "private.dns_name", Keep),
    part("privateIpAddress", "private.ip_address", Ip),
];

const SECURITY_GROUP: &[Part] = &[
    part("groupId", "group.id", Keep),
    part("groupName", "group.name", Keep),
];

const PRODUCT_CODE: &[Part] = &[
    part("productCodeId", "product_code.id", Keep),
    part("productCodeType", "product_code.type", Keep),
];

const KUBERNETES: &[Part] = &[
    part(
        "kubernetesUserDetails",
        "kubernetes_user_details",
        Parts(CLUSTER_USER),
    ),
    part(
        "kubernetesWorkloadDetails",
        "kubernetes_workload_details",
        Parts(WORKLOAD),
    ),
];

const CLUSTER_USER: &[Part] = &[part("username", "user_name", Keep)];

const WORKLOAD: &[Part] = &[
    part("containers", "containers", Parts(CONTAINER)),
    part("hostNetwork", "host_network", Bool),
    part("namespace", "name_space", Keep),
];

const RDS_INSTANCE: &[Part] = &[
    part("dbInstanceIdentifier", "instance_identifier", Keep),
    part("engineVersion", "engine_version", Text),
    part("dbClusterIdentifier", "cluster_identifier", Keep),
    part("dbInstanceArn", "instance_arn", Keep),
];

const BUCKET: &[Part] = &[
    part("createdAt", "created_at", Date),
    part(
        "defaultServerSideEncryption",
        "default_server_side_encryption",
        Parts(ENCRYPTION),
    ),
    part("publicAccess", "public_access", Keep),
    part("owner", "owner", Keep),
    part("tags", "tags", Keep),
];

const ENCRYPTION: &[Part] = &[part("kmsMasterKeyArn", "kms_masterkey_arn", Keep)];

const SERVICE: &[Part] = &[
    part("action", "action", Parts(ACTION)),
    part("additionalInfo", "additional_info", Keep),
    part("archived", "archived", Bool),
    part("count", "count", Long),
    part("ebsVolumeScanDetails", "ebs_volume_scan_details", Parts(SCAN)),
    part("eventFirstSeen", "event.first_seen", Date),
    part("eventLastSeen", "event.last_seen", Date),
    part("evidence", "evidence", Parts(EVIDENCE)),
];

const ACTION: &[Part] = &[
    part("actionType", "type", Keep),
    part("awsApiCallAction", "aws_api_call_action", Parts(API_CALL)),
    part("dnsRequestAction", "dns_request_action", Parts(BLOCKED)),
    part(
        "kubernetesApiCallAction",
        "kubernetes_api_call_action",
        Parts(CLUSTER_CALL),
    ),
    part(
        "networkConnectionAction",
        "network_connection_action",
        Parts(CONNECTION),
    ),
    part("portProbeAction", "port_probe_action", Parts(PORT_PROBE)),
    part(
        "rdsLoginAttemptAction",
        "rds_login_attempt_action",
        Parts(ENDPOINTS),
    ),
];

const API_CALL: &[Part] = &[
    part("affectedResources", "affected_resources", Keep),
    part(
        "remoteAccountDetails",
        "remote_account_details",
        Parts(REMOTE_ACCOUNT),
    ),
    part("remoteIpDetails", "remote_ip_details", Parts(REMOTE)),
];

const REMOTE_ACCOUNT: &[Part] = &[part("affiliated", "affiliated", Bool)];

const BLOCKED: &[Part] = &[part("blocked", "blocked", Bool)];

const CLUSTER_CALL: &[Part] = &[
    part("parameters", "parameters", Keep),
    part("remoteIpDetails", "remote_ip_details", Parts(REMOTE)),
    part("statusCode", "status_code", Long),
];

const CONNECTION: &[Part] = &[
    part("blocked", "blocked", Bool),
    part("protocol", "transport", Keep),
    part("localIpDetails", "local_ip_details", Parts(LOCAL)),
    part("localPortDetails", "local_port_details", Parts(PORT)),
    part("remoteIpDetails", "remote_ip_details", Parts(REMOTE)),
    part("remotePortDetails", "remote_port_details", Parts(PORT)),
];

const PORT_PROBE: &[Part] = &[
    part("blocked", "blocked", Bool),
    part("portProbeDetails", "port_probe_details", Parts(ENDPOINTS)),
];

const ENDPOINTS: &[Part] = &[
    part("localIpDetails", "local_ip_details", Parts(LOCAL)),
    part("localPortDetails", "local_port_details", Parts(PORT)),
    part("remoteIpDetails", "remote_ip_details", Parts(REMOTE)),
];

const LOCAL: &[Part] = &[part("ipAddressV4", "ip_address_v4", Ip)];

const PORT: &[Part] = &[
    part("port", "port.value", Long),
    part("portName", "port.name", Keep),
];

const REMOTE: &[Part] = &[
    part("city", "city", Parts(&[part("cityName", "name", Keep)])),
    part("country", "country", Parts(COUNTRY)),
    part("geoLocation", "geo_location", Keep),
    part("ipAddressV4", "ip_address_v4", Ip),
    part(
        "organization",
        "organization",
        Parts(&[part("asnOrg", "asnorg", Keep)]),
    ),
];

const COUNTRY: &[Part] = &[
    part("countryCode", "code", Keep),
    part("countryName", "name", Keep),
];

const SCAN: &[Part] = &[
    part("scanId", "scan.id", Keep),
    part("scanStartedAt", "scan.started_at", Date),
    part("scanCompletedAt", "scan.completed_at", Date),
    part("scanDetections", "scan.detections", Parts(DETECTIONS)),
];

const DETECTIONS: &[Part] = &[
    part(
        "highestSeverityThreatDetails",
        "highest_severity_threat_details",
        Parts(&[part("count", "count", Long)]),
    ),
    part("scannedItemCount", "scanned_item_count", Parts(ITEMS)),
    part("threatDetectedByName", "threat_detected_by_name", Parts(BY_NAME)),
    part(
        "threatsDetectedItemCount",
        "threats_detected_item_count",
        Parts(ITEMS),
    ),
];

const ITEMS: &[Part] = &[
    part("files", "files", Long),
    part("totalGb", "total_gb", Long),
    part("volumes", "volumes", Long),
];

const BY_NAME: &[Part] = &[
    part("itemCount", "item_count", Long),
    part("shortened", "shortened", Bool),
    part("uniqueThreatNameCount", "unique_threat_name_count", Long),
    part("threatNames", "threat_names", Parts(THREAT)),
];

const THREAT: &[Part] = &[
    part("itemCount", "item_count", Long),
    part("filePaths", "file_paths", Parts(FILE)),
];

const FILE: &[Part] = &[
    part("fileName", "file.name", Keep),
    part("filePath", "file.path", Keep),
];

const EVIDENCE: &[Part] = &[part(
    "threatIntelligenceDetails",
    "threat_intelligence_details",
    Parts(&[
        part("threatListName", "threat.list_name", Keep),
        part("threatNames", "threat.names", Keep),
    ]),
)];
