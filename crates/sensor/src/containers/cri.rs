//! The interface of Kubernetes to runtimes (CRI), version 1: containers, pods and images.
//!
//! <https://kubernetes.io/docs/concepts/containers/cri/>. Nothing but questions is ever sent.

mod messages;

use std::collections::BTreeMap;

use serde_json::Value;

pub(super) use self::messages::ContainerEvent;
use self::messages::{
    ById, ContainerMetadata, ContainerStatus, ContainerStatusRequest, ContainerStatusResponse, ImageSpec,
    ImageStatusRequest, ImageStatusResponse, ListContainers, ListPods, Nothing, Pod, PodMetadata, PodStatus,
    PodStatusRequest, PodStatusResponse, VersionRequest, VersionResponse,
};
use super::container::{Container, Runtime};
use super::files::specified;
use super::grpc::{Answers, Refusal, Wire};

/// Containers of a list that are looked at, at most.
const LISTED: usize = 10_000;

/// `NamespaceMode`: the namespace of the host.
const OF_NODE: i32 = 2;

/// A runtime that offers this interface.
#[derive(Clone)]
pub(super) struct Cri {
    wire: Wire,
    pub(super) runtime: Runtime,
}

impl Cri {
    /// The interface of this connection, if it has one.
    pub(super) async fn find(wire: &Wire) -> Result<Option<Self>, Refusal> {
        let question = VersionRequest {
            version: "v1".to_owned(),
        };
        let version: Result<VersionResponse, _> =
            wire.ask("/runtime.v1.RuntimeService/Version", "", question).await;
        match version {
            Ok(version) => Ok(Some(Self {
                wire: wire.clone(),
                runtime: match version.runtime_name.as_str() {
                    "cri-o" => Runtime::CriO,
                    "docker" => Runtime::Docker,
                    _ => Runtime::Containerd,
                },
            })),
            Err(Refusal::NotOffered) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What happens to containers from now on.
    pub(super) async fn events(&self) -> Result<Answers<ContainerEvent>, Refusal> {
        let method = "/runtime.v1.RuntimeService/GetContainerEvents";
        self.wire.listen(method, "", Nothing {}).await
    }

    /// All containers and pods, as far as lists tell of them.
    pub(super) async fn list(&self) -> Result<Vec<Container>, Refusal> {
        let pods: ListPods = self
            .wire
            .ask("/runtime.v1.RuntimeService/ListPodSandbox", "", ById::all())
            .await?;
        let listed: ListContainers = self
            .wire
            .ask("/runtime.v1.RuntimeService/ListContainers", "", ById::all())
            .await?;
        let mut containers: Vec<Container> = pods
            .items
            .iter()
            .take(LISTED)
            .map(|pod| {
                let mut container = self.container(&pod.id);
                of_pod(&mut container, pod.metadata.as_ref(), &pod.labels);
                container
            })
            .collect();
        let pods: BTreeMap<&str, &Pod> = pods.items.iter().map(|pod| (pod.id.as_str(), pod)).collect();
        containers.extend(listed.containers.iter().take(LISTED).map(|found| {
            let mut container = self.container(&found.id);
            told(&mut container, found.metadata.as_ref(), found.image.as_ref());
            container.with_digest(&found.image_ref);
            labelled(&mut container, &found.labels);
            if let Some(pod) = pods.get(found.pod_sandbox_id.as_str()) {
                of_pod(&mut container, pod.metadata.as_ref(), &pod.labels);
            }
            container
        }));
        Ok(containers)
    }

    /// A container, or what holds a pod's namespaces, with all that is known of it.
    pub(super) async fn container_of(&self, id: &str) -> Result<Container, Refusal> {
        let mut container = self.container(id);
        let question = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let answer: Result<ContainerStatusResponse, _> = self
            .wire
            .ask("/runtime.v1.RuntimeService/ContainerStatus", "", question)
            .await;
        let answer = match answer {
            // Runtimes also find by how ids begin.
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.id == id) => answer,
            Ok(_) | Err(Refusal::NotFound) => {
                self.pod(id, &mut container).await?;
                container.is_complete = true;
                return Ok(container);
            }
            Err(refusal) => return Err(refusal),
        };
        let status = answer.status.unwrap_or_default();
        of_status(&mut container, &status);
        let info = answer.info.get("info");
        let info: Value = info
            .and_then(|info| serde_json::from_str(info).ok())
            .unwrap_or_default();
        specified(&mut container, info.get("runtimeSpec").unwrap_or(&Value::Null));
        if let Some(Value::Bool(privileged)) = info.get("privileged") {
            container.privileged = Some(*privileged);
        }
        container.runtime = Some(self.runtime);
        if let Some(pod) = self.pod_of(id, &info).await? {
            // What cannot be told of the pod does not make less of the container.
            match self.pod(&pod, &mut container).await {
                Ok(()) | Err(Refusal::NotFound) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        self.digests(&status, &mut container).await?;
        container.is_complete = true;
        Ok(container)
    }

    /// The pod that a container is of.
    async fn pod_of(&self, id: &str, info: &Value) -> Result<Option<String>, Refusal> {
        if let Some(pod) = info.get("sandboxID").and_then(Value::as_str) {
            return Ok(Some(pod.to_owned()));
        }
        let listed: ListContainers = self
            .wire
            .ask(
                "/runtime.v1.RuntimeService/ListContainers",
                "",
                ById::one(id.to_owned()),
            )
            .await?;
        let mut found = listed.containers.into_iter().filter(|found| found.id == id);
        Ok(found.next().map(|found| found.pod_sandbox_id))
    }

    async fn pod(&self, id: &str, container: &mut Container) -> Result<(), Refusal> {
        let question = PodStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        let answer: PodStatusResponse = self
            .wire
            .ask("/runtime.v1.RuntimeService/PodSandboxStatus", "", question)
            .await?;
        let status = answer.status.filter(|status| status.id == id);
        let status = status.ok_or(Refusal::NotFound)?;
        status.tell(container);
        Ok(())
    }

    /// Adds the digests of the image that a container was made of.
    async fn digests(&self, status: &ContainerStatus, container: &mut Container) -> Result<(), Refusal> {
        let named = status.image.as_ref().map(|image| image.image.as_str());
        let image = [status.image_ref.as_str(), named.unwrap_or_default()]
            .into_iter()
            .find(|image| !image.is_empty());
        let Some(image) = image else { return Ok(()) };
        let question = ImageStatusRequest {
            image: Some(ImageSpec {
                image: image.to_owned(),
                ..ImageSpec::default()
            }),
            verbose: false,
        };
        let answer: ImageStatusResponse = self
            .wire
            .ask("/runtime.v1.ImageService/ImageStatus", "", question)
            .await?;
        if let Some(image) = answer.image {
            container.with_digest(&image.id);
            for digest in &image.repo_digests {
                container.with_digest(digest);
            }
        }
        Ok(())
    }

    /// The container that an event tells of.
    pub(super) fn told(&self, event: &ContainerEvent) -> Container {
        let mut container = self.container(&event.container_id);
        let mut statuses = event.containers_statuses.iter();
        if let Some(status) = statuses.find(|status| status.id == event.container_id) {
            of_status(&mut container, status);
        }
        if let Some(pod) = &event.pod_sandbox_status {
            pod.tell(&mut container);
        }
        container
    }

    fn container(&self, id: &str) -> Container {
        Container::new(id, Some(self.runtime), None)
    }
}

fn of_status(container: &mut Container, status: &ContainerStatus) {
    told(container, status.metadata.as_ref(), status.image.as_ref());
    container.with_digest(&status.image_ref);
    container.with_digest(&status.image_id);
    labelled(container, &status.labels);
    for mount in &status.mounts {
        container.mounted(&mount.host_path);
    }
}

fn told(container: &mut Container, metadata: Option<&ContainerMetadata>, image: Option<&ImageSpec>) {
    if let Some(metadata) = metadata {
        container.named(&metadata.name);
        container.labelled("io.kubernetes.container.name", &metadata.name);
    }
    if let Some(image) = image {
        // The name that a person wrote says more than the one by which the runtime knows the image.
        let named = Some(&image.user_specified_image).filter(|name| !name.is_empty());
        container.of_image(named.unwrap_or(&image.image));
    }
}

fn labelled(container: &mut Container, labels: &BTreeMap<String, String>) {
    for (name, value) in labels {
        container.labelled(name, value);
    }
}

/// Adds the pod's name, and its labels.
fn of_pod(container: &mut Container, metadata: Option<&PodMetadata>, labels: &BTreeMap<String, String>) {
    if let Some(metadata) = metadata {
        for (name, value) in [
            ("io.kubernetes.pod.namespace", &metadata.namespace),
            ("io.kubernetes.pod.name", &metadata.name),
            ("io.kubernetes.pod.uid", &metadata.uid),
        ] {
            if !value.is_empty() {
                container.labelled(name, value);
            }
        }
    }
    labelled(container, labels);
}

impl PodStatus {
    fn tell(&self, container: &mut Container) {
        of_pod(container, self.metadata.as_ref(), &self.labels);
        let namespaces = self.linux.as_ref().and_then(|linux| linux.namespaces.as_ref());
        let options = namespaces.and_then(|namespaces| namespaces.options.as_ref());
        // Containers join the network of what holds the pod's, whosever that is.
        if options.is_some_and(|options| options.network == OF_NODE) {
            container.network = Some("host".to_owned());
        }
    }
}
