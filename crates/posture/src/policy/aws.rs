//! IAM's policy language: documents, requests, and what the one says of the other.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
//!
//! - [`document`]: JSON to statements.
//! - [`context`]: what is known of a request, and policy variables.
//! - [`condition`]: the condition operators.
//! - [`evaluate`](mod@evaluate): one request against all kinds of policies.
//! - [`account`]: the users, groups and roles of an account, as `aws iam get-account-authorization-details` prints them.

pub mod account;
pub mod condition;
pub mod context;
pub mod document;
pub mod evaluate;

pub use account::{Account, Entity, EntityKind};
pub use context::{Context, Known};
pub use document::{Document, DocumentError, Effect, Statement};
pub(crate) use evaluate::is_about;
pub use evaluate::{Policies, Policy, Principal, PrincipalKind, Request, evaluate};
