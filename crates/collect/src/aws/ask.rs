//! Sends calls to AWS, page by page.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use ureq::http::Request;

use super::answer::{Element, tell_times};
use super::credentials::Credentials;
use super::model::{Operation, Protocol, operation};
use crate::http::{Client, Meaning, Reply};
use crate::problem::Problem;
use crate::run::Got;

/// No list has more pages.
const MAX_PAGES: u64 = 1_000_000;
/// What needs no encoding in forms and queries (RFC 3986, 2.3).
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Codes of throttling (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
const PASSING: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Unavailable",
];
const DENIED: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "SubscriptionRequiredException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// Parameters as the protocol has them: `Owner.1` in forms, `repositoryName` in JSON.
pub(super) type Parameters = Vec<(String, String)>;

/// Sends calls.
pub(super) struct Service<'a> {
    pub(super) client: &'a Client,
    pub(super) credentials: &'a (dyn Fn() -> Result<Credentials, Problem> + Sync),
    /// Another address for all services.
    pub(super) endpoint: Option<&'a str>,
}

/// A marker from the last page, if there is another one.
type Token = Option<String>;

impl Service<'_> {
    /// All pages of an answer. What came before a page that failed is kept.
    pub(super) fn got(
        &self,
        region: &str,
        call: &str,
        parameters: &Parameters,
        page: u32,
    ) -> Result<Got, Problem> {
        let operation = operation(call)?;
        let (mut whole, mut token) = self.page(region, operation, parameters, page, None)?;
        let mut pages = 1;
        let mut problem = None;
        while let Some(marker) = token {
            let next = match pages < MAX_PAGES {
                true => self.page(region, operation, parameters, page, Some(&marker)),
                false => Err(Problem::Answer("the pages do not end".to_owned())),
            };
            match next {
                Ok((_, Some(again))) if again == marker => {
                    problem = Some("the marker of the next page stays the same".to_owned());
                    break;
                }
                Ok((next, marker)) => {
                    pages += 1;
                    join(&mut whole, next);
                    token = marker;
                }
                Err(error) => {
                    problem = Some(error.to_string());
                    break;
                }
            }
        }
        let got = Got::whole(Value::Object(whole));
        Ok(Got {
            problem: problem.map(|what| Problem::Pages { pages, what }),
            ..got
        })
    }

    /// The answer of a call that has one page.
    pub(super) fn value(&self, region: &str, call: &str, parameters: &Parameters) -> Result<Value, Problem> {
        let (object, _) = self.page(region, operation(call)?, parameters, 0, None)?;
        Ok(Value::Object(object))
    }

    fn page(
        &self,
        region: &str,
        operation: &Operation,
        parameters: &Parameters,
        page: u32,
        marker: Option<&str>,
    ) -> Result<(Map<String, Value>, Token), Problem> {
        let lane = format!("{}/{region}", operation.endpoint);
        let request = || self.request(region, operation, parameters, page, marker);
        let reply = self.client.ask(&lane, &request, &meaning)?;
        let mut object = read(operation, &reply)?;
        let token = operation.token.as_ref().and_then(|(_, name)| object.remove(name));
        let token = token
            .and_then(|token| token.as_str().map(str::to_owned))
            .filter(|token| !token.is_empty());
        if let Some(lists) = &operation.lists {
            object.retain(|name, _| lists.contains(name) || operation.kept.contains(name));
            for name in lists {
                object
                    .entry(name.as_str())
                    .or_insert_with(|| Value::Array(Vec::new()));
            }
        } else {
            object.retain(|name, _| operation.members.contains(name));
        }
        Ok((object, token))
    }

    fn request(
        &self,
        region: &str,
        operation: &Operation,
        parameters: &Parameters,
        page: u32,
        marker: Option<&str>,
    ) -> Result<Request<Vec<u8>>, Problem> {
        let mut parameters = parameters.clone();
        if let (Some(limit), true) = (&operation.limit, page > 0) {
            parameters.push((limit.clone(), page.to_string()));
        }
        if let (Some((name, _)), Some(marker)) = (&operation.token, marker) {
            parameters.push((name.clone(), marker.to_owned()));
        }
        let base = match self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{}", host(&operation.endpoint, region)),
        };
        let mut headers: Vec<(&str, String)> = Vec::new();
        let (url, body) = match operation.protocol {
            Protocol::Ec2 | Protocol::Query => {
                headers.push((
                    "content-type",
                    "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
                ));
                let own = [
                    ("Action", operation.operation.as_str()),
                    ("Version", operation.version.as_str()),
                ];
                let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
                (
                    format!("{base}/"),
                    form(own.iter().chain(&parameters)).into_bytes(),
                )
            }
            Protocol::Json => {
                headers.push(("content-type", "application/x-amz-json-1.1".to_owned()));
                headers.push(("x-amz-target", operation.target.clone()));
                let limit = operation.limit.as_deref();
                let entries = parameters.iter().map(|(name, value)| match value.parse::<u32>() {
                    Ok(number) if limit == Some(name) => (name.clone(), number.into()),
                    _ => (name.clone(), Value::String(value.clone())),
                });
                (
                    format!("{base}/"),
                    Value::Object(entries.collect()).to_string().into_bytes(),
                )
            }
            Protocol::RestJson => {
                let mut path = operation.uri.clone();
                let mut query = Vec::new();
                for (name, value) in &parameters {
                    if let Some(place) = operation.path.get(name) {
                        let value = utf8_percent_encode(value, FORM).to_string();
                        path = path.replace(&format!("{{{place}}}"), &value);
                    } else if let Some(place) = operation.query.get(name) {
                        query.push((place.clone(), value.clone()));
                    }
                }
                let mark = if query.is_empty() { "" } else { "?" };
                (format!("{base}{path}{mark}{}", form(query.iter())), Vec::new())
            }
        };
        let is_read = operation.protocol == Protocol::RestJson;
        self.signed(region, operation, is_read, &url, &headers, body)
    }

    fn signed(
        &self,
        region: &str,
        operation: &Operation,
        is_read: bool,
        url: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Request<Vec<u8>>, Problem> {
        let method = if is_read { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let unsent =
            |error: &dyn std::fmt::Display| Problem::Refused(format!("the request cannot be made: {error}"));
        let mut request = request.body(body).map_err(|error| unsent(&error))?;
        // The signature needs the host, and the client would add it later.
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .unwrap_or_default();
        let credentials = (self.credentials)()?;
        if credentials.is_anonymous() {
            return Ok(request);
        }
        let identity = credentials.inner().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(signing_region(&operation.endpoint, region))
            .name(&operation.signing)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsent(&error))?
            .into();
        let signable = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = std::iter::once(("host", host.as_str())).chain(signable);
        let signable = SignableRequest::new(method, url, signable, SignableBody::Bytes(request.body()))
            .map_err(|error| unsent(&error))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| unsent(&error))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

fn form<'p>(parameters: impl Iterator<Item = &'p (String, String)>) -> String {
    let mut form = String::new();
    for (name, value) in parameters {
        if !form.is_empty() {
            form.push('&');
        }
        form.extend(utf8_percent_encode(name, FORM));
        form.push('=');
        form.extend(utf8_percent_encode(value, FORM));
    }
    form
}

/// The name of the host of a service in a region.
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>
fn host(endpoint: &str, region: &str) -> String {
    let domain = match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    match (endpoint, region) {
        ("iam", region) if region.starts_with("us-gov-") => format!("iam.us-gov.{domain}"),
        ("iam", region) if region.starts_with("cn-") => format!("iam.cn-north-1.{domain}"),
        ("iam", _) => format!("iam.{domain}"),
        (endpoint, region) => format!("{endpoint}.{}.{domain}", signing_region(endpoint, region)),
    }
}

/// The region that a service counts itself to: those that are one for the whole partition are at home in one region.
fn signing_region<'r>(endpoint: &str, region: &'r str) -> &'r str {
    match (endpoint, region) {
        ("iam" | "organizations", region) if region.starts_with("us-gov-") => "us-gov-west-1",
        ("iam", region) if region.starts_with("cn-") => "cn-north-1",
        ("organizations", region) if region.starts_with("cn-") => "cn-northwest-1",
        ("iam" | "organizations", _) => "us-east-1",
        (_, region) => region,
    }
}

fn join(whole: &mut Map<String, Value>, next: Map<String, Value>) {
    for (name, value) in next {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (None, value) => {
                whole.insert(name, value);
            }
            _ => {}
        }
    }
}

fn read(operation: &Operation, reply: &Reply) -> Result<Map<String, Value>, Problem> {
    let value = match operation.protocol {
        Protocol::Ec2 | Protocol::Query => {
            let root = Element::read(&reply.body)?;
            let outer = match operation.wrapper.as_str() {
                "" => Some(&root),
                wrapper => root.child(wrapper),
            };
            let outer = outer.ok_or_else(|| Problem::Answer("it has no result".to_owned()))?;
            match &operation.answer {
                Some(shape) => outer.value(shape)?,
                None => Value::Object(Map::new()),
            }
        }
        Protocol::Json | Protocol::RestJson => {
            let mut value = reply.json()?;
            without_nothing(&mut value);
            if let Some(shape) = &operation.answer {
                tell_times(&mut value, shape);
            }
            value
        }
    };
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::Answer("it is no object".to_owned())),
    }
}

/// What is `null` is not there, as the tool has it.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.iter_mut().for_each(|(_, member)| without_nothing(member));
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

/// What an answer means, by its status and by the code of its error.
fn meaning(reply: &Reply) -> Meaning {
    if (200..300).contains(&reply.status) {
        return Meaning::Fine;
    }
    let (code, said) = error_of(reply);
    let what = match said.as_str() {
        "" if code.is_empty() => reply.said(),
        "" => code.clone(),
        said => format!("{code}: {said}"),
    };
    let is = |codes: &[&str]| codes.contains(&code.as_str());
    // Services of different ages write `NoSuchEntity`, `InvalidSnapshot.NotFound` and `RepositoryPolicyNotFoundException`.
    let is_absent = ["NoSuch", "NotFound", "NotInUse", "DoesNotExist"]
        .iter()
        .any(|word| code.contains(word));
    if reply.status == 429 || is(THROTTLED) {
        Meaning::Throttled(what)
    } else if is(PASSING) {
        Meaning::Later(what)
    } else if is(DENIED) || code.starts_with("AccessDenied") {
        Meaning::Never(Problem::Denied(what))
    } else if is_absent {
        Meaning::Never(Problem::Absent(what))
    } else {
        match reply.status {
            408 | 500 | 502..=504 => Meaning::Later(what),
            401 | 403 => Meaning::Never(Problem::Denied(what)),
            _ => Meaning::Never(Problem::Refused(what)),
        }
    }
}

/// The code and the message of an error.
fn error_of(reply: &Reply) -> (String, String) {
    if let Ok(value) = reply.json() {
        let header = reply
            .headers
            .get("x-amzn-errortype")
            .and_then(|value| value.to_str().ok());
        let code = header
            .or_else(|| value.get("__type")?.as_str())
            .or_else(|| value.get("code")?.as_str())
            .unwrap_or("");
        // `prefix#Code:address`
        let code = code
            .split(':')
            .next()
            .unwrap_or("")
            .rsplit('#')
            .next()
            .unwrap_or("");
        let said = value
            .get("message")
            .or_else(|| value.get("Message"))
            .and_then(Value::as_str)
            .unwrap_or("");
        return (code.to_owned(), said.to_owned());
    }
    match Element::read(&reply.body) {
        Ok(root) => {
            let text = |name: &str| root.find(name).unwrap_or_default().to_owned();
            (text("Code"), text("Message"))
        }
        Err(_) => (String::new(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: ureq::http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn errors_are_told_apart() {
        let ec2 = |code: &str| {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors></Response>"
            )
        };
        let query = |code: &str| {
            format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
        };
        let json = |code: &str| format!(r#"{{"__type":"com.amazonaws.x#{code}","message":"m"}}"#);
        let of = |status, body: &str| meaning(&reply(status, body));
        assert!(matches!(
            of(503, &ec2("RequestLimitExceeded")),
            Meaning::Throttled(_)
        ));
        assert!(matches!(of(400, &query("Throttling")), Meaning::Throttled(_)));
        assert!(matches!(
            of(400, &json("ThrottlingException")),
            Meaning::Throttled(_)
        ));
        assert!(matches!(of(429, ""), Meaning::Throttled(_)));
        assert!(matches!(of(500, &ec2("InternalError")), Meaning::Later(_)));
        assert!(matches!(of(502, "<html>"), Meaning::Later(_)));
        assert!(matches!(
            of(403, &ec2("UnauthorizedOperation")),
            Meaning::Never(Problem::Denied(_))
        ));
        assert!(matches!(
            of(400, &json("AccessDeniedException")),
            Meaning::Never(Problem::Denied(_))
        ));
        assert!(matches!(
            of(400, &json("RepositoryPolicyNotFoundException")),
            Meaning::Never(Problem::Absent(_))
        ));
        assert!(matches!(
            of(400, &json("AWSOrganizationsNotInUseException")),
            Meaning::Never(Problem::Absent(_))
        ));
        assert!(matches!(
            of(400, &ec2("InvalidParameterValue")),
            Meaning::Never(Problem::Refused(_))
        ));
    }

    #[test]
    fn hosts_are_those_of_the_partition() {
        for (endpoint, region, expected) in [
            ("ec2", "eu-west-1", "ec2.eu-west-1.amazonaws.com"),
            ("api.ecr", "cn-north-1", "api.ecr.cn-north-1.amazonaws.com.cn"),
            ("iam", "eu-west-1", "iam.amazonaws.com"),
            ("iam", "us-gov-east-1", "iam.us-gov.amazonaws.com"),
            (
                "organizations",
                "eu-west-1",
                "organizations.us-east-1.amazonaws.com",
            ),
        ] {
            assert_eq!(host(endpoint, region), expected);
        }
    }
}
