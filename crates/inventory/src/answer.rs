//! Answers as tools print them, item by item.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use encoding_rs_io::DecodeReaderBytesBuilder;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// One item, or what an answer says beside its lists, has no more bytes than this.
const ITEM_BYTES: u64 = 16 << 20;

/// Why answers cannot be read to their end. What was handed out before is part of a broken answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The text ends in the middle of an answer.
    #[error("ends in the middle of an answer, at line {line}: it was cut off")]
    Truncated {
        /// The last line.
        line: usize,
    },
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    Json(String),
    /// An item is too large.
    #[error("has an item larger than {} MiB", ITEM_BYTES >> 20)]
    ItemTooLarge,
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is a text or a number, and no answer.
    #[error("is neither a list nor an object")]
    Scalar,
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A list.
    List,
    /// An object.
    Object,
}

/// A part of an answer.
#[derive(Debug)]
pub enum Part<'a> {
    /// An item of a list.
    Item {
        /// The key of the outermost object that the list stands in; empty where the answer itself is the list.
        list: &'a str,
        /// The item.
        value: Value,
    },
    /// The answer ends. Another may follow, as a loop in a shell prints them one after the other.
    End {
        /// What it was.
        shape: Shape,
        /// Names of the lists that it had, also those without items; empty for a list.
        lists: &'a [String],
        /// What the outermost object says beside its lists.
        rest: Map<String, Value>,
    },
}

/// Reads answers, one or several after one another, and hands out their parts as they come: a list needs the memory of one item.
///
/// # Errors
/// When it is no answer, or broken; then what was handed out since the last [`Part::End`] is not to be relied on.
pub fn answers(reader: impl Read, visit: &mut dyn FnMut(Part<'_>)) -> Result<(), AnswerError> {
    let meter = Rc::new(Meter::default());
    let reader = BufReader::with_capacity(
        1 << 16,
        Metered {
            reader: decoded(reader),
            meter: Rc::clone(&meter),
        },
    );
    let mut count = 0_u64;
    let mut texts = serde_json::Deserializer::from_reader(reader);
    loop {
        match texts.end() {
            Ok(()) if count == 0 => return Err(AnswerError::Empty),
            Ok(()) => return Ok(()),
            // What is no white space is the next answer; that reading goes wrong is told below.
            Err(_) => {}
        }
        meter.since.set(0);
        meter.kept.set(0);
        let whole = Whole { visit, meter: &meter };
        whole.deserialize(&mut texts).map_err(|error| reason(&error))?;
        count += 1;
    }
}

/// Without a mark of byte order, and UTF-16, as `>` of Windows PowerShell writes it, as UTF-8.
fn decoded<R: Read>(reader: R) -> impl Read {
    DecodeReaderBytesBuilder::new()
        .strip_bom(true)
        .utf8_passthru(true)
        .build(reader)
}

/// Reads answers, one or several after one another, each as a whole: for those who need all of it at once.
///
/// # Errors
/// When one of them is broken, or there is none: none of them is handed out then, since what follows is not known.
pub fn whole_answers(text: &[u8]) -> Result<Vec<Value>, AnswerError> {
    let mut recoded = Vec::new();
    let text = match text {
        [0xef, 0xbb, 0xbf, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            decoded(text)
                .read_to_end(&mut recoded)
                .map_err(|error| AnswerError::Unreadable(error.to_string()))?;
            recoded.as_slice()
        }
        text => text,
    };
    let values: Vec<Value> = serde_json::Deserializer::from_slice(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| reason(&error))?;
    match values.is_empty() {
        true => Err(AnswerError::Empty),
        false => Ok(values),
    }
}

fn reason(error: &serde_json::Error) -> AnswerError {
    let said = error.to_string();
    if said.starts_with(TOO_LARGE) {
        AnswerError::ItemTooLarge
    } else if said.starts_with(SCALAR) {
        AnswerError::Scalar
    } else if error.is_eof() {
        AnswerError::Truncated { line: error.line() }
    } else if error.is_io() {
        AnswerError::Unreadable(said)
    } else {
        AnswerError::Json(said)
    }
}

const TOO_LARGE: &str = "an item is too large";
const SCALAR: &str = "neither a list nor an object";

/// How much was read, in bytes.
#[derive(Debug, Default)]
struct Meter {
    total: Cell<u64>,
    /// Since an item began.
    since: Cell<u64>,
    /// For what is kept until the answer ends; the reader reads ahead, so this is exact only in the long run.
    kept: Cell<u64>,
}

/// Counts what is read, and ends where an item is too large.
struct Metered<R> {
    reader: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let since = self.meter.since.get() + count as u64;
        self.meter.since.set(since);
        self.meter.total.set(self.meter.total.get() + count as u64);
        if since > ITEM_BYTES {
            return Err(io::Error::other(TOO_LARGE));
        }
        Ok(count)
    }
}

struct Whole<'v> {
    visit: &'v mut dyn FnMut(Part<'_>),
    meter: &'v Meter,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(E::custom(SCALAR))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(value) = items.next_element::<Value>()? {
            self.meter.since.set(0);
            (self.visit)(Part::Item { list: "", value });
        }
        (self.visit)(Part::End {
            shape: Shape::List,
            lists: &[],
            rest: Map::new(),
        });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut lists: Vec<String> = Vec::new();
        let mut rest = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let of_key = OfKey {
                key: &key,
                visit: &mut *self.visit,
                meter: self.meter,
            };
            let before = self.meter.total.get();
            match entries.next_value_seed(of_key)? {
                Some(value) => {
                    let kept = self.meter.kept.get() + (self.meter.total.get() - before);
                    self.meter.kept.set(kept);
                    if kept > ITEM_BYTES {
                        return Err(serde::de::Error::custom(TOO_LARGE));
                    }
                    rest.insert(key, value);
                }
                None => lists.push(key),
            }
        }
        (self.visit)(Part::End {
            shape: Shape::Object,
            lists: &lists,
            rest,
        });
        Ok(())
    }
}

/// The value of a key of the outermost object: a list is handed out, anything else is kept.
struct OfKey<'v> {
    key: &'v str,
    visit: &'v mut dyn FnMut(Part<'_>),
    meter: &'v Meter,
}

impl<'de> DeserializeSeed<'de> for OfKey<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfKey<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while let Some(value) = items.next_element::<Value>()? {
            self.meter.since.set(0);
            (self.visit)(Part::Item {
                list: self.key,
                value,
            });
        }
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            map.insert(key, value);
        }
        Ok(Some(Value::Object(map)))
    }
}
