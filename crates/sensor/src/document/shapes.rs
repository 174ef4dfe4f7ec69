//! Objects of documents, as ECS and Elastic's endpoint name their fields.

use serde::Serialize;
use serde_json::value::RawValue;

use super::entity::EntityId;
use super::relatives::Written;
use super::text::{Args, Capabilities, CommandLine, Number, Stamp, Text};

/// What holds a document together.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    #[serde(rename = "@timestamp")]
    pub(super) timestamp: Stamp,
    pub(super) message: &'static str,
    pub(super) ecs: Version,
    pub(super) data_stream: DataStream<'a>,
    pub(super) agent: &'a Agent,
    pub(super) event: EventFields<'a>,
    pub(super) host: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cloud: Option<&'a serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<ProcessFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<UserFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<GroupFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<FileFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<End<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<End<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<ContainerFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orchestrator: Option<Orchestrator<'a>>,
    pub(super) neph: Own<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct Version {
    pub(super) version: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct DataStream<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) dataset: Datasets,
    pub(super) namespace: &'a str,
}

/// To which data streams a document belongs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Datasets {
    One(&'static str),
    /// What happens in a container is also what Elastic's sensor for containers would tell.
    Two([&'static str; 2]),
}

/// Who wrote the document.
#[derive(Debug, Serialize)]
pub(super) struct Agent {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) version: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct EventFields<'a> {
    pub(super) id: &'a str,
    pub(super) sequence: u64,
    pub(super) kind: &'static str,
    pub(super) category: [&'static str; 1],
    #[serde(rename = "type")]
    pub(super) types: &'static [&'static str],
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
    pub(super) module: &'static str,
    pub(super) dataset: &'static str,
    pub(super) created: Stamp,
}

/// A process, or one that it descends from: which fields there are differs.
#[derive(Debug, Default, Serialize)]
pub(super) struct ProcessFields<'a> {
    pub(super) entity_id: EntityId,
    pub(super) pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) executable: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args: Option<Args<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_line: Option<CommandLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) working_directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interactive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_as_process: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tty: Option<Tty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<UserFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<GroupFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) real_user: Option<UserFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) real_group: Option<GroupFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread: Option<Thread<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry_meta: Option<EntryMeta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry_leader: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_leader: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_leader: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<[Previous<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vpid: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct Previous<'a> {
    pub(super) executable: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args: Option<Args<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args_count: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Tty {
    pub(super) char_device: Device,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Device {
    pub(super) major: u32,
    pub(super) minor: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct UserFields<'a> {
    pub(super) id: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct GroupFields<'a> {
    pub(super) id: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Thread<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capabilities: Option<ThreadCapabilities>,
}

#[derive(Debug, Serialize)]
pub(super) struct ThreadCapabilities {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effective: Option<Capabilities>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permitted: Option<Capabilities>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct EntryMeta {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct FileFields<'a> {
    pub(super) path: Text<'a>,
    pub(super) name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extension: Option<Text<'a>>,
}

/// One end of a connection.
#[derive(Debug, Serialize)]
pub(super) struct End<'a> {
    pub(super) address: Address<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Address<'a> {
    Ip(std::net::IpAddr),
    Path(Text<'a>),
}

#[derive(Debug, Serialize)]
pub(super) struct Network {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transport: Option<&'static str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    pub(super) direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iana_number: Option<String>,
}

/// What the control group tells, or what the container's engine said of it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ContainerFields<'a> {
    Told(&'a serde_json::Value),
    Id {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        runtime: Option<&'static str>,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Orchestrator<'a> {
    Told(&'a serde_json::Value),
    Pod {
        #[serde(rename = "type")]
        kind: &'static str,
        resource: Resource<'a>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Resource<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
}

/// What ECS has no field for.
#[derive(Debug, Serialize)]
pub(super) struct Own<'a> {
    pub(super) sensor: SensorFields<'a>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct SensorFields<'a> {
    pub(super) mode: &'static str,
    /// What this document would tell if it had been seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unknown: Vec<&'static str>,
    /// Bytes that the arguments have in truth, where they were cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args_truncated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) executable: Option<ExecutableFields<'a>>,
    /// The program's file has no name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unnamed: bool,
    /// `entity_id` of who made the process, where its parent is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) made_by: Option<EntityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cgroup: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespaces: Option<NamespaceFields>,
    /// Who logged in, whatever was done since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login_uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_session: Option<u32>,
    /// The signal that ended the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<i32>,
    /// The number of the error with which it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) socket: Option<SocketFields<'a>>,
    /// The file was opened to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) writing: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<LostFields>,
    /// Who tells who containers are, and whether it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) engine: Option<EngineFields>,
    /// What the sensor sees, told when it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) abilities: Option<AbilityFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<&'a serde_json::Value>,
}

/// The file that runs.
#[derive(Debug, Serialize)]
pub(super) struct ExecutableFields<'a> {
    /// Where `process.executable` is a script or a link: the interpreter, or where the link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Text<'a>>,
    /// Which package brought it, and whether it changed.
    #[serde(flatten)]
    pub(super) origin: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct NamespaceFields {
    pub(super) mnt: u32,
    pub(super) pid: u32,
    pub(super) net: u32,
    pub(super) user: u32,
    pub(super) uts: u32,
}

/// A Unix socket.
#[derive(Debug, Serialize)]
pub(super) struct SocketFields<'a> {
    pub(super) path: Text<'a>,
    /// The name is none of a file.
    pub(super) is_abstract: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct LostFields {
    pub(super) class: &'static str,
    pub(super) cause: &'static str,
    pub(super) count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct EngineFields {
    pub(super) socket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runtime: Option<&'static str>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AbilityFields {
    pub(super) unseen: Vec<&'static str>,
    pub(super) uncertain: Vec<&'static str>,
    pub(super) hooks: Vec<String>,
    pub(super) failed: Vec<String>,
    pub(super) passed_over: Vec<String>,
}
