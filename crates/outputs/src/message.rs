//! What is told.

use neph_event::Instant;
use neph_store::{AlertRecord, DeliveryKind};

/// One message: an alert, or a group of alerts of one rule.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The same for the same message however often it is sent, so that receivers can drop repeats: of an alert its id and its
    /// version (`ID:VERSION`), which rises whenever the alert changes. Printable ASCII without spaces.
    pub key: String,
    /// Why: raised, updated, withdrawn. Of a group: why its first alert is told.
    pub kind: DeliveryKind,
    /// The alert; of a group, its first.
    pub alert: &'a AlertRecord,
    /// What the group is, where the message tells of one.
    pub group: Option<&'a Group>,
    /// Where people see the alert, if the service has an address for people.
    pub link: Option<String>,
    /// When the message was made.
    pub sent: Instant,
    /// Sent by hand to see whether the output works: receivers must see that it is no alert.
    pub test: bool,
}

/// Alerts of one rule that are told together: "and 812 more of rule X".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many alerts.
    pub count: u64,
    /// How many of them are updates of alerts that were told before.
    pub updated: u64,
    /// How many of them were withdrawn.
    pub retracted: u64,
    /// Time of the first alert.
    pub first: Instant,
    /// Time of the last alert.
    pub last: Instant,
    /// Ids of alerts, at most [`Group::MAX_IDS`]; `count` says how many there are.
    pub ids: Vec<String>,
    /// ECS fields with their most common values and how many alerts have them; most common first.
    pub values: Vec<(String, Vec<(String, u64)>)>,
}

impl Group {
    /// So many ids are named.
    pub const MAX_IDS: u32 = 1000;
    /// So many values of a field are named.
    pub const MAX_VALUES: u32 = 10;
}
