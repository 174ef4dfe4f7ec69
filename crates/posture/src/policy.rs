//! What policies say, one module a cloud.
//!
//! - [`aws`]: IAM's policy language, evaluated as AWS documents it.
//! - [`azure`]: roles assigned at scopes.
//! - [`gcp`]: bindings of roles on the hierarchy of resources.
//! - [`kubernetes`]: role-based access control of the API server.
//! - [`openstack`]: rules of the services, and roles in projects.

pub mod aws;
pub mod azure;
pub mod gcp;
pub mod kubernetes;
pub mod openstack;
