use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_ingest::syslog::{Allowed, tcp};
use neph_ingest::{Limits, Protocol, Refused, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpListener;

use crate::{Service, connect, read_answer, request};

/// An authority, a certificate of the server, and one of a client.
struct Certificates {
    authority: CertificateDer<'static>,
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
    files: TlsFiles,
}

fn certificates(folder: &Path) -> Certificates {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("client");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Certificates {
        authority: authority.der().clone(),
        client: (
            client.der().clone(),
            PrivateKeyDer::try_from(client_key.serialize_der()).unwrap(),
        ),
        files: TlsFiles {
            certificate: write("server.pem", server.pem()),
            key: write("server.key", server_key.serialize_pem()),
            client_authority: Some(write("authority.pem", authority.pem())),
        },
    }
}

type Client = StreamOwned<ClientConnection, std::net::TcpStream>;

fn client(certificates: &Certificates, address: std::net::SocketAddr, with_certificate: bool) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(certificates.authority.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = if with_certificate {
        let (certificate, key) = &certificates.client;
        builder
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
            .unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, connect(address))
}

#[test]
fn http_over_tls_with_certificates_of_clients() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = certificates(folder.path());
    let service = Service::with(Limits::default(), Some(certificates.files.load().unwrap()));
    let mut good = client(&certificates, service.address, true);
    good.write_all(&request(
        "POST",
        "/ingest",
        &[("authorization", "Bearer s3cr3t")],
        b"{}",
    ))
    .unwrap();
    assert_eq!(read_answer(&mut good).status, 200);
    // A certificate is no token.
    let mut tokenless = client(&certificates, service.address, true);
    tokenless
        .write_all(&request("POST", "/ingest", &[], b"{}"))
        .unwrap();
    assert_eq!(read_answer(&mut tokenless).status, 401);
    let mut nobody = client(&certificates, service.address, false);
    let _ = nobody.write_all(&request(
        "POST",
        "/ingest",
        &[("authorization", "Bearer s3cr3t")],
        b"{}",
    ));
    assert_eq!(read_answer(&mut nobody).status, 0);
    let plain = service.ask("POST", "/ingest", &[("authorization", "Bearer s3cr3t")], b"{}");
    assert_eq!(plain.status, 0, "{plain:?}");
    assert_eq!(service.log.records().len(), 1);
}

#[test]
fn syslog_over_tls_with_certificates_of_clients() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = certificates(folder.path());
    let service = Service::start();
    let listener = service
        .runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Some(certificates.files.load().unwrap());
    service.runtime.spawn(tcp(
        listener,
        tls,
        Allowed::default(),
        service.intake.clone(),
        service.shutdown.clone(),
    ));
    let mut good = client(&certificates, address, true);
    good.write_all(b"11 <13>1 - a b<13>1 - c d\n").unwrap();
    good.flush().unwrap();
    let kept: Vec<String> = service
        .log
        .wait_for(2)
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(kept, ["<13>1 - a b", "<13>1 - c d"]);
    let mut nobody = client(&certificates, address, false);
    let _ = nobody.write_all(b"<13>1 - evil\n");
    let _ = nobody.flush();
    let _ = nobody.read(&mut [0]);
    let end = Instant::now() + Duration::from_secs(5);
    while service.counted(Protocol::Syslog, Refused::Unauthenticated).1 < 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        service.counted(Protocol::Syslog, Refused::Unauthenticated),
        (2, 1)
    );
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = certificates(folder.path());
    let mut limits = Limits::default();
    limits.handshake_time = Duration::from_millis(300);
    let service = Service::with(limits, Some(certificates.files.load().unwrap()));
    let mut silent = service.connect();
    let began = Instant::now();
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = certificates(folder.path()).files;
    files.key = folder.path().join("missing.key");
    let error = files.load().unwrap_err().to_string();
    assert!(
        error.contains("private key") && error.contains("missing.key"),
        "{error}"
    );
    files.key = files.certificate.clone();
    assert!(files.load().is_err());
}
