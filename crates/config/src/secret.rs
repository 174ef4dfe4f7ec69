//! Passwords and tokens, which stand elsewhere than in the file.

use std::path::PathBuf;

/// Where a password or token stands.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file; white space at its end does not count.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// In the configuration itself, which was asked for by name.
    Plain(String),
}

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("cannot read the secret in `{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its environment variable is not set.
    #[error("the environment variable `{0}`, which should hold a secret, is not set")]
    Env(String),
    /// There is nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
}

impl Secret {
    /// Reads the secret.
    ///
    /// # Errors
    /// When its file or variable is not there, or is empty.
    pub fn read(&self) -> Result<String, SecretError> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|source| SecretError::File {
                path: path.clone(),
                source,
            })?,
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::Env(name.clone()))?,
            Self::Plain(text) => text.clone(),
        };
        let text = text.trim_end();
        match text.is_empty() {
            true => Err(SecretError::Empty(format!("{self:?}"))),
            false => Ok(text.to_owned()),
        }
    }
}

/// Never the secret itself.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Env(name) => write!(f, "the environment variable `{name}`"),
            Self::Plain(_) => f.write_str("the configuration"),
        }
    }
}
