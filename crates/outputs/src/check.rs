//! What is wrong with outputs and only shows when they are used: filters, templates, addresses.

use std::path::PathBuf;

use neph_config::{Output, OutputKind};
use neph_diag::{Diagnostic, Span};
use neph_event::Instant;

use crate::codes;
use crate::filter::Filter;
use crate::http::{header_name, header_value, parse_url};
use crate::mail::is_mailbox;
use crate::template::Template;
use crate::text::visible;

/// What is wrong with outputs.
#[derive(Debug, Default)]
pub struct Checked {
    /// In the configuration.
    pub diagnostics: Vec<Diagnostic>,
    /// In templates.
    pub templates: Vec<TemplateFile>,
}

/// A template with mistakes.
#[derive(Debug)]
pub struct TemplateFile {
    /// Its file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
}

/// Looks at the outputs of a configuration, whose text is needed to show where mistakes are. Nothing is sent.
pub fn check(outputs: &[Output], text: &str, now: Instant) -> Checked {
    let mut checked = Checked::default();
    for output in outputs {
        if let Some(query) = &output.filter {
            let (_, diagnostics) = Filter::new(output, now);
            let moved = diagnostics
                .into_iter()
                .map(|diagnostic| embedded(diagnostic, text, output.places.filter, query));
            checked.diagnostics.extend(moved);
        }
        checked.diagnostics.extend(addresses(output));
        if let Some((path, Ok(text))) = template_of(output).map(|path| (path, std::fs::read_to_string(path)))
            && let Err(diagnostics) = Template::parse(&text)
        {
            checked.templates.push(TemplateFile {
                path: path.clone(),
                text,
                diagnostics,
            });
        }
    }
    checked
}

/// The template of an output, if it has one.
pub fn template_of(output: &Output) -> Option<&PathBuf> {
    match &output.kind {
        OutputKind::Webhook { template, .. } | OutputKind::Mail { template, .. } => template.as_ref(),
        _ => None,
    }
}

/// A diagnostic of a query that stands in a string of the configuration.
fn embedded(diagnostic: Diagnostic, file: &str, string: Span, query: &str) -> Diagnostic {
    match string.text(file).find(query) {
        // Written out as it is, so that offsets only move.
        Some(at) => {
            let begin = string.start as usize + at;
            let moved = |span: Span| Span::new(begin + span.start as usize, begin + span.end as usize);
            diagnostic.map_spans(moved, |span| Some(moved(span)))
        }
        None => diagnostic.map_spans(|_| string, |_| None),
    }
}

fn addresses(output: &Output) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut refuse = |span: Span, message: String| {
        found.push(Diagnostic::new(&codes::SETTING, span, message));
    };
    let places = output.places;
    match &output.kind {
        OutputKind::Webhook {
            url,
            secret_url,
            headers,
            shape,
            template,
            chat,
            ..
        } => {
            if secret_url.is_none()
                && let Err(error) = parse_url(url)
            {
                refuse(places.url, error.to_string());
            }
            for (name, value) in headers {
                for error in [header_name(name).err(), header_value(name, value).err()]
                    .into_iter()
                    .flatten()
                {
                    refuse(places.url, error.to_string());
                }
            }
            if shape == "telegram" && template.is_none() && chat.is_none() {
                refuse(places.url, "messages for Telegram need a `chat`".to_owned());
            }
        }
        OutputKind::Elasticsearch { url, .. } => {
            if let Err(error) = parse_url(url) {
                refuse(places.url, error.to_string());
            }
        }
        OutputKind::Syslog { address, .. } | OutputKind::Mail { server: address, .. } => {
            let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !has_port {
                refuse(places.address, format!("`{address}` is not `HOST:PORT`"));
            }
            if let OutputKind::Mail { from, to, .. } = &output.kind {
                for address in std::iter::once(from)
                    .chain(to)
                    .filter(|address| !is_mailbox(address))
                {
                    refuse(
                        places.address,
                        format!("`{}` is no address of mail", visible(address)),
                    );
                }
            }
        }
        OutputKind::Stdout | OutputKind::File { .. } => {}
    }
    found
}
