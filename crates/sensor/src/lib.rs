//! Live telemetry of a Linux host and its containers, as ECS events.
//!
//! A *source* (eBPF, audit, the process connector) sees [`Observation`]s; what is known of processes, containers and
//! packages is added, and what comes out are ECS documents as Elastic's endpoint writes them, one a line.

mod audit;
mod budget;
mod cgroup;
mod clock;
mod cloud;
mod connector;
mod containers;
mod document;
mod ebpf;
mod enrich;
mod event;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod join;
mod netlink;
mod observation;
mod options;
mod packages;
mod process;
mod procfs;
mod queue;
mod scope;
mod sensor;
mod source;
mod steady;
mod stream;
mod table;
#[cfg(test)]
mod trial;
mod users;

pub use cloud::{Cloud, CloudError, CloudOptions};
pub use containers::{
    Container, ContainerCounts, ContainerOptions, Containers, EngineState, News, Pod, Runtime,
};
pub use document::{DocumentKind, kinds};
pub use files::{Files, Looked, Unwatchable};
pub use observation::{
    Cause, Change, Class, Connect, Context, Exec, Lost, Namespaces, Observation, Open, Outcome, Peer,
    ProcessId, SinceBoot, TICK, Transport,
};
pub use options::{HostOptions, Limits, Options};
pub use packages::{Executable, Package, PackageCounts, Packages, Place};
pub use sensor::{Counts, Sensor, SensorError, StartError};
pub use source::{Abilities, Hook, Mode, Part, SourceError};
pub use steady::{Notice, Steady};
