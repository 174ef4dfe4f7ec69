//! `filter_path`: which parts of an answer a client wants.
//!
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#common-options-response-filtering>

use memchr::memmem;

/// Most patterns that are looked at, and most parts of one.
const MOST_PATTERNS: usize = 64;
const MOST_PARTS: usize = 12;

/// Patterns of paths. Without any, everything is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    included: Vec<String>,
    excluded: Vec<String>,
}

impl Filter {
    pub(crate) fn new(text: &str) -> Self {
        let mut filter = Self::default();
        for pattern in text.split(',').map(str::trim).take(MOST_PATTERNS) {
            match pattern.strip_prefix('-') {
                Some(pattern) => filter.excluded.push(pattern.to_owned()),
                None if !pattern.is_empty() => filter.included.push(pattern.to_owned()),
                None => {}
            }
        }
        filter
    }

    /// Whether the value at a path without further parts is wanted. A pattern for what stands above wants all below.
    pub(crate) fn wants(&self, path: &[&str]) -> bool {
        let fits = |pattern: &String| {
            let parts: Vec<&str> = pattern.split('.').take(MOST_PARTS).collect();
            fits(&parts, path)
        };
        (self.included.is_empty() || self.included.iter().any(fits)) && !self.excluded.iter().any(fits)
    }
}

fn fits(pattern: &[&str], path: &[&str]) -> bool {
    let Some((first, pattern_rest)) = pattern.split_first() else {
        return true;
    };
    if *first == "**" {
        return pattern_rest.is_empty()
            || (0..path.len()).any(|skipped| fits(pattern_rest, path.get(skipped..).unwrap_or_default()));
    }
    match path.split_first() {
        Some((part, path_rest)) => {
            is_like(first.as_bytes(), part.as_bytes()) && fits(pattern_rest, path_rest)
        }
        None => false,
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|letter| *letter == b'*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match memmem::find(rest, part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_chosen() {
        let wanted = |filter: &str| {
            let filter = Filter::new(filter);
            let paths = [
                "took",
                "errors",
                "items.index._id",
                "items.index.status",
                "items.index.error.type",
            ];
            let wanted = paths
                .into_iter()
                .filter(|path| filter.wants(&path.split('.').collect::<Vec<_>>()));
            wanted.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            wanted("errors,items.*.error,items.*.status"),
            "errors items.index.status items.index.error.type"
        );
        assert_eq!(
            wanted("-took,-items.*._id"),
            "errors items.index.status items.index.error.type"
        );
        assert_eq!(wanted("**.status"), "items.index.status");
        assert_eq!(
            wanted("items"),
            "items.index._id items.index.status items.index.error.type"
        );
        assert_eq!(wanted("items.ind*.err*"), "items.index.error.type");
        assert_eq!(wanted("nothing"), "");
        assert_eq!(wanted(" "), wanted("*"));
    }
}
