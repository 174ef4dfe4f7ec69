//! What a table of the file may hold.

/// A table: its keys, and, where one of them tells what else it may hold, the further keys of each kind.
#[derive(Debug)]
pub struct Shape {
    /// What the table is for, in sentences.
    pub about: &'static str,
    /// The keys that it may always have.
    pub keys: &'static [Key],
    /// A key whose value says which further keys there are, and these for each value.
    pub variants: Option<Variants>,
}

/// Further keys that depend on the value of one.
#[derive(Debug)]
pub struct Variants {
    /// The key that tells which; its values are the names in `of`.
    pub key: &'static str,
    /// Name and shape of each kind.
    pub of: &'static [(&'static str, &'static Shape)],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What it says, in sentences.
    pub about: &'static str,
    /// The value that counts without it, as TOML; `None` where there is none.
    pub default: Option<&'static str>,
    /// Whether the table is wrong without it.
    pub required: bool,
    /// A value for the example, as TOML, where the default is no good one.
    pub example: Option<&'static str>,
}

/// What a value must be.
#[derive(Debug)]
pub enum Kind {
    /// A string that is not empty.
    Text,
    /// A path; a relative one counts from the folder of the file.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number between two, both included.
    Integer(i64, i64),
    /// A number and one of `ms`, `s`, `m`, `h`, `d`, `w`.
    Duration,
    /// A number of bytes: a whole number, or a string with `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB`, `TB`.
    Size,
    /// An address and a port, `127.0.0.1:9470` or `[::1]:9470`.
    Address,
    /// A network, `10.0.0.0/8`, or an address.
    Network,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `{ file = "…" }`, `{ env = "…" }` or `{ plain = "…" }`.
    Secret,
    /// A list of values.
    List(&'static Kind),
    /// A table of strings with any keys, such as headers.
    Texts,
    /// A table.
    Table(&'static Shape),
    /// A list of tables, `[[…]]`.
    Tables(&'static Shape),
}

impl Key {
    /// A key that need not be there and has no default.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: None,
            required: false,
            example: None,
        }
    }

    /// The same with a default, as TOML.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// The same as a key that must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The same with a value for the example, as TOML.
    #[must_use]
    pub const fn such_as(self, example: &'static str) -> Self {
        Self {
            example: Some(example),
            ..self
        }
    }
}

impl Kind {
    /// What the value must be, in words for a diagnostic.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Path => "a path in quotes".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Self::Duration => "a duration such as `\"30s\"`, `\"15m\"`, `\"24h\"` or `\"7d\"`".into(),
            Self::Size => "a size such as `\"512MiB\"` or `\"20GiB\"`".into(),
            Self::Address => {
                "an address with a port, such as `\"127.0.0.1:9470\"` or `\"[::1]:9470\"`".into()
            }
            Self::Network => "a network or address, such as `\"10.0.0.0/8\"`".into(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                match words.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                    None => "a string".into(),
                }
            }
            Self::Secret => "`{ file = \"…\" }`, `{ env = \"…\" }` or `{ plain = \"…\" }`".into(),
            Self::List(kind) => format!("a list, each entry {}", kind.words()),
            Self::Texts => "a table of strings".into(),
            Self::Table(_) => "a table".into(),
            Self::Tables(_) => "a list of tables".into(),
        }
    }
}
