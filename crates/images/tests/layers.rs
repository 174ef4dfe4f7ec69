//! Layers upon layers: what containers see in the end, and that nothing that a layer holds makes reading fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails may panic"
)]
use std::collections::BTreeMap;
use std::path::Path;

use neph_images::{
    Digest, Image, ImageError, Kind, Limits, Options, Place, Sameness, Source, alert_of_difference, compare,
    fuzzing,
};
use proptest::prelude::*;
use tar::{EntryType, Header};

/// An entry of a layer.
#[derive(Clone, Debug)]
struct Put {
    path: String,
    kind: EntryType,
    mode: u32,
    content: String,
}

fn put(path: &str, content: &str) -> Put {
    Put {
        path: path.to_owned(),
        kind: EntryType::Regular,
        mode: 0o644,
        content: content.to_owned(),
    }
}

fn of_kind(path: &str, kind: EntryType, target: &str) -> Put {
    Put {
        kind,
        mode: 0o755,
        ..put(path, target)
    }
}

fn archive(entries: &[Put]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        // The library keeps its users from paths that lead elsewhere, which are wanted here.
        header.as_mut_bytes()[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        let is_file = entry.kind == EntryType::Regular;
        if !is_file {
            header.as_mut_bytes()[157..157 + entry.content.len()].copy_from_slice(entry.content.as_bytes());
        }
        let content: &[u8] = if is_file { entry.content.as_bytes() } else { b"" };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Writes an OCI layout.
fn layout(folder: &Path, layers: &[Vec<u8>]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        serde_json::json!({"digest": digest, "size": bytes.len()})
    };
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = serde_json::json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = put(config.to_string().as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| put(layer)).collect();
    let manifest = put(
        serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers})
            .to_string()
            .as_bytes(),
    );
    std::fs::write(
        folder.join("index.json"),
        serde_json::json!({"schemaVersion": 2, "manifests": [manifest]}).to_string(),
    )
    .unwrap();
}

fn read(layers: &[Vec<u8>]) -> Result<Image, ImageError> {
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), layers);
    let place = Place::Local {
        path: folder.path().to_owned(),
        which: None,
    };
    let source = Source::open(&place, &Limits::default())?;
    Image::read(&source, &Options::default(), &|_, _| {})
}

fn image(layers: &[&[Put]]) -> Image {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| archive(layer)).collect();
    read(&layers).unwrap()
}

/// Paths that are no directories, with the layers that brought them.
fn paths(image: &Image) -> Vec<(String, usize)> {
    let files = image
        .files
        .iter()
        .filter(|(_, file)| file.kind != Kind::Directory);
    files
        .map(|(path, file)| (String::from_utf8_lossy(path).into_owned(), file.layer))
        .collect()
}

fn named(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
    expected
        .iter()
        .map(|(path, layer)| ((*path).to_owned(), *layer))
        .collect()
}

#[test]
fn whiteouts_hide_what_lower_layers_brought_and_nothing_else() {
    let lower = [
        put("a/b/c", "1"),
        put("a/b/d", "1"),
        put("a/e", "1"),
        put("f", "1"),
        put("g/h", "1"),
    ];
    // An opaque directory hides all that was in it, also where its mark stands behind what the layer itself brings.
    let upper = [
        put("a/b/new", "2"),
        put("a/b/.wh..wh..opq", ""),
        put(".wh.f", ""),
        put("f", "2"),
        put(".wh.g", ""),
        put("a/.wh.none", ""),
        put(".wh..wh.plnk", ""),
    ];
    assert_eq!(
        paths(&image(&[&lower, &upper])),
        named(&[("a/b/new", 1), ("a/e", 0), ("f", 1)])
    );
    let root = [put(".wh..wh..opq", ""), put("only", "3")];
    assert_eq!(paths(&image(&[&lower, &upper, &root])), named(&[("only", 2)]));
}

#[test]
fn what_comes_later_takes_the_place_of_what_was_there() {
    let lower = [
        put("a/b", "1"),
        put("c", "1"),
        of_kind("d", EntryType::Directory, ""),
    ];
    // A file where a directory was, a directory where a file was, and a directory again, which keeps what is in it.
    let upper = [
        put("a", "2"),
        of_kind("c/", EntryType::Directory, ""),
        put("c/x", "2"),
        of_kind("d", EntryType::Directory, ""),
    ];
    assert_eq!(paths(&image(&[&lower, &upper])), named(&[("a", 1), ("c/x", 1)]));
}

#[test]
fn links_in_the_way_lead_within_the_image() {
    let layer = [
        of_kind("usr/bin", EntryType::Directory, ""),
        of_kind("bin", EntryType::Symlink, "usr/bin"),
        of_kind("out", EntryType::Symlink, "../../../etc"),
        put("bin/sh", "sh"),
        put("out/passwd", "evil"),
        of_kind("usr/bin/dash", EntryType::Link, "bin/sh"),
    ];
    let image = image(&[&layer]);
    let expected = [
        ("bin", 0),
        ("etc/passwd", 0),
        ("out", 0),
        ("usr/bin/dash", 0),
        ("usr/bin/sh", 0),
    ];
    assert_eq!(paths(&image), named(&expected));
    assert_eq!(image.files.get(b"usr/bin/dash"), image.files.get(b"usr/bin/sh"));
    assert_eq!(image.files.follow(b"/bin/dash").unwrap().0, b"usr/bin/dash");
    let told: Vec<&str> = image
        .problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(told, ["bin/sh", "out/passwd"]);
}

#[test]
fn altered_content_is_told_from_damaged_content() {
    let folder = tempfile::tempdir().unwrap();
    let layer = archive(&[put("a", "1")]);
    layout(folder.path(), std::slice::from_ref(&layer));
    let path = folder.path().join("blobs/sha256").join(Digest::of(&layer).hex());
    std::fs::write(&path, archive(&[put("a", "2")])).unwrap();
    let place = Place::parse(folder.path().to_str().unwrap()).unwrap();
    let source = Source::open(&place, &Limits::default()).unwrap();
    let error = Image::read(&source, &Options::default(), &|_, _| {}).unwrap_err();
    assert!(matches!(error, ImageError::Altered { .. }), "{error}");
}

#[test]
fn documents_say_all_that_counts() {
    let layer = [
        put("etc/a b", "1"),
        of_kind("l", EntryType::Symlink, "etc/a b"),
        of_kind("p", EntryType::Fifo, ""),
    ];
    let image = image(&[&layer]);
    let mut bytes = Vec::new();
    image.write_json(&mut bytes).unwrap();
    let again = Image::read_json("it", &bytes).unwrap();
    assert_eq!(again.files, image.files);
    assert_eq!(compare(&image, &again).0, Sameness::SameDigest);
}

#[test]
fn alerts_name_the_file_and_have_one_id_however_often_they_are_found() {
    let golden = image(&[&[put("a", "1")]]);
    let altered = image(&[&[
        put("a", "1"),
        put("var/www/html/x.php", "<?php eval($_POST['x']);"),
    ]]);
    let (sameness, found) = compare(&golden, &altered);
    assert_eq!(sameness, Sameness::Different);
    let worst = found.first().unwrap();
    let alert = |second: i64| {
        alert_of_difference(
            &altered,
            "app",
            worst,
            jiff::Timestamp::from_second(second).unwrap(),
        )
    };
    let (first, later) = (alert(1), alert(2));
    assert_eq!(
        first.pointer("/kibana.alert.uuid"),
        later.pointer("/kibana.alert.uuid")
    );
    assert_eq!(first.pointer("/file/path").unwrap(), "/var/www/html/x.php");
    assert_eq!(first.pointer("/kibana.alert.severity").unwrap(), "critical");
    assert_eq!(
        first.pointer("/threat/technique/subtechnique/id/0").unwrap(),
        "T1505.003"
    );
}

/// What a layer deletes, empties and brings.
type Step = (Vec<String>, Vec<String>, Vec<(String, u8)>);

/// A history of layers. Names are few, so that they meet.
fn histories() -> impl Strategy<Value = Vec<Step>> {
    let path = || proptest::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"));
    let layer = (
        proptest::collection::vec(path(), 0..3),
        proptest::collection::vec(path(), 0..2),
        proptest::collection::vec((path(), any::<u8>()), 0..5),
    );
    proptest::collection::vec(layer, 1..6)
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// However it came to be, an image has the same content as one that is built of what is left in the end.
    #[test]
    fn the_history_does_not_matter(history in histories()) {
        // Content of files; directories hold nothing.
        let mut left: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut layers = Vec::new();
        for (deleted, emptied, brought) in history {
            let mut layer = Vec::new();
            for path in deleted {
                let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
                if parents(&path).any(|parent| left.get(parent).is_some_and(Option::is_some)) {
                    continue;
                }
                layer.push(put(format!("{folder}/.wh.{name}").trim_start_matches('/'), ""));
                left.retain(|own, _| *own != path && !own.starts_with(&format!("{path}/")));
            }
            for path in emptied {
                if parents(&path).chain([path.as_str()]).any(|parent| left.get(parent).is_some_and(Option::is_some)) {
                    continue;
                }
                layer.push(put(&format!("{path}/.wh..wh..opq"), ""));
                left.retain(|own, _| !own.starts_with(&format!("{path}/")));
            }
            for (path, number) in brought {
                for parent in parents(&path) {
                    layer.push(of_kind(parent, EntryType::Directory, ""));
                    left.insert(parent.to_owned(), None);
                }
                let content = number.to_string();
                layer.push(put(&path, &content));
                left.retain(|own, _| !own.starts_with(&format!("{path}/")));
                left.insert(path, Some(content));
            }
            layers.push(archive(&layer));
        }
        let flat: Vec<Put> = left
            .iter()
            .map(|(path, content)| match content {
                Some(content) => put(path, content),
                None => of_kind(path, EntryType::Directory, ""),
            })
            .collect();
        let built = read(&layers).unwrap();
        let flat = read(&[archive(&flat)]).unwrap();
        prop_assert_eq!(&built.content_digest(), &flat.content_digest(), "{:?}", paths(&built));
    }

    /// Bytes that are almost an archive, or almost a document, are read or refused, and never lead out of the image.
    #[test]
    fn nothing_makes_reading_fail(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12), cut in any::<u8>()) {
        let layer = [
            put("a/b", "content"), of_kind("l", EntryType::Symlink, "../a"), put("l/x", "1"), of_kind("h", EntryType::Link, "a/b"), put(".wh.a", ""),
        ];
        let mut bytes = archive(&layer);
        bytes.extend_from_slice(&archive(&layer));
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        bytes.insert(0, cut);
        fuzzing::layers(&bytes);
        let mut document = br#"{"schemaVersion":2,"manifests":[{"digest":"sha256:00","size":1,"annotations":null}],"Path":"/x","Kind":1}"#.to_vec();
        for (at, value) in &changes {
            let at = at.index(document.len());
            document[at] = *value;
        }
        fuzzing::documents(&document);
    }
}
