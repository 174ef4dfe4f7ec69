//! Webhooks: an HTTP request for each message.

use std::time::Duration;

use neph_config::{Output, OutputKind};
use serde_json::Value;

use crate::http::{Answer, Receiver};
use crate::template::Template;
use crate::{Form, Message, OpenError, Outcome, Transport, chat};

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

pub(crate) struct Webhook {
    receiver: Receiver,
    form: Form,
    shape: Shape,
}

/// What a body looks like.
enum Shape {
    Json,
    Slack,
    Teams,
    Telegram(String),
    Template(Box<Template>),
}

impl Webhook {
    pub(crate) fn open(output: &Output) -> Result<Self, OpenError> {
        let OutputKind::Webhook {
            url,
            secret_url,
            shape,
            template,
            headers,
            authorization,
            chat,
            ca,
        } = &output.kind
        else {
            return Err(OpenError::Invalid(format!("`{}` is no webhook", output.name)));
        };
        let shape = match (template, shape.as_str()) {
            (Some(path), _) => Shape::Template(Box::new(Template::read(path)?)),
            (None, "slack") => Shape::Slack,
            (None, "teams") => Shape::Teams,
            (None, "telegram") => Shape::Telegram(chat.clone().unwrap_or_default()),
            (None, _) => Shape::Json,
        };
        let secret_url = secret_url.as_ref().map(neph_config::Secret::read).transpose()?;
        let receiver = Receiver::new(
            secret_url.as_deref().unwrap_or(url),
            headers,
            authorization.as_ref(),
            ca.as_deref(),
            output.timeout,
            ANSWER,
        )?;
        Ok(Self {
            receiver,
            form: Form::of(&output.form),
            shape,
        })
    }

    fn body(&self, message: &Message<'_>) -> Result<String, String> {
        Ok(match &self.shape {
            Shape::Json => self.form.document(message).to_string(),
            Shape::Slack => chat::slack(message).to_string(),
            Shape::Teams => chat::teams(message).to_string(),
            Shape::Telegram(chat) => chat::telegram(message, chat).to_string(),
            Shape::Template(template) => return template.render(self.form, message),
        })
    }

    fn tell(&self, message: &Message<'_>) -> Outcome {
        let body = match self.body(message) {
            Ok(body) => body,
            Err(why) => return Outcome::never(format!("the template fails: {why}")),
        };
        // What a template makes of an alert may be anything.
        let content_type = match (&self.shape, body.trim_start().starts_with(['{', '['])) {
            (Shape::Template(_), false) => "text/plain; charset=utf-8",
            _ => "application/json",
        };
        match self
            .receiver
            .post(content_type, Some(&message.key), body.as_bytes())
        {
            Err(outcome) => outcome,
            Ok(answer) if (200..300).contains(&answer.status) => Outcome::Delivered,
            Ok(mut answer) => {
                if let Shape::Telegram(_) = self.shape {
                    answer.after = answer.after.or_else(|| flood_wait(&answer));
                }
                self.receiver.refused(&answer)
            }
        }
    }
}

/// How long Telegram wants to be left alone (<https://core.telegram.org/bots/api#responseparameters>).
fn flood_wait(answer: &Answer) -> Option<Duration> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let seconds = body.pointer("/parameters/retry_after")?.as_u64()?;
    Some(Duration::from_secs(seconds))
}

impl Transport for Webhook {
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome> {
        messages.iter().map(|message| self.tell(message)).collect()
    }
}
