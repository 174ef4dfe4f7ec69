//! What files of the user add to events.
//!
//! [`Enrichment::load`] reads files, whose kind is told by their content: databases in MaxMind's format, the lists of
//! address ranges that cloud providers publish, and own lists of assets and identities. [`Enrichment::enricher`] then
//! makes one [`Enricher`] for each thread, which a normaliser takes.
//!
//! `docs/enrichment.md` describes the files and the fields.
//!
//! **Architecture invariants:** nothing that a record says is replaced. Nothing is fetched: what is not in a file that
//! the user names is not known. A file of strangers can cost no more than bounds that are stated here.

mod agents;
mod databases;
mod lists;
mod networks;
mod ranges;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use neph_normalize::{Enrich, Map, Value};

use agents::Agent;
use databases::{Database, Place};
use lists::Lists;
use networks::Networks;
use ranges::CloudRange;

/// The word that stands for the parsing of user agents, which needs no file.
pub const USER_AGENT: &str = "user-agent";

/// Objects of an event that hold an address.
const SIDES: &[&str] = &["source", "destination", "client", "server"];

/// Most bytes of a file that is no database.
const MOST_LIST_BYTES: u64 = 256 << 20;

/// Most bytes of a database, which is held in memory.
const MOST_DATABASE_BYTES: u64 = 2 << 30;

/// Addresses and user agents whose answers a thread remembers.
const REMEMBERED: usize = 1 << 14;

/// Everything that the files say.
#[derive(Debug, Default)]
pub struct Enrichment {
    databases: Vec<Database>,
    ranges: Networks<Vec<CloudRange>>,
    lists: Lists,
    user_agents: bool,
}

/// Something that a file holds could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrichmentProblem {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is of no kind that is known, or not well-formed.
    #[error("`{path}` adds nothing to events: {reason}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Entries of it are left out.
    #[error("{count} entries of `{path}` are left out, the first because {reason}", path = path.display())]
    Entries {
        /// The file.
        path: PathBuf,
        /// How many.
        count: u64,
        /// Why the first of them is.
        reason: String,
    },
}

impl Enrichment {
    /// Reads files and folders; the word [`USER_AGENT`] turns on the parsing of user agents. What cannot be used is told
    /// and left out.
    pub fn load(paths: &[PathBuf]) -> (Self, Vec<EnrichmentProblem>) {
        let mut enrichment = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            if path.as_os_str() == USER_AGENT {
                enrichment.user_agents = true;
                continue;
            }
            for entry in walkdir::WalkDir::new(path).sort_by_file_name().max_depth(16) {
                match entry {
                    Ok(entry) if entry.file_type().is_dir() => {}
                    Ok(entry) => enrichment.read(entry.path(), &mut problems),
                    Err(error) => problems.push(EnrichmentProblem::Unreadable {
                        path: path.clone(),
                        reason: error.to_string(),
                    }),
                }
            }
        }
        (enrichment, problems)
    }

    /// Whether it adds anything.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.ranges.is_empty() && self.lists.is_empty() && !self.user_agents
    }

    /// What one thread needs.
    pub fn enricher(self: &Arc<Self>) -> Enricher {
        Enricher {
            enrichment: Arc::clone(self),
            addresses: AHashMap::new(),
            agents: AHashMap::new(),
        }
    }

    fn read(&mut self, path: &Path, problems: &mut Vec<EnrichmentProblem>) {
        let unreadable = |reason: String| EnrichmentProblem::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let unusable = |reason: String| EnrichmentProblem::Unusable {
            path: path.to_owned(),
            reason,
        };
        let bytes = match std::fs::metadata(path).map(|metadata| metadata.len()) {
            Ok(size) if size > MOST_DATABASE_BYTES => {
                return problems.push(unusable(format!("it has more than {MOST_DATABASE_BYTES} bytes")));
            }
            Ok(_) => std::fs::read(path).map_err(|error| unreadable(error.to_string())),
            Err(error) => Err(unreadable(error.to_string())),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(problem) => return problems.push(problem),
        };
        if Database::is_one(&bytes) {
            match Database::read(bytes) {
                Ok(database) => self.databases.push(database),
                Err(reason) => problems.push(unusable(reason)),
            }
            return;
        }
        if bytes.len() as u64 > MOST_LIST_BYTES {
            return problems.push(unusable(format!("it has more than {MOST_LIST_BYTES} bytes")));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return problems.push(unusable("it is neither a database nor text in UTF-8".into()));
        };
        let text = text.trim_start_matches('\u{feff}');
        let mut left_out = LeftOut::default();
        let read = match ranges::read(text, &mut self.ranges, &mut left_out) {
            Some(read) => read,
            None => self.lists.read(text, &mut left_out),
        };
        if let Err(reason) = read {
            problems.push(unusable(reason));
        }
        if let Some(reason) = left_out.first {
            problems.push(EnrichmentProblem::Entries {
                path: path.to_owned(),
                count: left_out.count,
                reason,
            });
        }
    }
}

/// Entries of a file that could not be used.
#[derive(Debug, Default)]
struct LeftOut {
    count: u64,
    first: Option<String>,
}

impl LeftOut {
    fn add(&mut self, reason: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(reason);
    }
}

/// Adds to the events of one thread; it remembers what it was asked.
#[derive(Debug)]
pub struct Enricher {
    enrichment: Arc<Enrichment>,
    addresses: AHashMap<IpAddr, Arc<Known>>,
    agents: AHashMap<String, Option<Agent>>,
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Known {
    place: Place,
    cloud: Vec<CloudRange>,
}

impl Enricher {
    /// What is known of an address.
    fn address(&mut self, address: IpAddr) -> Arc<Known> {
        if let Some(known) = self.addresses.get(&address) {
            return Arc::clone(known);
        }
        if self.addresses.len() >= REMEMBERED {
            self.addresses.clear();
        }
        let mut place = Place::default();
        for database in &self.enrichment.databases {
            database.look_up(address, &mut place);
        }
        let cloud = self.enrichment.ranges.get(address).cloned().unwrap_or_default();
        let known = Arc::new(Known { place, cloud });
        self.addresses.insert(address, Arc::clone(&known));
        known
    }

    fn agent<'a>(&mut self, document: &'a Map<'a>) {
        let Some(user_agent) = document.map_at("user_agent") else {
            return;
        };
        let Some(text) = user_agent.text_at("original") else {
            return;
        };
        // What the record says itself, it says as a whole.
        if ["name", "version", "os", "device"]
            .iter()
            .any(|key| user_agent.get(key).is_some())
        {
            return;
        }
        if let Some(known) = self.agents.get(text) {
            if let Some(agent) = known {
                agent.write(user_agent);
            }
            return;
        }
        let agent = Agent::parse(text);
        if let Some(agent) = &agent {
            agent.write(user_agent);
        }
        if self.agents.len() >= REMEMBERED {
            self.agents.clear();
        }
        self.agents.insert(text.to_owned(), agent);
    }
}

impl Enrich for Enricher {
    fn enrich<'a>(&mut self, document: &'a Map<'a>) {
        if !self.enrichment.databases.is_empty() || !self.enrichment.ranges.is_empty() {
            for side in SIDES {
                let Some(object) = document.map_at(side) else {
                    continue;
                };
                // Of several addresses the first counts, as it does for Elasticsearch's `geoip` processor.
                let address = match object.get("ip") {
                    Some(Value::List(list)) => list.first().copied(),
                    other => other,
                };
                if let Some(address) = address
                    .and_then(Value::as_text)
                    .and_then(|text| text.parse().ok())
                {
                    let known = self.address(address);
                    known.place.write(object);
                    ranges::write(&known.cloud, side, document);
                }
            }
        }
        if self.enrichment.user_agents {
            self.agent(document);
        }
        self.enrichment.lists.enrich(document);
    }
}
