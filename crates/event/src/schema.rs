//! Which fields exist, and of which type.

mod builtin;
mod mapping;
mod similar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::{Field, FieldType};

pub use mapping::MappingError;

/// Whether the exact values of a field can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// They can (for analysed text: through its one keyword-like sub-field).
    Exact,
    /// Analysed text with no keyword-like sub-field, or more than one.
    NoExactSubfield,
    /// A keyword whose values a normalizer changes.
    Normalized,
    /// A type that rules cannot read at all (geo shapes, ranges, nested …).
    Unsupported,
}

/// A field of a schema.
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// The name that queries use; for an alias not the path that is read.
    pub name: Cow<'static, str>,
    /// The mapping's own word for the type, for messages: `long`, `keyword`, `scaled_float`.
    pub type_name: Cow<'static, str>,
    /// What is read.
    pub field: Field,
    /// Whether its exact values can be compared.
    pub exactness: Exactness,
    /// Name of an index in which reading this field fails (a runtime field whose script throws).
    pub fails_in_index: Option<Box<str>>,
    /// For an object with arbitrary keys (`flattened`, or an object of keywords): the type of every path under it.
    pub keys: Option<FieldType>,
    /// The integrations that fill the field, as `package.data_stream`, sorted. Empty where none is known: for a
    /// field of a mapping file, and for one that ECS describes and nobody is known to fill.
    pub sources: Arc<[&'static str]>,
}

impl FieldDef {
    /// A field of this name, read from the path of the same name, whose exact values can be compared.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        type_name: impl Into<Cow<'static, str>>,
        kind: FieldType,
    ) -> Self {
        let name = name.into();
        Self {
            field: Field::new(&*name, kind),
            name,
            type_name: type_name.into(),
            exactness: Exactness::Exact,
            fails_in_index: None,
            keys: None,
            sources: Arc::default(),
        }
    }

    /// Whether rules can read the field at all.
    pub fn is_supported(&self) -> bool {
        self.exactness != Exactness::Unsupported
    }

    /// The definition of a path under this object, if its keys are arbitrary.
    fn under(&self, path: &str) -> Option<Self> {
        let kind = self.keys?;
        let type_name = match kind {
            FieldType::Dynamic => "object",
            FieldType::Keyword => "keyword",
            FieldType::Text => "text",
            FieldType::Boolean => "boolean",
            FieldType::Long => "long",
            FieldType::Double => "double",
            FieldType::Date | FieldType::DateNanos => "date",
            FieldType::Ip => "ip",
            FieldType::Version => "version",
        };
        let mut def = Self::new(path.to_owned(), type_name, kind);
        def.field.ignore_above = self.field.ignore_above;
        def.sources = Arc::clone(&self.sources);
        if kind == FieldType::Text {
            def.exactness = Exactness::NoExactSubfield;
        }
        Some(def)
    }
}

/// The fields that queries may name.
#[derive(Clone, Debug)]
pub struct Schema {
    /// In ascending order of their names.
    fields: Vec<FieldDef>,
    strict: bool,
    version: Box<str>,
    /// The field that holds the event's category, `event.category` by default.
    pub category_field: Box<str>,
    /// The field that holds the event's time, `@timestamp` by default.
    pub timestamp_field: Box<str>,
    /// The field that orders events of one time, if any.
    pub tiebreaker_field: Option<Box<str>>,
}

impl Schema {
    /// The shipped schema: the Elastic Common Schema and the vendor namespaces of the integrations that rules are
    /// written for, with the types that those give, except that dates keep nanoseconds and no length limit
    /// (`ignore_above`) hides a long value. It is read once, when first asked for.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Schema> = LazyLock::new(builtin::read);
        &BUILTIN
    }

    /// Reads a mapping file; the schema is strict. Any of these forms will do:
    ///
    /// - `{"properties": {NAME: {"type": …}, …}, "event_category_field": …, "timestamp_field": …,
    ///   "tiebreaker_field": …, "indices": {INDEX: {NAME: …}}}`, names dotted or nested,
    /// - an Elasticsearch mapping, `{"mappings": {"properties": …}}`,
    /// - the answer of `GET INDEX/_mapping`, `{INDEX: {"mappings": …}, …}`.
    ///
    /// Fields that several indices define are merged: formats of dates add up, and a field that has different types
    /// in different indices cannot be read.
    ///
    /// # Errors
    /// Where the text is no such mapping; the error names every key that is at fault.
    pub fn from_mapping(json: &str) -> Result<Self, MappingError> {
        mapping::read(json)
    }

    /// The definition of `name`, if the schema has it: the field of that name, or a path under an object of
    /// arbitrary keys, for which a definition is made.
    pub fn get(&self, name: &str) -> Option<Cow<'_, FieldDef>> {
        if let Some(def) = self.find(name) {
            return Some(Cow::Borrowed(def));
        }
        let mut object = name;
        while let Some((parent, _)) = object.rsplit_once('.') {
            if let Some(def) = self.find(parent) {
                return def.under(name).map(Cow::Owned);
            }
            object = parent;
        }
        None
    }

    fn find(&self, name: &str) -> Option<&FieldDef> {
        let position = self.fields.binary_search_by(|def| (*def.name).cmp(name)).ok()?;
        self.fields.get(position)
    }

    /// All definitions, in ascending order of their names.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &FieldDef> {
        self.fields.iter()
    }

    /// Whether a field that the schema does not have is an error, instead of a warning.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The same schema, strict or not.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Version of the data that the schema was made from.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Known names close to `name`, best first, at most five: letters may differ, be missing or too many, and a part
    /// between dots may be missing or too many (`executable` for `process.executable`).
    pub fn similar(&self, name: &str) -> Vec<&str> {
        similar::similar(name, self.fields.iter().map(|def| &*def.name))
    }

    /// What a plan reads for a field that the schema does not know.
    pub fn unknown(name: &str) -> Field {
        Field::new(name, FieldType::Dynamic)
    }
}

/// What a mapping's word for a type means to a rule: the kind of its values, and whether they can be compared exactly.
/// `None` for a word that is no type.
/// Source: <https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/field-data-types>
fn kind_of(type_name: &str) -> Option<(FieldType, Exactness)> {
    use Exactness::{Exact, NoExactSubfield, Unsupported};
    Some(match type_name {
        "keyword" | "constant_keyword" | "counted_keyword" | "wildcard" | "flattened" => {
            (FieldType::Keyword, Exact)
        }
        "text" | "match_only_text" | "annotated_text" => (FieldType::Text, NoExactSubfield),
        "boolean" => (FieldType::Boolean, Exact),
        "byte" | "short" | "integer" | "long" | "unsigned_long" => (FieldType::Long, Exact),
        "half_float" | "float" | "double" | "scaled_float" => (FieldType::Double, Exact),
        "date" => (FieldType::Date, Exact),
        "date_nanos" => (FieldType::DateNanos, Exact),
        "ip" => (FieldType::Ip, Exact),
        "version" => (FieldType::Version, Exact),
        "object"
        | "nested"
        | "passthrough"
        | "join"
        | "binary"
        | "geo_point"
        | "geo_shape"
        | "point"
        | "shape"
        | "integer_range"
        | "long_range"
        | "float_range"
        | "double_range"
        | "date_range"
        | "ip_range"
        | "aggregate_metric_double"
        | "histogram"
        | "exponential_histogram"
        | "completion"
        | "token_count"
        | "search_as_you_type"
        | "semantic_text"
        | "pattern_text"
        | "dense_vector"
        | "sparse_vector"
        | "rank_vectors"
        | "rank_feature"
        | "rank_features"
        | "percolator"
        | "murmur3"
        | "icu_collation_keyword" => (FieldType::Dynamic, Unsupported),
        _ => return None,
    })
}
