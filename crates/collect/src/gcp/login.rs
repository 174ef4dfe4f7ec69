//! Where tokens for Google Cloud come from. <https://cloud.google.com/docs/authentication/application-default-credentials>

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::Settings;
use crate::bearer::{Bearer, Token, printed};
use crate::http::{Client, Trust, get, post, read_file};
use crate::page::text_of;
use crate::problem::Problem;

/// Reading is enough for everything that is asked.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform.read-only";
const TOKENS: &str = "https://oauth2.googleapis.com/token";
const METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

pub(super) struct Login {
    pub(super) bearer: Bearer,
    pub(super) project: Option<String>,
}

/// A token in the environment, a file of credentials, the instance if the caller says so, and at last `gcloud`.
pub(super) fn find(is_instance: bool, settings: &Settings) -> Result<Login, Problem> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut project = env("GOOGLE_CLOUD_PROJECT").or_else(|| env("CLOUDSDK_CORE_PROJECT"));
    if let Some(token) = env("CLOUDSDK_AUTH_ACCESS_TOKEN").or_else(|| env("GOOGLE_OAUTH_ACCESS_TOKEN")) {
        let bearer = Bearer::new(move || Ok(Token::plain(&token)));
        return Ok(Login { bearer, project });
    }
    let home = env("CLOUDSDK_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env("HOME")?).join(".config/gcloud")));
    let usual = home
        .map(|home| home.join("application_default_credentials.json"))
        .filter(|path| path.is_file());
    let named = env("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let client = Client::new(settings, &Trust::default())?;
    if let Some(path) = named.or(usual) {
        let wrong = |what: &str| Problem::Unreadable(format!("`{}` {what}", path.display()));
        let value: Value =
            serde_json::from_slice(&read_file(&path)?).map_err(|_| wrong("is no file of credentials"))?;
        project = project.or_else(|| text_of(&value, "project_id"));
        let bearer = match value.get("type").and_then(Value::as_str) {
            Some("service_account") => of_account(value, client)?,
            Some("authorized_user") => of_user(&value, client)?,
            _ => {
                return Err(wrong(
                    "has credentials of a kind that is not supported; let `gcloud` make a token, without this file",
                ));
            }
        };
        return Ok(Login { bearer, project });
    }
    let bearer = match is_instance {
        true => Bearer::new(move || {
            let answer = client.json("metadata", &|| get(METADATA, &[("Metadata-Flavor", "Google")]))?;
            Token::of_answer(&answer)
        }),
        false => {
            project = project.or_else(|| {
                printed("gcloud", &["config", "get-value", "project", "--quiet"])
                    .ok()
                    .map(|text| text.trim().to_owned())
            });
            Bearer::new(|| Ok(Token::plain(&printed("gcloud", &["auth", "print-access-token"])?)))
        }
    };
    let project = project.filter(|project| !project.is_empty());
    Ok(Login { bearer, project })
}

/// A service account says who it is by a signed statement (RFC 7523).
fn of_account(value: Value, client: Client) -> Result<Bearer, Problem> {
    let wrong = |what: &str| Problem::Unreadable(format!("the credentials of the service account {what}"));
    let text = |key: &str| text_of(&value, key).ok_or_else(|| wrong(&format!("have no `{key}`")));
    let (email, pem) = (text("client_email")?, text("private_key")?);
    let address = text_of(&value, "token_uri").unwrap_or_else(|| TOKENS.to_owned());
    let der =
        PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("have a key that is no PEM"))?;
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| wrong("have a key that cannot be used"))?;
    Ok(Bearer::new(move || {
        let statement = signed(&key, &email, &address, Timestamp::now())?;
        client.hide(&statement);
        let body =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={statement}");
        token(&client, &address, body)
    }))
}

fn signed(key: &RsaKeyPair, email: &str, address: &str, now: Timestamp) -> Result<String, Problem> {
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({"iss": email, "scope": SCOPE, "aud": address, "iat": now.as_second(), "exp": now.as_second() + 3_600});
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&header), encoded(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .map_err(|_| Problem::Unreadable("the key of the service account cannot sign".to_owned()))?;
    Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// Somebody who logged in with `gcloud auth application-default login`.
fn of_user(value: &Value, client: Client) -> Result<Bearer, Problem> {
    let part = |key: &str| {
        let text = text_of(value, key)
            .ok_or_else(|| Problem::Unreadable(format!("the credentials have no `{key}`")))?;
        Ok(format!("{key}={}", utf8_percent_encode(&text, NON_ALPHANUMERIC)))
    };
    let parts = [part("client_id")?, part("client_secret")?, part("refresh_token")?];
    let body = format!("grant_type=refresh_token&{}", parts.join("&"));
    Ok(Bearer::new(move || token(&client, TOKENS, body.clone())))
}

fn token(client: &Client, address: &str, body: String) -> Result<Token, Problem> {
    let request = || {
        post(
            address,
            &[("Content-Type", "application/x-www-form-urlencoded")],
            body.clone().into_bytes(),
        )
    };
    Token::of_answer(&client.json("token", &request)?)
}
