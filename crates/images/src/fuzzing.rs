//! What the fuzz target calls: taking apart what strangers wrote, with what must hold of it.

use crate::files::Pile;
use crate::limits::Limits;
use crate::reading::{Shared, read_layer};
use crate::{Digest, Image, Options, Place, Source};

fn limits() -> Limits {
    Limits {
        entries: 10_000,
        total: 8 << 20,
        ratio: 100,
        free: 1 << 20,
        document: 1 << 20,
        ..Limits::default()
    }
}

/// Layers out of bytes, cut where the first byte says; laid upon one another. Nothing leaves the image, and reading again gives the same.
pub fn layers(bytes: &[u8]) {
    let Some((cut, rest)) = bytes.split_first() else {
        return;
    };
    let at = rest.len() * usize::from(*cut) / 256;
    let (lower, upper) = rest.split_at_checked(at).unwrap_or((rest, &[]));
    let read = || {
        let limits = limits();
        let shared = Shared::new(&limits);
        let mut pile = Pile::default();
        for (index, layer) in [lower, upper].into_iter().enumerate() {
            if let Ok(read) = read_layer("the layer", Box::new(layer), None, None, &shared) {
                assert_eq!(read.blob, Digest::of(layer));
                pile.lay(index, read.content);
            }
        }
        pile.files
    };
    let files = read();
    for (path, _) in files.iter() {
        let mut parts = path.split(|byte| *byte == b'/');
        assert!(
            parts.all(|part| !matches!(part, b"" | b"." | b"..")),
            "a path leads out of the image"
        );
        let _ = files.follow(path);
    }
    assert!(files == read());
}

/// An archive of images, whichever form it has.
pub fn archive(path: &std::path::Path) {
    let place = Place::Local {
        path: path.to_owned(),
        which: None,
    };
    let options = Options {
        limits: limits(),
        platform: None,
    };
    if let Ok(source) = Source::open(&place, &options.limits) {
        let _ = Image::read(&source, &options, &|_, _| {});
    }
}

/// Documents: manifests, configurations, signatures, changes of containers, lists and sets.
pub fn documents(bytes: &[u8]) {
    let _ = crate::oci::document("the document", bytes);
    let _ = serde_json::from_slice::<crate::Config>(bytes);
    let _ = Image::read_json("the document", bytes);
    let _ = crate::cosign::bundle(bytes);
    let _ = crate::cosign::simple(
        bytes.to_vec(),
        &[("dev.cosignproject.cosign/signature".to_owned(), "AA==".to_owned())].into(),
    );
    let _ = crate::notation::jws(bytes);
    let _ = crate::notation::cose(bytes);
    let _ = crate::crypto::holder(bytes);
    let _ = crate::crypto::certificates(bytes);
    let _ = crate::crypto::PublicKey::read(bytes);
    let _ = crate::Changes::read(bytes);
    let _ = crate::Executed::read(bytes, None);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = crate::Golden::read(text);
        let _ = crate::Keys::read(text, &mut |_| Err(std::io::ErrorKind::NotFound.into()));
        let _ = crate::Name::parse(text);
    }
}
