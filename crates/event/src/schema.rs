//! Which fields exist, and of which type.

use ahash::AHashMap;

use crate::{Field, FieldType};

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
    pub name: Box<str>,
    /// The mapping's own word for the type, for messages: `long`, `keyword`, `scaled_float`.
    pub type_name: Box<str>,
    /// What is read.
    pub field: Field,
    /// Whether its exact values can be compared.
    pub exactness: Exactness,
    /// Name of an index in which reading this field fails (a runtime field whose script throws).
    pub fails_in_index: Option<Box<str>>,
}

/// The fields that queries may name.
#[derive(Clone, Debug)]
pub struct Schema {
    fields: AHashMap<Box<str>, FieldDef>,
    strict: bool,
    version: Box<str>,
    /// The field that holds the event's category, `event.category` by default.
    pub category_field: Box<str>,
    /// The field that holds the event's time, `@timestamp` by default.
    pub timestamp_field: Box<str>,
    /// The field that orders events of one time, if any.
    pub tiebreaker_field: Option<Box<str>>,
}

/// Why a mapping file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The text is no JSON of the expected form.
    #[error("the mapping is not valid: {0}")]
    Invalid(#[from] serde_json::Error),
    /// A part of the mapping has the wrong shape.
    #[error("the mapping is not valid: {0}")]
    Shape(String),
}

impl Schema {
    /// The shipped schema: ECS and the vendor namespaces of the sources that `neph` reads.
    pub fn builtin() -> &'static Self {
        static BUILTIN: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(|| Schema {
            fields: AHashMap::new(),
            strict: false,
            version: "0".into(),
            category_field: "event.category".into(),
            timestamp_field: "@timestamp".into(),
            tiebreaker_field: None,
        });
        &BUILTIN
    }

    /// Reads a mapping file (`{"properties": {NAME: {"type": …}}, "event_category_field": …}`); the schema is strict.
    ///
    /// # Errors
    /// Where the text is no such mapping.
    pub fn from_mapping(json: &str) -> Result<Self, MappingError> {
        let _: serde_json::Value = serde_json::from_str(json)?;
        Err(MappingError::Shape("mappings are not read yet".into()))
    }

    /// The definition of `name`, if the schema has it.
    pub fn get(&self, name: &str) -> Option<&FieldDef> {
        self.fields.get(name)
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

    /// Known names close to `name`, best first, at most five.
    pub fn similar(&self, name: &str) -> Vec<&str> {
        let mut close: Vec<(f64, &str)> = self
            .fields
            .keys()
            .map(|known| (strsim::jaro_winkler(name, known), &**known))
            .filter(|(score, _)| *score > 0.85)
            .collect();
        close.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        close.into_iter().take(5).map(|(_, known)| known).collect()
    }

    /// What a plan reads for a field that the schema does not know.
    pub fn unknown(name: &str) -> Field {
        Field::new(name, FieldType::Dynamic)
    }
}
