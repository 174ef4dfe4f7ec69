//! User agents, by the library `woothee`. What it does not know stays as it is.

use neph_normalize::{Map, Value};
use woothee::parser::Parser;

/// Longer texts are no user agents.
const LONGEST: usize = 2048;

/// What woothee says where it does not know.
const UNKNOWN: &str = "UNKNOWN";

/// The parts of a user agent that have a field in ECS.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    name: Option<String>,
    version: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    device: Option<&'static str>,
}

impl Agent {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let found = Parser::new().parse(text)?;
        let known = |text: &str| (text != UNKNOWN && !text.is_empty()).then(|| text.to_owned());
        let agent = Self {
            name: known(found.name),
            version: known(found.version),
            os: known(found.os),
            os_version: known(&found.os_version),
            // The words of Elasticsearch's `user_agent` processor, where they mean the same.
            device: match (found.category, found.os) {
                ("crawler", _) => Some("Spider"),
                (_, "iPhone") => Some("iPhone"),
                (_, "iPad") => Some("iPad"),
                (_, "Mac OSX") => Some("Mac"),
                (_, "Android") => Some("Android"),
                _ => None,
            },
        };
        (agent.name.is_some() || agent.os.is_some()).then_some(agent)
    }

    pub(crate) fn write<'a>(&self, user_agent: &'a Map<'a>) {
        let add = |map: &Map<'a>, key: &'static str, text: Option<&str>| {
            if let Some(text) = text {
                map.add(key, Value::Text(map.text(text)));
            }
        };
        add(user_agent, "name", self.name.as_deref());
        add(user_agent, "version", self.version.as_deref());
        if self.os.is_some() {
            let os = user_agent.new_map();
            add(os, "name", self.os.as_deref());
            add(os, "version", self.os_version.as_deref());
            user_agent.set("os", Value::Map(os));
        }
        if self.device.is_some() {
            let device = user_agent.new_map();
            add(device, "name", self.device);
            user_agent.set("device", Value::Map(device));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Agent;

    #[test]
    fn what_is_unknown_stays_unknown() {
        for text in [
            "",
            "-",
            "x",
            "aws-cli/2.32.3 md/awscrt#0.28.4",
            &"Mozilla/5.0 ".repeat(1000),
        ] {
            assert!(Agent::parse(text).is_none_or(|agent| agent.name.as_deref() != Some("UNKNOWN")));
        }
        assert!(Agent::parse(&"Mozilla/5.0 ".repeat(1000)).is_none());
    }
}
