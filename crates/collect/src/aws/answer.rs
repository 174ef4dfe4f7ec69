//! Answers of AWS as the command-line tool prints them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use serde_json::{Map, Number, Value};

use super::model::{Scalar, Shape};
use crate::problem::Problem;

/// No answer nests deeper.
const DEPTH: usize = 64;

/// An element of XML.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads the outermost element.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let wrong = |error: &dyn std::fmt::Display| Problem::Answer(format!("it is not XML: {error}"));
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().map_err(|error| wrong(&error))? {
                Event::Start(start) => {
                    if open.len() >= DEPTH {
                        return Err(wrong(&"it nests too deep"));
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    let element = Self::named(start.local_name().as_ref());
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Ok(element),
                    }
                }
                Event::End(_) => {
                    let Some(element) = open.pop() else {
                        return Err(wrong(&"an element ends that did not begin"));
                    };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Ok(element),
                    }
                }
                Event::Text(text) => {
                    if let Some(parent) = open.last_mut() {
                        parent
                            .text
                            .push_str(&text.decode().map_err(|error| wrong(&error))?);
                    }
                }
                Event::CData(text) => {
                    if let Some(parent) = open.last_mut() {
                        parent
                            .text
                            .push_str(&text.decode().map_err(|error| wrong(&error))?);
                    }
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| wrong(&error))?;
                    let name = reference.decode().map_err(|error| wrong(&error))?;
                    if let Some(parent) = open.last_mut() {
                        match (character, resolve_predefined_entity(&name)) {
                            (Some(character), _) => parent.text.push(character),
                            (None, Some(text)) => parent.text.push_str(text),
                            (None, None) => return Err(wrong(&"an entity is not known")),
                        }
                    }
                }
                Event::Eof => return Err(wrong(&"it ends early")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn named(name: &[u8]) -> Self {
        Self {
            name: String::from_utf8_lossy(name).into_owned(),
            ..Self::default()
        }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element of that name, however deep.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        if self.name == name {
            return Some(self.text.trim());
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// The element as a value of that shape; what the shape does not name is left out.
    pub(super) fn value(&self, shape: &Shape) -> Result<Value, Problem> {
        Ok(match shape {
            Shape::Scalar(scalar) => return scalar_of(*scalar, &self.text),
            Shape::List { l: (name, inner) } => {
                let items = self.children.iter().filter(|child| child.name == *name);
                Value::Array(items.map(|item| item.value(inner)).collect::<Result<_, _>>()?)
            }
            Shape::Map { .. } => return Err(Problem::Answer("a map in XML".to_owned())),
            Shape::Object { o: members } => {
                let mut object = Map::new();
                for (name, (wire, inner)) in members {
                    if let Some(child) = self.child(wire) {
                        object.insert(name.clone(), child.value(inner)?);
                    }
                }
                Value::Object(object)
            }
        })
    }
}

fn scalar_of(scalar: Scalar, text: &str) -> Result<Value, Problem> {
    let wrong = |what: &str| Problem::Answer(format!("`{}` is no {what}", crate::problem::quoted(text)));
    Ok(match scalar {
        Scalar::Text => Value::String(text.to_owned()),
        Scalar::Bool => Value::Bool(text.trim() == "true"),
        Scalar::Integer => text.trim().parse::<i64>().map_err(|_| wrong("number"))?.into(),
        Scalar::Float => {
            let number = text.trim().parse().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| wrong("number"))?)
        }
        Scalar::Time => {
            let time: Timestamp = text.trim().parse().map_err(|_| wrong("time"))?;
            Value::String(told(time))
        }
        Scalar::Policy => {
            let decoded = percent_decode_str(text).decode_utf8_lossy();
            serde_json::from_str(&decoded).unwrap_or(Value::String(decoded.into_owned()))
        }
    })
}

/// Makes times of JSON, which are seconds since 1970, times of text; everything else stays.
pub(super) fn tell_times(value: &mut Value, shape: &Shape) {
    match (shape, value) {
        (Shape::Scalar(Scalar::Time), value) => {
            if let Some(time) = value.as_f64().and_then(of_seconds) {
                *value = Value::String(told(time));
            }
        }
        (Shape::List { l: (_, inner) }, Value::Array(items)) => {
            for item in items {
                tell_times(item, inner);
            }
        }
        (Shape::Map { m: inner }, Value::Object(entries)) => {
            for (_, entry) in entries {
                tell_times(entry, inner);
            }
        }
        (Shape::Object { o: members }, Value::Object(entries)) => {
            for (wire, inner) in members.values() {
                if let Some(entry) = entries.get_mut(wire) {
                    tell_times(entry, inner);
                }
            }
        }
        _ => {}
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and what is out of range is no time"
)]
fn of_seconds(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}

/// `2026-01-31T10:00:00+00:00`, with microseconds where there are any.
fn told(time: Timestamp) -> String {
    let zoned = time.to_zoned(TimeZone::UTC);
    match time.subsec_microsecond() {
        0 => zoned.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        micros => format!("{}.{micros:06}+00:00", zoned.strftime("%Y-%m-%dT%H:%M:%S")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::operation;
    use super::*;

    fn answer(call: &str, xml: &str) -> Value {
        let operation = operation(call).unwrap();
        let root = Element::read(xml.as_bytes()).unwrap();
        let outer = if operation.wrapper.is_empty() {
            &root
        } else {
            root.child(&operation.wrapper).unwrap()
        };
        outer.value(operation.answer.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn xml_becomes_what_the_tool_prints() {
        let xml = r#"<?xml version="1.0"?><DescribeSnapshotsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>
            <snapshotSet><item><snapshotId>snap-1</snapshotId><status>completed</status><startTime>2026-01-31T10:00:00.120Z</startTime>
            <encrypted>false</encrypted><volumeSize>8</volumeSize><description>a &lt;b&gt; &#65;</description><tagSet/></item></snapshotSet>
            <nextToken>t</nextToken></DescribeSnapshotsResponse>"#;
        let expected = serde_json::json!({
            "NextToken": "t",
            "Snapshots": [{
                "SnapshotId": "snap-1", "State": "completed", "StartTime": "2026-01-31T10:00:00.120000+00:00",
                "Encrypted": false, "VolumeSize": 8, "Description": "a <b> A", "Tags": []
            }]
        });
        assert_eq!(answer("ec2 describe-snapshots", xml), expected);
    }

    #[test]
    fn policies_are_told_as_json() {
        let xml = "<GetAccountAuthorizationDetailsResponse><GetAccountAuthorizationDetailsResult><IsTruncated>false</IsTruncated><UserDetailList>\
            <member><UserName>ann</UserName><CreateDate>2026-01-31T10:00:00Z</CreateDate><UserPolicyList><member><PolicyName>p</PolicyName>\
            <PolicyDocument>%7B%22Version%22%3A%222012-10-17%22%7D</PolicyDocument></member></UserPolicyList></member></UserDetailList>\
            </GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>";
        let found = answer("iam get-account-authorization-details", xml);
        assert_eq!(
            found["UserDetailList"][0]["UserPolicyList"][0]["PolicyDocument"]["Version"],
            "2012-10-17"
        );
        assert_eq!(
            found["UserDetailList"][0]["CreateDate"],
            "2026-01-31T10:00:00+00:00"
        );
    }

    #[test]
    fn times_of_json_are_told_as_text() {
        let mut value = serde_json::json!({"KeyMetadata": {"KeyId": "k", "CreationDate": 1_769_853_600.25}});
        tell_times(
            &mut value,
            operation("kms describe-key").unwrap().answer.as_ref().unwrap(),
        );
        assert_eq!(
            value["KeyMetadata"]["CreationDate"],
            "2026-01-31T10:00:00.250000+00:00"
        );
    }

    #[test]
    fn broken_and_hostile_xml_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        for xml in [
            "",
            "<a>",
            "</a>",
            "<a>&nope;</a>",
            "no xml",
            deep.as_str(),
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        ] {
            assert!(Element::read(xml.as_bytes()).is_err(), "{xml:.20}");
        }
    }
}
