//! EQL's functions on values.
//!
//! Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-function-ref>. Positions and lengths count
//! UTF-16 units, as Elasticsearch counts.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use neph_event::{Value, ValueRef};

use crate::pattern::{self, fold_char};
use crate::{Case, Function};

/// Calls a function. `case` matters to the ones that have a `~` form. A null argument gives null where the function
/// does not say otherwise, and so does an argument that the function cannot read. Arguments that string functions
/// get in another type count by their text form.
pub fn call(function: Function, arguments: &[Option<ValueRef<'_>>], case: Case) -> Option<Value> {
    let argument = |position: usize| arguments.get(position).copied().flatten();
    let text = |position: usize| argument(position).map(text_of);
    let number = |position: usize| argument(position).and_then(whole_number);
    match function {
        Function::Between => {
            let greedy = match arguments.get(3) {
                None => false,
                Some(Some(ValueRef::Bool(greedy))) => *greedy,
                Some(_) => return None,
            };
            between(&text(0)?, &text(1)?, &text(2)?, greedy, case).map(string)
        }
        Function::CidrMatch => {
            let address = address_of(argument(0)?)?;
            let mut inside = false;
            for block in arguments.iter().skip(1) {
                inside |= parse_block(&text_of((*block)?))?.contains(&address);
            }
            Some(Value::Bool(inside))
        }
        Function::Concat => {
            let mut whole = String::new();
            for part in arguments {
                whole.push_str(&text_of((*part)?));
            }
            Some(Value::String(whole.into()))
        }
        Function::StartsWith => Some(Value::Bool(pattern::starts_with(&text(0)?, &text(1)?, case))),
        Function::EndsWith => Some(Value::Bool(pattern::ends_with(&text(0)?, &text(1)?, case))),
        Function::StringContains => Some(Value::Bool(pattern::contains(&text(0)?, &text(1)?, case))),
        Function::IndexOf => {
            let start = if argument(2).is_none() { 0 } else { number(2)? };
            index_of(&text(0)?, &text(1)?, start, case).map(length_value)
        }
        Function::Length => Some(length_value(text(0)?.encode_utf16().count())),
        Function::Number => {
            let base = if argument(1).is_none() {
                None
            } else {
                Some(number(1)?)
            };
            parse_number(&text(0)?, base)
        }
        Function::String => argument(0).map(|value| string(&text_of(value))),
        Function::Substring => {
            let start = if argument(1).is_none() { 0 } else { number(1)? };
            let end = if argument(2).is_none() {
                None
            } else {
                Some(number(2)?)
            };
            Some(string(&substring(&text(0)?, start, end)))
        }
    }
}

/// A network in CIDR notation (host bits are ignored: `10.6.48.157/8` is `10.0.0.0/8`) or a single address.
pub fn parse_block(text: &str) -> Option<IpNet> {
    if let Ok(block) = text.parse::<IpNet>() {
        return Some(block.trunc());
    }
    text.parse::<IpAddr>()
        .ok()
        .map(|address| IpNet::from(address.to_canonical()))
}

/// The address of a value: an address, or a text that reads as one.
pub fn address_of(value: ValueRef<'_>) -> Option<IpAddr> {
    match value {
        ValueRef::Ip(address) => Some(address),
        ValueRef::String(text) => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
        _ => None,
    }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn length_value(length: usize) -> Value {
    Value::Long(i64::try_from(length).unwrap_or(i64::MAX))
}

fn text_of(value: ValueRef<'_>) -> Cow<'_, str> {
    match value {
        ValueRef::String(text) | ValueRef::Version(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn whole_number(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Long(number) => Some(number),
        _ => None,
    }
}

/// Byte range of the first occurrence of `needle` in `text` at or behind the byte `from`.
fn find(text: &str, needle: &str, from: usize, case: Case) -> Option<(usize, usize)> {
    let tail = text.get(from..)?;
    if case == Case::Sensitive {
        return tail.find(needle).map(|at| (from + at, from + at + needle.len()));
    }
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    starts.into_iter().find_map(|at| {
        let end = at + folded_prefix(tail.get(at..)?, needle, case)?;
        Some((from + at, from + end))
    })
}

/// The start byte of the last occurrence of `needle` at or behind the byte `from`.
fn find_last(text: &str, needle: &str, from: usize, case: Case) -> Option<usize> {
    let tail = text.get(from..)?;
    if case == Case::Sensitive {
        return tail.rfind(needle).map(|at| from + at);
    }
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    starts
        .rev()
        .find(|at| {
            tail.get(*at..)
                .and_then(|rest| folded_prefix(rest, needle, case))
                .is_some()
        })
        .map(|at| from + at)
}

/// How many bytes of `text` equal `needle` under `case`, if it starts with it.
fn folded_prefix(text: &str, needle: &str, case: Case) -> Option<usize> {
    let mut characters = text.chars();
    for wanted in needle.chars() {
        if fold_char(characters.next()?, case) != fold_char(wanted, case) {
            return None;
        }
    }
    Some(text.len() - characters.as_str().len())
}

fn between<'a>(text: &'a str, left: &str, right: &str, greedy: bool, case: Case) -> Option<&'a str> {
    let (_, start) = find(text, left, 0, case)?;
    let end = if greedy {
        find_last(text, right, start, case)?
    } else {
        find(text, right, start, case)?.0
    };
    text.get(start..end)
}

fn index_of(text: &str, needle: &str, start: i64, case: Case) -> Option<usize> {
    let mut skipped = 0_usize;
    let start = usize::try_from(start.max(0)).ok()?;
    let mut from = text.len();
    for (at, character) in text.char_indices() {
        if skipped >= start {
            from = at;
            break;
        }
        skipped += character.len_utf16();
    }
    // Java's indexOf clamps a start behind the end, where only the empty text is found.
    let (at, _) = find(text, needle, from, case)?;
    Some(text.get(..at)?.encode_utf16().count())
}

/// A slice as Python has it: negative positions count from the end, all are clamped.
fn substring(text: &str, start: i64, end: Option<i64>) -> Cow<'_, str> {
    let ascii = text.is_ascii();
    let length = if ascii {
        text.len()
    } else {
        text.encode_utf16().count()
    };
    let place = |position: i64| {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let from_start = if position < 0 {
            position.saturating_add(length)
        } else {
            position
        };
        usize::try_from(from_start.clamp(0, length)).unwrap_or(0)
    };
    let (start, end) = (place(start), end.map_or(length, place));
    if start >= end {
        return Cow::Borrowed("");
    }
    if ascii {
        return Cow::Borrowed(text.get(start..end).unwrap_or(""));
    }
    let units: Vec<u16> = text.encode_utf16().skip(start).take(end - start).collect();
    Cow::Owned(String::from_utf16_lossy(&units))
}

/// The number that a text writes: in base 10 an integer or a decimal, in another base an integer. Without a base it is
/// 16 for a text with the prefix `0x`, else 10.
fn parse_number(text: &str, base: Option<i64>) -> Option<Value> {
    let hexadecimal = text.strip_prefix("0x");
    let (digits, base) = match (base, hexadecimal) {
        (None | Some(16), Some(digits)) => (digits, 16),
        (None, None) => (text, 10),
        (Some(base), _) => (text, u32::try_from(base).ok()?),
    };
    if !(2..=36).contains(&base) {
        return None;
    }
    if let Ok(number) = i64::from_str_radix(digits, base) {
        return Some(Value::Long(number));
    }
    let decimal = base == 10
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if decimal {
        digits
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Double)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueRef::{Bool, Long, String as Text};

    fn text(function: Function, arguments: &[Option<ValueRef<'_>>], case: Case) -> Option<String> {
        call(function, arguments, case).map(|value| value.to_string())
    }

    #[test]
    fn between_finds_the_first_or_the_last_right_side() {
        let run = |left, right, greedy, case| {
            let arguments = [
                Some(Text("System Idle Process")),
                Some(Text(left)),
                Some(Text(right)),
                Some(Bool(greedy)),
            ];
            text(Function::Between, &arguments, case)
        };
        assert_eq!(run("S", "e", false, Case::Sensitive).as_deref(), Some("yst"));
        assert_eq!(
            run("s", "E", true, Case::Insensitive).as_deref(),
            Some("ystem Idle Proc")
        );
        assert_eq!(run("s", "E", false, Case::Sensitive), None);
        assert_eq!(run("", "", false, Case::Sensitive).as_deref(), Some(""));
        assert_eq!(
            run("", "", true, Case::Sensitive).as_deref(),
            Some("System Idle Process")
        );
        assert_eq!(run("Process", "System", true, Case::Sensitive), None);
    }

    #[test]
    fn positions_count_utf16_units() {
        assert_eq!(
            call(Function::Length, &[Some(Text("a😀"))], Case::Sensitive),
            Some(Value::Long(3))
        );
        let index = |start| {
            call(
                Function::IndexOf,
                &[Some(Text("😀foo")), Some(Text("o")), start],
                Case::Sensitive,
            )
        };
        assert_eq!(index(None), Some(Value::Long(3)));
        assert_eq!(index(Some(Long(4))), Some(Value::Long(4)));
        assert_eq!(index(Some(Long(9))), None);
        assert_eq!(index(Some(Long(-5))), Some(Value::Long(3)));
    }

    #[test]
    fn substring_slices_as_python_does() {
        let run = |start, end| {
            text(
                Function::Substring,
                &[Some(Text("hello world")), start, end],
                Case::Sensitive,
            )
            .unwrap()
        };
        assert_eq!(run(Some(Long(-5)), None), "world");
        assert_eq!(run(None, Some(Long(5))), "hello");
        assert_eq!(run(Some(Long(5)), Some(Long(-1))), " worl");
        assert_eq!(run(Some(Long(-60)), Some(Long(5))), "hello");
        assert_eq!(run(Some(Long(4)), Some(Long(4))), "");
    }

    #[test]
    fn numbers_read_in_their_base() {
        let run = |digits, base| call(Function::Number, &[Some(Text(digits)), base], Case::Sensitive);
        assert_eq!(run("0x1337", None), Some(Value::Long(0x1337)));
        assert_eq!(run("32", Some(Long(16))), Some(Value::Long(50)));
        assert_eq!(run("-2.5", None), Some(Value::Double(-2.5)));
        assert_eq!(run("52403", Some(Long(7))), Some(Value::Long(12890)));
        assert_eq!(run("0x1337", Some(Long(10))), None);
        assert_eq!(run("inf", None), None);
        assert_eq!(run("foo", None), None);
    }

    #[test]
    fn networks_ignore_host_bits_and_null_propagates() {
        let address = Some(ValueRef::Ip("10.1.2.3".parse().unwrap()));
        let run = |arguments: &[Option<ValueRef<'_>>]| call(Function::CidrMatch, arguments, Case::Sensitive);
        assert_eq!(
            run(&[address, Some(Text("192.168.0.0/16")), Some(Text("10.6.48.157/8"))]),
            Some(Value::Bool(true))
        );
        assert_eq!(run(&[address, Some(Text("::/0"))]), Some(Value::Bool(false)));
        assert_eq!(run(&[None, Some(Text("10.0.0.0/8"))]), None);
        assert_eq!(
            text(Function::Concat, &[Some(Text("a")), None], Case::Sensitive),
            None
        );
        assert_eq!(
            text(
                Function::Concat,
                &[Some(Text("a")), Some(Long(1)), Some(Bool(true))],
                Case::Sensitive
            )
            .unwrap(),
            "a1true"
        );
    }

    #[test]
    fn affixes_compare_by_case() {
        let run = |function, part, case| call(function, &[Some(Text("FooBarBaz")), Some(Text(part))], case);
        assert_eq!(
            run(Function::StartsWith, "foo", Case::Insensitive),
            Some(Value::Bool(true))
        );
        assert_eq!(
            run(Function::StartsWith, "", Case::Sensitive),
            Some(Value::Bool(true))
        );
        assert_eq!(
            run(Function::EndsWith, "baz", Case::Sensitive),
            Some(Value::Bool(false))
        );
        assert_eq!(
            run(Function::StringContains, "obarb", Case::AsciiInsensitive),
            Some(Value::Bool(true))
        );
    }
}
