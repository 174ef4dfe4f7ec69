//! What a suppressor knows, written down for another process.

use neph_engine::{BadState, StateReader, StateWriter};
use serde_json::Value;

use super::Suppressor;

impl Suppressor {
    /// What it knows, as a section of what `to` writes.
    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let settings = serde_json::to_string(&self.settings).unwrap_or_default();
        to.write(&(settings, &self.groups, self.settled, self.newest, self.suppressed))
    }

    /// Takes over what [`Self::save`] wrote, where the settings are the same; says whether they are.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<bool, BadState> {
        let (settings, groups, settled, newest, suppressed): (String, _, _, _, _) = from.read(section)?;
        if serde_json::to_string(&self.settings).unwrap_or_default() != settings {
            return Ok(false);
        }
        (self.groups, self.settled, self.newest, self.suppressed) = (groups, settled, newest, suppressed);
        let waiting = self.groups.values().flat_map(|group| group.waiting.values());
        self.bytes = waiting
            .map(|waiting| waiting.bytes)
            .fold(0, usize::saturating_add);
        Ok(true)
    }
}

/// Fields and their values, as JSON text: what a value is, only JSON itself tells.
pub(super) mod terms {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Value;

    type Terms = Vec<(String, Value)>;

    pub(in crate::suppressor) fn serialize<S: Serializer>(terms: &Terms, to: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(terms).map_err(S::Error::custom)?;
        text.serialize(to)
    }

    pub(in crate::suppressor) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Terms, D::Error> {
        let text = String::deserialize(from)?;
        serde_json::from_str(&text).map_err(D::Error::custom)
    }
}
