//! Layers, archives and documents of images that strangers built: reading must not fail, and nothing may lead out of the image.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neph_images::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 3 {
        0 => fuzzing::layers(bytes),
        1 => fuzzing::documents(bytes),
        _ => {
            let Ok(folder) = tempfile::tempdir() else { return };
            let path = folder.path().join("image.tar");
            if std::fs::write(&path, bytes).is_ok() {
                fuzzing::archive(&path);
            }
        }
    }
});
