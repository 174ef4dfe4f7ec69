//! How many messages an output may send, and which alerts are told together when there are more.
//!
//! Time goes in windows of a minute, which begin with a message. Whatever finds no room in a window is told together, by rule,
//! when it ends. No rule takes more than half of a window by single messages, so that a rule in flood leaves room for others.

use std::collections::{HashMap, HashSet};

use neph_event::Instant;

/// Nanoseconds of a window.
const WINDOW: i128 = 60_000_000_000;

/// The messages of one output.
#[derive(Debug)]
pub(crate) struct Flood {
    rate: Option<u64>,
    begin: Option<Instant>,
    sent: u64,
    by_rule: HashMap<String, u64>,
    /// Rows that lead others of their rule in this window.
    leaders: HashMap<String, i64>,
    /// Rows that lead and were surely not sent yet, so that they may lead more. Of those from before a crash nobody knows.
    unsent: HashSet<i64>,
}

/// What is to become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It is told by itself, now.
    Alone,
    /// It is told with others when the window ends; by the row that leads its rule, if there is one already.
    Together(Option<i64>),
}

impl Flood {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            begin: None,
            sent: 0,
            by_rule: HashMap::new(),
            leaders: HashMap::new(),
            unsent: HashSet::new(),
        }
    }

    /// Ends the window when its time is over; a clock that was set back ends it too.
    pub(crate) fn tick(&mut self, now: Instant) {
        let over = |begin: Instant| !(0..WINDOW).contains(&now.nanos_since(begin));
        if self.begin.is_some_and(over) {
            *self = Self {
                unsent: std::mem::take(&mut self.unsent),
                ..Self::new(self.rate)
            };
        }
    }

    /// When the window ends.
    pub(crate) fn end(&self, now: Instant) -> Instant {
        self.begin.unwrap_or(now).saturating_add_nanos(WINDOW)
    }

    /// Whether an alert of the rule is told by itself; if so, the message counts.
    pub(crate) fn ask(&mut self, rule: &str, now: Instant) -> Room {
        let Some(rate) = self.rate else {
            return Room::Alone;
        };
        if let Some(leader) = self.leaders.get(rule) {
            return Room::Together(Some(*leader));
        }
        let own = self.by_rule.get(rule).copied().unwrap_or(0);
        if self.sent >= rate || own >= rate.div_ceil(2) {
            return Room::Together(None);
        }
        self.count(now);
        *self.by_rule.entry(rule.to_owned()).or_default() += 1;
        Room::Alone
    }

    /// Whether there is room for the message of a row that leads others of the rule; if so, it counts. If not, it is told when the
    /// window ends.
    pub(crate) fn ask_for_group(&mut self, rule: &str, leader: i64, now: Instant) -> bool {
        let room = self.rate.is_none_or(|rate| self.sent < rate);
        if room {
            self.count(now);
            self.unsent.remove(&leader);
            self.leaders.retain(|_, own| *own != leader);
        } else if self.unsent.contains(&leader) {
            self.leaders.insert(rule.to_owned(), leader);
        }
        room
    }

    fn count(&mut self, now: Instant) {
        self.begin.get_or_insert(now);
        self.sent += 1;
    }

    /// From now on this row leads those of its rule, until the window ends.
    pub(crate) fn lead(&mut self, rule: &str, leader: i64) {
        self.leaders.insert(rule.to_owned(), leader);
        self.unsent.insert(leader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_millis(1_760_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_rule_in_flood_leaves_room_for_others() {
        let mut flood = Flood::new(Some(5));
        let alone = (0..10)
            .filter(|_| flood.ask("loud", at(0)) == Room::Alone)
            .count();
        assert_eq!(alone, 3);
        flood.lead("loud", 4);
        assert_eq!(flood.ask("loud", at(1)), Room::Together(Some(4)));
        assert_eq!(flood.ask("rare", at(1)), Room::Alone);
        assert_eq!(flood.ask("rare", at(1)), Room::Alone);
        assert_eq!(flood.ask("rarer", at(1)), Room::Together(None), "no room at all");
        assert!(!flood.ask_for_group("loud", 4, at(59)));
        assert_eq!(flood.end(at(59)), at(60));
        flood.tick(at(59));
        assert!(!flood.ask_for_group("loud", 4, at(59)));
        flood.tick(at(60));
        assert!(flood.ask_for_group("loud", 4, at(60)));
        assert_eq!(flood.ask("loud", at(60)), Room::Alone);
        assert_eq!(flood.end(at(70)), at(120));
    }

    #[test]
    fn one_message_a_minute_is_one_message_a_minute() {
        let mut flood = Flood::new(Some(1));
        assert_eq!(flood.ask("a", at(0)), Room::Alone);
        assert_eq!(flood.ask("a", at(0)), Room::Together(None));
        flood.tick(at(60));
        assert!(flood.ask_for_group("a", 2, at(60)));
        assert_eq!(flood.ask("a", at(61)), Room::Together(None));
        // One that finds no room leads more, unless it may have been sent by a process that died.
        flood.lead("a", 7);
        flood.tick(at(120));
        assert_eq!(flood.ask("b", at(120)), Room::Alone);
        assert!(!flood.ask_for_group("c", 5, at(120)));
        assert_eq!(flood.ask("c", at(121)), Room::Together(None));
        assert!(!flood.ask_for_group("a", 7, at(121)));
        assert_eq!(flood.ask("a", at(121)), Room::Together(Some(7)));
        // A clock that is set back holds nothing up.
        flood.tick(at(-5000));
        assert_eq!(flood.ask("a", at(-5000)), Room::Alone);
    }

    #[test]
    fn without_a_rate_everything_is_told_by_itself() {
        let mut flood = Flood::new(None);
        assert!((0..100_000).all(|_| flood.ask("a", at(0)) == Room::Alone));
    }
}
