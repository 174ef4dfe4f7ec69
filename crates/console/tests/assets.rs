//! The files of the console hold together: every import is there, every file is used, every text stands in each language, nothing is asked of another host.

#![expect(clippy::expect_used, reason = "a test may fail loudly and says what it saw")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

/// All files by their path below `assets`.
fn files() -> BTreeMap<String, String> {
    fn walk(at: &Path, into: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(at).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                let name = path.strip_prefix(folder()).expect("it is below");
                let text = std::fs::read_to_string(&path).expect("assets are text");
                into.insert(name.display().to_string(), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&folder(), &mut found);
    found
}

/// Texts in single quotes behind `word`.
fn quoted<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.match_indices(word)
        .filter_map(|(at, _)| {
            text.get(at + word.len()..)?
                .split_once('\'')
                .map(|(inside, _)| inside)
        })
        .collect()
}

#[test]
fn every_import_is_there_and_every_module_is_imported() {
    let files = files();
    let mut reached = BTreeSet::from([
        "index.html".to_owned(),
        "app.js".to_owned(),
        "app.css".to_owned(),
        "icon.svg".to_owned(),
    ]);
    for (name, text) in files
        .iter()
        .filter(|(name, _)| name.ends_with(".js") && !name.starts_with("vendor/"))
    {
        let targets = quoted(text, "from '")
            .into_iter()
            .chain(quoted(text, "import('"))
            .chain(quoted(text, "import '"));
        for target in targets {
            let path = match target.strip_prefix("/console/") {
                Some(path) => path.to_owned(),
                None => {
                    let mut at: Vec<&str> = name.split('/').collect();
                    at.pop();
                    for part in target.split('/') {
                        match part {
                            "." => {}
                            ".." => drop(at.pop()),
                            part => at.push(part),
                        }
                    }
                    at.join("/")
                }
            };
            assert!(
                files.contains_key(&path),
                "{name} imports {target}, which is not there"
            );
            reached.insert(path);
        }
    }
    // Languages are loaded by their names.
    for text in ["texts/ru.js", "texts/zh.js"] {
        reached.insert(text.to_owned());
    }
    let unused: Vec<&String> = files
        .keys()
        .filter(|name| {
            !reached.contains(*name) && !name.starts_with("vendor/LICENSE") && *name != "vendor/README.md"
        })
        .collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
}

#[test]
fn nothing_is_asked_of_other_hosts_and_no_text_becomes_markup() {
    for (name, text) in files() {
        if name.starts_with("vendor/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let is_link = line.contains("attack.mitre.org") || line.contains("www.w3.org/2000/svg");
            let is_pattern = line.contains("https?:") || line.contains("['https:', 'http:']");
            assert!(
                !(line.contains("http://") || line.contains("https://")) || is_link || is_pattern,
                "{name}:{}: {line}",
                number + 1
            );
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "dangerouslySetInnerHTML",
                "document.write",
                "eval(",
                "new Function",
                " style=\"",
                "onclick=",
            ] {
                assert!(!line.contains(word), "{name}:{}: `{word}`", number + 1);
            }
        }
    }
}

/// The keys of a file of texts.
fn keys(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("  '")?
                .split_once("':")
                .map(|(key, _)| key.to_owned())
        })
        .collect()
}

#[test]
fn every_text_stands_in_each_language() {
    let files = files();
    let english = keys(&files["texts/en.js"]);
    assert!(english.len() > 300, "{}", english.len());
    for language in ["texts/ru.js", "texts/zh.js"] {
        let own = keys(&files[language]);
        let missing: Vec<_> = english.symmetric_difference(&own).collect();
        assert!(missing.is_empty(), "{language}: {missing:?}");
    }
    for (name, text) in files.iter().filter(|(name, _)| {
        name.ends_with(".js") && !name.starts_with("vendor/") && !name.starts_with("texts/")
    }) {
        for word in ["t('", "title('"] {
            for (at, _) in text.match_indices(word) {
                let (before, behind) = text.split_at(at);
                let begins = before
                    .chars()
                    .next_back()
                    .is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != '.');
                let key = behind.split('\'').nth(1).unwrap_or("");
                assert!(
                    !begins || english.contains(key),
                    "{name}: the text `{key}` is nowhere"
                );
            }
        }
    }
}

#[test]
fn what_is_vendored_is_what_its_readme_says() {
    let files = files();
    let digest: String = Sha256::digest(files["vendor/preact.js"].as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(files["vendor/README.md"].contains(&digest), "{digest}");
}

#[test]
fn pages_stay_small() {
    let sizes = files()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("vendor/LICENSE") && !name.ends_with(".md"));
    let all: usize = sizes.map(|(_, text)| text.len()).sum();
    assert!(all <= 600 * 1024, "all assets have {all} bytes");
}
