//! Host names and their registered domains, by the public suffix list. <https://publicsuffix.org/list/>
//!
//! Only the suffixes of registries count, as in Elasticsearch's `registered_domain` processor: the domain of
//! `cdn.shop.github.io` is `github.io`.

use crate::tree::{Map, Value};

/// Sets `registered_domain`, `top_level_domain` and `subdomain` under `prefix` for a host name that has a registered
/// domain.
pub(crate) fn set<'a>(name: &'a str, prefix: &'a str, document: &'a Map<'a>) {
    let Some((registered, suffix)) = registered_domain(name.trim_end_matches('.')) else {
        return;
    };
    if document.map_at(prefix).is_none() {
        document.put(prefix, Value::Map(document.new_map()));
    }
    let Some(target) = document.map_at(prefix) else {
        return;
    };
    target.set("registered_domain", Value::Text(registered));
    target.set("top_level_domain", Value::Text(suffix));
    if let Some(subdomain) = name
        .strip_suffix(registered)
        .and_then(|rest| rest.strip_suffix('.'))
        && !subdomain.is_empty()
    {
        target.set("subdomain", Value::Text(subdomain));
    }
}

/// The registered domain of a host name, and its suffix.
fn registered_domain(name: &str) -> Option<(&str, &str)> {
    let mut rest = name;
    loop {
        let suffix = psl::suffix(rest.as_bytes())?;
        let text = std::str::from_utf8(suffix.as_bytes()).ok()?;
        match suffix.typ() {
            Some(psl::Type::Icann) => {
                let label = name.strip_suffix(text)?.strip_suffix('.')?;
                let start = label.rfind('.').map_or(0, |dot| dot + 1);
                return Some((name.get(start..)?, name.get(name.len() - text.len()..)?));
            }
            // A suffix below which somebody other than a registry hands out names.
            Some(psl::Type::Private) => rest = text.split_once('.')?.1,
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::registered_domain;

    #[test]
    fn registered_domains_follow_the_registries() {
        assert_eq!(
            registered_domain("www.example.co.uk"),
            Some(("example.co.uk", "co.uk"))
        );
        assert_eq!(registered_domain("cdn.shop.github.io"), Some(("github.io", "io")));
        assert_eq!(
            registered_domain("img-x-com.akamaized.net"),
            Some(("akamaized.net", "net"))
        );
        assert_eq!(registered_domain("example.com"), Some(("example.com", "com")));
        assert_eq!(registered_domain("com"), None);
        assert_eq!(registered_domain("localhost"), None);
    }
}
