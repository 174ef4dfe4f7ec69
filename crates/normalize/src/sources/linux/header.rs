//! The headers of log lines: classic syslog, with its times or with those of ISO 8601, and RFC 5424.
//!
//! <https://www.rfc-editor.org/rfc/rfc3164>, <https://www.rfc-editor.org/rfc/rfc5424>

use neph_event::Instant;

use crate::clock::{Clock, zone_seconds};
use crate::record::Record;
use crate::tree::Map;

/// A line of a log behind its header, and what the header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) priority: Option<i64>,
    /// Of the protocol.
    pub(super) version: Option<&'a str>,
    pub(super) time: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) program: Option<&'a str>,
    pub(super) pid: Option<i64>,
    pub(super) message_id: Option<&'a str>,
    /// Structured data, in its brackets.
    pub(super) data: Option<&'a str>,
    pub(super) message: &'a str,
    /// Whether it is of RFC 5424.
    pub(super) modern: bool,
}

/// Takes the header of a line off.
pub(super) fn parse(line: &str) -> Option<Header<'_>> {
    let (priority, rest) = priority(line);
    if priority.is_some()
        && let Some(header) = modern(rest)
    {
        return Some(Header { priority, ..header });
    }
    let (version, rest) = match rest.split_once(' ') {
        Some((version, rest)) if priority.is_some() && is_number(version) => (Some(version), rest),
        _ => (None, rest),
    };
    let length = time_length(rest)?;
    let (time, rest) = rest.split_at_checked(length)?;
    let rest = rest.strip_prefix(' ')?;
    let header = Header {
        priority,
        version,
        time: Some(time),
        message: rest,
        ..Header::default()
    };
    Some(named(header, rest).unwrap_or(header))
}

/// `<13>` before a line.
fn priority(line: &str) -> (Option<i64>, &str) {
    let found = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match found {
        Some((number, rest)) if is_number(number) && number.len() <= 3 => (number.parse().ok(), rest),
        _ => (None, line),
    }
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| *text != "-")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1 TIME HOST PROGRAM PID MESSAGE-ID DATA MESSAGE`; a dash stands for what is not said.
fn modern(rest: &str) -> Option<Header<'_>> {
    let mut rest = rest;
    let mut word = || {
        let (word, tail) = rest.split_once(' ')?;
        rest = tail.trim_start_matches(' ');
        Some(word)
    };
    let version = word().filter(|version| is_number(version))?;
    let time = word().filter(|time| *time == "-" || time_length(time) == Some(time.len()))?;
    let (host, program, pid, message_id) = (word()?, word()?, word()?, word()?);
    let (data, message) = match rest.strip_prefix('-') {
        Some(tail) => (None, tail),
        None => {
            let length = data_length(rest)?;
            let (data, tail) = rest.split_at_checked(length)?;
            (Some(data), tail)
        }
    };
    Some(Header {
        version: Some(version),
        time: said(time),
        host: said(host),
        program: said(program),
        pid: pid.parse().ok(),
        message_id: said(message_id),
        data,
        message: message.trim_start_matches([' ', '\u{feff}']),
        modern: true,
        ..Header::default()
    })
}

/// The length of structured data: `[id name="value" …][…]`.
fn data_length(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let (mut quoted, mut escaped) = (false, false);
    for (position, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return (position > 0).then_some(position),
            _ => {}
        }
    }
    (depth == 0 && !text.is_empty()).then_some(text.len())
}

/// `HOST PROGRAM[PID]: MESSAGE` behind the time; the host may be missing.
fn named<'a>(header: Header<'a>, rest: &'a str) -> Option<Header<'a>> {
    let (host, rest) = match rest.split_once(' ')? {
        ("", rest) => (None, rest),
        (host, rest) if is_host(host) => (Some(host), rest),
        _ => return None,
    };
    let line_end = rest.find('\n').unwrap_or(rest.len());
    let colon = rest.get(..line_end)?.find(':')?;
    let tag = rest.get(..colon)?;
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.rsplit_once('[')) {
        Some((program, pid)) if is_number(pid) => (program, pid.parse().ok()),
        _ => (tag, None),
    };
    Some(Header {
        host,
        program: Some(program),
        pid,
        message: rest.get(colon + 1..)?.trim_start(),
        ..header
    })
}

/// Whether a word can be the name or the address of a host.
fn is_host(word: &str) -> bool {
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | ':' | '_' | '%');
    word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == ':')
        && word.chars().all(plain)
        && !word.ends_with(':')
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The length of the time at the beginning of a text: `Feb  9 21:19:40` or `2019-06-14T10:40:20.912134+02:00`.
fn time_length(text: &str) -> Option<usize> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let length = text.find(' ').unwrap_or(text.len());
        return iso(text.get(..length)?).map(|_| length);
    }
    let (_, day_at) = month(text)?;
    let rest = text.get(day_at..)?;
    let day = rest.find(' ').filter(|day| (1..=2).contains(day))?;
    let clock_at = day_at + day + 1;
    let clock = text.get(clock_at..)?;
    let length = clock.find(' ').unwrap_or(clock.len());
    of_day(clock.get(..length)?)?;
    Some(clock_at + length)
}

/// A month by its name, and where the day begins.
fn month(text: &str) -> Option<(i8, usize)> {
    let name = text.get(..3)?;
    let number = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    let rest = text.get(3..)?;
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    (1..=2)
        .contains(&blanks)
        .then_some((i8::try_from(number).ok()? + 1, 3 + blanks))
}

/// `21:19:40`, with or without decimals.
fn of_day(text: &str) -> Option<jiff::civil::Time> {
    let (clock, part) = text.split_once('.').unwrap_or((text, "0"));
    let mut numbers = clock.split(':').map(|number| number.parse::<i8>().ok());
    let (hour, minute, second) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let digits = part.get(..part.len().min(9)).filter(|digits| is_number(digits))?;
    let nanos = digits.parse::<i32>().ok()? * 10_i32.pow(u32::try_from(9 - digits.len()).ok()?);
    // The sixtieth second of a minute that has one is its last.
    jiff::civil::Time::new(hour, minute, second.min(59), nanos)
        .ok()
        .filter(|_| numbers.next().is_none())
}

/// A date and a time, and the seconds from UTC where they are said.
fn iso(text: &str) -> Option<(jiff::civil::DateTime, Option<i32>)> {
    let (date, rest) = text.split_once('T')?;
    let date: jiff::civil::Date = date.parse().ok()?;
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let clock = clock.replace(',', ".");
    let zone = match zone {
        "" => None,
        zone => Some(zone_seconds(zone)?),
    };
    Some((date.to_datetime(of_day(&clock)?), zone))
}

/// The time of a line as text, in the zone of the log: `@timestamp` and `event.timezone`, where the zone is known or
/// had to be assumed.
pub(super) fn stamp<'a>(
    time: &str,
    record: &Record<'a>,
    document: &'a Map<'a>,
) -> (Option<&'a str>, &'a str) {
    let clock = record.clock;
    let said = document.text_at("event.timezone");
    let (zone, seconds) = match said.and_then(|zone| Some((zone, zone_seconds(zone)?))) {
        Some(known) => known,
        None => clock.zone().unwrap_or(("+0000", 0)),
    };
    let shipped = record
        .agent
        .and_then(|agent| crate::convert::parse_instant(agent.text_at("@timestamp")?));
    let instant = instant(time, seconds, clock, shipped);
    let text = instant.and_then(|instant| in_zone(instant, seconds));
    (text.map(|text| document.text(&text)), document.text(zone))
}

fn instant(time: &str, seconds: i32, clock: &Clock, shipped: Option<Instant>) -> Option<Instant> {
    let at = |date_time: jiff::civil::DateTime, seconds: i32| -> Option<Instant> {
        let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
        Some(Instant::from_nanos(
            offset.to_timestamp(date_time).ok()?.as_nanosecond(),
        ))
    };
    if let Some((date_time, zone)) = iso(time) {
        return at(date_time, zone.unwrap_or(seconds));
    }
    let (month, day_at) = month(time)?;
    let (day, of_the_day) = time.get(day_at..)?.split_once(' ')?;
    let (day, of_the_day) = (day.parse::<i8>().ok()?, of_day(of_the_day)?);
    let now = shipped.or(clock.now())?;
    let latest = Instant::from_nanos(now.as_nanos() + DAY_NANOS);
    let year = jiff::Timestamp::from_nanosecond(latest.as_nanos())
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .year();
    // The 29th of February may be years away.
    (0..=8).find_map(|back| {
        let date = jiff::civil::Date::new(year - back, month, day).ok()?;
        at(date.to_datetime(of_the_day), seconds).filter(|instant| *instant <= latest)
    })
}

const DAY_NANOS: i128 = 86_400 * 1_000_000_000;

/// A time with milliseconds and its distance from UTC.
fn in_zone(instant: Instant, seconds: i32) -> Option<String> {
    let millis = instant.truncated_to_millis();
    if seconds == 0 {
        return Some(millis.to_string());
    }
    let shifted = Instant::from_nanos(millis.as_nanos() + i128::from(seconds) * 1_000_000_000).to_string();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    Some(format!(
        "{}{sign}{:02}:{:02}",
        shifted.strip_suffix('Z')?,
        minutes / 60,
        minutes % 60
    ))
}

#[cfg(test)]
mod tests {
    use super::{Header, in_zone, instant, parse};
    use crate::clock::Clock;
    use crate::convert::parse_instant;

    #[test]
    fn headers_are_taken_off() {
        let check = |line: &str, expected: Header<'_>| assert_eq!(parse(line), Some(expected), "{line}");
        let classic = Header {
            time: Some("Feb  9 21:19:40"),
            host: Some("web-1"),
            program: Some("sshd"),
            pid: Some(7),
            message: "a: b",
            ..Header::default()
        };
        check("Feb  9 21:19:40 web-1 sshd[7]: a: b", classic);
        check(
            "<85>Feb  9 21:19:40 web-1 sshd[7]: a: b",
            Header {
                priority: Some(85),
                ..classic
            },
        );
        check(
            "Feb  9 21:19:40  sshd[7]: a: b",
            Header {
                host: None,
                ..classic
            },
        );
        check(
            "Feb  9 21:19:40 --- last message repeated 1 time ---",
            Header {
                time: Some("Feb  9 21:19:40"),
                message: "--- last message repeated 1 time ---",
                ..Header::default()
            },
        );
        check(
            "<30>1 2023-09-28T12:10:12.175599+02:00 h systemd 15 - [a b=\"]\"][c] - x",
            Header {
                priority: Some(30),
                version: Some("1"),
                time: Some("2023-09-28T12:10:12.175599+02:00"),
                host: Some("h"),
                program: Some("systemd"),
                pid: Some(15),
                data: Some("[a b=\"]\"][c]"),
                message: "- x",
                modern: true,
                ..Header::default()
            },
        );
        for line in [
            "",
            "plain text",
            "Feb 30",
            "Febr 1 00:00:00 h p: m",
            "<99>x",
            "2026-13-01T00:00:00 h p: m",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn times_without_a_year_are_not_ahead() {
        let clock = Clock::default().with_now(parse_instant("2026-03-01T12:00:00Z").unwrap());
        let check = |time: &str, seconds: i32, expected: &str| {
            let found = instant(time, seconds, &clock, None).and_then(|instant| in_zone(instant, seconds));
            assert_eq!(found.as_deref(), Some(expected), "{time}");
        };
        check("Mar  2 11:59:59", 0, "2026-03-02T11:59:59.000Z");
        check("Mar  2 12:00:01", 0, "2025-03-02T12:00:01.000Z");
        check("Dec 31 23:59:60", 0, "2025-12-31T23:59:59.000Z");
        check("Feb 29 00:00:00", 0, "2024-02-29T00:00:00.000Z");
        check("Feb  1 00:00:00.25", -7200, "2026-02-01T00:00:00.250-02:00");
        check(
            "2019-06-14T10:40:20.912134",
            3600,
            "2019-06-14T10:40:20.912+01:00",
        );
        check(
            "1986-04-26T01:23:45.388424+04:00",
            -7200,
            "1986-04-25T19:23:45.388-02:00",
        );
        assert_eq!(instant("Mar  1 00:00:00", 0, &Clock::default(), None), None);
    }
}
