//! Answers of three kinds: yes, no, and "it depends", which names on what.
//!
//! What a policy decides often hangs on things that no inventory holds: the address of the caller, tags of a request, the time.
//! Guessing either way would make the answer worthless, so whatever is not known becomes a [`Proviso`] of the answer.

use serde::Serialize;

/// More provisos than these are counted and not told.
const MAX_PROVISOS: usize = 24;

/// Something that an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Proviso {
    /// Whether the answer is yes when this does *not* hold.
    pub unless: bool,
    /// What has to hold, or not: `StringEquals aws:RequestTag/team = dev`.
    pub what: String,
}

impl std::fmt::Display for Proviso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.unless { "unless" } else { "if" };
        write!(f, "{word} {}", self.what)
    }
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Yes.
    Yes,
    /// No.
    No,
    /// It depends on these, none of them known.
    Maybe(Vec<Proviso>),
}

impl Truth {
    /// It depends on this.
    pub fn when(what: impl Into<String>) -> Self {
        Self::Maybe(vec![Proviso {
            unless: false,
            what: what.into(),
        }])
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, rest) | (rest, Self::Yes) => rest,
            (Self::Maybe(one), Self::Maybe(other)) => Self::Maybe(joined(one, other)),
        }
    }

    /// At least one of them.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, rest) | (rest, Self::No) => rest,
            (Self::Maybe(one), Self::Maybe(other)) => Self::Maybe(joined(one, other)),
        }
    }

    /// The contrary.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe(provisos) => {
                let turned = provisos.into_iter().map(|proviso| Proviso {
                    unless: !proviso.unless,
                    ..proviso
                });
                Self::Maybe(turned.collect())
            }
        }
    }

    /// Several provisos that have to hold together, said as one: what is negated later is all of them, not each.
    #[must_use]
    pub fn as_one(self) -> Self {
        match self {
            Self::Maybe(provisos) if provisos.len() > 1 => {
                let words: Vec<String> = provisos
                    .iter()
                    .map(|proviso| match proviso.unless {
                        true => format!("not {}", proviso.what),
                        false => proviso.what.clone(),
                    })
                    .collect();
                Self::when(words.join(" and "))
            }
            other => other,
        }
    }

    /// Whether it is yes.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }

    /// Whether it is no.
    pub fn is_no(&self) -> bool {
        *self == Self::No
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

fn joined(mut one: Vec<Proviso>, other: Vec<Proviso>) -> Vec<Proviso> {
    for proviso in other {
        if one.len() >= MAX_PROVISOS {
            let more = Proviso {
                unless: false,
                what: "further conditions of the same policies".to_owned(),
            };
            if one.last() != Some(&more) {
                one.push(more);
            }
            break;
        }
        if !one.contains(&proviso) {
            one.push(proviso);
        }
    }
    one
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is allowed.
    Allowed,
    /// It depends on what is not known.
    Depends,
    /// It is denied, or nothing allows it.
    Denied,
}

/// A verdict and its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What it comes to.
    pub verdict: Verdict,
    /// What it depends on; empty unless it depends.
    pub provisos: Vec<Proviso>,
    /// The statements, roles or rules that decided, most telling first; where nothing allows it, what would have had to.
    pub by: Vec<String>,
}

impl Decision {
    /// A decision out of an answer.
    pub fn new(truth: Truth, by: Vec<String>) -> Self {
        let (verdict, provisos) = match truth {
            Truth::Yes => (Verdict::Allowed, Vec::new()),
            Truth::No => (Verdict::Denied, Vec::new()),
            Truth::Maybe(provisos) => (Verdict::Depends, provisos),
        };
        Self {
            verdict,
            provisos,
            by,
        }
    }
}
