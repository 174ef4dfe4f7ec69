//! The formats that have names, as patterns.

use super::pattern::Widths;

/// The pattern of a named format, and how wide its numbers are: with `strict_` exactly as wide as the pattern shows,
/// without as few digits as there are. `None` for a text that is no name.
/// Source: <https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/mapping-date-format#built-in-date-formats>
pub(super) fn pattern(name: &str) -> Option<(&'static str, Widths)> {
    let (base, widths) = match name.strip_prefix("strict_") {
        Some(base) => (base, Widths::Strict),
        None if name.starts_with("basic_") => (name, Widths::Strict),
        None => (name, Widths::Lenient),
    };
    let pattern = match base {
        "basic_date" => "yyyyMMdd",
        "basic_date_time" => "yyyyMMdd'T'HHmmss.SZ",
        "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssZ",
        "basic_ordinal_date" => "yyyyDDD",
        "basic_ordinal_date_time" => "yyyyDDD'T'HHmmss.SZ",
        "basic_ordinal_date_time_no_millis" => "yyyyDDD'T'HHmmssZ",
        "basic_t_time" => "'T'HHmmss.SZ",
        "basic_t_time_no_millis" => "'T'HHmmssZ",
        "basic_time" => "HHmmss.SZ",
        "basic_time_no_millis" => "HHmmssZ",
        "basic_week_date" => "YYYY'W'wwe",
        "basic_week_date_time" => "YYYY'W'wwe'T'HHmmss.SZ",
        "basic_week_date_time_no_millis" => "YYYY'W'wwe'T'HHmmssZ",
        "date" | "year_month_day" => "yyyy-MM-dd",
        "date_hour" => "yyyy-MM-dd'T'HH",
        "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
        "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
        "date_hour_minute_second_fraction" | "date_hour_minute_second_millis" => "yyyy-MM-dd'T'HH:mm:ss.S",
        "date_optional_time" => "yyyy[-MM[-dd['T'[HH[:mm[:ss[.S][,S]]][Z]]]]]",
        "date_time" => "yyyy-MM-dd'T'HH:mm:ss[.S]Z",
        "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssZ",
        "hour" => "HH",
        "hour_minute" => "HH:mm",
        "hour_minute_second" => "HH:mm:ss",
        "hour_minute_second_fraction" | "hour_minute_second_millis" => "HH:mm:ss.S",
        "ordinal_date" => "yyyy-DDD",
        "ordinal_date_time" => "yyyy-DDD'T'HH:mm:ss[.S]Z",
        "ordinal_date_time_no_millis" => "yyyy-DDD'T'HH:mm:ssZ",
        "t_time" => "'T'HH:mm:ss[.S]Z",
        "t_time_no_millis" => "'T'HH:mm:ssZ",
        "time" => "HH:mm:ss[.S]Z",
        "time_no_millis" => "HH:mm:ssZ",
        "week_date" | "weekyear_week_day" => "YYYY-'W'ww-e",
        "week_date_time" => "YYYY-'W'ww-e'T'HH:mm:ss[.S]Z",
        "week_date_time_no_millis" => "YYYY-'W'ww-e'T'HH:mm:ssZ",
        "weekyear" => "YYYY",
        "weekyear_week" => "YYYY-'W'ww",
        "year" => "yyyy",
        "year_month" => "yyyy-MM",
        _ => return None,
    };
    Some((pattern, widths))
}
