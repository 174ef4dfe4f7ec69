//! Programs that start on the hosts, with their parents. Text stands as inside JSON strings, and may hold `<>` parts.

mod linux;
mod windows;

pub(super) use linux::{LINUX_ATTACKS, LINUX_PROGRAMS};
pub(super) use windows::{WINDOWS_ATTACKS, WINDOWS_PROGRAMS};

/// A program, and how often it starts.
pub(super) struct Program {
    pub(super) weight: u32,
    /// The path of its file.
    pub(super) path: &'static str,
    /// Windows only: original file name, description, product, company.
    pub(super) about: [&'static str; 4],
    /// Its command line.
    pub(super) lines: &'static [&'static str],
    /// Path and command line of the process that starts it.
    pub(super) parent: (&'static str, &'static str),
    /// Who runs it: an index of the users of its system.
    pub(super) user: Option<usize>,
}

/// Any of the people of the hosts runs it.
const ANYONE: Option<usize> = None;

type Line = &'static str;

const fn program(
    weight: u32,
    path: Line,
    about: [Line; 4],
    lines: &'static [Line],
    parent: (Line, Line),
    user: Option<usize>,
) -> Program {
    Program {
        weight,
        path,
        about,
        lines,
        parent,
        user,
    }
}
