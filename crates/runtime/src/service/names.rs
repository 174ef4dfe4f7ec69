//! Where records say that they belong, and which rules look at such: nothing is left out without being told.

use std::collections::{HashMap, HashSet};

use neph_rules::{Belongs, IndexScope, Look};
use neph_store::NameCount;

use crate::events::{Place, Places};

use super::Shared;
use super::book::Book;

/// Names that are told apart; senders choose them, and some make a new one every day.
const MOST: usize = 2_000;
/// What stands for all others.
const OTHERS: &str = "(others)";

/// A name: index, dataset, whether the documents were made here.
type Name = (Box<str>, Box<str>, bool);

/// The names that were seen.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// How many rules look at what has a name: by name, by content, not at all.
    looks: HashMap<Name, [u64; 3]>,
    /// The names that were told of, by stream.
    told: HashSet<(Box<str>, Name)>,
    /// The scopes of the rules; made when the first name is new to them.
    scopes: Vec<IndexScope>,
}

impl Names {
    /// Other rules look from now on.
    pub(crate) fn change_rules(&mut self) {
        self.looks.clear();
        self.scopes.clear();
    }

    /// What a block of a stream says, with the rules that look at it. What no rule names is told when it comes first.
    pub(crate) fn count(
        &mut self,
        book: &Book,
        stream: &str,
        places: &Places,
        shared: &Shared,
    ) -> Vec<NameCount> {
        let count = |place: &Place| {
            let text = |name: &Option<Box<str>>| name.clone().unwrap_or_default();
            let mut name = (text(&place.index), text(&place.dataset), place.is_made);
            if self.looks.len() >= MOST && !self.looks.contains_key(&name) {
                name = (OTHERS.into(), "".into(), place.is_made);
            }
            let [by_name, by_content, left_out] = match self.looks.get(&name) {
                Some(looks) => *looks,
                None => {
                    let looks = self.look(book, &name);
                    self.looks.insert(name.clone(), looks);
                    looks
                }
            };
            let counted = NameCount {
                index: name.0.to_string(),
                dataset: name.1.to_string(),
                is_made: name.2,
                records: place.records,
                by_name,
                by_content,
                left_out,
            };
            if by_name == 0 && self.told.len() < MOST && self.told.insert((stream.into(), name)) {
                shared.notice(notice(stream, &counted));
            }
            counted
        };
        places.0.iter().map(count).collect()
    }

    fn look(&mut self, book: &Book, (index, dataset, is_made): &Name) -> [u64; 3] {
        if self.scopes.is_empty() {
            self.scopes = book
                .rules
                .iter()
                .map(|rule| IndexScope::new(&rule.index))
                .collect();
        }
        fn said(name: &str) -> Option<&str> {
            Some(name).filter(|name| !name.is_empty())
        }
        let belongs = Belongs {
            index: said(index),
            dataset: said(dataset),
            is_made: *is_made,
        };
        let mut looks = [0; 3];
        for scope in &self.scopes {
            let [by_name, by_content, left_out] = &mut looks;
            *match scope.look(&belongs) {
                Look::Named => by_name,
                Look::ByContent => by_content,
                Look::LeftOut => left_out,
            } += 1;
        }
        looks
    }
}

fn notice(stream: &str, name: &NameCount) -> String {
    let (what, called) = match name.index.is_empty() {
        true => ("dataset", &name.dataset),
        false => ("index", &name.index),
    };
    let looks = match (name.by_content, name.left_out) {
        (0, _) => "no rule looks at them".to_owned(),
        (by, 0) => format!("all {by} rules go by their content"),
        (by, out) => format!("{by} rules go by their content, {out} leave them out"),
    };
    format!("stream `{stream}`: no rule's index patterns name the {what} `{called}` of its records; {looks}")
}
