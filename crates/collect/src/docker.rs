//! Container engines that speak Docker's interface, over a socket of this machine or over TCP with or without TLS.
//! <https://docs.docker.com/reference/api/engine/>

use std::path::PathBuf;

use neph_inventory::Cloud;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::http::{Client, Trust, get, read_file};
use crate::output::Output;
use crate::problem::Problem;
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

/// What ends or changes a part of a path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'/')
    .add(b'?')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'@');
/// The lane of requests: an engine is one server.
const LANE: &str = "docker";

/// Where the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `unix:///var/run/docker.sock`, `tcp://HOST:PORT`, as in `DOCKER_HOST`.
    pub host: String,
    /// TLS with the files `ca.pem`, `cert.pem` and `key.pem` of this folder, as in `DOCKER_CERT_PATH`.
    pub certificates: Option<PathBuf>,
    /// The name of the host's folder; else the name that the engine gives itself.
    pub name: Option<String>,
}

/// The interface of an engine.
struct Engine {
    client: Client,
    /// What stands before the path.
    base: String,
}

impl Engine {
    fn new(options: &Options, settings: &Settings) -> Result<Self, CollectError> {
        let host = options.host.as_str();
        if let Some(path) = host.strip_prefix("unix://") {
            #[cfg(unix)]
            return Ok(Self {
                client: Client::over_socket(settings, std::path::Path::new(path)),
                base: "http://localhost".to_owned(),
            });
            #[cfg(not(unix))]
            return Err(CollectError::Setup(format!(
                "`{path}`: there are no such sockets here; use `tcp://`"
            )));
        }
        let address = host
            .strip_prefix("tcp://")
            .or_else(|| host.strip_prefix("http://"))
            .or_else(|| host.strip_prefix("https://"));
        let Some(address) = address
            .map(|address| address.trim_end_matches('/'))
            .filter(|address| !address.is_empty())
        else {
            return Err(CollectError::Setup(format!(
                "`{host}` is neither `unix://PATH` nor `tcp://HOST:PORT`"
            )));
        };
        let setup = |problem: Problem| CollectError::Setup(problem.to_string());
        let trust = match &options.certificates {
            None => Trust::default(),
            Some(folder) => {
                let file = |name: &str| read_file(&folder.join(name)).map_err(setup);
                Trust {
                    authorities: Some(file("ca.pem")?),
                    client: Some((file("cert.pem")?, file("key.pem")?)),
                    is_blind: false,
                }
            }
        };
        let is_secure = options.certificates.is_some() || host.starts_with("https://");
        Ok(Self {
            client: Client::new(settings, &trust).map_err(setup)?,
            base: format!("{}://{address}", if is_secure { "https" } else { "http" }),
        })
    }

    fn get(&self, path: &str) -> Result<Value, Problem> {
        self.client
            .json(LANE, &|| get(&format!("{}{path}", self.base), &[]))
    }

    fn got(&self, path: &str) -> Result<Got, Problem> {
        self.get(path).map(Got::whole)
    }

    /// Everything about each of a list; what went away in between is no failure.
    fn each(&self, ids: &[String], path: impl Fn(&str) -> String) -> Result<Got, Problem> {
        let mut found = Vec::new();
        let (mut missing, mut first) = (0, None);
        for id in ids {
            match self.get(&path(&utf8_percent_encode(id, PATH).to_string())) {
                Ok(value) => found.push(value),
                Err(Problem::Absent(_)) => {}
                Err(problem) => {
                    missing += 1;
                    first.get_or_insert(problem);
                }
            }
        }
        match first {
            Some(problem) if found.is_empty() => Err(problem),
            first => Ok(Got {
                items: found.len() as u64,
                content: Content::Json(Value::Array(found)),
                problem: first.map(|first| Problem::Partial {
                    missing,
                    of: ids.len() as u64,
                    first: first.to_string(),
                }),
            }),
        }
    }
}

/// Asks an engine for itself, its images with their history, its containers with what changed in them, its networks and volumes.
///
/// # Errors
/// When the engine cannot be reached at all, or the folder cannot be filled.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let engine = Engine::new(options, settings)?;
    let info = engine.get("/info").map_err(|problem| CollectError::Begin {
        call: format!("docker info at `{}`", options.host),
        problem,
    })?;
    let own_name = info
        .get("Name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    let name = options.name.as_deref().or(own_name).unwrap_or("localhost");
    let place = Place {
        cloud: Cloud::Docker,
        account: name.to_owned(),
        region: None,
    };
    if settings.refresh {
        output.forget(|call| call.cloud == place.cloud && call.account.as_ref() == Some(&place.account))?;
    }
    let (engine, at) = (&engine, &place);
    let simple = |file: &str, call: &str, path: &'static str| {
        Task::new(at, at.file(file, None, ".json"), call, move || engine.got(path))
    };
    let tasks = vec![
        Task::new(at, at.file("info", None, ".json"), "docker info", move || {
            Ok(Got::whole(info))
        }),
        simple("version", "docker version", "/version"),
        simple("networks", "docker network inspect", "/networks"),
        simple("volumes", "docker volume inspect", "/volumes"),
        simple("images", "docker image ls --all", "/images/json?all=1")
            .then(move |value| images(engine, at, value)),
        simple("containers", "docker ps --all", "/containers/json?all=1")
            .then(move |value| containers(engine, at, value)),
    ];
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

fn images<'t>(engine: &'t Engine, place: &'t Place, list: &Value) -> Vec<Task<'t>> {
    let ids = ids(list);
    let mut tasks = Vec::new();
    for id in ids.clone() {
        let plain = id.strip_prefix("sha256:").unwrap_or(&id);
        let file = place.file(
            &format!("image-{}-history", crate::name::segment(plain)),
            None,
            ".json",
        );
        tasks.push(
            Task::new(place, file, format!("docker history {id}"), move || {
                engine.got(&format!("/images/{}/history", utf8_percent_encode(&id, PATH)))
            })
            .or_absent(),
        );
    }
    tasks.push(Task::new(
        place,
        place.file("image-inspect", None, ".json"),
        "docker image inspect",
        move || engine.each(&ids, |id| format!("/images/{id}/json")),
    ));
    tasks
}

fn containers<'t>(engine: &'t Engine, place: &'t Place, list: &Value) -> Vec<Task<'t>> {
    let ids = ids(list);
    let mut tasks = Vec::new();
    for id in ids.clone() {
        let file = place.file(
            &format!("container-{}-diff", crate::name::segment(&id)),
            None,
            ".json",
        );
        tasks.push(
            Task::new(place, file, format!("docker diff {id}"), move || {
                // An engine answers `null` where nothing changed.
                let changes =
                    engine.get(&format!("/containers/{}/changes", utf8_percent_encode(&id, PATH)))?;
                Ok(Got::whole(if changes.is_null() {
                    Value::Array(Vec::new())
                } else {
                    changes
                }))
            })
            .or_absent(),
        );
    }
    tasks.push(Task::new(
        place,
        place.file("container-inspect", None, ".json"),
        "docker container inspect",
        move || engine.each(&ids, |id| format!("/containers/{id}/json")),
    ));
    tasks
}

fn ids(list: &Value) -> Vec<String> {
    let found = list.as_array().into_iter().flatten();
    found
        .filter_map(|one| Some(one.get("Id")?.as_str()?.to_owned()))
        .collect()
}
