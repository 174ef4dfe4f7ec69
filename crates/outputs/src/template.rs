//! Templates of bodies.

use neph_diag::Diagnostic;

use crate::{Form, Message};

/// A template that was read.
pub(crate) struct Template {}

impl Template {
    /// Reads a template; what is wrong with it is told with its place in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let _ = text;
        Ok(Self {})
    }

    /// The body of a message; why not, where the template fails on it.
    pub(crate) fn render(&self, form: Form, message: &Message<'_>) -> Result<String, String> {
        Ok(form.document(message).to_string())
    }
}
