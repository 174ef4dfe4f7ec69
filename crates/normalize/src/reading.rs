//! How the records of one source are read: what of them, and what is made of it on the way.

use crate::mapping::{Plan, Wanted};
use crate::wanted::{Part, Parts};

/// How records are read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whose rows are filled while records are read.
    plan: &'static Plan,
    /// What is read of records, if not everything.
    parts: Option<Parts>,
}

/// What becomes of the value under a key: where it is wanted, and what of it is read. In one number, because it is handed
/// on with every key, and what is put together from smaller parts is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim(u64);

impl Reading {
    /// A reading of records of one kind.
    pub(crate) fn of(plan: &'static Plan, parts: Option<Parts>) -> Self {
        Self { plan, parts }
    }

    /// Whose rows are filled.
    pub(crate) fn plan(&self) -> &'static Plan {
        self.plan
    }

    /// What becomes of a record.
    pub(crate) fn record(&self) -> Aim {
        Aim::of(
            self.plan.of_record(),
            self.parts.as_ref().map_or(Part::Whole, Parts::record),
        )
    }

    /// What becomes of the value under a key of an object of which `within` becomes something.
    #[inline(always)]
    pub(crate) fn inside(&self, within: Aim, key: &str) -> Aim {
        Aim::of(
            self.plan.inside(within.wanted(), key),
            self.parts
                .as_ref()
                .map_or(Part::Whole, |parts| parts.inside(within.part(), key)),
        )
    }
}

impl Aim {
    const WHOLE: u16 = u16::MAX;
    const NOTHING: u16 = u16::MAX - 1;

    /// It is read, and no plan wants it.
    pub(crate) const ALL: Self = Self(Wanted::NOTHING.bits() | (Self::WHOLE as u64) << 48);

    fn of(wanted: Wanted, part: Part) -> Self {
        let part = match part {
            Part::Whole => Self::WHOLE,
            Part::Nothing => Self::NOTHING,
            Part::Node(node) => node,
        };
        Self(wanted.bits() | u64::from(part) << 48)
    }

    /// Where the value is wanted.
    #[inline(always)]
    pub(crate) fn wanted(self) -> Wanted {
        Wanted::from_bits(self.0)
    }

    /// What of the value is read.
    fn part(self) -> Part {
        match (self.0 >> 48) as u16 {
            Self::WHOLE => Part::Whole,
            Self::NOTHING => Part::Nothing,
            node => Part::Node(node),
        }
    }

    /// Whether the value is not read.
    #[inline(always)]
    pub(crate) fn is_nothing(self) -> bool {
        self.0 >> 48 == u64::from(Self::NOTHING)
    }

    /// What becomes of the objects in an array: tables name none of their keys.
    #[inline(always)]
    pub(crate) fn in_array(self) -> Self {
        Self(self.0 >> 48 << 48 | Wanted::NOTHING.bits())
    }
}
