//! The kinds of problems that a configuration can have.

neph_diag::codes! {
    SYNTAX = Error "config-syntax": "the configuration is not valid TOML", "The configuration of the service is a TOML file (<https://toml.io>). \
The place where reading failed is shown; reading goes on behind it, so that one run shows every such place.

```toml
listen = [\"127.0.0.1:9470\"   # the bracket is not closed
```";
    KEY_UNKNOWN = Error "config-key-unknown": "the configuration has a key that is not known", "What the key says would not happen, so the service does \
not start with it. Often it is a slip of the pen, or the key stands in the wrong table:

```toml
[retention]
event = \"7d\"   # `events`
```

`neph config example` prints every key with what it does.";
    KEY_MISSING = Error "config-key-missing": "a table of the configuration lacks a key that it must have", "For example a token without a role:

```toml
[[tokens]]
name = \"filebeat\"
role = \"ingest\"
secret = { file = \"/etc/neph/filebeat.token\" }
```";
    VALUE_TYPE = Error "config-value-type": "a value is of the wrong kind", "A number where a string is needed, a string where a list is needed, and so on.

```toml
[retention]
events = 7      # a duration: \"7d\"
```";
    VALUE = Error "config-value": "a value is not one of those allowed", "Durations are a number and one of `ms`, `s`, `m`, `h`, `d`, `w`; sizes a number and one of `KiB`, \
`MiB`, `GiB`, `TiB`; addresses have a port, `127.0.0.1:9470`.";
    CONFLICT = Error "config-conflict": "two parts of the configuration do not go together", "Two listeners on one address, two tokens or outputs of one name, a TLS listener \
without a certificate, or the other way round.";
    NOT_BUILT = Error "config-not-built": "the configuration asks for something that this `neph` is built without", "Object storage brings many libraries, so it is left to \
those who build `neph` whether it has it:

```sh
cargo build --release --bin neph --features object-store
```";
    RISK = Warning "config-risk": "the configuration is allowed, but dangerous", "The service listens to other machines without TLS, so tokens and records cross the network in the clear; \
or a secret stands in the configuration itself, where everyone who reads the configuration reads it. Put a certificate in, listen on the loopback address \
behind a proxy, or keep secrets in files (`{ file = \"…\" }`) or environment variables (`{ env = \"…\" }`).";
    PATH_MISSING = Warning "config-path-missing": "a path that the configuration names is not there", "The service goes on without it where it can: files to follow may come later, rules and \
lists that are missing are told of at the start. Relative paths count from the folder of the configuration file.";
}
