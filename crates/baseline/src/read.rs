//! From collected files to records: which answers are of snapshots and images is told by their content.

mod aws;
mod azure;
mod gcp;
mod lists;
mod openstack;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};

use neph_inventory::{AnswerError, Call, File, Folder, Part, Scope, Shape, answers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::item::Item;
use crate::record::{Kind, Record};
pub(crate) use lists::within;
use sharing::Shares;

/// More problems than these are counted and not told.
const MAX_PROBLEMS: usize = 1_000;

/// What a list was about. Only there is absence known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cover {
    /// The kind.
    pub kind: Kind,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<str>>,
    /// The region, where lists are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Box<str>>,
    /// The gallery, collection or vault, where lists are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Box<str>>,
    /// Whether all of the list is there.
    pub complete: bool,
}

/// Something that is wrong with what was collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file; empty where it is about several.
    pub file: String,
    /// What is wrong; lower case, no full stop.
    pub what: String,
}

/// What was collected, read.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Snapshots and images, sorted by kind and id.
    pub records: Vec<Record>,
    /// What the lists were about, sorted.
    pub covers: Vec<Cover>,
    /// What is wrong; the first thousand.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub more_problems: usize,
    /// Files that are of something else.
    pub other_files: usize,
    /// Images and snapshots that clouds and vendors offer to everybody, which are left out.
    pub offered: usize,
    /// Fields that are not known here, and how many items have each.
    pub unknown_fields: BTreeMap<(Kind, String), usize>,
}

impl Collected {
    /// Reads the files of a folder. What cannot be read or understood is a [`Problem`], and what it would have told is unknown.
    pub fn read(folder: &Folder) -> Self {
        Self::read_telling(folder, &mut |_| {})
    }

    /// The same, telling after each file how many bytes it had.
    pub fn read_telling(folder: &Folder, progress: &mut dyn FnMut(u64)) -> Self {
        let mut reader = Reader::default();
        for refused in folder.refused() {
            reader.problem(refused.path.display().to_string(), refused.why.to_string());
            let stem = refused
                .path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let scope = Scope::of_path(&refused.path);
            reader.failed(lists::of_cloud(lists::kinds_of_call(&stem), &scope), &scope);
        }
        for call in folder.failed() {
            reader.call_failed(call);
        }
        for file in folder.files() {
            reader.file(file);
            progress(file.bytes);
        }
        reader.finish()
    }

    /// Whether the lists of a place are there and whole, so that what they do not tell is not there. An account or region that is not given
    /// may be any.
    pub fn knows(&self, kind: Kind, account: Option<&str>, region: Option<&str>) -> bool {
        let same = |told: Option<&str>, own: Option<&str>| told.is_none() || own.is_none() || told == own;
        let mut of_place = self.covers.iter().filter(|cover| {
            cover.kind == kind
                && same(cover.account.as_deref(), account)
                && (!kind.is_regional() || same(cover.region.as_deref(), region))
        });
        let first = of_place.next();
        first.is_some_and(|cover| cover.complete) && of_place.all(|cover| cover.complete)
    }

    fn problem(&mut self, file: impl Into<String>, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                file: file.into(),
                what: what.into(),
            });
        } else {
            self.more_problems += 1;
        }
    }
}

/// Account, region, and what a list is within, as items tell them.
type Place<'r> = (Option<&'r str>, Option<&'r str>, Option<&'r str>);

#[derive(Debug, Default)]
struct Reader {
    out: Collected,
    shares: Shares,
    covers: BTreeMap<Cover, ()>,
}

/// What one file has told so far.
struct OfFile<'f> {
    file: &'f File,
    name: String,
    /// What its name or the collector says that it is about.
    expected: &'static [Kind],
    records: Vec<Record>,
    seen: BTreeSet<Kind>,
    /// Whether anything in it is known here.
    known: bool,
    /// Whether there was a list of what is expected, also an empty one.
    listed: bool,
    /// Lists with items of something else.
    strange: BTreeSet<String>,
    /// How many items could not be read, and what the first lacked.
    broken: BTreeMap<(Kind, String), usize>,
    paged: bool,
}

impl Reader {
    fn problem(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.out.problem(file, what);
    }

    fn call_failed(&mut self, call: &Call) {
        let kinds = lists::kinds_of_call(&call.call);
        let why = call.problem.as_deref().unwrap_or("its file is not there");
        if !kinds.is_empty() || lists::is_about_sharing(&call.call) {
            self.problem(
                call.file.as_str(),
                format!("`{}` has no answer: {why}", call.call),
            );
        }
        if let Some(cloud) = lists::tells_all_sharing(&call.call) {
            self.shares.place(cloud, &call.scope(), false);
        }
        self.failed(lists::of_cloud(kinds, &call.scope()), &call.scope());
    }

    fn failed(&mut self, kinds: &[Kind], scope: &Scope) {
        for kind in kinds {
            self.cover(*kind, scope, (None, None, None), false);
        }
    }

    fn cover(&mut self, kind: Kind, scope: &Scope, place: Place<'_>, complete: bool) {
        let (account, region, within) = place;
        let region = scope.region.as_deref().or(region).filter(|_| kind.is_regional());
        let account = scope.account.as_deref().or(account);
        let cover = Cover {
            kind,
            account: account.map(|account| lists::account_of(kind, account)),
            region: region.map(Into::into),
            within: within.map(Into::into),
            complete,
        };
        self.covers.insert(cover, ());
    }

    fn file(&mut self, file: &File) {
        let call = file
            .call
            .as_ref()
            .map_or_else(|| file.stem(), |call| call.call.clone());
        if lists::is_of_another_service(&call) {
            self.out.other_files += 1;
            return;
        }
        let mut of_file = OfFile {
            file,
            name: file.path.display().to_string(),
            expected: lists::of_cloud(lists::kinds_of_call(&call), &file.scope),
            records: Vec::new(),
            seen: BTreeSet::new(),
            known: false,
            listed: false,
            strange: BTreeSet::new(),
            broken: BTreeMap::new(),
            paged: false,
        };
        let opened = file
            .open()
            .map_err(|error| AnswerError::Unreadable(error.to_string()));
        let outcome = opened.and_then(|reader| {
            answers(reader, &mut |part| match part {
                Part::Item { list, value } => self.item(&mut of_file, list, &value),
                Part::End { shape, lists, rest } => self.end(&mut of_file, shape, lists, rest),
            })
        });
        self.shares.end();
        // A collector names the call; a person's file is known by its name or by the folder that has one for each image.
        let folder = file.path.parent().and_then(|folder| folder.file_name());
        let folder = folder.unwrap_or_default().to_string_lossy();
        let told = lists::tells_all_sharing(&call).or_else(|| lists::tells_all_sharing(&folder));
        if let Some(cloud) = told {
            let read = outcome.is_ok() && file.is_complete();
            self.shares.place(cloud, &file.scope, read);
            of_file.known = true;
        }
        let is_ours = of_file.known || !of_file.expected.is_empty() || lists::is_about_sharing(&call);
        if let Err(error) = outcome {
            let is_json = file.path.extension().is_some_and(|ending| ending == "json");
            if is_ours || is_json {
                self.problem(of_file.name.as_str(), error.to_string());
            } else {
                self.out.other_files += 1;
            }
            let kinds: BTreeSet<Kind> = of_file.seen.iter().chain(of_file.expected).copied().collect();
            self.failed(&kinds.into_iter().collect::<Vec<Kind>>(), &file.scope);
            return;
        }
        if !is_ours {
            self.out.other_files += 1;
            return;
        }
        self.take(of_file);
    }

    /// An item of a list.
    fn item(&mut self, of_file: &mut OfFile<'_>, list: &str, value: &Value) {
        if self.shares.item(list, value) || self.shares.policy(value) {
            of_file.known = true;
            return;
        }
        let Some(object) = value.as_object() else {
            return;
        };
        let item = Item::new(object);
        if let Some((image, project)) = openstack::member(item) {
            self.shares.member(image, project);
            of_file.known = true;
            return;
        }
        let Some(kind) = lists::kind_of_item(list, item) else {
            if !of_file.strange.contains(list) {
                of_file.strange.insert(list.to_owned());
            }
            // Items that nothing is known of may be what is looked for, printed otherwise.
            if lists::is_whole_list(list) {
                for kind in of_file.expected {
                    let what = format!("is not as the call prints it{}", lists::hint(*kind));
                    *of_file.broken.entry((*kind, what)).or_default() += 1;
                }
            }
            return;
        };
        of_file.known = true;
        self.record(of_file, kind, item);
    }

    fn record(&mut self, of_file: &mut OfFile<'_>, kind: Kind, item: Item<'_>) {
        of_file.seen.insert(kind);
        let known = lists::keys_of(kind);
        for key in item.keys().filter(|key| !known.contains(key)) {
            let fields = &mut self.out.unknown_fields;
            let place = (kind, key.to_owned());
            if fields.len() < MAX_PROBLEMS || fields.contains_key(&place) {
                *fields.entry(place).or_default() += 1;
            }
        }
        let scope = &of_file.file.scope;
        let record = match lists::record_of(kind, item, scope) {
            Ok(record) => record,
            Err(missing) => {
                *of_file
                    .broken
                    .entry((kind, format!("has no `{missing}`")))
                    .or_default() += 1;
                return;
            }
        };
        if lists::is_offered(&record, item) {
            self.out.offered += 1;
        } else if aws::contradicts(&record, scope) {
            let region = record.region.as_deref().unwrap_or("");
            let what = format!(
                "is of `{region}`, and the file of `{}`",
                scope.region.as_deref().unwrap_or("")
            );
            *of_file.broken.entry((kind, what)).or_default() += 1;
        } else {
            of_file.records.push(record);
        }
    }

    /// An answer ends.
    fn end(
        &mut self,
        of_file: &mut OfFile<'_>,
        shape: Shape,
        names: &[String],
        rest: serde_json::Map<String, Value>,
    ) {
        let place = sharing::policy_place(&of_file.file.path, &of_file.file.scope);
        if self.shares.answer(names, &rest, place) {
            of_file.known = true;
        }
        for name in names {
            if let Some(kind) = lists::kind_of_list(name).filter(|_| !of_file.strange.contains(name)) {
                of_file.known = true;
                of_file.seen.insert(kind);
            }
        }
        let own = |name: &&String| !of_file.strange.contains(*name) && lists::is_list(name);
        of_file.listed |=
            shape == Shape::List || names.iter().any(|name| own(&name)) || lists::is_empty_list(&rest);
        of_file.paged |= lists::is_one_page(&rest);
        if shape == Shape::Object {
            let item = Item::new(&rest);
            // What `show` prints is an item by itself; its list would say what is absent, this does not.
            if let Some(kind) = lists::kind_of_item("", item) {
                let seen = of_file.seen.contains(&kind);
                of_file.known = true;
                self.record(of_file, kind, item);
                if !seen && !of_file.expected.contains(&kind) {
                    of_file.seen.remove(&kind);
                }
            }
        }
    }

    /// Takes over what a whole file has told.
    fn take(&mut self, of_file: OfFile<'_>) {
        let OfFile {
            file,
            name,
            expected,
            records,
            seen,
            listed,
            mut broken,
            paged,
            ..
        } = of_file;
        if !listed {
            // An answer that lacks its list, such as one of an error, does not say that there is nothing.
            for kind in expected.iter().filter(|kind| !seen.contains(kind)) {
                broken.insert((*kind, "has no list of them".to_owned()), 0);
            }
        }
        if paged {
            let what = "is one page of several: what the others hold is unknown";
            self.problem(name.as_str(), what);
        }
        if let Some(problem) = file.call.as_ref().filter(|call| !call.complete) {
            let why = problem
                .problem
                .as_deref()
                .unwrap_or("the collector does not say why");
            self.problem(name.as_str(), format!("is not whole: {why}"));
        }
        for ((kind, what), count) in &broken {
            if *count == 0 {
                self.problem(
                    name.as_str(),
                    format!("{what}, though it is named after `{}`", kind.name()),
                );
                continue;
            }
            let items = if *count == 1 { "item" } else { "items" };
            self.problem(
                name.as_str(),
                format!("{count} {items} of `{}` left out: it {what}", kind.name()),
            );
        }
        let kinds: BTreeSet<Kind> = seen.iter().chain(expected).copied().collect();
        for kind in kinds {
            let own = records.iter().filter(|record| record.kind == kind);
            let complete = file.is_complete() && !paged && !broken.keys().any(|(other, _)| *other == kind);
            let mut places: BTreeSet<Place<'_>> = own
                .map(|record| {
                    (
                        record.account.as_deref(),
                        record.region.as_deref(),
                        within(record),
                    )
                })
                .collect();
            // A collector's file is of the whole account, and so is an empty list of most kinds.
            if file.call.is_some() || !lists::is_nested(kind) {
                places = places
                    .into_iter()
                    .map(|(account, region, _)| (account, region, None))
                    .collect();
                if places.is_empty() {
                    places.insert((None, None, None));
                }
            }
            for place in places {
                self.cover(kind, &file.scope, place, complete);
            }
        }
        self.out.records.extend(records);
    }

    fn finish(mut self) -> Collected {
        let mut out = std::mem::take(&mut self.out);
        out.records.sort_by(|one, other| one.place().cmp(&other.place()));
        let records = std::mem::take(&mut out.records);
        out.records.reserve_exact(records.len());
        for record in records {
            match out.records.last_mut() {
                Some(last) if last.place() == record.place() => {
                    if let Some(what) = lists::merge(last, record) {
                        let file = String::new();
                        out.problem(file, what);
                    }
                }
                _ => out.records.push(record),
            }
        }
        out.covers = std::mem::take(&mut self.covers).into_keys().collect();
        self.shares.tell(&mut out.records);
        out
    }
}
