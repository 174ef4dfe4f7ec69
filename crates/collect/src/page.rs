//! Lists that come in pages.

use serde_json::Value;

use crate::problem::Problem;
use crate::run::{Content, Got};

/// No list has more pages.
const MAX_PAGES: u64 = 1_000_000;

/// A page: its items, and what the next is asked for with.
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) next: Option<String>,
}

/// All items. What came before a page that failed is kept, with the reason.
pub(crate) fn all(
    mut ask: impl FnMut(Option<&str>) -> Result<Page, Problem>,
) -> Result<(Vec<Value>, Option<Problem>), Problem> {
    let Page { mut items, mut next } = ask(None)?;
    let mut pages = 1;
    while let Some(marker) = next {
        let page = match pages < MAX_PAGES {
            true => ask(Some(&marker)),
            false => Err(Problem::Answer("the pages do not end".to_owned())),
        };
        match page {
            Ok(page) if page.next.as_ref() == Some(&marker) => {
                let what = "the marker of the next page stays the same".to_owned();
                return Ok((items, Some(Problem::Pages { pages, what })));
            }
            Ok(page) => {
                pages += 1;
                items.extend(page.items);
                next = page.next;
            }
            Err(problem) => {
                let what = problem.to_string();
                return Ok((items, Some(Problem::Pages { pages, what })));
            }
        }
    }
    Ok((items, None))
}

/// All items, as a list by itself.
pub(crate) fn list(ask: impl FnMut(Option<&str>) -> Result<Page, Problem>) -> Result<Got, Problem> {
    let (items, problem) = all(ask)?;
    Ok(Got {
        items: items.len() as u64,
        content: Content::Json(Value::Array(items)),
        problem,
    })
}

/// The list under a key, taken out of an answer.
pub(crate) fn items_of(answer: &mut Value, key: &str) -> Result<Vec<Value>, Problem> {
    match answer.get_mut(key).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        // Go writes lists without items as `null`, and Google leaves them out.
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err(Problem::Answer(format!("`{key}` is no list"))),
    }
}

/// The text under a key, if there is any.
pub(crate) fn text_of(answer: &Value, key: &str) -> Option<String> {
    answer
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u64, next: Option<&str>) -> Page {
        Page {
            items: vec![number.into()],
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn pages_come_together() {
        let (items, problem) = all(|marker| {
            Ok(match marker {
                None => page(1, Some("a")),
                Some("a") => page(2, Some("b")),
                _ => page(3, None),
            })
        })
        .unwrap();
        assert_eq!((items.len(), problem), (3, None));
    }

    #[test]
    fn what_came_is_kept_and_circles_end() {
        let (items, problem) = all(|marker| match marker {
            None => Ok(page(1, Some("a"))),
            Some(_) => Err(Problem::Denied("no".to_owned())),
        })
        .unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(
            problem.unwrap().to_string(),
            "only the first 1 pages: access denied: no"
        );
        let (items, problem) = all(|_| Ok(page(1, Some("a")))).unwrap();
        assert!(items.len() == 1 && problem.is_some());
        assert!(all(|_| Err(Problem::Denied("no".to_owned()))).is_err());
    }
}
