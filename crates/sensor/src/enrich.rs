//! What is known of packages and of the cloud, added to what was seen.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::cloud::Cloud;
use crate::event::{Event, What};
use crate::options::Options;
use crate::packages::{PackageCounts, Packages, Place};

/// What is known of where something happened, beside what was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Members `container`, `orchestrator` and `neph` of documents: who the container is.
    pub(crate) container: Option<Arc<Map<String, Value>>>,
    /// Where the file came from that runs.
    pub(crate) executable: Option<Arc<Map<String, Value>>>,
}

/// So many answers are kept.
const KEPT: usize = 32;

/// Who is asked about programs, and what is known of the host.
#[derive(Debug)]
pub(crate) struct Enrichment {
    packages: Option<Packages>,
    cloud: Option<Cloud>,
    /// What was found for the events that are handed on together. These are all asked about afterwards, so asking once is as good.
    found: Vec<Found>,
}

/// What is known of an executable.
#[derive(Debug)]
struct Found {
    container: Option<Box<str>>,
    path: Box<[u8]>,
    members: Arc<Map<String, Value>>,
}

impl Enrichment {
    /// Begins to find out what there is to find out.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            packages: options.packages.then(Packages::start),
            // A file that cannot be understood says nothing of the cloud.
            cloud: Cloud::find(&options.cloud).ok().flatten(),
            found: Vec::new(),
        }
    }

    /// Other events are handed on: files may have changed.
    pub(crate) fn ask_again(&mut self) {
        self.found.clear();
    }

    /// What was counted of packages.
    pub(crate) fn packages(&self) -> PackageCounts {
        self.packages.as_ref().map(Packages::counts).unwrap_or_default()
    }

    /// Which instance of a cloud this is.
    pub(crate) fn cloud(&self) -> Option<&Map<String, Value>> {
        self.cloud.as_ref().map(Cloud::members)
    }

    /// What is known of the file that a process runs, if it is one of a name. Does not wait: of a file that is seen for the first
    /// time, later events tell.
    pub(crate) fn executable(&mut self, event: &Event) -> Option<Arc<Map<String, Value>>> {
        let own = &event.process.own;
        let packages = self.packages.as_mut()?;
        let told = matches!(
            event.what,
            What::Exec | What::Connect(_) | What::Open(_) | What::Running
        );
        if !told || own.program.unnamed || own.program.executable.is_empty() {
            return None;
        }
        let (container, path) = (
            own.container.as_ref().map(|found| &*found.id),
            &*own.program.executable,
        );
        let known = |found: &&Found| *found.path == *path && found.container.as_deref() == container;
        if let Some(found) = self.found.iter().find(known) {
            return Some(Arc::clone(&found.members));
        }
        let place = match container {
            Some(id) => Place::Container { id, pid: own.id.pid },
            None => Place::Host,
        };
        let members = Arc::new(packages.of(place, path)?.members());
        if self.found.len() < KEPT {
            self.found.push(Found {
                container: container.map(Into::into),
                path: path.into(),
                members: Arc::clone(&members),
            });
        }
        Some(members)
    }
}
