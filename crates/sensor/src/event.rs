//! Something that was seen, with who did it.

use std::sync::Arc;

use crate::cgroup::Contained;
use crate::observation::{Connect, Open, SinceBoot};
use crate::process::{Kin, Process};

/// Something that was seen, with everything that a document tells of who did it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: SinceBoot,
    /// What happened.
    pub(crate) what: What,
    /// Who did it.
    pub(crate) process: Arc<Process>,
    /// The leader of its session.
    pub(crate) session: Option<Kin>,
    /// The leader of its process group.
    pub(crate) group: Option<Kin>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The process was there when the sensor began.
    Running,
    /// It became another program.
    Exec,
    /// It ended, and told its parent this.
    End {
        /// As wait(2) gives it.
        status: i32,
    },
    /// It asked for a connection.
    Connect(Box<Connect>),
    /// How a connection went that took long.
    Outcome(Box<Connect>),
    /// It opened a file.
    Open(Box<Open>),
    /// It became this, which it was not before.
    Changed(Became),
}

/// What a process became within a program, or with a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// Another user, real or effective.
    User,
    /// A member of another group, real or effective.
    Group,
    /// A member of another session.
    Session,
}

impl Event {
    /// In which container it happened.
    pub(crate) fn container(&self) -> Option<&Contained> {
        self.process.own.container.as_deref()
    }

    /// Whether a process begins to be told of.
    pub(crate) fn what_starts(&self) -> bool {
        matches!(self.what, What::Exec | What::Running)
    }
}
