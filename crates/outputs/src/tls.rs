//! TLS to receivers: with the authorities that the system trusts, or with those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::OpenError;

/// The certificates of a PEM file.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        OpenError::Tls(format!(
            "the certificates in `{}` cannot be read: {error}",
            path.display()
        ))
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    match found.is_empty() {
        true => Err(unreadable(&"there are none")),
        false => Ok(found),
    }
}

/// What a client of TLS needs; `authority` is a PEM file of the authorities to trust instead of the system's.
pub(crate) fn client(authority: Option<&Path>) -> Result<Arc<ClientConfig>, OpenError> {
    let failed = |error: rustls::Error| OpenError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match authority {
        None => builder.with_platform_verifier().map_err(failed)?,
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in authorities(path)? {
                roots.add(certificate).map_err(failed)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}
