//! The rules and lists that the binary carries, as files that have no place on disk.
//!
//! Their paths begin with [`BUILTIN`]. Whatever reads rules, lists and the tests beside rules reads these in the same way.

use std::path::{Component, Path, PathBuf};

/// How the paths of built-in files begin: `builtin:/rules/aws/NAME.toml`.
pub const BUILTIN: &str = "builtin:";

/// Where the built-in rules are.
pub const BUILTIN_RULES: &str = "builtin:/rules";

/// Where the built-in lists are.
pub const BUILTIN_LISTS: &str = "builtin:/lists";

/// Where the scenarios of `neph demo` are.
pub const BUILTIN_DEMO: &str = "builtin:/demo";

/// Whether a path is that of a built-in file or folder.
pub fn is_builtin(path: &Path) -> bool {
    path.components().next() == Some(Component::Normal(BUILTIN.as_ref()))
}

/// The built-in files below a folder such as [`BUILTIN_RULES`], by their paths below `builtin:/`, each with its text.
pub fn builtin_files(folder: &Path) -> impl Iterator<Item = (&'static str, &'static str)> {
    let inside = inside(folder);
    neph_pack::FILES
        .iter()
        .filter(move |(path, _)| inside.as_deref().is_some_and(|folder| is_below(path, folder)))
        .copied()
}

/// The path without its beginning, and without `..`; none where it is no built-in one.
pub(crate) fn inside(path: &Path) -> Option<String> {
    let mut components = path.components();
    if components.next() != Some(Component::Normal(BUILTIN.as_ref())) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for component in components {
        match component {
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

/// Whether there is such a file or folder; the folders of the pack are there though they may be empty.
pub(crate) fn is_there(inside: &str) -> bool {
    let folders = [BUILTIN_RULES, BUILTIN_LISTS, BUILTIN_DEMO];
    let is_folder = |folder: &str| folder.rsplit('/').next() == Some(inside);
    inside.is_empty() || folders.iter().any(|folder| is_folder(folder)) || find(inside).next().is_some()
}

/// The files at or below a path, and whether it is the file itself.
pub(crate) fn find(inside: &str) -> impl Iterator<Item = (PathBuf, bool)> {
    neph_pack::FILES
        .iter()
        .filter(move |(path, _)| *path == inside || is_below(path, inside))
        .map(move |(path, _)| (Path::new(BUILTIN).join(path), *path == inside))
}

pub(crate) fn text(inside: &str) -> Option<&'static str> {
    let position = neph_pack::FILES
        .binary_search_by(|(path, _)| (*path).cmp(inside))
        .ok()?;
    neph_pack::FILES.get(position).map(|(_, text)| *text)
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/') || folder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed_up_and_down() {
        let inside = |path: &str| inside(Path::new(path));
        assert_eq!(inside("builtin:/rules/aws/../../lists").as_deref(), Some("lists"));
        assert_eq!(inside("builtin:/rules").as_deref(), Some("rules"));
        assert_eq!(inside("builtin:/../..").as_deref(), Some(""));
        assert_eq!(inside("rules/builtin:/x"), None);
        assert_eq!(inside("builtin"), None);
        assert_eq!(text("rules/nowhere.toml"), None);
        assert!(find("rules").all(|(path, given)| path.starts_with(BUILTIN_RULES) && !given));
        assert!(find("rules").count() > 3);
    }
}
