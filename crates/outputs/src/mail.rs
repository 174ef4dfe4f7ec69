//! Mail: a plain and an HTML part, one thread for each alert.
//!
//! Every mail of an alert refers to the same id, so that programs show them together; its own id is the message's key, by which
//! repeats are known. Headers are made of one line each by the library that writes them, and of visible characters here.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};
use neph_config::{Output, OutputKind};

use crate::template::Template;
use crate::text::{html, shortened, visible};
use crate::told::Told;
use crate::{Form, Message, OpenError, Outcome, Transport};

/// Characters of a subject.
const SUBJECT: usize = 150;

/// Opens an output of this kind.
pub(crate) fn open(output: &Output) -> Result<Box<dyn Transport>, OpenError> {
    let invalid = |what: String| OpenError::Invalid(format!("`{}` {what}", output.name));
    let OutputKind::Mail {
        server,
        tls,
        from,
        to,
        user,
        password,
        template,
        ca,
    } = &output.kind
    else {
        return Err(invalid("is no mail".to_owned()));
    };
    let mailbox = |text: &String| {
        text.parse::<Mailbox>()
            .map_err(|error| invalid(format!("has no address of mail in `{}`: {error}", visible(text))))
    };
    let from = mailbox(from)?;
    let to = to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
    if to.is_empty() {
        return Err(invalid("has nobody to write to".to_owned()));
    }
    let (host, port) = server
        .rsplit_once(':')
        .ok_or_else(|| invalid("has a server without a port".to_owned()))?;
    let port: u16 = port
        .parse()
        .map_err(|_| invalid("has a server without a port".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let parameters = || parameters(host, ca.as_deref());
    let tls = match tls.as_str() {
        "none" => Tls::None,
        "tls" => Tls::Wrapper(parameters()?),
        _ => Tls::Required(parameters()?),
    };
    let mut transport = SmtpTransport::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(output.timeout));
    if let (Some(user), Some(password)) = (user, password) {
        transport = transport.credentials(Credentials::new(user.clone(), password.read()?));
    }
    let template = match template {
        None => None,
        Some(path) => Some(Template::read(path)?),
    };
    Ok(Box::new(Mail {
        transport: transport.build(),
        form: Form::of(&output.form),
        domain: from.email.domain().to_owned(),
        from,
        to,
        template,
    }))
}

/// Whether a text is an address of mail, with a name or without.
pub(crate) fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// What TLS trusts: the system's authorities, or those of a file.
fn parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters, OpenError> {
    let failed = |error: lettre::transport::smtp::Error| OpenError::Tls(error.to_string());
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        // Certificates are told apart, and mistakes told, as for other outputs.
        builder = builder.certificate_store(CertificateStore::None);
        for authority in crate::tls::authorities(path)? {
            let certificate = Certificate::from_der(authority.as_ref().to_vec()).map_err(failed)?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(failed)
}

struct Mail {
    transport: SmtpTransport,
    form: Form,
    from: Mailbox,
    to: Vec<Mailbox>,
    domain: String,
    template: Option<Template>,
}

impl Transport for Mail {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        messages.iter().map(|message| self.tell(message)).collect()
    }
}

impl Mail {
    fn tell(&self, message: &Message<'_>) -> Outcome {
        let mail = match self.write(message) {
            Ok(mail) => mail,
            Err(why) => return Outcome::never(why),
        };
        match self.transport.send(&mail) {
            Ok(_) => Outcome::Delivered,
            Err(error) => {
                let why = visible(&error.to_string());
                let code = error.status().map(u16::from);
                // 530, 534, 535 and 538 refuse who sends, not what is sent; 521 and 554 at the greeting may pass.
                match code {
                    Some(500..=599) if !matches!(code, Some(521 | 530 | 534 | 535 | 538)) => {
                        Outcome::never(why)
                    }
                    _ => Outcome::later(why),
                }
            }
        }
    }

    fn write(&self, message: &Message<'_>) -> Result<lettre::Message, String> {
        let told = Told::new(message);
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(subject(&told))
            .date(system_time(message))
            .message_id(Some(self.id(&message.key)));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        if message.group.is_none() {
            let thread = self.id(&message.alert.alert.id);
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        // So that nobody's absence is told to it (RFC 3834).
        for (name, value) in [
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
        ] {
            if let Ok(name) = HeaderName::new_from_ascii(name.to_owned()) {
                mail = mail.raw_header(HeaderValue::new(name, value.to_owned()));
            }
        }
        let made = match &self.template {
            Some(template) => mail.singlepart(
                SinglePart::builder().header(ContentType::TEXT_PLAIN).body(
                    template
                        .render(self.form, message)
                        .map_err(|why| format!("the template fails: {why}"))?,
                ),
            ),
            None => mail.multipart(MultiPart::alternative_plain_html(plain(&told), page(&told))),
        };
        made.map_err(|error| error.to_string())
    }

    /// An id of a message.
    fn id(&self, key: &str) -> String {
        let plain = |character: char| match character {
            _ if character.is_ascii_alphanumeric() => character,
            '-' | '.' => character,
            _ => '.',
        };
        let local: String = key.chars().map(plain).collect();
        format!("<{local}@{}>", self.domain)
    }
}

fn system_time(message: &Message<'_>) -> SystemTime {
    let seconds = u64::try_from(message.sent.seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The same for all mails of an alert, as programs tell threads apart by it too.
fn subject(told: &Told) -> String {
    let place = told.facts.iter().find(|(name, _)| *name == "Host");
    let place = place.map_or_else(String::new, |(_, host)| format!(" on {host}"));
    shortened(
        &format!("[{}] {}{place}", told.severity, unlinked(&told.name)),
        SUBJECT,
    )
}

/// Values such that programs make no links of them.
fn unlinked(text: &str) -> String {
    text.replace("://", "[:]//").replace("www.", "www[.]")
}

fn plain(told: &Told) -> String {
    let mut out = format!(
        "[{}] {}\n\n{}\n\n",
        told.severity,
        unlinked(&told.title),
        unlinked(&told.reason)
    );
    for (name, text) in &told.facts {
        out.push_str(&format!("{name}: {}\n", unlinked(text)));
    }
    if let Some(link) = &told.link {
        out.push_str(&format!("\nThe alert: {link}\n"));
    }
    out
}

fn page(told: &Told) -> String {
    let colour = match told.severity {
        "critical" => "#b00020",
        "high" => "#c75000",
        "medium" => "#8a6d00",
        _ => "#1a5fb4",
    };
    let mut out = format!(
        "<html><body style=\"font-family: sans-serif\"><p style=\"border-left: 6px solid {colour}; padding-left: 10px\"><b>[{}] {}</b></p><p>{}</p><table>",
        told.severity,
        html(&unlinked(&told.title)),
        html(&unlinked(&told.reason)),
    );
    for (name, text) in &told.facts {
        out.push_str(&format!(
            "<tr><td style=\"vertical-align: top; padding-right: 12px\">{name}</td><td><code>{}</code></td></tr>",
            html(&unlinked(text))
        ));
    }
    out.push_str("</table>");
    if let Some(link) = &told.link {
        out.push_str(&format!("<p><a href=\"{}\">Open the alert</a></p>", html(link)));
    }
    out.push_str("</body></html>\n");
    out
}
