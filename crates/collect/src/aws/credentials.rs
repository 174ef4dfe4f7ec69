//! Where credentials come from: the environment, the files of the command-line tool, a program, a role, a container.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ask::{Parameters, Service};
use crate::http::{Client, get, read_file, usual};
use crate::problem::{Problem, quoted};

/// Credentials are renewed so long before they expire.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// A role that is named by a role that is named …
const DEPTH: usize = 5;

/// A key. It has no `Debug`: it is secret.
#[derive(Clone)]
pub(super) struct Credentials {
    key: String,
    secret: String,
    session: Option<String>,
    expires: Option<Timestamp>,
}

impl Credentials {
    /// As the library that signs takes them.
    pub(super) fn inner(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(&self.key, &self.secret, self.session.clone(), None, "neph")
    }

    /// Whether requests go unsigned.
    pub(super) fn is_anonymous(&self) -> bool {
        self.key.is_empty()
    }

    fn anonymous() -> Self {
        Self {
            key: String::new(),
            secret: String::new(),
            session: None,
            expires: None,
        }
    }

    /// As programs and services answer: `AccessKeyId`, `SecretAccessKey`, `SessionToken` or `Token`, `Expiration`.
    fn read(value: &Value) -> Result<Self, Problem> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let missing = || Problem::Denied("the answer holds no key".to_owned());
        Ok(Self {
            key: text("AccessKeyId").ok_or_else(missing)?,
            secret: text("SecretAccessKey").ok_or_else(missing)?,
            session: text("SessionToken").or_else(|| text("Token")),
            expires: text("Expiration").and_then(|time| time.parse().ok()),
        })
    }
}

/// Where credentials come from.
enum Origin {
    Fixed(Credentials),
    /// A program that prints them.
    Process(String),
    Role {
        parameters: Parameters,
        source: Box<Origin>,
    },
    WebIdentity {
        parameters: Parameters,
        token: PathBuf,
    },
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
    Container {
        url: String,
        token: Option<PathBuf>,
    },
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
    Instance,
}

/// Hands out credentials that have not expired.
pub(super) struct Provider<'a> {
    origin: Origin,
    current: Mutex<Option<Credentials>>,
    client: &'a Client,
    endpoint: Option<&'a str>,
    region: String,
}

/// What the environment and the files say.
pub(super) struct Settled<'a> {
    pub(super) provider: Provider<'a>,
    pub(super) region: String,
}

type Profiles = BTreeMap<String, BTreeMap<String, String>>;

/// Looks where the command-line tool looks, in its order. The instance's own role is used only where the caller says so.
pub(super) fn find<'a>(
    profile: Option<&str>,
    region: Option<&str>,
    is_instance: bool,
    client: &'a Client,
    endpoint: Option<&'a str>,
) -> Result<Settled<'a>, Problem> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let profiles = profiles()?;
    let named = profile.map(str::to_owned).or_else(|| env("AWS_PROFILE"));
    let name = named.clone().unwrap_or_else(|| "default".to_owned());
    let own = profiles.get(&name);
    if own.is_none() && named.is_some() {
        return Err(Problem::Unreadable(format!(
            "there is no profile `{name}` in the files of the command-line tool"
        )));
    }
    let of_profile = own.and_then(|own| own.get("region").cloned());
    let region = region
        .map(str::to_owned)
        .or_else(|| env("AWS_REGION"))
        .or_else(|| env("AWS_DEFAULT_REGION"))
        .or(of_profile);
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let of_environment = || match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        (Some(key), Some(secret)) => Some(Origin::Fixed(Credentials {
            key,
            secret,
            session: env("AWS_SESSION_TOKEN"),
            expires: None,
        })),
        _ => None,
    };
    let session = env("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "neph".to_owned());
    let web_identity = || {
        let (arn, token) = (env("AWS_ROLE_ARN")?, env("AWS_WEB_IDENTITY_TOKEN_FILE")?);
        Some(Origin::WebIdentity {
            parameters: role(&arn, &session),
            token: token.into(),
        })
    };
    let container = || {
        let url = match env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            Some(path) => format!("http://169.254.170.2{path}"),
            None => env("AWS_CONTAINER_CREDENTIALS_FULL_URI")?,
        };
        Some(Origin::Container {
            url,
            token: env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
        })
    };
    // A profile that is named on the command line goes before keys in the environment.
    let origin = match profile {
        None => of_environment().or_else(web_identity),
        Some(_) => None,
    };
    let origin = match origin {
        Some(origin) => Some(origin),
        None => of_profile_named(&profiles, &name, DEPTH, &of_environment, &container)?,
    };
    let origin = origin
        .or_else(container)
        .or_else(|| is_instance.then_some(Origin::Instance));
    let origin = origin.ok_or_else(|| {
        Problem::Denied(
            "there are no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or try `aws configure export-credentials --format env`".to_owned(),
        )
    })?;
    let provider = Provider {
        origin,
        current: Mutex::default(),
        client,
        endpoint,
        region: region.clone(),
    };
    Ok(Settled { provider, region })
}

fn role(arn: &str, session: &str) -> Parameters {
    vec![
        ("RoleArn".to_owned(), arn.to_owned()),
        ("RoleSessionName".to_owned(), session.to_owned()),
    ]
}

fn of_profile_named(
    profiles: &Profiles,
    name: &str,
    depth: usize,
    environment: &dyn Fn() -> Option<Origin>,
    container: &dyn Fn() -> Option<Origin>,
) -> Result<Option<Origin>, Problem> {
    let Some(own) = profiles.get(name) else {
        return Ok(None);
    };
    let get = |key: &str| own.get(key).cloned();
    let fixed = || {
        Some(Origin::Fixed(Credentials {
            key: get("aws_access_key_id")?,
            secret: get("aws_secret_access_key")?,
            session: get("aws_session_token"),
            expires: None,
        }))
    };
    let unusable = |why: &str| Err(Problem::Denied(format!("the profile `{name}` {why}")));
    if let Some(arn) = get("role_arn") {
        let mut parameters = role(
            &arn,
            &get("role_session_name").unwrap_or_else(|| "neph".to_owned()),
        );
        if let Some(token) = get("web_identity_token_file") {
            return Ok(Some(Origin::WebIdentity {
                parameters,
                token: token.into(),
            }));
        }
        if get("mfa_serial").is_some() {
            return unusable(
                "asks for a second factor; log in with the command-line tool and use `aws configure export-credentials`",
            );
        }
        if depth == 0 {
            return unusable("names a role by way of too many others");
        }
        parameters.extend(get("external_id").map(|id| ("ExternalId".to_owned(), id)));
        let source = match (get("source_profile"), get("credential_source").as_deref()) {
            (Some(source), _) if source == name => fixed(),
            (Some(source), _) => of_profile_named(profiles, &source, depth - 1, environment, container)?,
            (None, Some("Environment")) => environment(),
            (None, Some("EcsContainer")) => container(),
            (None, Some("Ec2InstanceMetadata")) => Some(Origin::Instance),
            (None, _) => None,
        };
        let Some(source) = source else {
            return unusable("names a role, but no credentials to become it with");
        };
        return Ok(Some(Origin::Role {
            parameters,
            source: Box::new(source),
        }));
    }
    if let Some(command) = get("credential_process") {
        return Ok(Some(Origin::Process(command)));
    }
    if get("sso_session").is_some() || get("sso_start_url").is_some() {
        // The tool keeps the session, and hands out what it is good for.
        return Ok(Some(Origin::Process(format!(
            "aws configure export-credentials --profile '{}'",
            name.replace('\'', "")
        ))));
    }
    Ok(fixed())
}

/// The profiles of both files, the file of credentials before the file of settings.
fn profiles() -> Result<Profiles, Problem> {
    let home = std::env::var_os("HOME")
        .or_else(|| std::env::var_os("USERPROFILE"))
        .map(PathBuf::from);
    let place = |name: &str, file: &str| match std::env::var_os(name) {
        Some(path) => Some(PathBuf::from(path)),
        None => home.as_ref().map(|home| home.join(".aws").join(file)),
    };
    let mut profiles = Profiles::new();
    for (path, is_settings) in [
        (place("AWS_CONFIG_FILE", "config"), true),
        (place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), false),
    ] {
        let Some(path) = path.filter(|path| path.is_file()) else {
            continue;
        };
        let text = read_file(&path)?;
        add_profiles(&mut profiles, &String::from_utf8_lossy(&text), is_settings);
    }
    Ok(profiles)
}

/// In the file of settings sections are `default` and `profile NAME`, in that of credentials just names.
fn add_profiles(profiles: &mut Profiles, text: &str, is_settings: bool) {
    let mut section: Option<String> = None;
    for line in text.lines() {
        // Lines that are set in belong to a nested setting, such as `s3 =`.
        if line.starts_with([' ', '\t']) || line.starts_with(['#', ';']) {
            continue;
        }
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            let name = name.trim();
            section = match (is_settings, name.strip_prefix("profile ")) {
                (true, Some(name)) => Some(name.trim().to_owned()),
                (true, None) if name != "default" => None,
                _ => Some(name.to_owned()),
            };
        } else if let (Some(section), Some((key, value))) = (&section, line.split_once('=')) {
            let entries = profiles.entry(section.clone()).or_default();
            entries.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
}

impl Provider<'_> {
    /// Credentials that will not expire soon.
    pub(super) fn current(&self) -> Result<Credentials, Problem> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = |held: &Credentials| {
            held.expires
                .is_none_or(|expires| expires.duration_since(Timestamp::now()) > EARLY)
        };
        if let Some(held) = current.as_ref().filter(|held| lasts(held)) {
            return Ok(held.clone());
        }
        let fresh = self.resolve(&self.origin)?;
        *current = Some(fresh.clone());
        Ok(fresh)
    }

    fn resolve(&self, origin: &Origin) -> Result<Credentials, Problem> {
        let found = match origin {
            Origin::Fixed(credentials) => credentials.clone(),
            Origin::Process(command) => of_process(command)?,
            Origin::Role { parameters, source } => {
                let source = self.resolve(source)?;
                self.assume("sts assume-role", parameters, &source)?
            }
            Origin::WebIdentity { parameters, token } => {
                let token = String::from_utf8_lossy(&read_file(token)?).trim().to_owned();
                self.client.hide(&token);
                let mut parameters = parameters.clone();
                parameters.push(("WebIdentityToken".to_owned(), token));
                self.assume(
                    "sts assume-role-with-web-identity",
                    &parameters,
                    &Credentials::anonymous(),
                )?
            }
            Origin::Container { url, token } => {
                let token = match token {
                    Some(path) => Some(String::from_utf8_lossy(&read_file(path)?).trim().to_owned()),
                    None => std::env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN").ok(),
                };
                let headers: Vec<(&str, &str)> = token
                    .iter()
                    .map(|token| ("Authorization", token.as_str()))
                    .collect();
                Credentials::read(&self.client.json("credentials", &|| get(url, &headers))?)?
            }
            Origin::Instance => self.of_instance()?,
        };
        self.client.hide(&found.secret);
        if let Some(session) = &found.session {
            self.client.hide(session);
        }
        Ok(found)
    }

    fn assume(
        &self,
        call: &str,
        parameters: &Parameters,
        source: &Credentials,
    ) -> Result<Credentials, Problem> {
        let service = Service {
            client: self.client,
            credentials: &|| Ok(source.clone()),
            endpoint: self.endpoint,
        };
        let answer = service.value(&self.region, call, parameters)?;
        Credentials::read(answer.get("Credentials").unwrap_or(&Value::Null))
    }

    fn of_instance(&self) -> Result<Credentials, Problem> {
        const BASE: &str = "http://169.254.169.254/latest";
        const ROLES: &str = "meta-data/iam/security-credentials/";
        let token = || {
            let request = ureq::http::Request::put(format!("{BASE}/api/token"))
                .header("X-aws-ec2-metadata-token-ttl-seconds", "300");
            request
                .body(Vec::new())
                .map_err(|error| Problem::Refused(error.to_string()))
        };
        let token = self.client.ask("metadata", &token, &usual)?.body;
        let token = String::from_utf8_lossy(&token).into_owned();
        let headers = [("X-aws-ec2-metadata-token", token.as_str())];
        let role = self
            .client
            .ask("metadata", &|| get(&format!("{BASE}/{ROLES}"), &headers), &usual)?
            .body;
        let role = String::from_utf8_lossy(&role)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Credentials::read(
            &self
                .client
                .json("metadata", &|| get(&format!("{BASE}/{ROLES}{role}"), &headers))?,
        )
    }
}

/// What a program that the user's own settings name prints.
fn of_process(command: &str) -> Result<Credentials, Problem> {
    let (shell, option) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let done = Command::new(shell)
        .args([option, command])
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| Problem::Unreadable(format!("the program for credentials: {error}")))?;
    if !done.status.success() {
        let said = quoted(&String::from_utf8_lossy(&done.stderr));
        return Err(Problem::Denied(format!(
            "the program for credentials ended with {}: {said}",
            done.status
        )));
    }
    let value: Value = serde_json::from_slice(&done.stdout)
        .map_err(|_| Problem::Denied("the program for credentials printed no JSON".to_owned()))?;
    Credentials::read(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_both_files_come_together() {
        let mut profiles = Profiles::new();
        let settings = "# a comment\n[default]\nregion = eu-west-1\n[profile ops]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile = base\n\
                        s3 =\n  addressing_style = path\n[sso-session x]\nregion = nowhere\n";
        add_profiles(&mut profiles, settings, true);
        add_profiles(
            &mut profiles,
            "[base]\naws_access_key_id = K\naws_secret_access_key = a=b\n",
            false,
        );
        assert_eq!(profiles["default"]["region"], "eu-west-1");
        assert_eq!(profiles["base"]["aws_secret_access_key"], "a=b");
        assert_eq!(profiles.len(), 3);
        let origin = of_profile_named(&profiles, "ops", DEPTH, &|| None, &|| None).unwrap();
        assert!(matches!(origin, Some(Origin::Role { source, .. }) if matches!(*source, Origin::Fixed(_))));
    }

    #[test]
    fn roles_that_lead_in_circles_end() {
        let mut profiles = Profiles::new();
        let text = "[a]\nrole_arn = r\nsource_profile = b\n[b]\nrole_arn = r\nsource_profile = a\n";
        add_profiles(&mut profiles, text, false);
        assert!(of_profile_named(&profiles, "a", DEPTH, &|| None, &|| None).is_err());
    }

    #[test]
    fn programs_hand_out_credentials() {
        let found = of_process(r#"echo '{"Version":1,"AccessKeyId":"K","SecretAccessKey":"S","Expiration":"2026-01-01T00:00:00Z"}'"#).unwrap();
        assert_eq!((found.key.as_str(), found.secret.as_str()), ("K", "S"));
        assert!(found.expires.is_some());
        let error = of_process("echo secret; exit 3").err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
