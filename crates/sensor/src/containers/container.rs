//! Who a container is, as far as its engine tells, and the ECS fields that say so.
//!
//! Names, labels and image references are chosen by whoever starts containers: they are bounded here, once, and never taken for
//! more than text.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Labels that are kept of a container.
const LABELS: usize = 64;
/// Bytes of a name, of a label's name or of its value; what is longer is cut, and ends in `…`.
const TEXT: usize = 1024;

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
    /// containerd, asked itself.
    Containerd,
    /// CRI-O.
    CriO,
}

impl Runtime {
    /// As `container.runtime` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
        }
    }

    /// The one of this name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let all = [Self::Docker, Self::Podman, Self::Containerd, Self::CriO];
        all.into_iter().find(|runtime| runtime.name() == name)
    }
}

/// A container that is looked for, and what its control group tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: String,
    /// The unique id of its pod.
    pub(crate) pod: Option<String>,
    pub(crate) runtime: Option<Runtime>,
}

impl Wanted {
    pub(super) fn by_id(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pod: None,
            runtime: None,
        }
    }
}

/// The pod of Kubernetes that a container is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its unique id.
    pub uid: Option<String>,
    /// The name of the container in the pod's specification.
    pub container: Option<String>,
}

/// Who a container is.
#[derive(Clone, Debug)]
pub struct Container {
    /// As the engine and the control group name it.
    pub id: String,
    /// What runs it, where that is known.
    pub runtime: Option<Runtime>,
    /// The name that somebody gave it, or the engine made up.
    pub name: Option<String>,
    /// The reference by which the image was named when the container was made.
    pub image: Option<String>,
    /// Digests of the image: its own id, and those of the manifests by which registries know it.
    pub digests: Vec<String>,
    /// Labels of the container and its image.
    pub labels: Vec<(String, String)>,
    /// It was started with all privileges.
    pub privileged: Option<bool>,
    /// `host`, `none`, `bridge`, `container:ID`, the name of a network.
    pub network: Option<String>,
    /// It shares the host's process numbers.
    pub shares_processes: Option<bool>,
    /// What was mounted into it of the host that is, or holds, the socket of a container engine.
    pub engine_sockets: Vec<String>,
    /// Whose word this is: an engine of the host (`None`), or one that a user runs.
    pub told_by: Option<u32>,
    /// The engine was asked about it, so that nothing more is to be learned.
    pub is_complete: bool,
}

impl Container {
    pub(crate) fn new(id: &str, runtime: Option<Runtime>, told_by: Option<u32>) -> Self {
        Self {
            id: id.to_owned(),
            runtime,
            name: None,
            image: None,
            digests: Vec::new(),
            labels: Vec::new(),
            privileged: None,
            network: None,
            shares_processes: None,
            engine_sockets: Vec::new(),
            told_by,
            is_complete: false,
        }
    }

    /// Sets the name, which Docker's interface writes with a slash in front.
    pub(super) fn named(&mut self, name: &str) {
        let name = name.strip_prefix('/').unwrap_or(name);
        if !name.is_empty() {
            self.name = Some(bounded(name));
        }
    }

    /// Sets the reference of the image.
    pub(super) fn of_image(&mut self, reference: &str) {
        if !reference.is_empty() {
            self.image = Some(bounded(reference));
        }
    }

    /// Adds digests of the image: `sha256:…`, also where it stands behind `name@`, or as 64 digits alone.
    pub(super) fn with_digest(&mut self, text: &str) {
        let text = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
        let digest = match text.split_once(':') {
            Some((algorithm, hash)) if is_algorithm(algorithm) && is_hash(hash) => text.to_owned(),
            _ if is_full_id(text) => format!("sha256:{text}"),
            _ => return,
        };
        if digest.len() <= TEXT && self.digests.len() < 16 && !self.digests.contains(&digest) {
            self.digests.push(digest);
        }
    }

    /// Adds a label; who said first what it is is right.
    pub(super) fn labelled(&mut self, name: &str, value: &str) {
        let is_known = self.labels.iter().any(|(known, _)| known == name);
        if self.labels.len() < LABELS && !name.is_empty() && !is_known {
            self.labels.push((bounded(name), bounded(value)));
        }
    }

    /// Adds the labels of an object that holds nothing else.
    pub(super) fn labelled_all(&mut self, labels: Option<&Value>) {
        for (name, value) in labels.and_then(Value::as_object).into_iter().flatten() {
            self.labelled(name, value.as_str().unwrap_or_default());
        }
    }

    /// Adds something of the host that was mounted into it, if it gives control of an engine.
    pub(super) fn mounted(&mut self, source: &str) {
        if gives_engine(source) && self.engine_sockets.len() < 16 {
            self.engine_sockets.push(bounded(source));
        }
    }

    /// What is known here and not in what was learned later stays known.
    pub(super) fn keep(&mut self, older: &Self) {
        fn fill<T: Clone>(newer: &mut Option<T>, older: &Option<T>) {
            if newer.is_none() {
                newer.clone_from(older);
            }
        }
        fill(&mut self.runtime, &older.runtime);
        fill(&mut self.name, &older.name);
        fill(&mut self.image, &older.image);
        fill(&mut self.privileged, &older.privileged);
        fill(&mut self.network, &older.network);
        fill(&mut self.shares_processes, &older.shares_processes);
        if self.engine_sockets.is_empty() {
            self.engine_sockets.clone_from(&older.engine_sockets);
        }
        for digest in &older.digests {
            self.with_digest(digest);
        }
        for (name, value) in &older.labels {
            self.labelled(name, value);
        }
        self.is_complete |= older.is_complete;
    }

    /// Its pod, by the labels that the kubelet sets, whatever the runtime.
    /// <https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubelet/pkg/types/labels.go>
    pub fn pod(&self) -> Option<Pod> {
        let label = |wanted: &str| {
            let found = self.labels.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        };
        let pod = Pod {
            namespace: label("io.kubernetes.pod.namespace"),
            name: label("io.kubernetes.pod.name"),
            uid: label("io.kubernetes.pod.uid"),
            container: label("io.kubernetes.container.name"),
        };
        (pod != Pod::default()).then_some(pod)
    }

    /// The tag of its image, where the reference names one.
    pub fn tag(&self) -> Option<&str> {
        let reference = self.image.as_deref()?;
        let name = reference.split_once('@').map_or(reference, |(name, _)| name);
        // A colon before the last slash belongs to the port of the registry.
        let (before, tag) = name.rsplit_once(':')?;
        (!tag.contains('/') && !before.is_empty() && before != "sha256").then_some(tag)
    }

    /// The members of an ECS document that say all this: `container`, `orchestrator`, and what ECS has no field for.
    /// <https://www.elastic.co/docs/reference/ecs/ecs-container>
    pub fn members(&self) -> Map<String, Value> {
        let pod = self.pod();
        let mut container = Map::new();
        let mut set = |name: &str, value: Value| container.insert(name.to_owned(), value);
        set("id", json!(self.id));
        if let Some(runtime) = self.runtime {
            set("runtime", json!(runtime.name()));
        }
        let inner = pod.as_ref().and_then(|pod| pod.container.as_ref());
        if let Some(name) = self.name.as_ref().or(inner) {
            set("name", json!(name));
        }
        let mut image = Map::new();
        if let Some(reference) = &self.image {
            image.insert("name".to_owned(), json!(reference));
        }
        if let Some(tag) = self.tag() {
            image.insert("tag".to_owned(), json!([tag]));
        }
        let named = self.image.as_deref().and_then(|image| image.split_once('@'));
        let mut digests = self.digests.clone();
        if let Some((_, digest)) = named
            && !digests.iter().any(|known| known == digest)
        {
            digests.push(digest.to_owned());
        }
        if !digests.is_empty() {
            image.insert("hash".to_owned(), json!({ "all": digests }));
        }
        if !image.is_empty() {
            set("image", Value::Object(image));
        }
        if !self.labels.is_empty() {
            // As agents write them: a dot would make an object of it.
            let labels = self.labels.iter();
            let labels: Map<String, Value> = labels
                .map(|(name, value)| (name.replace('.', "_"), json!(value)))
                .collect();
            set("labels", Value::Object(labels));
        }
        if let Some(privileged) = self.privileged {
            set("security_context", json!({ "privileged": privileged }));
        }
        let mut members = Map::new();
        members.insert("container".to_owned(), Value::Object(container));
        if let Some(pod) = pod {
            members.insert("orchestrator".to_owned(), orchestrator(&pod));
        }
        let own = self.own();
        if !own.is_empty() {
            members.insert("neph".to_owned(), json!({ "sensor": { "container": own } }));
        }
        members
    }

    fn own(&self) -> Map<String, Value> {
        let mut own = Map::new();
        if let Some(network) = &self.network {
            own.insert("network_mode".to_owned(), json!(network));
        }
        if let Some(shares) = self.shares_processes {
            own.insert("shares_processes".to_owned(), json!(shares));
        }
        if !self.engine_sockets.is_empty() {
            own.insert("engine_sockets".to_owned(), json!(self.engine_sockets));
        }
        if let Some(user) = self.told_by {
            own.insert("engine_of_user".to_owned(), json!(user.to_string()));
        }
        own
    }

    /// How many bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let labels = self.labels.iter();
        let labels: usize = labels.map(|(name, value)| name.len() + value.len() + 48).sum();
        let lists = [&self.digests, &self.engine_sockets].into_iter().flatten();
        let lists: usize = lists.map(|text| text.len() + 24).sum();
        400 + 2 * self.id.len() + text(&self.name) + text(&self.image) + text(&self.network) + labels + lists
    }
}

fn orchestrator(pod: &Pod) -> Value {
    let mut orchestrator = Map::new();
    orchestrator.insert("type".to_owned(), json!("kubernetes"));
    if let Some(namespace) = &pod.namespace {
        orchestrator.insert("namespace".to_owned(), json!(namespace));
    }
    let mut resource = Map::new();
    resource.insert("type".to_owned(), json!("pod"));
    for (name, value) in [("name", &pod.name), ("id", &pod.uid)] {
        if let Some(value) = value {
            resource.insert(name.to_owned(), json!(value));
        }
    }
    orchestrator.insert("resource".to_owned(), Value::Object(resource));
    Value::Object(orchestrator)
}

/// Whether what is mounted is the socket of an engine, or a folder of the host in which these are.
fn gives_engine(source: &str) -> bool {
    const SOCKETS: &[&str] = &["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
    const FOLDERS: &[&str] = &[
        "/",
        "/run",
        "/run/containerd",
        "/run/crio",
        "/run/podman",
        "/var",
        "/var/run",
        "/var/run/containerd",
        "/var/run/crio",
        "/var/run/podman",
    ];
    let name = source.rsplit('/').next().unwrap_or_default();
    let folder = if source.len() > 1 {
        source.trim_end_matches('/')
    } else {
        source
    };
    SOCKETS.contains(&name) || FOLDERS.contains(&folder)
}

/// The text, or its beginning.
pub(super) fn bounded(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let mut cut = text
        .get(..text.floor_char_boundary(TEXT))
        .unwrap_or_default()
        .to_owned();
    // Writing to a string does not fail.
    let _ = cut.write_char('…');
    cut
}

/// Whether this may name how a digest was made: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>.
fn is_algorithm(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'.' | b'_' | b'-')
    };
    !text.is_empty() && text.bytes().all(plain)
}

/// Whether this may be the digest itself, and not the tag of an image.
fn is_hash(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this is the full id of a container or an image: 64 hexadecimal digits.
pub(super) fn is_full_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this may be the id of a container, so that it can stand in a path:
/// <https://github.com/containerd/containerd/blob/main/pkg/identifiers/validate.go>.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && text.len() <= 76 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_chose_is_bounded_and_stays_text() {
        let mut container = Container::new(&"a".repeat(64), Some(Runtime::Docker), None);
        container.named(&format!("/{}", "ü".repeat(5000)));
        for label in 0..1000 {
            container.labelled(&format!("a.{label}"), &"x\"}\n\u{0}".repeat(1000));
        }
        container.of_image("registry:5000/a/b");
        let members = container.members();
        let text = serde_json::to_string(&members).unwrap();
        assert!(text.len() < 200_000 && !text.contains('\n'));
        let name = members["container"]["name"].as_str().unwrap();
        assert!(name.ends_with('…') && name.len() <= TEXT + 3);
        assert_eq!(members["container"]["labels"].as_object().unwrap().len(), LABELS);
        assert!(container.weight() > 64 * 1024);
        assert_eq!(container.tag(), None);
    }

    #[test]
    fn references_are_taken_apart_as_registries_do() {
        let tag = |reference: &str| {
            let mut container = Container::new("x", Some(Runtime::Podman), None);
            container.of_image(reference);
            container.tag().map(str::to_owned)
        };
        assert_eq!(tag("nginx:1.2").as_deref(), Some("1.2"));
        assert_eq!(tag("r:5000/a/b:c@sha256:00").as_deref(), Some("c"));
        assert_eq!(tag("r:5000/a/b"), None);
        assert_eq!(tag("sha256:00"), None);
        assert_eq!(tag(":x"), None);
    }

    #[test]
    fn digests_are_no_names() {
        let mut container = Container::new("x", None, None);
        let hash = "ab".repeat(32);
        for text in [
            "web:1.0",
            "web:latest",
            "r:5000",
            "",
            ":",
            "sha256:",
            "r/web:abcdef",
        ] {
            container.with_digest(text);
        }
        assert!(container.digests.is_empty(), "{:?}", container.digests);
        for text in [
            format!("r:5000/web@sha256:{hash}"),
            hash.clone(),
            format!("sha512:{hash}{hash}"),
        ] {
            container.with_digest(&text);
        }
        assert_eq!(container.digests.len(), 2);
    }

    #[test]
    fn ids_that_could_leave_a_folder_are_none() {
        for bad in ["", "..", "../x", "a/b", "a\0", "-a", ".a", &"a".repeat(77), "ä"] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(is_id(&"0".repeat(64)) && is_id("web-1.a_b"));
    }
}
