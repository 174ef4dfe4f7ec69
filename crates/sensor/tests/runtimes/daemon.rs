//! A containerd of our own, with images and containers in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prost::Message;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use super::support::{self, IMAGE, Watched};
use super::{PAUSE, UID};

/// A containerd of our own.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    service: Option<Child>,
    pub(crate) without: &'static [&'static str],
}

impl Daemon {
    /// The daemon with images in it, without these plugins; `None`, and a word about it, where it cannot run here.
    pub(crate) fn start(without: &'static [&'static str]) -> Option<Self> {
        let skipped = |why: &str| {
            println!("skipped: containerd cannot be asked: {why}");
            None
        };
        if !rustix::process::geteuid().is_root() {
            return skipped("only root can start it");
        }
        for program in ["containerd", "ctr", "runc", "curl"] {
            if Command::new(program).arg("--version").output().is_err() {
                return skipped(&format!("`{program}` is not installed"));
            }
        }
        let busybox = match support::busybox() {
            Ok(busybox) => busybox,
            Err(why) => return skipped(why),
        };
        let mut daemon = Self {
            // Paths of sockets are short.
            folder: tempfile::tempdir_in("/tmp").unwrap(),
            service: None,
            without,
        };
        let disabled: Vec<String> = without.iter().map(|plugin| format!("{plugin:?}")).collect();
        let folder = daemon.folder.path().display();
        let config = format!(
            r#"
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [{}]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/none"
    conf_dir = "{folder}/none"
"#,
            disabled.join(", ")
        );
        std::fs::write(daemon.path("config.toml"), config).unwrap();
        daemon.serve();
        if without.contains(&"io.containerd.grpc.v1.containers") {
            // `ctr` has nobody to talk to; the images are put there before.
            return Some(daemon);
        }
        for (name, also) in [(IMAGE, "shop"), (PAUSE, "pause")] {
            let archive = daemon.path("image.tar");
            std::fs::write(&archive, image(name, also, &std::fs::read(&busybox).unwrap())).unwrap();
            for namespace in ["default", "k8s.io", "batch"] {
                let arguments = ["-n", namespace, "images", "import", "--snapshotter", "native"];
                let imported = daemon.ctr(&[&arguments[..], &[archive.to_str().unwrap()]].concat());
                if let Err(why) = imported {
                    return skipped(&why);
                }
            }
        }
        Some(daemon)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// The control group of all that runs here.
    pub(crate) fn group(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        format!("/neph-runtimes{name}")
    }

    /// Starts the daemon, and waits until it answers.
    pub(crate) fn serve(&mut self) {
        let log = std::fs::File::create(self.path("service.log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(self.path("config.toml"));
        command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null());
        self.service = Some(command.spawn().unwrap());
        let begun = Instant::now();
        let answers = |daemon: &Self| {
            if daemon.without.is_empty() || daemon.without.contains(&"io.containerd.grpc.v1.containers") {
                daemon.call("RuntimeService/Version", &Text::new("")).is_ok()
            } else {
                daemon.ctr(&["version"]).is_ok()
            }
        };
        while !answers(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "the daemon does not answer: {}",
                std::fs::read_to_string(self.path("service.log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the daemon, without a word or as its unit does. What it runs goes on.
    pub(crate) fn stop(&mut self, signal: Signal) {
        support::end(&mut self.service, signal);
    }

    pub(crate) fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        let mut ctr = Command::new("ctr");
        support::printed(ctr.arg("-a").arg(self.socket()).args(arguments))
    }

    /// Runs a container of `ctr` for so long.
    pub(crate) fn run(&self, namespace: &str, more: &[&str], id: &str, seconds: &str) {
        let (group, root) = (format!("{}/{id}", self.group()), self.path("runc"));
        let begin = [
            "-n",
            namespace,
            "run",
            "--snapshotter",
            "native",
            "--cgroup",
            &group,
        ];
        let apart = ["--runc-root", root.to_str().unwrap()];
        let command = [IMAGE, id, "/bin/busybox", "sleep", seconds];
        self.ctr(&[&begin[..], &apart[..], more, &command[..]].concat())
            .unwrap();
    }

    /// Asks Kubernetes' interface.
    pub(crate) fn call(&self, method: &str, question: &impl Message) -> Result<Vec<u8>, String> {
        let body = question.encode_to_vec();
        let mut framed = vec![0];
        framed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend(body);
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--http2-prior-knowledge",
            "--max-time",
            "60",
            "--unix-socket",
        ]);
        curl.arg(self.socket());
        curl.args([
            "--header",
            "content-type: application/grpc",
            "--header",
            "te: trailers",
        ]);
        curl.args(["--dump-header", "/dev/stderr", "--data-binary", "@-"]);
        curl.arg(format!("http://localhost/runtime.v1.{method}"));
        curl.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut curl = curl.spawn().map_err(|error| error.to_string())?;
        curl.stdin.take().unwrap().write_all(&framed).unwrap();
        let done = curl.wait_with_output().map_err(|error| error.to_string())?;
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        if !told.contains("grpc-status: 0") {
            return Err(format!("{method}: {told}"));
        }
        Ok(done.stdout.get(5..).unwrap_or_default().to_vec())
    }

    /// Makes a pod on the host's network.
    pub(crate) fn pod(&self, name: &str) -> (String, PodConfig) {
        let options = NamespaceOptions { network: 2, pid: 1 };
        let config = PodConfig {
            metadata: Some(PodMetadata {
                name: name.to_owned(),
                uid: UID.to_owned(),
                namespace: "prod".to_owned(),
            }),
            labels: BTreeMap::from([
                ("app".to_owned(), "shop".to_owned()),
                ("hostile".to_owned(), "a\"}\n\u{1b}[31m{{x}}ü".to_owned()),
            ]),
            linux: Some(PodLinux {
                cgroup_parent: self.group(),
                security: Some(Security {
                    options: Some(options),
                }),
            }),
        };
        let question = RunPod {
            config: Some(config.clone()),
        };
        let answer = self.call("RuntimeService/RunPodSandbox", &question).unwrap();
        (Text::decode(&*answer).unwrap().text, config)
    }

    /// Makes a container of a pod, and starts it.
    pub(crate) fn container(&self, pod: &(String, PodConfig), name: &str, seconds: &str) -> String {
        let question = Create {
            pod: pod.0.clone(),
            config: Some(ContainerConfig {
                metadata: Some(Text::new(name)),
                image: Some(Text::new(IMAGE)),
                command: vec!["/bin/busybox".to_owned(), "sleep".to_owned(), seconds.to_owned()],
                labels: BTreeMap::from([("mine".to_owned(), name.to_owned())]),
            }),
            pod_config: Some(pod.1.clone()),
        };
        let answer = self.call("RuntimeService/CreateContainer", &question).unwrap();
        let id = Text::decode(&*answer).unwrap();
        self.call("RuntimeService/StartContainer", &id).unwrap();
        id.text
    }

    /// Removes a container that has ended, or ends soon.
    #[track_caller]
    pub(crate) fn remove(&self, id: &str) {
        let begun = Instant::now();
        std::thread::sleep(Duration::from_millis(100));
        // A runtime that is busy refuses at first.
        while let Err(why) = self.call("RuntimeService/RemoveContainer", &Text::new(id)) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{why}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    pub(crate) fn containers(&self) -> Watched {
        Watched::start(self.socket(), false)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for pod in self
            .call("RuntimeService/ListPodSandbox", &Text::new(""))
            .ok()
            .and_then(|answer| Listed::decode(&*answer).ok())
            .unwrap_or_default()
            .items
        {
            for method in ["RuntimeService/StopPodSandbox", "RuntimeService/RemovePodSandbox"] {
                let _ = self.call(method, &pod);
            }
        }
        for namespace in ["default", "batch", "k8s.io"] {
            for (what, how) in [("tasks", "rm"), ("containers", "rm")] {
                let all = self.ctr(&["-n", namespace, what, "ls", "-q"]).unwrap_or_default();
                for id in all.lines() {
                    let force: &[&str] = if what == "tasks" { &["-f"] } else { &[] };
                    let _ = self.ctr(&[&["-n", namespace, what, how], force, &[id]].concat());
                }
            }
        }
        self.stop(Signal::TERM);
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        for folder in hierarchies
            .map(|hierarchy| hierarchy.path())
            .chain(["/sys/fs/cgroup".into()])
        {
            let _ = std::fs::remove_dir(folder.join(self.group().trim_start_matches('/')));
        }
    }
}

/// An archive as `docker save` writes it, with one file in one layer.
pub(crate) fn image(name: &str, also: &str, busybox: &[u8]) -> Vec<u8> {
    fn add(archive: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, name, content).unwrap();
    }
    fn digest(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "bin/busybox", 0o755, busybox);
    add(&mut layer, "name", 0o644, also.as_bytes());
    let layer = layer.into_inner().unwrap();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/bin/busybox"], "Cmd": ["sleep", "600"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))] },
    });
    let config = config.to_string().into_bytes();
    let config_name = format!("{}.json", digest(&config));
    let manifest =
        serde_json::json!([{ "Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(&mut archive, &config_name, 0o644, &config);
    add(
        &mut archive,
        "manifest.json",
        0o644,
        manifest.to_string().as_bytes(),
    );
    archive.into_inner().unwrap()
}

/// A message whose first field is a text: an id, a name.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Listed {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Text>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodMetadata>,
    #[prost(btree_map = "string, string", tag = "6")]
    labels: BTreeMap<String, String>,
    #[prost(message, optional, tag = "8")]
    linux: Option<PodLinux>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodLinux {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security: Option<Security>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Security {
    #[prost(message, optional, tag = "1")]
    options: Option<NamespaceOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NamespaceOptions {
    #[prost(int32, tag = "1")]
    network: i32,
    #[prost(int32, tag = "2")]
    pid: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Create {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Text>,
    #[prost(message, optional, tag = "2")]
    image: Option<Text>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(btree_map = "string, string", tag = "9")]
    labels: BTreeMap<String, String>,
}
