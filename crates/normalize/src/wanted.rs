//! Which parts of a record the wanted fields of its document come from.
//!
//! Who reads a few fields of each document need not have the others made. The tables of a source say which paths of
//! the record decide each field; of a record that is taken to be of the source, as the one before was, only these and
//! what the source looks at in any case are read, and everything else is skipped, though checked. That it is of the
//! source is found out as ever; if not, it is read again as a whole.

use crate::ecs::ECS_MARKS;
use crate::source::SourceInfo;
use crate::tree::{KeyTable, has_byte};

/// Records of more bytes are read as a whole: what a source leaves out of very large ones depends on all that they
/// hold.
pub(crate) const LARGEST_PARTIAL: usize = 16_000;

/// Parts of a record, as a tree of keys.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The first is the record.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    keys: KeyTable,
    /// By number of the key.
    inside: Vec<u16>,
    /// The lengths of the keys, a bit each; those of 63 bytes and more have one together.
    lengths: u64,
    /// Everything inside is wanted.
    whole: bool,
}

/// What of a value is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Nothing,
    Whole,
    /// Of its objects only what this node has.
    Node(u16),
}

impl Parts {
    /// What the fields of documents come from, and `always` beside.
    pub(crate) fn of(info: &SourceInfo, fields: &[String], always: &[&str]) -> Self {
        let mut parts = Self {
            nodes: vec![Node::default()],
        };
        always.iter().chain(&ECS_MARKS).for_each(|path| parts.add(path));
        let rows = info.mappings.iter().copied().flatten();
        for (to, from) in rows.map(|row| (row.to, row.from)) {
            for wanted in fields {
                match covered(to, wanted) {
                    Some("") => parts.add(from),
                    Some(rest) => parts.add(&format!("{from}.{rest}")),
                    None => {}
                }
            }
        }
        let is_kept = |field: &str| info.mappings.iter().copied().flatten().any(|row| row.to == field);
        for derived in info.derived.iter().copied().flatten() {
            let subtree = derived.field.strip_suffix(".*");
            // A subtree that a row keeps comes from where the row says.
            if subtree.is_some_and(is_kept) {
                continue;
            }
            for wanted in fields {
                let rest = covered(subtree.unwrap_or(derived.field), wanted);
                match (rest, derived.from) {
                    // The record itself stands there: the rest is a path of it, whose deeper keys may be spelt otherwise.
                    (Some(rest), ["*"]) => match rest.split('.').next() {
                        None | Some("") => parts.whole(0),
                        Some(key) => parts.add(key),
                    },
                    (Some(_), from) => from.iter().for_each(|path| parts.add(path)),
                    (None, _) => {}
                }
            }
        }
        parts
    }

    fn whole(&mut self, node: u16) {
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.whole = true;
        }
    }

    /// Adds a path with all that is inside of it.
    fn add(&mut self, path: &str) {
        let mut here = 0;
        for key in path.split('.') {
            let next = u16::try_from(self.nodes.len());
            // More paths than anybody asks for: all of what stands here is read then.
            let (Some(node), Ok(next)) = (self.nodes.get_mut(usize::from(here)), next) else {
                break;
            };
            node.lengths |= 1 << key.len().min(63);
            let number = node.keys.number(key);
            if number == node.inside.len() {
                node.inside.push(next);
            }
            here = node.inside.get(number).copied().unwrap_or(next);
            if here == next {
                self.nodes.push(Node::default());
            }
        }
        self.whole(here);
    }

    /// What of the record is to be read.
    pub(crate) fn record(&self) -> Part {
        self.part(0)
    }

    fn part(&self, node: u16) -> Part {
        match self.nodes.get(usize::from(node)) {
            Some(node) if node.whole => Part::Whole,
            Some(_) => Part::Node(node),
            None => Part::Whole,
        }
    }

    /// What is to be read of the value under a key of an object of which `within` is read.
    #[inline(always)]
    pub(crate) fn inside(&self, within: Part, key: &str) -> Part {
        let Part::Node(node) = within else {
            return within;
        };
        let Some(node) = self.nodes.get(usize::from(node)) else {
            return Part::Whole;
        };
        // Most keys of records are passed over, and most of those have a length that no wanted key has.
        if node.lengths >> key.len().min(63) & 1 == 1
            && let Some(child) = node.keys.get(key).and_then(|number| node.inside.get(number))
        {
            return self.part(*child);
        }
        // A key with dots may stand for a path.
        match has_byte(key, b'.') {
            true => Part::Whole,
            false => Part::Nothing,
        }
    }
}

/// Whether a wanted field is `field`, or has to do with it; what is left of the wanted one if it goes further.
pub(crate) fn covered<'w>(field: &str, wanted: &'w str) -> Option<&'w str> {
    if let Some(rest) = wanted.strip_prefix(field) {
        return match rest.strip_prefix('.') {
            None if rest.is_empty() => Some(""),
            inside => inside,
        };
    }
    let beneath = field.strip_prefix(wanted)?;
    beneath.starts_with('.').then_some("")
}

#[cfg(test)]
mod tests {
    use super::{Part, Parts, covered};

    #[test]
    fn fields_cover_one_another_by_whole_keys() {
        for (field, wanted, rest) in [
            ("a.b", "a.b", Some("")),
            ("a.b", "a.b.c.d", Some("c.d")),
            ("a.b", "a", Some("")),
            ("a.b", "a.bc", None),
            ("a.bc", "a.b", None),
            ("a.b", "a.c", None),
        ] {
            assert_eq!(covered(field, wanted), rest, "{field} {wanted}");
        }
    }

    #[test]
    fn parts_are_what_the_tables_say() {
        let cloudtrail = crate::sources()
            .iter()
            .find(|info| info.name == "aws_cloudtrail")
            .unwrap();
        let fields = [
            "event.action",
            "user.name",
            "aws.cloudtrail.flattened.request_parameters.userName",
        ]
        .map(str::to_owned);
        let parts = Parts::of(cloudtrail, &fields, &["eventSource"]);
        let at = |path: &str| {
            path.split('/')
                .fold(parts.record(), |part, key| parts.inside(part, key))
        };
        for whole in [
            "eventName",
            "eventSource",
            "userIdentity/userName",
            "userIdentity/arn",
            "requestParameters/userName/deep",
            "requestParameters/user.name",
            "@timestamp",
        ] {
            assert_eq!(at(whole), Part::Whole, "{whole}");
        }
        for nothing in ["eventID", "requestParameters/bucketName", "userIdentity/type"] {
            assert_eq!(at(nothing), Part::Nothing, "{nothing}");
        }
    }
}
