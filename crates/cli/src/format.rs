//! The forms of output that most commands have. Commands with more of them have a type of their own.

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// A JSON object.
    Json,
}
