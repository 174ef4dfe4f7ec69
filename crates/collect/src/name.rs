//! Names of files, made of names that servers give.

use ring::digest::{SHA256, digest};

/// Longer names are cut.
const LONGEST: usize = 100;

/// A name for one file or folder: letters, digits, `.`, `_` and `-` stay, everything else becomes `_`, and then a few digits of the hash
/// of the whole name are put behind it, so that different names stay different. Never empty, never hidden, never `..`.
pub(crate) fn segment(name: &str) -> String {
    let kept = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let mut safe: String = name
        .chars()
        .map(|character| if kept(character) { character } else { '_' })
        .take(LONGEST)
        .collect();
    if safe.starts_with(['.', '-']) || is_device(&safe) {
        safe.insert(0, '_');
    }
    if safe == name && !safe.ends_with('.') {
        return safe;
    }
    let hash = digest(&SHA256, name.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let safe = safe.trim_end_matches(['_', '.']);
    match safe {
        "" => hash,
        safe => format!("{safe}-{hash}"),
    }
}

/// Names that are devices on Windows, with any ending, and the empty name.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    matches!(stem.as_str(), "" | "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_stay() {
        for name in [
            "111122223333",
            "eu-west-1",
            "snap-0ab1",
            "my_project.example",
            "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        ] {
            assert_eq!(segment(name), name);
        }
    }

    #[test]
    fn no_name_leads_elsewhere() {
        let hostile = [
            "..",
            ".",
            "",
            "../../etc/passwd",
            "/etc/passwd",
            "a\\..\\b",
            ".hidden",
            "CON",
            "nul.txt",
            "a\0b",
            "ünï",
            "-rf",
            "a/",
        ];
        let mut seen = std::collections::BTreeSet::new();
        for name in hostile {
            let safe = segment(name);
            assert!(
                !safe.is_empty() && !safe.starts_with(['.', '-']),
                "{name:?}: {safe:?}"
            );
            assert!(
                safe.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
                "{safe:?}"
            );
            assert!(!is_device(&safe) && safe.len() <= LONGEST + 10, "{safe:?}");
            assert!(seen.insert(safe));
        }
    }

    #[test]
    fn different_names_stay_different() {
        assert_ne!(segment("team/web"), segment("team_web"));
        assert_ne!(segment("team/web"), segment("team:web"));
        let long = "x".repeat(300);
        assert_ne!(segment(&long), segment(&format!("{long}y")));
    }
}
