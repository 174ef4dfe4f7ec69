//! OCSF Detection Finding (class 2004).

use serde_json::Value;

use crate::Message;

pub(crate) fn finding(message: &Message<'_>) -> Value {
    let _ = message;
    Value::Null
}
