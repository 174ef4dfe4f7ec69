//! Who one is in a cloud: the variables `OS_…`, or an entry of `clouds.yaml`.
//! <https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::{Reply, Trust, read_file};
use crate::problem::{Problem, quoted};

/// A way in. It has no `Debug`: it holds a secret.
pub(super) struct Login {
    /// The address of the identity service, with its version.
    pub(super) url: String,
    pub(super) trust: Trust,
    pub(super) region: Option<String>,
    /// `public`, `internal` or `admin`.
    pub(super) interface: String,
    settings: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Clouds {
    clouds: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: BTreeMap<String, Value>,
    auth_type: Option<String>,
    region_name: Option<String>,
    interface: Option<String>,
    cacert: Option<PathBuf>,
    verify: Option<bool>,
}

/// Looks at the environment, or at `clouds.yaml` where an entry is named.
pub(super) fn find(cloud: Option<&str>) -> Result<Login, Problem> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cloud = cloud.map(str::to_owned).or_else(|| env("OS_CLOUD"));
    let mut entry = match &cloud {
        Some(name) => of_file(name)?,
        None => Entry::default(),
    };
    let mut settings = BTreeMap::new();
    for (key, value) in std::mem::take(&mut entry.auth) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        settings.insert(key, text);
    }
    for (name, value) in std::env::vars() {
        // An entry that was named goes before what happens to be set.
        if let (Some(key), None) = (name.strip_prefix("OS_"), &cloud)
            && !value.is_empty()
        {
            settings.insert(key.to_lowercase(), value);
        }
    }
    let url = settings
        .get("auth_url")
        .map(|url| url.trim_end_matches('/').to_owned())
        .ok_or_else(|| {
            Problem::Denied(
                "there are no credentials: set OS_CLOUD, or OS_AUTH_URL and the others of an openrc file"
                    .to_owned(),
            )
        })?;
    let url = if url.ends_with("/v3") {
        url
    } else {
        format!("{}/v3", url.trim_end_matches("/v2.0"))
    };
    let authority = entry.cacert.or_else(|| env("OS_CACERT").map(PathBuf::from));
    let is_blind = entry.verify == Some(false)
        || cloud.is_none() && env("OS_INSECURE").is_some_and(|value| value == "true" || value == "1");
    let taken = |key: &str| match &cloud {
        None => settings.get(key).cloned(),
        Some(_) => None,
    };
    let interface = entry
        .interface
        .or_else(|| taken("interface"))
        .or_else(|| taken("endpoint_type"));
    let login = Login {
        url,
        trust: Trust {
            authorities: authority.map(|path| read_file(&path)).transpose()?,
            client: None,
            is_blind,
        },
        region: entry.region_name.or_else(|| taken("region_name")),
        interface: interface.unwrap_or_default().trim_end_matches("URL").to_owned(),
        settings,
    };
    match login.is_enough() {
        true => Ok(login),
        false => Err(Problem::Denied(
            "credentials are not complete: a user with a password, an application credential with its secret, or a token".to_owned(),
        )),
    }
}

fn of_file(name: &str) -> Result<Entry, Problem> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let named = std::env::var_os("OS_CLIENT_CONFIG_FILE").map(PathBuf::from);
    let usual = [
        Some(PathBuf::from("clouds.yaml")),
        home.map(|home| home.join(".config/openstack/clouds.yaml")),
        Some("/etc/openstack/clouds.yaml".into()),
    ];
    let places = named.into_iter().chain(usual.into_iter().flatten());
    let Some(path) = places.into_iter().find(|path| path.is_file()) else {
        return Err(Problem::Unreadable(format!(
            "there is no `clouds.yaml`, which would say what the cloud `{}` is",
            quoted(name)
        )));
    };
    let mut entry = entry_of(&path, name)?.ok_or_else(|| {
        Problem::Unreadable(format!("`{}` has no cloud `{}`", path.display(), quoted(name)))
    })?;
    // Secrets may stand in a file beside it.
    let secure = path.with_file_name("secure.yaml");
    if secure.is_file()
        && let Some(more) = entry_of(&secure, name)?
    {
        entry.auth.extend(more.auth);
    }
    if let Some(kind) = &entry.auth_type {
        entry
            .auth
            .insert("auth_type".to_owned(), Value::String(kind.clone()));
    }
    Ok(entry)
}

fn entry_of(path: &Path, name: &str) -> Result<Option<Entry>, Problem> {
    let text = read_file(path)?;
    // The text of an error would quote the file, and the file holds secrets.
    let wrong = || Problem::Unreadable(format!("`{}` is not a file of clouds", path.display()));
    let text = std::str::from_utf8(&text).map_err(|_| wrong())?;
    let mut clouds: Clouds = serde_saphyr::from_str(text).map_err(|_| wrong())?;
    Ok(clouds.clouds.remove(name))
}

impl Login {
    fn get(&self, key: &str) -> Option<&str> {
        self.settings
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// What no message may quote.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        ["password", "application_credential_secret", "token"]
            .into_iter()
            .filter_map(|key| self.get(key))
    }

    fn is_enough(&self) -> bool {
        let has = |key: &str| self.get(key).is_some();
        let is_user = has("username") || has("user_id");
        let is_application =
            has("application_credential_id") || has("application_credential_name") && is_user;
        is_application && has("application_credential_secret") || is_user && has("password") || has("token")
    }

    /// What a token is asked for with.
    /// <https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management>
    pub(super) fn body(&self) -> Value {
        let domain = |prefix: &str| {
            let own = |key: &str| {
                self.get(&format!("{prefix}_domain_{key}"))
                    .or_else(|| self.get(&format!("default_domain_{key}")))
            };
            match (own("id"), own("name")) {
                (Some(id), _) => json!({ "id": id }),
                (None, Some(name)) => json!({ "name": name }),
                (None, None) => json!({ "id": "default" }),
            }
        };
        let user = || match self.get("user_id") {
            Some(id) => json!({ "id": id }),
            None => json!({"name": self.get("username"), "domain": domain("user")}),
        };
        if let Some(secret) = self.get("application_credential_secret") {
            let mut credential = Map::new();
            credential.insert("secret".to_owned(), json!(secret));
            match self.get("application_credential_id") {
                Some(id) => credential.insert("id".to_owned(), json!(id)),
                None => {
                    credential.insert("user".to_owned(), user());
                    credential.insert("name".to_owned(), json!(self.get("application_credential_name")))
                }
            };
            // It has a project of its own.
            return json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}});
        }
        let identity = match (self.get("password"), self.get("token")) {
            (Some(password), _) => {
                let mut user = user();
                if let Some(user) = user.as_object_mut() {
                    user.insert("password".to_owned(), json!(password));
                }
                json!({"methods": ["password"], "password": {"user": user}})
            }
            (None, token) => json!({"methods": ["token"], "token": {"id": token}}),
        };
        let name = self.get("project_name").or_else(|| self.get("tenant_name"));
        let scope = match (self.get("project_id").or_else(|| self.get("tenant_id")), name) {
            (Some(id), _) => Some(json!({"project": {"id": id}})),
            (None, Some(name)) => Some(json!({"project": {"name": name, "domain": domain("project")}})),
            (None, None) => None,
        };
        match scope {
            Some(scope) => json!({"auth": {"identity": identity, "scope": scope}}),
            None => json!({"auth": {"identity": identity}}),
        }
    }
}

/// A token, and what it opens.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) secret: String,
    pub(super) expires: Option<Timestamp>,
    pub(super) project: Option<String>,
    catalogue: Vec<Value>,
}

impl Token {
    pub(super) fn read(reply: &Reply) -> Result<Self, Problem> {
        let secret = reply
            .headers
            .get("X-Subject-Token")
            .and_then(|value| value.to_str().ok());
        let secret = secret
            .ok_or_else(|| Problem::Answer("it brings no token".to_owned()))?
            .to_owned();
        let value = reply.json()?;
        let text = |place: &str| value.pointer(place).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            secret,
            expires: text("/token/expires_at").and_then(|time| time.parse().ok()),
            project: text("/token/project/id"),
            catalogue: value
                .pointer("/token/catalog")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        })
    }

    fn endpoints<'t>(&'t self, service: &str) -> impl Iterator<Item = &'t Value> {
        let of_kind = self
            .catalogue
            .iter()
            .filter(move |entry| entry.get("type").and_then(Value::as_str) == Some(service));
        let found: Vec<&Value> = of_kind
            .filter_map(|entry| entry.get("endpoints")?.as_array())
            .flatten()
            .collect();
        found.into_iter()
    }

    /// The address of the first of these services that there is.
    pub(super) fn endpoint(
        &self,
        services: &[&str],
        region: Option<&str>,
        interface: &str,
    ) -> Option<String> {
        let interface = if interface.is_empty() { "public" } else { interface };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let fits = |endpoint: &&Value| {
            let own = text(endpoint, "region_id").or_else(|| text(endpoint, "region"));
            text(endpoint, "interface").as_deref() == Some(interface)
                && region.is_none_or(|region| own.as_deref() == Some(region))
        };
        services.iter().find_map(|service| {
            let url = text(self.endpoints(service).find(fits)?, "url")?;
            Some(url.trim_end_matches('/').to_owned())
        })
    }

    /// The regions in which there are such services.
    pub(super) fn regions<'s>(&self, services: impl Iterator<Item = &'s &'s str>) -> Vec<String> {
        let mut regions = std::collections::BTreeSet::new();
        for service in services {
            let named = self.endpoints(service).filter_map(|endpoint| {
                endpoint
                    .get("region_id")
                    .or_else(|| endpoint.get("region"))?
                    .as_str()
            });
            regions.extend(named.map(str::to_owned));
        }
        regions.into_iter().collect()
    }
}
