//! Connections that are slow, and those that are encrypted.

use super::listen::{answer, tls};
use super::unread::PATIENCE;
use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use hyper_util::server::graceful::GracefulShutdown;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509Builder, X509NameBuilder};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};

fn router() -> Router {
    let reads = |request: Request| async move {
        match super::http::read_body(request).await {
            Ok(bytes) => bytes.len().to_string(),
            Err(problem) => problem.code,
        }
    };
    Router::new().route("/", get(|| async { "here" })).route("/body", post(reads))
}

/// What comes back of what a client sends, up to the end of the connection.
async fn speak(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), sent: &str) -> String {
    let mut found = Vec::new();
    // A connection that is cut ends in an error, wherever it is.
    let _ = stream.write_all(sent.as_bytes()).await;
    let _ = stream.read_to_end(&mut found).await;
    String::from_utf8_lossy(&found).into_owned()
}

/// On a clock that moves when nobody has anything to do.
async fn connected(sent: &str) -> String {
    let (mut client, server) = duplex(1 << 16);
    let graceful = GracefulShutdown::new();
    let serving = tokio::spawn(answer(server, ([127, 0, 0, 1], 1).into(), router(), graceful.watcher()));
    let found = speak(&mut client, sent).await;
    serving.await.expect("no panic");
    found
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_cut_off_and_a_slow_body_is_told() {
    let close = "Connection: close\r\n";
    assert!(connected(&format!("GET / HTTP/1.1\r\nHost: here\r\n{close}\r\n")).await.ends_with("here"));
    let begun = tokio::time::Instant::now();
    let found = connected("GET / HTTP/1.1\r\nHost: he").await;
    assert!(found.starts_with("HTTP/1.1 408") && found.contains("urn:kscen:problem:slow"), "{found}");
    // With the time for which more is read, so that the answer is heard.
    assert_eq!(begun.elapsed().as_secs(), 16);
    // One that has said nothing, or nothing more, hears nothing.
    assert_eq!(connected("").await, "");
    let idle = connected("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(idle.ends_with("here"), "{idle}");
    let begun = tokio::time::Instant::now();
    let head = format!(
        "POST /body HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n{close}\r\n"
    );
    assert!(connected(&format!("{head}{{\"half\":")).await.contains("urn:kscen:problem:slow"));
    assert_eq!(begun.elapsed().as_secs(), 10);
    let head = "POST /body HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let part = format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000));
    let endless = connected(&format!("{head}{close}\r\n{}", part.repeat(7))).await;
    assert!(endless.contains("urn:kscen:problem:too-large"), "{endless}");
    for (sent, status, code) in [
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(60_000)), 431, "too-large"),
        (format!("GET /{} HTTP/1.1\r\nHost: here\r\n\r\n", "x".repeat(60_000)), 431, "too-large"),
        ("no HTTP\r\n\r\n".to_owned(), 400, "malformed"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/1.1\r\nHost: here\r\nbroken\r\n\r\n".to_owned(), 400, "malformed"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".repeat(10), 400, "malformed"),
    ] {
        let found = connected(&sent).await;
        assert!(found.starts_with(&format!("HTTP/1.1 {status} ")), "{found}");
        assert!(found.contains("content-type: application/problem+json"), "{found}");
        assert!(found.contains(&format!("urn:kscen:problem:{code}\"")), "{found}");
    }
}

/// Whoever sends requests and reads no answer does not keep a connection from others for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_off() {
    let (mut client, server) = duplex(64);
    let graceful = GracefulShutdown::new();
    let begun = tokio::time::Instant::now();
    let serving = tokio::spawn(answer(server, ([127, 0, 0, 1], 1).into(), router(), graceful.watcher()));
    let sent = "GET / HTTP/1.1\r\nHost: here\r\n\r\n".repeat(1000);
    assert!(client.write_all(sent.as_bytes()).await.is_err(), "the connection is over");
    assert_eq!(serving.await.expect("no panic"), None, "nobody hears an answer");
    assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    // One that reads slowly is waited for.
    let (mut client, server) = duplex(64);
    let serving = tokio::spawn(answer(server, ([127, 0, 0, 1], 1).into(), router(), graceful.watcher()));
    client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.expect("sent");
    let (mut found, mut part) = (Vec::new(), [0; 40]);
    loop {
        tokio::time::sleep(PATIENCE - std::time::Duration::from_secs(10)).await;
        match client.read(&mut part).await.expect("open") {
            0 => break,
            read => found.extend_from_slice(&part[..read]),
        }
    }
    assert!(String::from_utf8_lossy(&found).ends_with("here"), "{found:?}");
    assert_eq!(serving.await.expect("no panic"), None);
}

/// A certificate of its own, in files as they have to be.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", "localhost").expect("a name");
    let (name, mut builder) = (name.build(), X509Builder::new().expect("a builder"));
    builder.set_version(2).expect("set");
    builder.set_subject_name(&name).expect("set");
    builder.set_issuer_name(&name).expect("set");
    builder.set_pubkey(&key).expect("set");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("set");
    builder.set_not_after(&Asn1Time::days_from_now(1).expect("a time")).expect("set");
    builder.sign(&key, MessageDigest::sha256()).expect("signed");
    let (certificate, private) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, builder.build().to_pem().expect("PEM")).expect("written");
    // As older tools write it: not PKCS #8.
    std::fs::write(&private, key.rsa().expect("a key").private_key_to_pem().expect("PEM")).expect("written");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).expect("ours");
    (certificate, private)
}

#[tokio::test]
async fn a_connection_is_encrypted_and_a_key_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = certificate(folder.path());
    let acceptor = tls(&certificate, &key).expect("both are good");
    let (client, server) = duplex(1 << 16);
    let graceful = GracefulShutdown::new();
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let stream = acceptor.accept(server).await.expect("a handshake");
        answer(stream, ([127, 0, 0, 1], 1).into(), router(), watcher).await;
    });
    let connector = native_tls::TlsConnector::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let connector = tokio_native_tls::TlsConnector::from(connector);
    let mut stream = connector.connect("localhost", client).await.expect("a handshake");
    let found = speak(&mut stream, "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
    assert!(found.ends_with("here"), "{found}");

    let refused = |certificate: &Path, key: &Path| tls(certificate, key).map(drop).expect_err("refused");
    assert!(refused(&certificate, &folder.path().join("none")).contains("none"));
    assert!(refused(&key, &key).contains("is no certificate"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("ours");
    assert!(refused(&certificate, &key).contains("can be read by other users"));
}
