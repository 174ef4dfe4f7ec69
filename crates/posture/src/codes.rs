//! The kinds of problems that a list of expected entitlements can have.

neph_diag::codes! {
    SYNTAX = Error "expected-syntax": "the list of expected entitlements is not valid TOML", "The list is a TOML file (<https://toml.io>). The place where reading \
failed is shown; reading goes on behind it, so that one run shows every such place.

```toml
[[expected]]
principal = \"arn:aws:iam::111122223333:role/backup\"
capabilities = [\"snapshot-*\"]
```";
    KEY_UNKNOWN = Error "expected-key-unknown": "the list of expected entitlements has a key that is not known", "What the key says would count for nothing. \
Often it is a slip of the pen:

```toml
[[expected]]
principle = \"user:ann@corp.example\"   # `principal`
```";
    KEY_MISSING = Error "expected-key-missing": "an expected entitlement lacks a key that it must have", "Each entry says who (`principal`) is expected to be able to \
do what (`capabilities`):

```toml
[[expected]]
principal = \"serviceaccount velero:velero\"
capabilities = [\"snapshot-create\"]
```";
    VALUE = Error "expected-value": "a value of the list of expected entitlements is not one of those allowed", "Texts stand in quotes, lists in brackets; `cloud` is \
`aws`, `azure`, `gcp`, `kubernetes` or `openstack`; days are written as `2027-03-31`.";
    CAPABILITY_UNKNOWN = Error "expected-capability-unknown": "an expected entitlement names a capability that there is not", "The entry would never fit anything. \
`neph audit entitlements --list-capabilities` lists all of them; `*` stands for any text, so `snapshot-*` is all about snapshots.";
    DATES = Warning "expected-dates": "the dates of an expected entitlement do not go together", "An entry was reviewed on a day that is still to come, or its \
sign-off ends before the day on which it was given. Then nobody can say whether the sign-off holds:

```toml
[[expected]]
principal = \"user:ann@corp.example\"
capabilities = [\"image-*\"]
reviewed = 2026-05-01
expires = 2025-11-01    # before the review
```";
    SHADOWED = Warning "expected-shadowed": "an expected entitlement is said twice", "Another entry before it names the same principal and the same capabilities, so two \
owners answer for one thing, and one of their dates is overlooked. Keep one of the two.";
    MUTES_SYNTAX = Error "mutes-syntax": "the list of mutes is not valid TOML", "What is read of it would be a part only, and failures would \
be muted or told by chance. A mute is written so:

```toml
[[mute]]
check = \"aws-imds-hop-limit\"
resource = \"i-0a1b2c3d4e5f60718\"
owner = \"platform team\"
reason = \"runs a proxy of ours that needs two hops\"
expires = 2027-03-31
```";
    MUTE_KEY_UNKNOWN = Error "mute-key-unknown": "the list of mutes has a key that is not known", "What the key says would count for nothing. \
The keys are `check`, `resource`, `account`, `owner`, `reason` and `expires`.";
    MUTE_KEY_MISSING = Error "mute-key-missing": "a mute lacks a key that it must have", "Each mute says what is muted (`check` and `resource`, in both of \
which `*` stands for any text), who answers for it (`owner`), why (`reason`), and until when (`expires`). Without an end, nobody looks at it again.";
    MUTE_VALUE = Error "mute-value": "a value of the list of mutes is not one of those allowed", "Texts stand in quotes and are not empty; `expires` is a day, \
written as `2027-03-31`.";
    MUTE_CHECK_UNKNOWN = Error "mute-check-unknown": "a mute names a check that there is not", "The entry would never mute anything. `neph audit checks` lists all \
checks; `*` stands for any text, so `aws-imds-*` is all of them about the metadata service of AWS.";
    MUTE_OVER = Warning "mute-over": "a mute's last day is past", "It mutes nothing any more, and what it was about is told again. Take it out, or have its \
owner look at it and say a new day.";
}
