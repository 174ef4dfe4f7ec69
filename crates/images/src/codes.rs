//! The kinds of problems that lists of golden images and sets of keys can have.

neph_diag::codes! {
    SYNTAX = Error "image-list-syntax": "the list of golden images, or the set of keys, is not valid TOML", "Both are TOML files (<https://toml.io>). The place where reading \
failed is shown; reading goes on behind it, so that one run shows every such place.

```toml
[[image]]
repository = \"registry.example/shop/*\"
manifest = \"shop.json\"
```";
    KEY_UNKNOWN = Error "image-list-key-unknown": "the list of golden images, or the set of keys, has a key that is not known", "What the key says would count for nothing. \
Often it is a slip of the pen:

```toml
[[image]]
repositry = \"registry.example/shop/*\"   # `repository`
```";
    KEY_MISSING = Error "image-list-key-missing": "an entry about images lacks a key that it must have", "An image says its `repository`, and what is golden: `digests`, a `manifest`, or both. \
An approval says `paths`. A signing key says a `name` and its `file` or `pem`; an authority also says whose certificates count (`identities`), as it gives them to anybody.

```toml
[[approved]]
paths = [\"/etc/cron.d/backup\"]
owner = \"platform team\"
```";
    VALUE = Error "image-list-value": "a value of the list of golden images, or of the set of keys, is not one of those allowed", "Texts stand in quotes, lists in brackets, and days are \
written as `2027-03-31`. Digests are `sha256:` and 64 hexadecimal digits in lower case. In patterns `*` stands for any text without a slash, `**` for any text.";
    KEY_MATERIAL = Error "image-list-key-material": "a signing key or certificate cannot be read, or is of a kind that is not known", "Public keys are PEM texts that begin with `-----BEGIN PUBLIC KEY-----` \
(as `cosign public-key` prints them), certificates such that begin with `-----BEGIN CERTIFICATE-----`. Keys are ECDSA on P-256 or P-384, Ed25519, or RSA with at least 2048 bits.

```toml
[[key]]
name = \"release\"
file = \"cosign.pub\"
```";
    DATES = Warning "image-list-dates": "the dates of an entry about images do not go together", "An entry that ends before it begins never counts:

```toml
[[key]]
name = \"release 2026\"
file = \"release-2026.pub\"
valid_from = 2026-12-31
valid_until = 2026-01-01    # before it begins
```";
    SHADOWED = Warning "image-list-shadowed": "an entry about images is said twice", "Another entry before it is about the same thing, so two owners answer for it, and one of their \
dates is overlooked. Keep one of the two.";
}
