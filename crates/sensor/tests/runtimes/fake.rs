//! Servers that answer what they like: too much, too long, nothing, and rubbish; and one that behaves as CRI-O does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use hyper::HeaderMap;
use neph_sensor::Runtime;
use prost::Message;
use tokio::net::UnixListener;

use super::daemon::{PodMetadata, Text};
use super::support::Watched;
use super::{labels, of_pod};

const ID: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// What is answered to a question.
#[derive(Clone, Default)]
struct Answer {
    /// Sent as they are: frames of messages, or what are none.
    parts: Vec<Vec<u8>>,
    /// The parts are sent again and again.
    endless: bool,
    /// The answer never ends.
    open: bool,
    status: u32,
}

impl Answer {
    fn of(messages: &[Vec<u8>]) -> Self {
        Self {
            parts: messages.iter().map(|message| framed(message)).collect(),
            ..Self::default()
        }
    }

    fn status(status: u32) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// A server at a socket, on a thread of its own, which ends with the process.
fn serve(path: &Path, answer: fn(&str) -> Answer) {
    let path = path.to_owned();
    let (sender, begun) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        executor.block_on(async {
            let listener = UnixListener::bind(path).unwrap();
            sender.send(()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok((request, response))) = connection.accept().await {
                        let answer = answer(request.uri().path());
                        tokio::spawn(send(answer, response));
                    }
                });
            }
        });
    });
    begun.recv().unwrap();
}

async fn send(answer: Answer, mut response: SendResponse<Bytes>) {
    let head = hyper::Response::builder().header("content-type", "application/grpc");
    let Ok(mut stream) = response.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    loop {
        for part in &answer.parts {
            let mut part = Bytes::from(part.clone());
            while !part.is_empty() {
                stream.reserve_capacity(part.len().min(1 << 16));
                let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await
                else {
                    return;
                };
                if stream
                    .send_data(part.split_to(room.min(part.len())), false)
                    .is_err()
                {
                    return;
                }
            }
        }
        if !answer.endless {
            break;
        }
    }
    if answer.open {
        std::future::pending::<()>().await;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", answer.status.into());
    let _ = stream.send_trailers(trailers);
}

#[derive(Clone, PartialEq, Message)]
struct Version {
    #[prost(string, tag = "2")]
    runtime_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(message, optional, tag = "4")]
    pod: Option<Pod>,
    #[prost(message, repeated, tag = "5")]
    statuses: Vec<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Pod {
    #[prost(message, optional, tag = "2")]
    metadata: Option<PodMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<Text>,
    #[prost(message, optional, tag = "8")]
    image: Option<Text>,
    #[prost(string, tag = "9")]
    image_ref: String,
    #[prost(btree_map = "string, string", tag = "12")]
    labels: BTreeMap<String, String>,
}

fn status(id: &str) -> Status {
    Status {
        id: id.to_owned(),
        metadata: Some(Text::new("web")),
        image: Some(Text::new("localhost/shop/web:1.0")),
        image_ref: format!("localhost/shop/web@sha256:{}", "ab".repeat(32)),
        labels: BTreeMap::from([("mine".to_owned(), "x".to_owned())]),
    }
}

/// As CRI-O with events: it tells of a container that is gone before anybody can ask.
fn as_crio(path: &str) -> Answer {
    match path.rsplit('/').next().unwrap() {
        "Version" if path.starts_with("/runtime.v1.") => Answer::of(&[Version {
            runtime_name: "cri-o".to_owned(),
        }
        .encode_to_vec()]),
        "ListContainers" | "ListPodSandbox" => Answer::of(&[Vec::new()]),
        "GetContainerEvents" => {
            let pod = PodMetadata {
                name: "shop-1".to_owned(),
                uid: super::UID.to_owned(),
                namespace: "prod".to_owned(),
            };
            let event = |kind| {
                let event = Event {
                    container_id: ID.to_owned(),
                    kind,
                    pod: Some(Pod {
                        metadata: Some(pod.clone()),
                    }),
                    statuses: vec![status(OTHER), status(ID)],
                };
                event.encode_to_vec()
            };
            Answer {
                open: true,
                ..Answer::of(&[event(0), event(1), event(2), event(3)])
            }
        }
        "ContainerStatus" | "PodSandboxStatus" => Answer::status(5),
        _ => Answer::status(12),
    }
}

#[test]
fn events_of_the_kubernetes_interface_name_containers_that_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crio.sock");
    serve(&path, as_crio);
    let mut watched = Watched::start(path, false);
    assert_eq!(watched.states[0].runtime, Some(Runtime::CriO));
    let container = watched.named(ID);
    assert_eq!(container.name.as_deref(), Some("web"));
    assert_eq!(container.image.as_deref(), Some("localhost/shop/web:1.0"));
    assert_eq!(container.runtime, Some(Runtime::CriO));
    assert_eq!(labels(&container)["mine"], "x");
    of_pod(&container, "shop-1");
    assert_eq!(watched.containers.counts().unreadable, 0);
}

/// Everything is wrong in some way; one container is told of as it should be.
fn rubbish(path: &str) -> Answer {
    let text = |text: &str| Text::new(text).encode_to_vec();
    match path {
        "/containerd.services.version.v1.Version/Version" => Answer::of(&[Vec::new()]),
        "/runtime.v1.RuntimeService/Version" => Answer::of(&[vec![0x12, 3, b'x', b'y', b'z']]),
        // A length that is longer than the message, and a number where a text should be.
        "/containerd.services.namespaces.v1.Namespaces/List" => Answer::of(&[vec![0x0a, 0x7f, 1]]),
        "/containerd.services.events.v1.Events/Subscribe" => {
            let event = |topic: &str, value: Vec<u8>| {
                let mut message = vec![0x12, 7];
                message.extend(b"default");
                message.extend([0x1a, u8::try_from(topic.len()).unwrap()]);
                message.extend(topic.as_bytes());
                let mut any = vec![0x12, u8::try_from(value.len()).unwrap()];
                any.extend(value);
                message.extend([0x22, u8::try_from(any.len()).unwrap()]);
                message.extend(any);
                message
            };
            Answer {
                open: true,
                ..Answer::of(&[
                    vec![0xff; 100],
                    vec![0x08, 1],
                    event("/containers/create", vec![0x0a, 0x7f]),
                    event("/containers/create", text("../../etc/passwd")),
                    event("/containers/create", text(&"x".repeat(100))),
                    event("/images/update", Vec::new()),
                    event("/containers/delete", text("never-seen")),
                    event("/containers/create", text("good")),
                ])
            }
        }
        "/containerd.services.containers.v1.Containers/Get" => {
            // A label of a megabyte, and a thousand others.
            let label = |name: &str, value: &str| {
                let mut entry = Text::new(name).encode_to_vec();
                entry.push(0x12);
                prost::encoding::encode_varint(value.len() as u64, &mut entry);
                entry.extend(value.as_bytes());
                let mut message = vec![0x12];
                prost::encoding::encode_varint(entry.len() as u64, &mut message);
                message.extend(entry);
                message
            };
            let mut container = text("good");
            container.extend(label("a", &"x".repeat(1 << 20)));
            for number in 0..1000 {
                container.extend(label(&format!("b{number}"), "y"));
            }
            let mut message = vec![0x0a];
            prost::encoding::encode_varint(container.len() as u64, &mut message);
            message.extend(container);
            Answer::of(&[message])
        }
        // It never ends.
        "/runtime.v1.RuntimeService/ListContainers" => Answer {
            parts: vec![vec![7; 1000]],
            endless: true,
            ..Answer::default()
        },
        "/runtime.v1.RuntimeService/ListPodSandbox" => Answer {
            // A message that is said to be of four gigabytes.
            parts: vec![vec![0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]],
            open: true,
            ..Answer::default()
        },
        // A frame that ends too early.
        "/runtime.v1.RuntimeService/ContainerStatus" => Answer {
            parts: vec![vec![0, 0, 0, 1, 0, 1, 2]],
            ..Answer::default()
        },
        // Nothing at all, for as long as one waits.
        _ => Answer {
            open: true,
            ..Answer::default()
        },
    }
}

#[test]
fn a_hostile_runtime_costs_nothing_but_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("containerd.sock");
    serve(&path, rubbish);
    let mut watched = Watched::start(path, false);
    watched.until("what is good is known", |watched| {
        let asked = Instant::now();
        let found = watched.containers.of("good");
        assert!(asked.elapsed() < Duration::from_millis(100));
        found.is_some()
    });
    let container = watched.containers.of("good").unwrap();
    assert_eq!(container.name.as_deref(), Some("good"));
    assert!(container.labels.len() <= 64);
    assert!(container.labels.iter().all(|(_, value)| value.len() < 2000));
    watched.until("what is bad is counted", |watched| {
        watched.containers.counts().unreadable >= 5
    });
    assert_eq!(watched.containers.counts().known, 1);
    assert!(watched.containers.of(ID).is_none());
}

/// Somebody who never says a word, and one that speaks something else.
#[test]
fn what_is_no_runtime_is_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (silent, other) = (
        folder.path().join("containerd.sock"),
        folder.path().join("crio.sock"),
    );
    let listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    std::thread::spawn(move || {
        let all: Vec<_> = listener.incoming().flatten().collect();
        drop(all);
    });
    serve(&other, |_| Answer::status(12));
    let mut containers = neph_sensor::Containers::start(&neph_sensor::ContainerOptions {
        sockets: Some(vec![silent.clone(), other.clone()]),
        storage: Some(Vec::new()),
        ..neph_sensor::ContainerOptions::default()
    });
    let begun = Instant::now();
    let mut told = BTreeMap::new();
    while told.len() < 2 {
        while let Some(news) = containers.news() {
            if let neph_sensor::News::Engine(state) = news {
                told.insert(state.socket, state.problem.unwrap());
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{told:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(told[&other].contains("neither"), "{told:?}");
    assert!(told[&silent].contains("does not answer"), "{told:?}");
    assert!(containers.of(ID).is_none());
}
