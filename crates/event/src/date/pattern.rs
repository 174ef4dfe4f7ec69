//! Date patterns, as Java's `DateTimeFormatter` has them.
//! Source: <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/format/DateTimeFormatter.html#patterns>

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::{Parts, zone};

/// Optional sections may stand in one another this deep.
const MAX_DEPTH: usize = 16;
/// Bytes that a pattern may have.
const MAX_PATTERN: usize = 256;
/// Digits that a number may have; more than a date can need, and no overflow.
const MAX_DIGITS: usize = 17;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A compiled date pattern. Two are equal where their texts are.
#[derive(Clone, Debug)]
pub struct DatePattern {
    text: Box<str>,
    items: Vec<Item>,
}

/// How many digits a number of a pattern takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Widths {
    /// As Java says: one letter takes any number of digits, several as many digits as letters.
    Java,
    /// As many digits as letters, but any number of decimals.
    Strict,
    /// Up to as many digits as letters (of years: more), and any number of decimals.
    Lenient,
}

#[derive(Clone, Debug)]
enum Item {
    Literal(Box<str>),
    Number {
        part: Part,
        min: usize,
        max: usize,
        /// Digits that the numbers right behind this one need.
        reserved: usize,
    },
    /// Decimals of a second.
    Fraction {
        min: usize,
        max: usize,
    },
    /// Names, of which so many letters are written: all, or the first three.
    Month(usize),
    Weekday(usize),
    HalfDay,
    Era,
    Zone,
    Optional(Vec<Item>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    /// The last two digits of a year from 2000 to 2099.
    ShortYear,
    WeekYear,
    Month,
    Day,
    DayOfYear,
    Week,
    Weekday,
    Hour,
    /// 1 to 24.
    HourFromOne,
    HalfDayHour,
    /// 1 to 12.
    HalfDayHourFromOne,
    Minute,
    Second,
    Nano,
    MilliOfDay,
    NanoOfDay,
}

impl DatePattern {
    /// Compiles `pattern`, which `text` stands for.
    pub(super) fn compile(text: &str, pattern: &str, widths: Widths) -> Result<Self, String> {
        // Elasticsearch used to mark new patterns with a leading 8.
        let pattern = if widths == Widths::Java {
            pattern.strip_prefix('8').unwrap_or(pattern)
        } else {
            pattern
        };
        if pattern.is_empty() {
            return Err("a date format is empty".to_owned());
        }
        if pattern.len() > MAX_PATTERN {
            return Err(format!("the date format is longer than {MAX_PATTERN} bytes"));
        }
        // The lists of items that are open: the pattern itself and its optional sections.
        let mut open: Vec<Vec<Item>> = vec![Vec::new()];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let item = match c {
                '[' => {
                    if open.len() > MAX_DEPTH {
                        return Err(format!(
                            "the date format `{text}` has too many optional sections in one another"
                        ));
                    }
                    open.push(Vec::new());
                    continue;
                }
                ']' => match open.pop() {
                    Some(items) if !open.is_empty() => Item::Optional(items),
                    _ => return Err(format!("the date format `{text}` has a `]` without `[`")),
                },
                '\'' => {
                    let mut literal = String::new();
                    loop {
                        match chars.next() {
                            Some('\'') if chars.peek() == Some(&'\'') => {
                                chars.next();
                                literal.push('\'');
                            }
                            Some('\'') => break,
                            Some(c) => literal.push(c),
                            None => {
                                return Err(format!(
                                    "the date format `{text}` has a quote that is not closed"
                                ));
                            }
                        }
                    }
                    // Two quotes are a quote.
                    Item::Literal(if literal.is_empty() {
                        "'".into()
                    } else {
                        literal.into()
                    })
                }
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    let item = field(letter, count, widths);
                    item.ok_or_else(|| {
                        let letters = letter.to_string().repeat(count);
                        format!("the date format `{text}` has `{letters}`, which is neither a name nor letters of a pattern")
                    })?
                }
                '{' | '}' | '#' => {
                    return Err(format!("the date format `{text}` has a `{c}`, which is reserved"));
                }
                other => Item::Literal(other.to_string().into()),
            };
            if let Some(items) = open.last_mut() {
                items.push(item);
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(mut items), true) => {
                reserve(&mut items);
                Ok(Self {
                    text: text.into(),
                    items,
                })
            }
            _ => Err(format!("the date format `{text}` has a `[` without `]`")),
        }
    }

    /// The pattern or name that the mapping had.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn parse(&self, text: &str) -> Option<Parts> {
        let mut parts = Parts::default();
        let rest = parse_items(&self.items, text, &mut parts)?;
        rest.is_empty().then_some(parts)
    }
}

fn field(letter: char, count: usize, widths: Widths) -> Option<Item> {
    let number = |part: Part, most: usize| {
        let (min, max) = match widths {
            Widths::Java if count == 1 => (1, MAX_DIGITS),
            Widths::Java | Widths::Strict => (count, count),
            Widths::Lenient => (1, count),
        };
        (count <= most).then_some(Item::Number {
            part,
            min,
            max,
            reserved: 0,
        })
    };
    let year = |part: Part| match (widths, count) {
        (Widths::Java, 2) => Some(Item::Number {
            part: Part::ShortYear,
            min: 2,
            max: 2,
            reserved: 0,
        }),
        (Widths::Java, 1..=9) => Some(Item::Number {
            part,
            min: count,
            max: MAX_DIGITS,
            reserved: 0,
        }),
        (Widths::Lenient, _) => Some(Item::Number {
            part,
            min: 1,
            max: 9,
            reserved: 0,
        }),
        (Widths::Strict, _) => Some(Item::Number {
            part,
            min: count,
            max: count,
            reserved: 0,
        }),
        _ => None,
    };
    match letter {
        'y' | 'u' => year(Part::Year),
        'Y' => year(Part::WeekYear),
        'M' | 'L' => match count {
            3 => Some(Item::Month(3)),
            4 => Some(Item::Month(usize::MAX)),
            _ => number(Part::Month, 2),
        },
        'd' => number(Part::Day, 2),
        'D' => number(Part::DayOfYear, 3),
        'w' => number(Part::Week, 2),
        'E' => match count {
            1..=3 => Some(Item::Weekday(3)),
            4 => Some(Item::Weekday(usize::MAX)),
            _ => None,
        },
        'e' | 'c' => match count {
            3 => Some(Item::Weekday(3)),
            4 => Some(Item::Weekday(usize::MAX)),
            _ => number(Part::Weekday, 2),
        },
        'H' => number(Part::Hour, 2),
        'k' => number(Part::HourFromOne, 2),
        'K' => number(Part::HalfDayHour, 2),
        'h' => number(Part::HalfDayHourFromOne, 2),
        'm' => number(Part::Minute, 2),
        's' => number(Part::Second, 2),
        'n' => number(Part::Nano, 9),
        'A' => number(Part::MilliOfDay, 9),
        'N' => number(Part::NanoOfDay, 15),
        'S' if widths == Widths::Java => (count <= 9).then_some(Item::Fraction {
            min: count,
            max: count,
        }),
        'S' => Some(Item::Fraction { min: 1, max: 9 }),
        'a' if count == 1 => Some(Item::HalfDay),
        'G' if count <= 3 => Some(Item::Era),
        'Z' | 'X' | 'x' | 'z' | 'V' | 'O' if count <= 5 => Some(Item::Zone),
        _ => None,
    }
}

/// Tells each number how many digits the numbers right behind it take, so that `yyyyMMdd` comes apart.
fn reserve(items: &mut [Item]) {
    let mut behind = 0;
    for item in items.iter_mut().rev() {
        match item {
            Item::Number {
                min, max, reserved, ..
            } => {
                *reserved = behind;
                behind = if min == max { behind + *min } else { 0 };
            }
            Item::Fraction { min, max } if min == max => behind += *min,
            Item::Optional(inner) => {
                reserve(inner);
                behind = 0;
            }
            _ => behind = 0,
        }
    }
}

fn parse_items<'t>(items: &[Item], text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    let mut rest = text;
    for item in items {
        rest = parse_item(item, rest, parts)?;
    }
    Some(rest)
}

fn parse_item<'t>(item: &Item, text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    match item {
        Item::Literal(literal) => text.strip_prefix(&**literal),
        Item::Optional(items) => {
            let mut attempt = *parts;
            match parse_items(items, text, &mut attempt) {
                Some(rest) => {
                    *parts = attempt;
                    Some(rest)
                }
                None => Some(text),
            }
        }
        Item::Number {
            part,
            min,
            max,
            reserved,
        } => {
            let signed = matches!(part, Part::Year | Part::WeekYear);
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) if signed => (-1, digits),
                _ => (1, text),
            };
            let available = digits.bytes().take_while(u8::is_ascii_digit).count();
            let count = available.saturating_sub(*reserved).max(*min).min(*max);
            let (number, rest) = split(digits, count, available)?;
            parts.set(*part, sign * number)?;
            Some(rest)
        }
        Item::Fraction { min, max } => {
            let available = text.bytes().take_while(u8::is_ascii_digit).count();
            let count = available.min(*max).max(*min);
            let (number, rest) = split(text, count, available)?;
            let scale = u32::try_from(9_usize.checked_sub(count)?).ok()?;
            parts.nanos = Some(number * 10_i64.pow(scale));
            Some(rest)
        }
        Item::Month(letters) => {
            let (position, rest) = name(&MONTHS, *letters, text)?;
            parts.month = Some(position);
            Some(rest)
        }
        Item::Weekday(letters) => {
            // The name of a weekday says nothing that the date does not.
            let (_, rest) = name(&WEEKDAYS, *letters, text)?;
            Some(rest)
        }
        Item::HalfDay => {
            let (afternoon, rest) = match (text.strip_prefix("AM"), text.strip_prefix("PM")) {
                (Some(rest), _) => (false, rest),
                (_, Some(rest)) => (true, rest),
                _ => return None,
            };
            parts.afternoon = Some(afternoon);
            Some(rest)
        }
        Item::Era => text.strip_prefix("AD"),
        Item::Zone => {
            // A zone goes as far as its characters do: nothing that can follow it looks like one.
            let length = text
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || b"+-:".contains(b))
                .count();
            let (zone_text, rest) = text.split_at_checked(length)?;
            parts.offset_seconds = Some(zone(zone_text.as_bytes())?);
            Some(rest)
        }
    }
}

/// The number of the first `count` digits, of which `available` are there, and the text behind them.
fn split(text: &str, count: usize, available: usize) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    if count > available || count > MAX_DIGITS {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

/// Position, from 1, of the name that the text begins with.
fn name<'t>(names: &[&str], letters: usize, text: &'t str) -> Option<(i64, &'t str)> {
    names.iter().zip(1..).find_map(|(name, position)| {
        let written = name.get(..letters).unwrap_or(name);
        text.strip_prefix(written).map(|rest| (position, rest))
    })
}

impl Parts {
    fn set(&mut self, part: Part, number: i64) -> Option<()> {
        let half_day = |hour: i64| (0..12).contains(&hour).then_some(hour);
        match part {
            Part::Year => self.year = Some(number),
            Part::ShortYear => self.year = Some(2000 + number),
            Part::WeekYear => self.week_year = Some(number),
            Part::Month => self.month = Some(number),
            Part::Day => self.day = Some(number),
            Part::DayOfYear => self.day_of_year = Some(number),
            Part::Week => self.week = Some(number),
            Part::Weekday => self.weekday = Some(number),
            Part::Hour => self.hour = Some(number),
            Part::HourFromOne => self.hour = Some(if number == 24 { 0 } else { number }),
            Part::HalfDayHour => self.half_day_hour = Some(half_day(number)?),
            Part::HalfDayHourFromOne => {
                self.half_day_hour = Some(half_day(if number == 12 { 0 } else { number })?)
            }
            Part::Minute => self.minute = Some(number),
            Part::Second => self.second = Some(number),
            Part::Nano => self.nanos = Some(number),
            Part::MilliOfDay => self.set_nano_of_day(number.checked_mul(1_000_000)?),
            Part::NanoOfDay => self.set_nano_of_day(number),
        }
        Some(())
    }

    fn set_nano_of_day(&mut self, nanos: i64) {
        let seconds = nanos / 1_000_000_000;
        self.hour = Some(seconds / 3600);
        self.minute = Some(seconds / 60 % 60);
        self.second = Some(seconds % 60);
        self.nanos = Some(nanos % 1_000_000_000);
    }
}

impl PartialEq for DatePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for DatePattern {}
impl PartialOrd for DatePattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for DatePattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl Hash for DatePattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
