//! When a job is due.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use neph_event::Instant;
use neph_inventory::{Folder, Limits};
use neph_store::{JobRun, JobState};
use sha2::{Digest, Sha256};

/// What failed is tried again after this time, if it is not due before.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// When something is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// So often.
    pub every: Option<Duration>,
    /// When files changed and have come to rest.
    pub on_change: bool,
}

impl When {
    /// When the clock makes it due, whatever files say. None where it is looked at by hand alone, or by its files.
    pub fn due(&self, last: Option<&JobRun>, now: Instant) -> Option<Instant> {
        let Some(last) = last else {
            return (self.every.is_some() || self.on_change).then_some(now);
        };
        let after = |from: Instant, time: Duration| {
            // A clock that was put back does not keep it from being looked at.
            from.min(now)
                .saturating_add_nanos(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX))
        };
        let ended = last.ended.unwrap_or(last.began);
        match last.state {
            JobState::Interrupted => (self.every.is_some() || self.on_change).then_some(now),
            JobState::Failed if self.every.is_some() || self.on_change => {
                Some(after(ended, self.every.unwrap_or(AGAIN).min(AGAIN)))
            }
            _ => self.every.map(|every| after(last.began, every)),
        }
    }
}

/// How files look: equal as long as none came, went, grew or was written.
pub(crate) fn print(paths: &[PathBuf]) -> String {
    let folder = Folder::open(paths, &Limits::default());
    let mut hash = Sha256::new();
    for path in paths {
        // A file that is not there yet is none of the folder's.
        hash.update([u8::from(path.exists())]);
    }
    for refused in folder.refused() {
        hash.update(refused.path.as_os_str().as_encoded_bytes());
    }
    for file in folder.files() {
        let written = std::fs::metadata(&file.path).and_then(|about| about.modified());
        let written = written
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        hash.update(file.path.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(file.bytes.to_le_bytes());
        hash.update(written.as_nanos().to_le_bytes());
    }
    let hash = hash.finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant { seconds, nanos: 0 }
    }

    fn run(began: i64, ended: Option<i64>, state: JobState) -> JobRun {
        JobRun {
            id: 1,
            job: "posture".into(),
            began: at(began),
            ended: ended.map(at),
            state,
            why: String::new(),
            print: String::new(),
            found: 0,
            new: 0,
            gone: 0,
        }
    }

    #[test]
    fn the_clock_makes_it_due() {
        let hourly = When {
            every: Some(Duration::from_secs(3600)),
            on_change: false,
        };
        assert_eq!(
            hourly.due(None, at(50)),
            Some(at(50)),
            "the first run waits for nothing"
        );
        let done = run(100, Some(160), JobState::Done);
        assert_eq!(
            hourly.due(Some(&done), at(200)),
            Some(at(3700)),
            "from its beginning, so that it keeps its hours"
        );
        let failed = run(100, Some(160), JobState::Failed);
        assert_eq!(
            hourly.due(Some(&failed), at(200)),
            Some(at(760)),
            "what failed is tried again sooner"
        );
        let often = When {
            every: Some(Duration::from_secs(30)),
            on_change: false,
        };
        assert_eq!(often.due(Some(&failed), at(200)), Some(at(190)));
        let interrupted = run(100, Some(100), JobState::Interrupted);
        assert_eq!(hourly.due(Some(&interrupted), at(200)), Some(at(200)));
        // A clock that was put back by a day.
        let ahead = run(100_000, Some(100_060), JobState::Done);
        assert_eq!(hourly.due(Some(&ahead), at(200)), Some(at(3800)));
        let by_files = When {
            every: None,
            on_change: true,
        };
        assert_eq!(by_files.due(Some(&done), at(200)), None);
        assert_eq!(by_files.due(Some(&failed), at(200)), Some(at(760)));
        assert_eq!(When::default().due(None, at(200)), None, "by hand alone");
    }

    #[test]
    fn a_print_changes_with_its_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("collected/aws/1/a.json");
        std::fs::create_dir_all(list.parent().unwrap()).unwrap();
        let paths = [
            folder.path().join("collected"),
            folder.path().join("approvals.toml"),
        ];
        let empty = print(&paths);
        assert_eq!(print(&paths), empty);
        std::fs::write(&list, "{}").unwrap();
        let one = print(&paths);
        assert_ne!(one, empty);
        assert_eq!(print(&paths), one);
        std::fs::write(&list, "{ }").unwrap();
        let grown = print(&paths);
        assert_ne!(grown, one);
        std::fs::write(&paths[1], "").unwrap();
        assert_ne!(print(&paths), grown, "the list of approvals came");
        std::fs::remove_file(&list).unwrap();
        std::fs::remove_file(&paths[1]).unwrap();
        assert_eq!(print(&paths), empty);
    }
}
