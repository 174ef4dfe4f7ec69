//! containerd's own interface, for what its Kubernetes interface does not know: containers of `ctr` and `nerdctl`, and, where no Docker engine
//! can be asked, of Docker.
//!
//! Messages have the few fields that are read here, with the numbers that
//! <https://github.com/containerd/containerd/tree/main/api/services> gives them. Nothing but questions is ever sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use serde_json::Value;

use super::container::{Container, Runtime, is_full_id};
use super::files::specified;
use super::grpc::{Answers, Refusal, Wire};

/// The namespace of containers that the Kubernetes interface made.
pub(super) const KUBERNETES: &str = "k8s.io";
/// The namespace of Docker's containers.
pub(super) const DOCKER: &str = "moby";

/// Namespaces that are looked through, at most.
const NAMESPACES: usize = 64;
/// Containers of a namespace's list that are looked at, at most.
const LISTED: usize = 10_000;
/// Images whose digests are remembered, at most.
const IMAGES: usize = 1024;

/// A daemon that offers this interface.
#[derive(Clone)]
pub(super) struct Containerd {
    wire: Wire,
    /// Digests by namespace and name, until some image changes.
    images: Arc<Mutex<HashMap<(String, String), String>>>,
}

impl Containerd {
    /// The interface of this connection, if it has one.
    pub(super) async fn find(wire: &Wire) -> Result<Option<Self>, Refusal> {
        let version: Result<Nothing, _> = wire
            .ask("/containerd.services.version.v1.Version/Version", "", Nothing {})
            .await;
        match version {
            Ok(_) => Ok(Some(Self {
                wire: wire.clone(),
                images: Arc::default(),
            })),
            Err(Refusal::NotOffered) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What happens to containers and images of all namespaces from now on.
    pub(super) async fn events(&self) -> Result<Answers<Envelope>, Refusal> {
        // <https://github.com/containerd/containerd/blob/main/pkg/filters/filter.go>
        let question = SubscribeRequest {
            filters: vec![
                "topic~=\"^/containers/\"".to_owned(),
                "topic~=\"^/images/\"".to_owned(),
            ],
        };
        let method = "/containerd.services.events.v1.Events/Subscribe";
        self.wire.listen(method, "", question).await
    }

    pub(super) async fn namespaces(&self) -> Result<Vec<String>, Refusal> {
        let listed: NamespaceList = self
            .wire
            .ask(
                "/containerd.services.namespaces.v1.Namespaces/List",
                "",
                Nothing {},
            )
            .await?;
        let names = listed.namespaces.into_iter().map(|namespace| namespace.name);
        Ok(names.take(NAMESPACES).collect())
    }

    /// Tells of all containers of a namespace, and returns how many could not be read.
    pub(super) async fn list(
        &self,
        namespace: &str,
        mut tell: impl FnMut(Container),
    ) -> Result<u64, Refusal> {
        let method = "/containerd.services.containers.v1.Containers/ListStream";
        let mut found: Answers<Held> = self.wire.listen(method, namespace, Nothing {}).await?;
        let mut unreadable = 0;
        for _ in 0..LISTED {
            let Some(held) = found.message().await? else { break };
            match held.and_then(|held| held.container) {
                Some(stored) => tell(self.told(namespace, stored).await),
                None => unreadable += 1,
            }
        }
        Ok(unreadable)
    }

    /// The container of this id in this namespace.
    pub(super) async fn container_of(&self, namespace: &str, id: &str) -> Result<Container, Refusal> {
        let question = Named { name: id.to_owned() };
        let method = "/containerd.services.containers.v1.Containers/Get";
        let held: Held = self.wire.ask(method, namespace, question).await?;
        let stored = held.container.filter(|stored| stored.id == id);
        let stored = stored.ok_or(Refusal::NotFound)?;
        Ok(self.told(namespace, stored).await)
    }

    async fn told(&self, namespace: &str, stored: Stored) -> Container {
        let mut container = self.plain(namespace, &stored.id, &stored.image).await;
        for (name, value) in &stored.labels {
            if name == "nerdctl/name" {
                container.named(value);
            }
            container.labelled(name, value);
        }
        // The specification is JSON: <https://github.com/containerd/typeurl>.
        if let Some(specification) = &stored.spec
            && let Ok(told) = serde_json::from_slice::<Value>(&specification.value)
        {
            let runtime = container.runtime;
            specified(&mut container, &told);
            container.runtime = runtime;
        }
        container
    }

    /// A container of which only the image is known.
    pub(super) async fn plain(&self, namespace: &str, id: &str, image: &str) -> Container {
        let runtime = if namespace == DOCKER {
            Runtime::Docker
        } else {
            Runtime::Containerd
        };
        let mut container = Container::new(id, Some(runtime), None);
        if !is_full_id(id) {
            // Who runs `ctr` names the container by its id.
            container.named(id);
        }
        if !image.is_empty() {
            container.of_image(image);
            // An image without a name is named by its digest.
            container.with_digest(image);
            if let Some(digest) = self.digest(namespace, image).await {
                container.with_digest(&digest);
            }
        }
        container
    }

    async fn digest(&self, namespace: &str, image: &str) -> Option<String> {
        let key = (namespace.to_owned(), image.to_owned());
        if let Some(digest) = self.images().get(&key) {
            return Some(digest.clone());
        }
        let question = Named {
            name: image.to_owned(),
        };
        let method = "/containerd.services.images.v1.Images/Get";
        let found: ImageHeld = self.wire.ask(method, namespace, question).await.ok()?;
        let digest = found.image?.target?.digest;
        let mut images = self.images();
        if images.len() < IMAGES && image.len() < 4096 && digest.len() < 256 {
            images.insert(key, digest.clone());
        }
        Some(digest)
    }

    pub(super) fn forget_images(&self) {
        self.images().clear();
    }

    fn images(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), String>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event tells of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A container is there, or another than before, made of this image.
    Container { id: String, image: String },
    /// A container is gone.
    Gone(String),
    /// Some image changed.
    Image,
}

/// A message that nothing is read of, or that says nothing.
#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// `GetContainerRequest`, `GetImageRequest`.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceList {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<Named>,
}

/// `GetContainerResponse`, `ListContainerMessage`.
#[derive(Clone, PartialEq, Message)]
struct Held {
    #[prost(message, optional, tag = "1")]
    container: Option<Stored>,
}

/// `Container`.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(btree_map = "string, string", tag = "2")]
    labels: BTreeMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `GetImageResponse`.
#[derive(Clone, PartialEq, Message)]
struct ImageHeld {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(message, optional, tag = "3")]
    target: Option<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(string, tag = "2")]
    digest: String,
}

#[derive(Clone, PartialEq, Message)]
struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

/// What happened, in which namespace.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(string, tag = "3")]
    topic: String,
    #[prost(message, optional, tag = "4")]
    event: Option<Any>,
}

impl Envelope {
    /// What it tells of; `None`: it cannot be read.
    pub(super) fn told(&self) -> Option<Told> {
        if self.topic.starts_with("/images/") {
            return Some(Told::Image);
        }
        let event = self.event.as_ref()?;
        let event = ContainerEvent::decode(event.value.as_slice()).ok()?;
        Some(if self.topic == "/containers/delete" {
            Told::Gone(event.id)
        } else {
            Told::Container {
                id: event.id,
                image: event.image,
            }
        })
    }
}

/// `ContainerCreate`, `ContainerUpdate`, `ContainerDelete`.
#[derive(Clone, PartialEq, Message)]
struct ContainerEvent {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    image: String,
}
