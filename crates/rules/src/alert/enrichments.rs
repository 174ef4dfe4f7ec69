//! `threat.enrichments` of an alert: the indicators that its event met, as Kibana writes them.
//! <https://www.elastic.co/docs/reference/ecs/ecs-threat#field-threat-enrichments>

use neph_event::{Row, Slot, Slots};
use serde_json::{Map, Value, json};

use super::why::json_value;
use crate::indicators::object_at;
use crate::threat_match::ThreatMatch;

/// An alert carries so many; the rest is counted.
const MOST: usize = 200;

/// The enrichments of an event's document, and how many more there are than are listed.
pub(super) fn of(threat: &ThreatMatch, document: &[u8]) -> (Vec<Value>, u64) {
    let mut found: Vec<Value> = Vec::new();
    let mut more = 0;
    for group in &threat.mapping {
        let mut slots = Slots::default();
        let columns: Vec<Slot> = group
            .fields
            .iter()
            .map(|field| slots.add(field.clone()))
            .collect();
        let mut row = Row::default();
        if row.read(&slots, document).is_err() {
            continue;
        }
        let values = |column: usize| columns.get(column).into_iter().flat_map(|slot| row.values(*slot));
        let mut rows: Vec<u32> = Vec::new();
        group.table.find(values, &mut |number| {
            rows.push(number);
            true
        });
        rows.sort_unstable();
        rows.dedup();
        for number in rows {
            for (column, entry) in group
                .entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| !entry.negate)
            {
                let Some(indicator) = threat.indicators.get(number) else {
                    continue;
                };
                if found.len() >= MOST {
                    more += 1;
                    continue;
                }
                let atomic = values(column).find(|value| group.table.has(column, *value, number));
                let source: Map<String, Value> =
                    serde_json::from_slice(&indicator.document).unwrap_or_default();
                let mut matched = json!({
                    "atomic": atomic.map(|value| json_value(&value.to_owned())),
                    "field": entry.field,
                    "id": &*indicator.id,
                    "type": "indicator_match_rule",
                });
                if let (Some(index), Value::Object(matched)) = (&indicator.index, &mut matched) {
                    matched.insert("index".into(), json!(&**index));
                }
                let mut enrichment = json!({
                    "indicator": object_at(&source, &threat.indicator_path),
                    "matched": matched,
                });
                let feed = object_at(&source, "threat.feed");
                if let (false, Value::Object(enrichment)) = (feed.is_empty(), &mut enrichment) {
                    enrichment.insert("feed".into(), Value::Object(feed));
                }
                found.push(enrichment);
            }
        }
    }
    (found, more)
}
