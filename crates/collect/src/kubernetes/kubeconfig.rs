//! The files in which `kubectl` finds clusters and who one is there.
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{Trust, read_file};
use crate::problem::{Problem, quoted};

/// Where pods find what they are.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Tokens are renewed so long before they expire.
const EARLY: SignedDuration = SignedDuration::from_mins(2);

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Kubeconfig {
    clusters: Vec<Named<ClusterEntry>>,
    users: Vec<Named<UserEntry>>,
    contexts: Vec<Named<ContextEntry>>,
    current_context: String,
}

/// `name`, and the entry under a key that says what it is.
#[derive(Debug, Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    entry: Option<T>,
    /// The folder of the file that it stands in, which its paths are relative to.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
}

/// It has secrets, so it has no `Debug` of its own making.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct UserEntry {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<Exec>,
    auth_provider: Option<Value>,
}

impl std::fmt::Debug for UserEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserEntry")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ContextEntry {
    cluster: String,
    user: String,
}

/// A program that prints credentials.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exec {
    api_version: String,
    command: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
}

#[derive(Clone, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// A cluster, and who one is there.
pub(super) struct Access {
    pub(super) name: String,
    pub(super) server: String,
    pub(super) trust: Trust,
    source: Source,
}

enum Source {
    Nothing,
    Header(String),
    /// A file that somebody else renews.
    TokenFile(PathBuf),
    Exec {
        exec: Exec,
        current: Mutex<Option<(String, Option<Timestamp>)>>,
    },
}

/// What a request says about who sends it, beside its certificate.
pub(super) enum Login {
    Nothing,
    Header(String),
}

impl Access {
    /// Trusted alike, but nobody.
    pub(super) fn without_client(&self) -> Trust {
        Trust {
            authorities: self.trust.authorities.clone(),
            client: None,
            is_blind: self.trust.is_blind,
        }
    }

    pub(super) fn login(&self) -> Result<Login, Problem> {
        Ok(match &self.source {
            Source::Nothing => Login::Nothing,
            Source::Header(value) => Login::Header(value.clone()),
            Source::TokenFile(path) => Login::Header(bearer(&String::from_utf8_lossy(&read_file(path)?))),
            Source::Exec { exec, current } => {
                let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
                let lasts = |expires: &Option<Timestamp>| {
                    expires.is_none_or(|expires| expires.duration_since(Timestamp::now()) > EARLY)
                };
                match current.as_ref().filter(|(_, expires)| lasts(expires)) {
                    Some((header, _)) => Login::Header(header.clone()),
                    None => {
                        let status = run(exec)?;
                        let Some(token) = status.get("token").and_then(Value::as_str) else {
                            return Ok(Login::Nothing);
                        };
                        let expires = status.get("expirationTimestamp").and_then(Value::as_str);
                        *current = Some((bearer(token), expires.and_then(|time| time.parse().ok())));
                        Login::Header(bearer(token))
                    }
                }
            }
        })
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {}", token.trim())
}

/// The cluster of a context, of the current one if none is named; the pod's own where there are no files.
pub(super) fn find(file: Option<&Path>, context: Option<&str>) -> Result<Access, Problem> {
    let paths: Vec<PathBuf> = match (
        file,
        std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
    ) {
        (Some(file), _) => vec![file.to_owned()],
        (None, Some(list)) => std::env::split_paths(&list)
            .filter(|path| path.is_file())
            .collect(),
        (None, None) => {
            let home = std::env::var_os("HOME")
                .or_else(|| std::env::var_os("USERPROFILE"))
                .map(PathBuf::from);
            home.map(|home| home.join(".kube").join("config"))
                .filter(|path| path.is_file())
                .into_iter()
                .collect()
        }
    };
    if paths.is_empty() {
        return in_pod();
    }
    let mut all = Kubeconfig::default();
    for path in &paths {
        let wrong =
            |error: &dyn std::fmt::Display| Problem::Unreadable(format!("`{}`: {error}", path.display()));
        let bytes = read_file(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| wrong(&error))?;
        // The text of an error quotes the file, and the file holds secrets.
        let mut one: Kubeconfig =
            serde_saphyr::from_str(text).map_err(|_| wrong(&"it is no file of settings of `kubectl`"))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        one.clusters
            .iter_mut()
            .for_each(|named| named.folder.clone_from(&folder));
        one.users
            .iter_mut()
            .for_each(|named| named.folder.clone_from(&folder));
        all.clusters.extend(one.clusters);
        all.users.extend(one.users);
        all.contexts.extend(one.contexts);
        if all.current_context.is_empty() {
            all.current_context = one.current_context;
        }
    }
    access(all, context)
}

fn named<'n, T>(list: &'n [Named<T>], name: &str, what: &str) -> Result<(&'n T, &'n Path), Problem> {
    let found = list.iter().find(|named| named.name == name);
    let found = found.and_then(|named| Some((named.entry.as_ref()?, named.folder.as_path())));
    found.ok_or_else(|| {
        Problem::Unreadable(format!(
            "the settings of `kubectl` have no {what} `{}`",
            quoted(name)
        ))
    })
}

fn access(all: Kubeconfig, context: Option<&str>) -> Result<Access, Problem> {
    let name = context.unwrap_or(&all.current_context);
    let (context, _) = named(&all.contexts, name, "context")?;
    let (cluster, folder) = named(&all.clusters, &context.cluster, "cluster")?;
    let (user, user_folder) = named(&all.users, &context.user, "user")?;
    if cluster.tls_server_name.is_some() {
        return Err(Problem::Unreadable(
            "`tls-server-name` is not supported; let `server` have the name that the certificate has"
                .to_owned(),
        ));
    }
    let authorities = part(
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
        folder,
    )?;
    let mut client = match (
        part(
            user.client_certificate_data.as_deref(),
            user.client_certificate.as_deref(),
            user_folder,
        )?,
        part(
            user.client_key_data.as_deref(),
            user.client_key.as_deref(),
            user_folder,
        )?,
    ) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => None,
    };
    let source = if let Some(token) = user.token.as_deref().filter(|token| !token.is_empty()) {
        Source::Header(bearer(token))
    } else if let Some(path) = &user.token_file {
        Source::TokenFile(user_folder.join(path))
    } else if let (Some(user), Some(password)) = (&user.username, &user.password) {
        Source::Header(format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        ))
    } else if let Some(exec) = &user.exec {
        let status = run(exec)?;
        let text = |name: &str| {
            status
                .get(name)
                .and_then(Value::as_str)
                .map(|text| text.as_bytes().to_vec())
        };
        if let (Some(certificate), Some(key)) = (text("clientCertificateData"), text("clientKeyData")) {
            client = Some((certificate, key));
        }
        Source::Exec {
            exec: exec.clone(),
            current: Mutex::new(status.get("token").and_then(Value::as_str).map(|token| {
                let expires = status.get("expirationTimestamp").and_then(Value::as_str);
                (bearer(token), expires.and_then(|time| time.parse().ok()))
            })),
        }
    } else if user.auth_provider.is_some() {
        return Err(Problem::Unreadable(
            "`auth-provider` is no longer supported by `kubectl` either; let the cloud's tool write the settings anew".to_owned(),
        ));
    } else {
        Source::Nothing
    };
    Ok(Access {
        name: name.to_owned(),
        server: cluster.server.trim_end_matches('/').to_owned(),
        trust: Trust {
            authorities,
            client,
            is_blind: cluster.insecure_skip_tls_verify,
        },
        source,
    })
}

/// What stands in the file in base64, or in a file that it names.
fn part(data: Option<&str>, path: Option<&Path>, folder: &Path) -> Result<Option<Vec<u8>>, Problem> {
    match (data.filter(|data| !data.is_empty()), path) {
        (Some(data), _) => {
            let decoded = BASE64_STANDARD.decode(data.trim());
            decoded.map(Some).map_err(|_| {
                Problem::Unreadable(
                    "a certificate or key in the settings of `kubectl` is no base64".to_owned(),
                )
            })
        }
        (None, Some(path)) => read_file(&folder.join(path)).map(Some),
        (None, None) => Ok(None),
    }
}

fn in_pod() -> Result<Access, Problem> {
    let (host, port) = (
        std::env::var("KUBERNETES_SERVICE_HOST"),
        std::env::var("KUBERNETES_SERVICE_PORT"),
    );
    let (Ok(host), Ok(port)) = (host, port) else {
        return Err(Problem::Unreadable(
            "there are no settings of `kubectl`: neither KUBECONFIG nor ~/.kube/config, and this is no pod"
                .to_owned(),
        ));
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(Access {
        name: "in-cluster".to_owned(),
        server: format!("https://{host}:{port}"),
        trust: Trust {
            authorities: Some(read_file(&Path::new(POD).join("ca.crt"))?),
            ..Trust::default()
        },
        source: Source::TokenFile(Path::new(POD).join("token")),
    })
}

/// Runs a program that the user's own settings name.
fn run(exec: &Exec) -> Result<Value, Problem> {
    let wrong = |what: String| {
        Problem::Denied(format!(
            "the program `{}` for credentials {what}",
            quoted(&exec.command)
        ))
    };
    let request = serde_json::json!({
        "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": {"interactive": false},
    });
    let done = Command::new(&exec.command)
        .args(exec.args.iter().flatten())
        .envs(
            exec.env
                .iter()
                .flatten()
                .map(|variable| (&variable.name, &variable.value)),
        )
        .env("KUBERNETES_EXEC_INFO", request.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| wrong(format!("cannot be run: {error}")))?;
    if !done.status.success() {
        return Err(wrong(format!(
            "ended with {}: {}",
            done.status,
            quoted(&String::from_utf8_lossy(&done.stderr))
        )));
    }
    let mut value: Value =
        serde_json::from_slice(&done.stdout).map_err(|_| wrong("printed no JSON".to_owned()))?;
    Ok(value.get_mut("status").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, context: Option<&str>) -> Result<Access, Problem> {
        access(serde_saphyr::from_str(text).unwrap(), context)
    }

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: 'https://10.0.0.1:6443/', certificate-authority-data: Y2E=}}
contexts:
- {name: prod, context: {cluster: prod, user: ann, namespace: web}}
- {name: lost, context: {cluster: nowhere, user: ann}}
- {name: plugin, context: {cluster: prod, user: plugin}}
users:
- name: ann
  user: {token: secret-token}
- name: plugin
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo \"{\\\"status\\\":{\\\"token\\\":\\\"$WHO\\\"}}\"'], env: [{name: WHO, value: t1}], interactiveMode: Never}
";

    #[test]
    fn contexts_lead_to_clusters_and_users() {
        let found = read(TEXT, None).unwrap();
        assert_eq!(
            (found.server.as_str(), found.trust.authorities.as_deref()),
            ("https://10.0.0.1:6443", Some(b"ca".as_slice()))
        );
        assert!(matches!(found.login().unwrap(), Login::Header(value) if value == "Bearer secret-token"));
        assert!(read(TEXT, Some("lost")).is_err());
        assert!(read(TEXT, Some("none")).is_err());
    }

    #[test]
    fn programs_hand_out_tokens() {
        let found = read(TEXT, Some("plugin")).unwrap();
        assert!(matches!(found.login().unwrap(), Login::Header(value) if value == "Bearer t1"));
    }
}
