//! Container images against the ones that are meant, and who signed them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use neph_images::{
    Changes, Difference, Executed, Golden, Image, ImageError, Keys, Place, Reader, Sameness, Source, Verdict,
    Verification, alert_of_difference, alert_of_verdict, beside, compare, drift, roles, verify,
};
use neph_store::{Seen, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::baselines::day;
use crate::work::{Looked, Work};

/// Differences of one image that are shown.
const SHOWN: usize = 500;

/// Looks at some images.
pub struct Images {
    /// The images, as `neph image` takes them.
    pub images: Vec<String>,
    /// The golden image, or a list of golden ones (`FILE.toml`).
    pub golden: Option<String>,
    /// The set of keys whose signatures count.
    pub keys: Option<PathBuf>,
    /// The exported root of a container that was started from the first image.
    pub root: Option<PathBuf>,
    /// What `docker diff` printed of such a container.
    pub changes: Option<PathBuf>,
    /// How to get at them; asked for each run, since passwords stand in files that change.
    pub reader: Box<dyn Fn() -> Result<Reader, String> + Send>,
    /// The mildest finding that becomes an alert; none where none does.
    pub least: Option<Severity>,
}

/// What is shown of one image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ImageReport {
    /// As it was named.
    pub image: String,
    /// Its name, as it says itself.
    pub name: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
    /// Why it could not be looked at.
    pub error: Option<String>,
    /// Whether it is the golden one: equal, of equal content, or not.
    pub sameness: Option<Sameness>,
    /// How it differs, what is approved included.
    pub differences: Vec<Difference>,
    /// Differences that are too many to be shown.
    pub more: usize,
    /// Who signed it.
    pub verification: Option<Verification>,
    /// What a container that was started from it has become.
    pub drift: Vec<Difference>,
}

/// What was found of all images so far.
#[derive(Default)]
struct Found {
    reports: Vec<ImageReport>,
    alerts: BTreeMap<String, Value>,
    open: Vec<Seen>,
    answered: BTreeSet<String>,
    problems: Vec<String>,
    /// Images that could not be looked at as a whole.
    unseen: BTreeSet<String>,
}

fn severity(of: roles::Severity) -> Severity {
    match of {
        roles::Severity::Info | roles::Severity::Low => Severity::Low,
        roles::Severity::Medium => Severity::Medium,
        roles::Severity::High => Severity::High,
        roles::Severity::Critical => Severity::Critical,
    }
}

/// The file behind a name, where it is not in a registry. One that is not there yet is none, and is waited for by the clock.
fn path_of(named: &str) -> Option<PathBuf> {
    match Place::parse(named) {
        Ok(Place::Local { path, .. } | Place::Root(path)) => Some(path),
        Ok(Place::Registry(_)) | Err(_) => None,
    }
}

impl Work for Images {
    fn watched(&self) -> Vec<PathBuf> {
        let named = self.images.iter().chain(&self.golden);
        let mut paths: Vec<PathBuf> = named.filter_map(|named| path_of(named)).collect();
        for path in [&self.keys, &self.root, &self.changes].into_iter().flatten() {
            paths.push(path.clone());
        }
        paths
    }

    fn look(&self, now: Timestamp) -> Result<Looked, String> {
        let reader = (self.reader)()?;
        let golden = self.golden(&reader)?;
        let keys = self.keys()?;
        let mut found = Found::default();
        for (place, named) in self.images.iter().enumerate() {
            let mut report = ImageReport {
                image: named.clone(),
                ..ImageReport::default()
            };
            let outcome = self.one(
                &reader,
                golden.as_ref(),
                keys.as_ref(),
                place == 0,
                &mut report,
                now,
            );
            found.take(report, outcome, now);
        }
        let seen: usize = found.reports.iter().filter(|one| one.error.is_none()).count();
        if seen == 0 && found.open.is_empty() {
            return Err(match found.problems.as_slice() {
                [first, ..] => first.clone(),
                [] => "there is no image to look at".into(),
            });
        }
        let Found {
            reports,
            mut alerts,
            open,
            answered,
            problems,
            unseen,
        } = found;
        Ok(Looked {
            open,
            answered,
            is_gone: Box::new(move |image| !unseen.contains(image)),
            tell: Box::new(move |ids| ids.iter().filter_map(|id| alerts.remove(*id)).collect()),
            least: self.least,
            problems,
            report: Some(json!({ "images": reports })),
        })
    }
}

/// What images are held against.
enum Meant {
    List(PathBuf, Golden),
    Image(Box<Image>),
}

impl Images {
    fn golden(&self, reader: &Reader) -> Result<Option<Meant>, String> {
        let Some(named) = &self.golden else {
            return Ok(None);
        };
        if !named.ends_with(".toml") {
            let image = reader
                .golden(named, &|_, _| {})
                .map_err(|error| error.to_string())?;
            return Ok(Some(Meant::Image(Box::new(image))));
        }
        let path = PathBuf::from(named);
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("`{named}` cannot be read: {error}"))?;
        let (golden, mistakes) = Golden::read(&text);
        match neph_diag::has_errors(&mistakes) {
            true => Err(format!("`{named}` has mistakes; `neph image compare` shows them")),
            false => Ok(Some(Meant::List(path, golden))),
        }
    }

    fn keys(&self) -> Result<Option<Keys>, String> {
        let Some(path) = &self.keys else {
            return Ok(None);
        };
        let named = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("`{named}` cannot be read: {error}"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (keys, mistakes) = Keys::read(&text, &mut |named| std::fs::read(folder.join(named)));
        match neph_diag::has_errors(&mistakes) {
            true => Err(format!("`{named}` has mistakes; `neph image verify` shows them")),
            false => Ok(Some(keys)),
        }
    }

    /// Looks at one image; what is known of it stands in the report also where it breaks off.
    fn one(
        &self,
        reader: &Reader,
        meant: Option<&Meant>,
        keys: Option<&Keys>,
        is_first: bool,
        report: &mut ImageReport,
        now: Timestamp,
    ) -> Result<Image, ImageError> {
        let source = reader.source(&report.image)?;
        let image = match Image::read(&source, &reader.options, &|_, _| {}) {
            Ok(image) => image,
            // The content is not what the manifest says, whoever signed that.
            Err(error @ ImageError::Altered { .. }) => {
                report.verification = Some(Verification {
                    verdict: Verdict::Altered,
                    why: error.to_string(),
                    signatures: Vec::new(),
                });
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        report.name = Some(image.name.to_string()).filter(|name| !name.is_empty());
        report.digest = image.digest().map(|digest| digest.to_string());
        if let Some(meant) = meant {
            let (sameness, differences) = match meant {
                Meant::Image(golden) => compare(golden, &image),
                Meant::List(path, golden) => golden.judge(&image, day(now), &mut |named| {
                    reader.golden(&beside(path, named), &|_, _| {})
                })?,
            };
            report.sameness = Some(sameness);
            report.differences = differences;
        }
        if is_first && (self.root.is_some() || self.changes.is_some()) {
            report.drift = self.drift(reader, &image)?;
        }
        if let Some(keys) = keys {
            let limits = &reader.options.limits;
            report.verification = Some(verify(&source, &image, keys, now, limits)?);
        }
        Ok(image)
    }

    fn drift(&self, reader: &Reader, image: &Image) -> Result<Vec<Difference>, ImageError> {
        let root = match &self.root {
            None => None,
            Some(path) => {
                let source = Source::open(&Place::Root(path.clone()), &reader.options.limits)?;
                Some(Image::read(&source, &reader.options, &|_, _| {})?)
            }
        };
        let changes = match &self.changes {
            None => Changes::default(),
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|error| {
                    ImageError::Missing(format!("`{}` cannot be read: {error}", path.display()))
                })?;
                Changes::read(&bytes)?
            }
        };
        Ok(drift(image, root.as_ref(), &changes, &Executed::default()))
    }
}

impl Found {
    fn take(&mut self, mut report: ImageReport, outcome: Result<Image, ImageError>, now: Timestamp) {
        let named = report.image.clone();
        let image = match outcome {
            Ok(image) => Some(image),
            Err(error) => {
                // What was altered is a finding; everything else keeps the image from being seen.
                if report.verification.is_none() {
                    self.problems.push(format!("`{named}`: {error}"));
                }
                self.unseen.insert(named.clone());
                report.error = Some(error.to_string());
                None
            }
        };
        if let Some(image) = &image {
            for one in report.differences.iter().chain(&report.drift) {
                if one.severity > roles::Severity::Info {
                    let document = alert_of_difference(image, &named, one, now);
                    self.finding(&named, severity(one.severity), one.approved.is_some(), document);
                }
            }
        }
        if let Some(verification) = &report.verification
            && verification.verdict != Verdict::Verified
        {
            let bad = match verification.verdict {
                Verdict::Verified | Verdict::Expired => Severity::Medium,
                Verdict::Unsigned | Verdict::Untrusted => Severity::High,
                Verdict::Altered => Severity::Critical,
            };
            let document = alert_of_verdict(image.as_ref(), &named, verification, now);
            self.finding(&named, bad, false, document);
        }
        report.more = report.differences.len().saturating_sub(SHOWN);
        report.differences.truncate(SHOWN);
        report.drift.truncate(SHOWN);
        self.reports.push(report);
    }

    fn finding(&mut self, image: &str, severity: Severity, is_answered: bool, document: Value) {
        let text = |pointer: &str| {
            let found = document.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let id = text("/neph/alert/id");
        if is_answered {
            self.answered.insert(id);
            return;
        }
        if self.alerts.contains_key(&id) {
            return;
        }
        self.open.push(Seen {
            id: id.clone(),
            place: image.to_owned(),
            title: format!("{image}: {}", text("/message")),
            severity,
        });
        self.alerts.insert(id, document);
    }
}
