//! The syntax tree of a Sigma file.
//! <https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html>

use neph_diag::Span;

/// Which events a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSource {
    /// `windows`, `linux`, `aws`, …
    pub product: Option<String>,
    /// `process_creation`, `webserver`, …
    pub category: Option<String>,
    /// `security`, `cloudtrail`, …
    pub service: Option<String>,
}

impl LogSource {
    /// The three parts with their names, as far as they are stated.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("product", &self.product),
            ("category", &self.category),
            ("service", &self.service),
        ]
        .into_iter()
        .filter_map(|(name, part)| Some((name, part.as_deref()?)))
    }

    /// Whether everything that this one states holds of the other.
    pub fn covers(&self, other: &Self) -> bool {
        let fits = |mine: &Option<String>, theirs: &Option<String>| {
            mine.as_ref().is_none_or(|mine| {
                theirs
                    .as_ref()
                    .is_some_and(|theirs| mine.eq_ignore_ascii_case(theirs))
            })
        };
        fits(&self.product, &other.product)
            && fits(&self.category, &other.category)
            && fits(&self.service, &other.service)
    }
}

impl std::fmt::Display for LogSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (name, part)) in self.parts().enumerate() {
            let gap = if position == 0 { "" } else { ", " };
            write!(f, "{gap}{name}: {part}")?;
        }
        Ok(())
    }
}

/// How grave a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing only together with other things.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Level {
    /// All levels with their words, ascending.
    pub const ALL: [(&'static str, Self); 5] = [
        ("informational", Self::Informational),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];
}

/// What documents say of themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// Title.
    pub title: Option<String>,
    /// Id, a UUID.
    pub id: Option<String>,
    /// Name that correlations and filters may use.
    pub name: Option<String>,
    /// `stable`, `test`, `experimental`, `deprecated` or `unsupported`.
    pub status: Option<String>,
    /// What it detects.
    pub description: Option<String>,
    /// Licence.
    pub license: Option<String>,
    /// Author, as one text.
    pub author: Option<String>,
    /// When it was written.
    pub date: Option<String>,
    /// When it was changed last.
    pub modified: Option<String>,
    /// Addresses of further reading.
    pub references: Vec<String>,
    /// Tags: `attack.t1059.001`, …
    pub tags: Vec<String>,
    /// Fields worth looking at.
    pub fields: Vec<String>,
    /// What is known to trigger it without harm.
    pub false_positives: Vec<String>,
    /// Level.
    pub level: Option<Level>,
    /// Place of the id, or of the title.
    pub id_span: Span,
}

impl About {
    /// Whether a rule is referred to by this text: its id or its name.
    pub fn is_called(&self, reference: &str) -> bool {
        self.id.as_deref() == Some(reference) || self.name.as_deref() == Some(reference)
    }
}

/// A detection rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// What it says of itself.
    pub about: About,
    /// Which events it is about.
    pub logsource: LogSource,
    /// Place of the log source.
    pub logsource_span: Span,
    /// The search identifiers.
    pub searches: Vec<Named>,
    /// The conditions; the rule matches where any of them does.
    pub conditions: Vec<Condition>,
    /// What an old rule asks of the events that its condition finds, behind a `|`.
    pub aggregation: Option<Aggregation>,
    /// Within which time, in nanoseconds, with its place.
    pub timeframe: Option<(u64, Span)>,
}

/// A text with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// What an old rule asks of the events that its condition finds.
/// <https://github.com/SigmaHQ/sigma-specification/blob/main/archive/wiki/Specification.md>
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregation {
    /// What.
    pub asked: Aggregated,
    /// Its place.
    pub span: Span,
}

/// What an old rule asks of the events that its condition finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregated {
    /// A number in a bound.
    Number {
        /// Which number.
        measure: neph_plan::Measure,
        /// The field that is counted or measured.
        field: Option<Placed>,
        /// The field by whose values events are grouped.
        group: Option<Placed>,
        /// The bound.
        bound: neph_plan::Bound,
    },
    /// Events that other search identifiers find come within the time.
    Near {
        /// These search identifiers find some.
        present: Vec<Placed>,
        /// These find none.
        absent: Vec<Placed>,
    },
}

/// A correlation rule.
/// <https://github.com/SigmaHQ/sigma-specification/blob/main/specification/sigma-correlation-rules-specification.md>
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    /// What it says of itself.
    pub about: About,
    /// Its type.
    pub kind: CorrelationType,
    /// The rules that it is about, by id or name.
    pub rules: Vec<Placed>,
    /// The fields, or aliases of fields, whose values events of one group share.
    pub group_by: Vec<Placed>,
    /// Fields that are called differently in the events of each rule.
    pub aliases: Vec<Alias>,
    /// The longest time from the first event to the last, in nanoseconds.
    pub timespan: u64,
    /// What is asked; of the temporal types nothing stands for all rules.
    pub condition: Option<CorrelationCondition>,
    /// Whether the rules raise alerts of their own as well.
    pub generate: bool,
    /// Place of `type`.
    pub span: Span,
}

/// Types of correlation rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationType {
    /// How many events.
    EventCount,
    /// How many distinct values.
    ValueCount,
    /// All rules in any order.
    Temporal,
    /// All rules in the order in which they are listed.
    TemporalOrdered,
    /// The sum of values.
    ValueSum,
    /// The average of values.
    ValueAvg,
    /// A percentile of values.
    ValuePercentile,
    /// The median of values.
    ValueMedian,
}

impl CorrelationType {
    /// All types with their words.
    pub const ALL: [(&'static str, Self); 8] = [
        ("event_count", Self::EventCount),
        ("value_count", Self::ValueCount),
        ("temporal", Self::Temporal),
        ("temporal_ordered", Self::TemporalOrdered),
        ("value_sum", Self::ValueSum),
        ("value_avg", Self::ValueAvg),
        ("value_percentile", Self::ValuePercentile),
        ("value_median", Self::ValueMedian),
    ];

    /// Whether it is about which rules match.
    pub fn is_temporal(self) -> bool {
        matches!(self, Self::Temporal | Self::TemporalOrdered)
    }
}

/// A name for fields that are called differently in the events of each rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The name.
    pub name: Placed,
    /// By id or name of a rule the field.
    pub fields: Vec<(Placed, Placed)>,
}

/// What a correlation rule asks.
#[derive(Clone, Debug, PartialEq)]
pub enum CorrelationCondition {
    /// A number in bounds.
    Number {
        /// The bounds, all of which must be kept.
        bounds: Vec<neph_plan::Bound>,
        /// The fields whose values are counted or measured.
        fields: Vec<Placed>,
        /// Which percentile.
        percentile: Option<f64>,
        /// Place of the condition.
        span: Span,
    },
    /// Rules joined by `and`, `or` and `not`.
    Rules(Condition),
}

/// A filter: what is to be taken out of the matches of other rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// What it says of itself.
    pub about: About,
    /// Which events it is about.
    pub logsource: LogSource,
    /// Ids or names of the rules, with their places; empty means every rule of the log source (`any`).
    pub rules: Vec<Placed>,
    /// The search identifiers.
    pub searches: Vec<Named>,
    /// What must also hold for the rules to match.
    pub conditions: Vec<Condition>,
}

/// A search identifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Place of the name.
    pub span: Span,
    /// What it looks for.
    pub search: Search,
}

/// What a search identifier looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Search {
    /// All of the items of a map.
    All(Vec<Item>),
    /// Any of the members of a list.
    Any(Vec<Search>),
}

/// One entry of a map, or the plain values of a list (then without a field).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The field; `None` for keywords, which are looked for in the whole event.
    pub field: Option<String>,
    /// How values are compared.
    pub modifiers: Modifiers,
    /// The values.
    pub values: Vec<Value>,
    /// Place of the entry.
    pub span: Span,
    /// Place of its key.
    pub key_span: Span,
}

/// A value of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What it is.
    pub scalar: Scalar,
    /// Where it stands.
    pub span: Span,
}

/// A plain value.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
}

impl Scalar {
    /// The value as a text; nothing for `null`.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.clone()),
        }
    }
}

/// The modifiers of an item, in their meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// How values are compared.
    pub comparison: Comparison,
    /// Whether all values must be found, instead of any.
    pub all: bool,
    /// Whether case counts.
    pub cased: bool,
    /// Whether the item holds where the comparison does not (`neq`).
    pub negated: bool,
    /// What is done to the values first, in order.
    pub transforms: Vec<Transform>,
    /// The part of a time that is compared in place of the value.
    pub time_part: Option<neph_plan::TimePart>,
}

/// How a value of the event is compared with a value of the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comparison {
    /// Equal, with wildcards.
    #[default]
    Equals,
    /// Found anywhere.
    Contains,
    /// At the start.
    StartsWith,
    /// At the end.
    EndsWith,
    /// A regular expression found anywhere.
    Regex {
        /// `i`: case does not count.
        ignore_case: bool,
        /// `m`: `^` and `$` match at lines.
        multi_line: bool,
        /// `s`: `.` matches line breaks.
        dot_all: bool,
    },
    /// An address in a network.
    Cidr,
    /// The field is there (`true`) or not (`false`).
    Exists,
    /// A number in this relation.
    Number(neph_plan::Relation),
    /// Another field, whose value is equal to this one's, at its start, at its end, or in it.
    FieldReference(Affix),
}

/// Where the value of a referenced field must stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affix {
    /// It is the whole value.
    #[default]
    Whole,
    /// At the start.
    Start,
    /// At the end.
    End,
    /// Anywhere.
    Inside,
}

/// A change of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// UTF-16, little endian.
    Utf16Le,
    /// UTF-16, big endian.
    Utf16Be,
    /// UTF-16, little endian, with a byte order mark.
    Utf16,
    /// Base64.
    Base64,
    /// Base64 at the three offsets that it may have in a longer text.
    Base64Offset,
    /// The dash of an option as `-`, `/` and the long dashes.
    WinDash,
    /// `%name%` replaced by the entries of a list.
    Expand,
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A search identifier.
    Name(String, Span),
    /// `1 of …` or `all of …`.
    Of {
        /// Whether all must hold.
        all: bool,
        /// The pattern of names; `None` is `them`.
        pattern: Option<String>,
        /// Its place.
        span: Span,
    },
    /// All of these.
    And(Vec<Condition>),
    /// Any of these.
    Or(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}
