//! `neph token`: who may send records to the service and use its API.

use std::io::Write;

use jiff::tz::TimeZone;
use neph_store::{NewToken, Role, Store, StoreError, StoreOptions};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::service::{Client, ServiceArgs, escape};
use crate::table::{harmless, table};
use crate::terminal::Terminal;

/// Make, list and revoke tokens of the service
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token; it is printed this once
    #[command(
        after_help = "Examples:\n  neph token create filebeat --role ingest\n  neph token create 'A. Analyst' --role analyst --expires 2027-01-01"
    )]
    Create(CreateArgs),
    /// List the tokens, without their secrets
    #[command(after_help = "Example: neph token list --format json")]
    List(ListArgs),
    /// Revoke a token
    #[command(after_help = "Example: neph token revoke 1f0c8e2a9b7d4c36")]
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// What people call it.
    name: String,
    /// What it may: `ingest` sends records and nothing else; each of the others may do what those between `ingest` and it may; `admin` all of it.
    #[arg(long, value_enum)]
    role: RoleWord,
    /// Until when it is good: a time or a day; without it for ever.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// Its id, as `neph token list` shows it.
    id: String,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RoleWord {
    Ingest,
    Viewer,
    Analyst,
    Engineer,
    Admin,
}

impl RoleWord {
    fn role(self) -> Role {
        match self {
            Self::Ingest => Role::Ingest,
            Self::Viewer => Role::Viewer,
            Self::Analyst => Role::Analyst,
            Self::Engineer => Role::Engineer,
            Self::Admin => Role::Admin,
        }
    }
}

/// A store that nobody else has, or the service that has it.
enum Reached {
    Store(Box<Store>),
    Service(Client),
}

fn reach(service: &ServiceArgs) -> Result<Reached, Failure> {
    if service.server.is_some() {
        return Ok(Reached::Service(service.client()?));
    }
    match Store::open(&service.data()?, &StoreOptions::default()) {
        Ok((store, _)) => Ok(Reached::Store(Box::new(store))),
        Err(StoreError::InUse { .. }) => Ok(Reached::Service(service.client()?)),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::Message(error.to_string())
}

pub(crate) fn run(args: &Args, _terminal: &Terminal) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    match &args.command {
        Command::Create(args) => {
            let made = create(args)?;
            match args.format {
                Format::Json => writeln!(out, "{made}")?,
                Format::Table => writeln!(
                    out,
                    "{}",
                    made.get("token").and_then(Value::as_str).unwrap_or_default()
                )?,
            }
        }
        Command::List(args) => {
            let tokens = list(&args.service)?;
            match args.format {
                Format::Json => writeln!(out, "{tokens}")?,
                Format::Table => print(&mut out, &tokens)?,
            }
        }
        Command::Revoke(args) => {
            match reach(&args.service)? {
                Reached::Store(store) => store
                    .db
                    .revoke_token(&args.id, neph_api::now())
                    .map_err(|error| failed(&error))?,
                Reached::Service(client) => {
                    client.delete(&format!("/api/v1/tokens/{}", escape(&args.id)))?;
                }
            }
            match args.format {
                Format::Json => writeln!(out, "{}", json!({ "id": args.id }))?,
                Format::Table => writeln!(out, "revoked {}", harmless(&args.id))?,
            }
        }
    }
    Ok(Exit::Nothing)
}

fn create(args: &CreateArgs) -> Result<Value, Failure> {
    let now = neph_api::now();
    let expires = match &args.expires {
        None => None,
        Some(text) => Some(
            neph_api::parse_when(text, now, &TimeZone::system())
                .filter(|time| *time > now)
                .ok_or_else(|| {
                    Failure::Message(format!(
                        "`{text}` is no time to come; write a day such as `2027-01-01`, or RFC 3339"
                    ))
                })?,
        ),
    };
    match reach(&args.service)? {
        Reached::Store(store) => {
            let new = NewToken {
                name: args.name.clone(),
                role: args.role.role(),
                expires,
            };
            let token = store.db.create_token(new, now).map_err(|error| failed(&error))?;
            Ok(json!({ "id": token.id, "token": token.reveal() }))
        }
        Reached::Service(client) => client.post(
            "/api/v1/tokens",
            &json!({
                "name": args.name,
                "role": args.role.role(),
                "expires": expires.map(|time| time.to_string()),
            }),
        ),
    }
}

fn list(service: &ServiceArgs) -> Result<Value, Failure> {
    match reach(service)? {
        Reached::Service(client) => client.get("/api/v1/tokens"),
        Reached::Store(store) => {
            let tokens = store.db.tokens().map_err(|error| failed(&error))?;
            neph_api::tokens_json(tokens).map_err(Failure::Message)
        }
    }
}

fn print(out: &mut impl Write, tokens: &Value) -> std::io::Result<()> {
    let mut rows = table(&["ID", "NAME", "ROLE", "CREATED", "USED", "EXPIRES", "REVOKED"]);
    let tokens = tokens.get("tokens").and_then(Value::as_array);
    for token in tokens.into_iter().flatten() {
        let text = |key: &str| harmless(token.get(key).and_then(Value::as_str).unwrap_or("-"));
        rows.add_row(["id", "name", "role", "created", "used", "expires", "revoked"].map(text));
    }
    writeln!(out, "{rows}")
}
