use proptest::prelude::*;

use super::{DateFormat, DateMathError, Rounding, parse_date, parse_date_math, parse_date_rounded};
use crate::Instant;

/// The instant of an RFC 3339 text, by another reader.
fn at(text: &str) -> Instant {
    let stamp: jiff::Timestamp = text.parse().unwrap();
    Instant::from_nanos(stamp.as_nanosecond())
}

fn formats(text: &str) -> Vec<DateFormat> {
    DateFormat::alternatives(text).unwrap()
}

#[track_caller]
fn check(format: &str, text: &str, expected: &str) {
    assert_eq!(
        parse_date(text, &formats(format)),
        Some(at(expected)),
        "{text} as {format}"
    );
}

#[track_caller]
fn refuse(format: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(parse_date(text, &formats(format)), None, "{text} as {format}");
    }
}

#[test]
fn iso_dates_may_stop_anywhere() {
    for (text, expected) in [
        ("2020", "2020-01-01T00:00:00Z"),
        ("2020-02", "2020-02-01T00:00:00Z"),
        ("2020-02-29", "2020-02-29T00:00:00Z"),
        ("2020-02-29T", "2020-02-29T00:00:00Z"),
        ("2020-02-29T03", "2020-02-29T03:00:00Z"),
        ("2020-02-29T03Z", "2020-02-29T03:00:00Z"),
        ("2020-02-29T03+01", "2020-02-29T02:00:00Z"),
        ("2020-02-29T03:04", "2020-02-29T03:04:00Z"),
        ("2020-02-29T03:04-0130", "2020-02-29T04:34:00Z"),
        ("2020-02-29T03:04:05", "2020-02-29T03:04:05Z"),
        ("2020-02-29T03:04:05Z", "2020-02-29T03:04:05Z"),
        ("2020-02-29T03:04:05.6", "2020-02-29T03:04:05.6Z"),
        ("2020-02-29T03:04:05,678Z", "2020-02-29T03:04:05.678Z"),
        ("2020-02-29T03:04:05.123456789Z", "2020-02-29T03:04:05.123456789Z"),
        (
            "2020-02-29T03:04:05.123456789+01:00",
            "2020-02-29T02:04:05.123456789Z",
        ),
        ("2020-02-29T23:59:59.999-01", "2020-03-01T00:59:59.999Z"),
        ("2020-02-29T03:04:05+0100", "2020-02-29T02:04:05Z"),
        ("2020-02-29T03:04:05UTC", "2020-02-29T03:04:05Z"),
        ("2020-02-29T03:04:05GMT+2", "2020-02-29T03:04:05Z"),
    ] {
        if text.ends_with("+2") {
            refuse("strict_date_optional_time", &[text]);
        } else {
            check("strict_date_optional_time", text, expected);
            assert_eq!(parse_date(text, &[]), Some(at(expected)), "{text}");
        }
    }
    refuse(
        "strict_date_optional_time",
        &[
            "",
            "2",
            "20",
            "202",
            "20200",
            "2020-",
            "2020-1",
            "2020-13",
            "2020-00",
            "2020-02-30",
            "2021-02-29",
            "2020-1-1",
            "2020-01-01 03:04:05",
            "2020-01-01t03:04:05Z",
            "2020-01-01T3",
            "2020-01-01T24",
            "2020-01-01T03:60",
            "2020-01-01T03:04:60",
            "2020-01-01T03:04:05.",
            "2020-01-01T03:04:05.1234567890",
            "2020-01-01T03:04:05z",
            "2020-01-01T03:04:05+1",
            "2020-01-01T03:04:05+19:00",
            "2020-01-01T03:04:05+01:0",
            "2020-01-01Z",
            "1577836800000",
            "２０２０",
            "2020-01-01T03:04:05.1é",
        ],
    );
    assert_eq!(
        parse_date("-0001", &[]),
        Some(Instant {
            seconds: -62_198_755_200,
            nanos: 0
        })
    );
}

#[test]
fn without_a_format_digits_are_milliseconds() {
    assert_eq!(
        parse_date("1577836800123", &[]),
        Some(at("2020-01-01T00:00:00.123Z"))
    );
    assert_eq!(parse_date("-1", &[]), Some(at("1969-12-31T23:59:59.999Z")));
    assert_eq!(
        parse_date("1", &[]),
        Some(Instant {
            seconds: 0,
            nanos: 1_000_000
        })
    );
    assert_eq!(
        parse_date("1.5", &[]),
        Some(Instant {
            seconds: 0,
            nanos: 1_500_000
        })
    );
    assert_eq!(parse_date("2020", &[]), Some(at("2020-01-01T00:00:00Z")));
    for text in [
        "",
        "-",
        "1.",
        ".5",
        "1e3",
        "+1",
        "--1",
        "99999999999999999999",
        "1.2.3",
        " 1",
    ] {
        assert_eq!(parse_date(text, &[]), None, "{text}");
    }
    assert_eq!(
        parse_date("9223372036854775807", &[]).map(Instant::as_millis),
        Some(i64::MAX)
    );
}

#[test]
fn seconds_since_the_epoch_have_decimals() {
    check("epoch_second", "1577836800", "2020-01-01T00:00:00Z");
    check(
        "epoch_second",
        "1577836800.123456789",
        "2020-01-01T00:00:00.123456789Z",
    );
    check("epoch_second", "-1.5", "1969-12-31T23:59:58.5Z");
    refuse("epoch_second", &["2020-01-01", "1e9", ""]);
    check("epoch_millis", "1577836800000.5", "2020-01-01T00:00:00.0005Z");
    refuse("epoch_millis", &["2020-01-01"]);
}

#[test]
fn java_patterns() {
    check("dd-MM-yyyy", "31-12-2020", "2020-12-31T00:00:00Z");
    check(
        "yyyy-MM-dd HH:mm:ss.SSS",
        "2020-12-31 23:59:58.123",
        "2020-12-31T23:59:58.123Z",
    );
    check(
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "2020-12-31T23:59:58.123+01:00",
        "2020-12-31T22:59:58.123Z",
    );
    check(
        "EEE MMM dd HH:mm:ss yyyy",
        "Thu Dec 31 23:59:58 2020",
        "2020-12-31T23:59:58Z",
    );
    check("d/M/yy h:mm a", "1/2/21 12:05 AM", "2021-02-01T00:05:00Z");
    check("d/M/yy h:mm a", "31/12/21 12:05 PM", "2021-12-31T12:05:00Z");
    check("MMMM d, yyyy", "May 7, 2021", "2021-05-07T00:00:00Z");
    check(
        "yyyyMMddHHmmssSSS",
        "20201231235958123",
        "2020-12-31T23:59:58.123Z",
    );
    check("yyyyMMdd", "20201231", "2020-12-31T00:00:00Z");
    check("yyyy[-MM[-dd]]", "2020", "2020-01-01T00:00:00Z");
    check("yyyy[-MM[-dd]]", "2020-03", "2020-03-01T00:00:00Z");
    check("yyyy[-MM[-dd]]", "2020-03-04", "2020-03-04T00:00:00Z");
    check("yyyy'y''q'", "2020y'q", "2020-01-01T00:00:00Z");
    check("yyyy''MM", "2020'03", "2020-03-01T00:00:00Z");
    check("HH:mm", "03:04", "1970-01-01T03:04:00Z");
    check("uuuu-DDD", "2020-366", "2020-12-31T00:00:00Z");
    check(
        "dd/MMM/yyyy:HH:mm:ss Z",
        "10/Oct/2000:13:55:36 -0700",
        "2000-10-10T20:55:36Z",
    );
    check("8yyyy-MM-dd", "2020-03-04", "2020-03-04T00:00:00Z");
    check(
        "dd-MM-yyyy||yyyy-MM-dd||epoch_second",
        "2020-03-04",
        "2020-03-04T00:00:00Z",
    );
    check(
        "dd-MM-yyyy||yyyy-MM-dd||epoch_second",
        "60",
        "1970-01-01T00:01:00Z",
    );
    refuse(
        "dd-MM-yyyy",
        &[
            "1-12-2020",
            "31-12-20",
            "31-13-2020",
            "30-02-2020",
            "31-12-2020 ",
            "31-12-2020x",
            "2020-12-31",
        ],
    );
    refuse(
        "yyyy-MM-dd HH:mm:ss.SSS",
        &[
            "2020-12-31 23:59:58",
            "2020-12-31 23:59:58.12",
            "2020-12-31 24:00:00.000",
        ],
    );
    refuse("uuuu-DDD", &["2021-366", "2020-000"]);
    refuse("h:mm a", &["13:00 AM", "0:00"]);
    refuse("yyyyMMdd", &["2020123", "x", ""]);
}

#[test]
fn named_formats() {
    check("date_optional_time", "2020-1-2", "2020-01-02T00:00:00Z");
    check(
        "date_optional_time",
        "2020-1-2T3:4:5.6+01:00",
        "2020-01-02T02:04:05.6Z",
    );
    check("strict_date", "2020-01-02", "2020-01-02T00:00:00Z");
    check("date", "2020-1-2", "2020-01-02T00:00:00Z");
    refuse("strict_date", &["2020-1-2", "2020-01"]);
    check("basic_date", "20200102", "2020-01-02T00:00:00Z");
    check(
        "basic_date_time",
        "20200102T030405.678Z",
        "2020-01-02T03:04:05.678Z",
    );
    check(
        "basic_date_time_no_millis",
        "20200102T030405+0100",
        "2020-01-02T02:04:05Z",
    );
    check("basic_ordinal_date", "2020060", "2020-02-29T00:00:00Z");
    check("basic_week_date", "2020W537", "2021-01-03T00:00:00Z");
    check("strict_week_date", "2020-W53-7", "2021-01-03T00:00:00Z");
    check(
        "week_date_time",
        "2020-W01-1T03:04:05.6Z",
        "2019-12-30T03:04:05.6Z",
    );
    check("weekyear_week", "2020-W1", "2019-12-30T00:00:00Z");
    check(
        "strict_ordinal_date_time",
        "2020-060T03:04:05.678Z",
        "2020-02-29T03:04:05.678Z",
    );
    check(
        "strict_date_time",
        "2020-01-02T03:04:05.6789Z",
        "2020-01-02T03:04:05.6789Z",
    );
    check("strict_date_time", "2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z");
    check(
        "strict_date_hour_minute_second_fraction",
        "2020-01-02T03:04:05.6789",
        "2020-01-02T03:04:05.6789Z",
    );
    check("hour_minute", "3:04", "1970-01-01T03:04:00Z");
    check("iso8601", "2020-01-02T03:04:05.678Z", "2020-01-02T03:04:05.678Z");
    check("strict_year_month", "2020-02", "2020-02-01T00:00:00Z");
    refuse("strict_date_time", &["2020-01-02T03:04:05.6789", "2020-01-02"]);
    refuse("strict_week_date", &["2021-W53-1", "2020-W00-1", "2020-W01-8"]);
}

#[test]
fn a_format_that_is_none_is_named() {
    for (text, expected) in [
        (
            "dd-QQ",
            "the date format `dd-QQ` has `QQ`, which is neither a name nor letters of a pattern",
        ),
        ("yyyy[-MM", "the date format `yyyy[-MM` has a `[` without `]`"),
        ("yyyy]", "the date format `yyyy]` has a `]` without `[`"),
        (
            "yyyy'T",
            "the date format `yyyy'T` has a quote that is not closed",
        ),
        ("yyyy||", "a date format is empty"),
        ("yyyy#", "the date format `yyyy#` has a `#`, which is reserved"),
    ] {
        assert_eq!(DateFormat::alternatives(text), Err(expected.to_owned()));
    }
    assert!(DateFormat::alternatives(&"[".repeat(100)).is_err());
    assert!(DateFormat::alternatives(&"-".repeat(1000)).is_err());
    assert!(DateFormat::alternatives("strict_date_optional_tim").is_err());
}

#[test]
fn what_is_missing_rounds_as_elasticsearch_does() {
    for (text, down, up) in [
        ("2020", "2020-01-01T00:00:00Z", "2020-01-01T23:59:59.999999999Z"),
        (
            "2020-02",
            "2020-02-01T00:00:00Z",
            "2020-02-01T23:59:59.999999999Z",
        ),
        (
            "2020-02-03",
            "2020-02-03T00:00:00Z",
            "2020-02-03T23:59:59.999999999Z",
        ),
        (
            "2020-02-03T04",
            "2020-02-03T04:00:00Z",
            "2020-02-03T04:59:59.999999999Z",
        ),
        (
            "2020-02-03T04:05Z",
            "2020-02-03T04:05:00Z",
            "2020-02-03T04:05:59.999999999Z",
        ),
        (
            "2020-02-03T04:05:06",
            "2020-02-03T04:05:06Z",
            "2020-02-03T04:05:06.999999999Z",
        ),
        (
            "2020-02-03T04:05:06Z",
            "2020-02-03T04:05:06Z",
            "2020-02-03T04:05:06.999999999Z",
        ),
        (
            "2020-02-03T04:05:06.7Z",
            "2020-02-03T04:05:06.7Z",
            "2020-02-03T04:05:06.7Z",
        ),
        (
            "1577836800123",
            "2020-01-01T00:00:00.123Z",
            "2020-01-01T00:00:00.123999999Z",
        ),
    ] {
        assert_eq!(
            parse_date_rounded(text, &[], Rounding::Down),
            Some(at(down)),
            "{text}"
        );
        assert_eq!(
            parse_date_rounded(text, &[], Rounding::Up),
            Some(at(up)),
            "{text}"
        );
    }
    let pattern = formats("yyyy-MM");
    assert_eq!(
        parse_date_rounded("2099-12", &pattern, Rounding::Up),
        Some(at("2099-12-01T23:59:59.999999999Z"))
    );
}

#[test]
fn date_math() {
    let now = at("2020-03-15T12:34:56.789Z");
    let math = |text: &str, rounding| parse_date_math(text, &[], rounding, now);
    for (text, down, up) in [
        ("now", "2020-03-15T12:34:56.789Z", "2020-03-15T12:34:56.789Z"),
        ("now-1d", "2020-03-14T12:34:56.789Z", "2020-03-14T12:34:56.789Z"),
        ("now-1d/d", "2020-03-14T00:00:00Z", "2020-03-14T23:59:59.999Z"),
        ("now+h", "2020-03-15T13:34:56.789Z", "2020-03-15T13:34:56.789Z"),
        ("now/w", "2020-03-09T00:00:00Z", "2020-03-15T23:59:59.999Z"),
        ("now/M", "2020-03-01T00:00:00Z", "2020-03-31T23:59:59.999Z"),
        ("now/y", "2020-01-01T00:00:00Z", "2020-12-31T23:59:59.999Z"),
        ("now/H", "2020-03-15T12:00:00Z", "2020-03-15T12:59:59.999Z"),
        ("now/m+30s", "2020-03-15T12:34:30Z", "2020-03-15T12:35:29.999Z"),
        ("now/s", "2020-03-15T12:34:56Z", "2020-03-15T12:34:56.999Z"),
        (
            "2020-01-31||+1M/d",
            "2020-02-29T00:00:00Z",
            "2020-02-29T23:59:59.999Z",
        ),
        ("2020-02-29||-1y", "2019-02-28T00:00:00Z", "2019-02-28T00:00:00Z"),
        ("2020-01-01||", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        (
            "2020-01-01",
            "2020-01-01T00:00:00Z",
            "2020-01-01T23:59:59.999999999Z",
        ),
    ] {
        assert_eq!(math(text, Rounding::Down), Ok(at(down)), "{text}");
        assert_eq!(math(text, Rounding::Up), Ok(at(up)), "{text}");
    }
    let error = |text: &str| math(text, Rounding::Down).unwrap_err();
    assert_eq!(error("nonsense"), DateMathError::NotADate("nonsense".into()));
    assert_eq!(error("x||+1d"), DateMathError::NotADate("x".into()));
    for bad in [
        "nowx",
        "now*1d",
        "now-",
        "now-1",
        "now-1q",
        "now/",
        "now-1d é",
        "now-é",
    ] {
        assert!(matches!(error(bad), DateMathError::Step(_)), "{bad}");
    }
    assert!(matches!(error("now/2d"), DateMathError::RoundedNumber(_)));
    for far in [
        "now+99999y",
        "now+99999999999999999999d",
        "now-9223372036854775807s",
    ] {
        assert!(matches!(error(far), DateMathError::Range(_)), "{far}");
    }
}

proptest! {
    #[test]
    fn common_dates_are_what_jiff_says(
        seconds in -62_135_596_800_i64..253_402_300_799,
        nanos in 0_u32..1_000_000_000,
        digits in 0_usize..=9,
        offset in proptest::option::of(-1080_i64..=1080),
    ) {
        let stamp = jiff::Timestamp::new(seconds, 0).unwrap();
        let civil = stamp.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let mut text = format!("{civil}");
        let mut expected = Instant { seconds, nanos: 0 };
        if digits > 0 {
            let fraction = format!("{nanos:09}");
            text = format!("{text}.{}", fraction.get(..digits).unwrap());
            let cut = 10_u32.pow(9 - u32::try_from(digits).unwrap());
            expected.nanos = nanos / cut * cut;
        }
        match offset {
            None => text.push('Z'),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                text = format!("{text}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
                expected.seconds -= minutes * 60;
            }
        }
        prop_assert_eq!(parse_date(&text, &[]), Some(expected), "{}", text);
        // Without a zone, jiff's own words.
        if offset.is_none() {
            let jiffs: jiff::Timestamp = text.parse().unwrap();
            prop_assert_eq!(jiffs.as_nanosecond(), expected.as_nanos());
        }
    }

    #[test]
    fn no_text_makes_a_date_panic(text in "\\PC{0,40}", format in "\\PC{0,24}") {
        let _ = parse_date(&text, &[]);
        let _ = parse_date_math(&text, &[], Rounding::Up, Instant::default());
        let _ = parse_date_math(&format!("now{text}"), &[], Rounding::Up, Instant::default());
        if let Ok(formats) = DateFormat::alternatives(&format) {
            let _ = parse_date_rounded(&text, &formats, Rounding::Up);
        }
    }

    #[test]
    fn no_pattern_panics(text in "[-0-9:.TZ+ AP]{0,30}", format in "[-yMdHmsSnNAEehkKawYDGZ:. '\\[\\]T]{0,30}") {
        if let Ok(formats) = DateFormat::alternatives(&format) {
            let _ = parse_date_rounded(&text, &formats, Rounding::Up);
        }
    }

    #[test]
    fn instants_add_up(seconds in any::<i64>(), nanos in 0_u32..1_000_000_000, change in any::<i64>()) {
        let instant = Instant { seconds, nanos };
        let moved = instant.saturating_add_nanos(i128::from(change));
        prop_assert!(moved.nanos < 1_000_000_000);
        if moved.seconds != i64::MAX && moved.seconds != i64::MIN {
            prop_assert_eq!(moved.nanos_since(instant), i128::from(change));
            prop_assert_eq!(moved.saturating_sub_nanos(i128::from(change)), instant);
        }
        prop_assert_eq!(Instant::from_nanos(instant.as_nanos()), instant);
    }
}

#[test]
fn instants_stop_at_their_ends() {
    let last = Instant {
        seconds: i64::MAX,
        nanos: 999_999_999,
    };
    assert_eq!(last.saturating_add_nanos(1), last);
    let first = Instant {
        seconds: i64::MIN,
        nanos: 0,
    };
    assert_eq!(first.saturating_sub_nanos(i128::MAX), first);
    assert!(last.nanos_since(first) > 0);
    assert_eq!(last.to_string(), last.as_nanos().to_string());
}
