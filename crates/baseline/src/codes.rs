//! The kinds of problems that a file of approvals can have.

neph_diag::codes! {
    SYNTAX = Error "approvals-syntax": "the file of approvals is not valid TOML", "The file is TOML (<https://toml.io>). The place where reading failed is shown; \
reading goes on behind it, so that one run shows every such place.

```toml
[[approved]]
name = \"nightly-*\"
owner = \"backup team\"
expires = 2027-04-01
```";
    KEY_UNKNOWN = Error "approvals-key-unknown": "the file of approvals has a key that is not known", "What the key says would count for nothing, and an approval \
that says less than it seems approves more. Often it is a slip of the pen:

```toml
[[approved]]
nmae = \"nightly-*\"   # `name`
```";
    KEY_MISSING = Error "approvals-key-missing": "an approval lacks a key that it must have", "Each entry says who answers for it (`owner`, which may stand once at the \
top of the file) and until when it counts (`expires`, the last day). An approved difference says by `id`, `name`, `kind`, `account`, `source` or `tags` what it is \
about; a golden image has an `id` or a `name`; an account has an `id` and says whose it `is`:

```toml
[[account]]
id = \"444455556666\"
is = \"known\"
owner = \"partner desk\"
expires = 2027-04-01
```";
    VALUE = Error "approvals-value": "a value of the file of approvals is not one of those allowed", "Texts stand in quotes, lists in brackets; `class` is one of `copied-out`, \
`golden-altered`, `not-golden`, `new`, `changed` and `gone`; `is` is `own` or `known`; days are written as `2027-03-31`.";
    EVERYTHING = Warning "approvals-everything": "an approval is about everything", "A pattern of nothing but `*` fits whatever is found, so what an attacker does is \
approved too. Say what it is about, by a part of the name, a tag or the source.";
    EXPIRED = Warning "approvals-expired": "the time of an approval is over", "Its last day is past, so it approves nothing any more: what it was about is told again. \
Have it reviewed and move the day, take a new baseline, or delete the entry.";
    SHADOWED = Warning "approvals-shadowed": "the same is approved twice", "Another entry before it says the same, so two owners answer for one thing, and one of their days is \
overlooked. Keep one of the two.";
}
