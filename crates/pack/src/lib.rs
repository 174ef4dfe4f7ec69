//! The shipped pack: rules with their texts and tests, lists, and the scenarios of the demonstration, as the binary
//! carries them. The files are those of the folders `rules`, `lists` and `demo` of the repository, word by word.
//!
//! **Architecture invariant:** data alone; what a file means is known elsewhere.

/// Every file: its path below the repository, parts between slashes, and its text. Sorted by path.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

#[cfg(test)]
mod tests {
    use super::FILES;

    #[test]
    fn files_are_sorted_and_hold_what_the_repository_holds() {
        assert!(FILES.is_sorted_by(|one, other| one.0 < other.0));
        for (path, text) in FILES {
            let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path);
            assert_eq!(std::fs::read_to_string(file).unwrap(), *text, "{path}");
        }
        assert!(FILES.iter().any(|(path, _)| path.starts_with("rules/")));
    }
}
