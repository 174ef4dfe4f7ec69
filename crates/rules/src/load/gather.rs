//! Reading the rule files, on all threads, and linking what the documents of Sigma mean to one another.
//!
//! A document of Sigma is compiled, and forgotten but for its name, by the thread that read it, as if no file were about it. Where
//! filters or correlations turn out to be, what they are about is read once more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_sigma::{Document, Options};
use sha2::{Digest, Sha256};

use super::Loader;
use crate::file::{self, Contents, Format};
use crate::files;
use crate::library::{self, Hash, Kept, Library, Reuse};
use crate::parallel;
use crate::rule_tests;
use crate::shared_text::SharedText;
use crate::sigma::{self, Documents, SigmaFile};
use crate::texts;

/// A rule file that was read.
#[derive(Debug)]
pub(super) struct ReadFile {
    path: PathBuf,
    text: SharedText,
    contents: Contents,
    /// The text's hash, where it is asked for.
    hash: Option<Hash>,
    /// Whether what it holds is from the load before.
    is_kept: bool,
    is_sigma: bool,
    /// Whether its documents of Sigma mean nothing to those of other files, nor these to them.
    is_alone: bool,
}

/// What is to be done with a file.
enum Task {
    Ignore(&'static str),
    /// Text of other languages for the rules of a file.
    Texts(PathBuf),
    Open {
        texts_beside: Option<PathBuf>,
    },
}

/// A file that was opened.
enum Opened {
    /// It cannot be read.
    Failed(String),
    /// Its name does not say what it is.
    Unknown,
    /// It holds no rules, for this reason.
    Foreign(String),
    Rules(Box<ReadFile>),
}

impl Loader {
    /// Reads files, each with whether it was named itself; what the library still has is taken from there.
    pub(super) fn read_files(&mut self, found: Vec<(PathBuf, bool)>, library: Option<&Library>) {
        let tasks: Vec<(PathBuf, bool, Task)> = found
            .into_iter()
            .filter_map(|(path, given)| {
                let task = task(&path, given)?;
                Some((path, given, task))
            })
            .collect();
        let lists = self.set.lists.texts();
        let options = self.options(&lists);
        let opened = parallel::map(&tasks, |(path, _, task)| match task {
            Task::Open { .. } => Some(open(path, &options, library)),
            Task::Ignore(_) | Task::Texts(_) => None,
        });
        for ((path, given, task), opened) in tasks.into_iter().zip(opened) {
            match task {
                Task::Ignore(reason) => self.ignore(&path, reason.into()),
                Task::Texts(rules) => drop(self.texts.insert(rules, path)),
                Task::Open { texts_beside } => {
                    if let Some(beside) = texts_beside {
                        self.texts.insert(path.with_extension(""), beside);
                    }
                    if let Some(opened) = opened {
                        self.take_opened(&path, opened, given);
                    }
                }
            }
        }
    }

    /// Takes a text as if it were a file of this name.
    pub(super) fn take(&mut self, path: &Path, text: String) {
        let lists = self.set.lists.texts();
        let opened = read_text(path, files::without_mark(text), &self.options(&lists), None);
        self.take_opened(path, opened, true);
    }

    fn take_opened(&mut self, path: &Path, opened: Opened, given: bool) {
        match opened {
            Opened::Failed(reason) => self.fail(path, reason),
            Opened::Unknown => self.fail(
                path,
                "its name does not say what it is; rule files end with `.toml`, `.ndjson`, `.json`, `.yml` or `.eql`"
                    .into(),
            ),
            Opened::Rules(read) => self.read.push(*read),
            // What was named by the user and holds no rule is a mistake; what lies around in a folder is not.
            Opened::Foreign(reason) if given => self.fail(path, format!("it is not a rule file: {reason}")),
            Opened::Foreign(reason) => self.ignore(path, reason),
        }
    }

    /// What rules of Sigma are compiled with.
    fn options<'a>(&'a self, lists: &'a BTreeMap<String, Vec<String>>) -> Options<'a> {
        Options {
            mappings: &self.mappings,
            lists,
        }
    }

    /// Compiles the documents of Sigma that mean one another, and takes in what the files hold, in their order.
    pub(super) fn link(&mut self, library: Option<&mut Library>) {
        let mut read = std::mem::take(&mut self.read);
        let lists = self.set.lists.texts();
        let options = self.options(&lists);
        let beside = library.as_ref().map(|_| self.beside(&read));
        if let (Some(library), Some(beside)) = (&library, &beside)
            && !library.has_same_beside(beside)
        {
            read_anew(&mut read, &options);
        }
        let mut linked = link_involved(&mut read, &options);
        // What is wrong with a reference may be told by rules that were kept.
        let is_wrong = |(place, linked): &(usize, Documents)| {
            let file = read.get(*place);
            file.is_some_and(|file| sigma::is_about_others(&file.contents.sigma))
                && (neph_diag::has_errors(&linked.diagnostics)
                    || linked
                        .rules
                        .iter()
                        .any(|rule| neph_diag::has_errors(&rule.diagnostics)))
        };
        if read.iter().any(|file| file.is_kept && file.is_sigma) && linked.iter().any(is_wrong) {
            read_anew(&mut read, &options);
            linked = link_involved(&mut read, &options);
        }
        for (place, linked) in linked {
            if let Some(file) = read.get_mut(place) {
                file.is_alone = false;
                file.contents.rules = linked.rules;
                file.contents.diagnostics.extend(linked.diagnostics);
            }
        }
        for file in &mut read {
            file.contents.sigma = Vec::new();
        }
        if let Some(library) = library {
            keep(&read, library, beside);
        }
        let rules = read.iter().map(|file| file.contents.rules.len()).sum();
        self.set.rules.reserve_exact(rules);
        self.running.reserve_exact(rules);
        self.set.report.rules.reserve_exact(rules);
        self.set.report.files.reserve_exact(read.len());
        for file in read {
            self.take_in(&file.path, file.text, file.contents);
        }
        for path in std::mem::take(&mut self.texts).into_values() {
            self.ignore(
                &path,
                "it holds texts of rules, but no rule file stands beside it".into(),
            );
        }
    }

    /// The hash of what rules of Sigma are compiled with beside their files: mappings, lists, and the files that are about the
    /// rules of others.
    fn beside(&self, read: &[ReadFile]) -> Hash {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        self.mapping_texts.iter().for_each(|text| add(text));
        for (name, entries) in self.set.lists.texts() {
            add(&name);
            add(&entries.len().to_string());
            entries.iter().for_each(|entry| add(entry));
        }
        for file in read
            .iter()
            .filter(|file| sigma::is_about_others(&file.contents.sigma))
        {
            add(&file.path.to_string_lossy());
            add(&file.text);
        }
        hasher.finalize().into()
    }
}

fn task(path: &Path, given: bool) -> Option<Task> {
    if let Some(rules) = texts::rules_of(path) {
        return Some(Task::Texts(rules));
    }
    // Whoever names a rule file means its texts too, as a folder does.
    let texts_beside = match given {
        true => texts::beside(path).find(|beside| files::is_file(beside)),
        false => None,
    };
    // Tests belong to rules as texts do; only who names one where rules are wanted is told.
    if rule_tests::is_test_file(path) {
        return given.then_some(Task::Ignore(
            "it holds tests of rules; `neph rules test` runs them",
        ));
    }
    if Format::of(path).is_none() && !given {
        return Some(Task::Ignore(
            "its name does not end with `.toml`, `.ndjson`, `.jsonl`, `.json`, `.yml` or `.eql`",
        ));
    }
    Some(Task::Open { texts_beside })
}

fn open(path: &Path, options: &Options<'_>, library: Option<&Library>) -> Opened {
    match files::read_text(path) {
        Ok(text) => read_text(path, text, options, library),
        Err(reason) => Opened::Failed(reason),
    }
}

fn read_text(path: &Path, text: String, options: &Options<'_>, library: Option<&Library>) -> Opened {
    let Some(format) = Format::of(path) else {
        return Opened::Unknown;
    };
    let hash = library.map(|_| library::hash_of(&text));
    let kept = library
        .zip(hash.as_ref())
        .and_then(|(library, hash)| library.find(path, hash));
    let is_kept = kept.is_some();
    let text = kept.map_or_else(|| text.into(), |kept| kept.text.clone());
    let contents = match kept {
        Some(kept) => Ok(kept.contents.clone()),
        None => read_contents(path, format, &text, options),
    };
    match contents {
        Ok(contents) => Opened::Rules(Box::new(ReadFile {
            path: path.to_owned(),
            text,
            contents,
            hash,
            is_kept,
            is_sigma: format == Format::Sigma,
            is_alone: true,
        })),
        Err(reason) => Opened::Foreign(reason),
    }
}

fn read_contents(
    path: &Path,
    format: Format,
    text: &SharedText,
    options: &Options<'_>,
) -> Result<Contents, String> {
    let mut contents = file::read(path, format, text)?;
    if format == Format::Sigma && !sigma::is_about_others(&contents.sigma) {
        let linked = sigma::link(&[sigma_file(path, text, &contents.sigma)], options, |_| true);
        for documents in linked {
            contents.rules.extend(documents.rules);
            contents.diagnostics.extend(documents.diagnostics);
        }
        // Most files hold one rule.
        contents.rules.shrink_to_fit();
        contents.sigma.iter_mut().for_each(Document::outline);
    }
    Ok(contents)
}

fn sigma_file<'a>(path: &'a Path, text: &'a SharedText, documents: &'a [Document]) -> SigmaFile<'a> {
    SigmaFile {
        text,
        documents,
        origin: Box::new(file::sigma_origin(path, text)),
    }
}

/// Compiles the documents of the files, by their places, that are about others or that others are about.
fn link_involved(read: &mut [ReadFile], options: &Options<'_>) -> Vec<(usize, Documents)> {
    let documents: Vec<&[Document]> = read.iter().map(|file| file.contents.sigma.as_slice()).collect();
    let involved = sigma::involved(&documents);
    let forgotten: Vec<usize> = involved
        .iter()
        .copied()
        .filter(|place| {
            documents
                .get(*place)
                .is_some_and(|file| !sigma::is_about_others(file))
        })
        .collect();
    let again = parallel::map(&forgotten, |place| {
        let file = read.get(*place);
        file.map_or_else(Vec::new, |file| neph_sigma::parse(&file.text))
    });
    for (place, documents) in forgotten.into_iter().zip(again) {
        if let Some(file) = read.get_mut(place) {
            file.contents.sigma = documents;
        }
    }
    if involved.is_empty() {
        return Vec::new();
    }
    let files: Vec<SigmaFile<'_>> = read
        .iter()
        .map(|file| sigma_file(&file.path, &file.text, &file.contents.sigma))
        .collect();
    let linked = sigma::link(&files, options, |file| involved.contains(&file));
    let linked = linked.into_iter().enumerate();
    linked.filter(|(place, _)| involved.contains(place)).collect()
}

/// Reads the files of Sigma that were kept.
fn read_anew(read: &mut [ReadFile], options: &Options<'_>) {
    let wanted: Vec<&ReadFile> = read.iter().filter(|file| file.is_kept && file.is_sigma).collect();
    let again = parallel::map(&wanted, |file| {
        read_contents(&file.path, Format::Sigma, &file.text, options)
    });
    let mut again = again.into_iter();
    for file in read.iter_mut().filter(|file| file.is_kept && file.is_sigma) {
        // A text that was read once can be read again.
        if let Some(Ok(contents)) = again.next() {
            file.contents = contents;
            file.is_kept = false;
        }
    }
}

/// Keeps for the next load what depends on the files alone.
fn keep(read: &[ReadFile], library: &mut Library, beside: Option<Hash>) {
    let kept = read.iter().filter(|file| file.is_kept).count();
    let reuse = Reuse {
        read: read.len() - kept,
        kept,
    };
    let can_be_kept = read.iter().filter(|file| !file.is_sigma || file.is_alone);
    let files: BTreeMap<PathBuf, Kept> = can_be_kept
        .filter_map(|file| {
            let kept = Kept {
                hash: file.hash?,
                text: file.text.clone(),
                contents: file.contents.clone(),
            };
            Some((file.path.clone(), kept))
        })
        .collect();
    library.replace(files, beside, reuse);
}
