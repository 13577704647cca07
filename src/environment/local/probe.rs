//! The few requests of Kafka's protocol that tell whether a broker is ready, written by hand.
//!
//! A client library would cache, retry and follow advertised addresses; readiness needs one question to one process,
//! within milliseconds. The versions used are understood by Kafka 2.1 up to 4.x.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const METADATA: (i16, i16) = (3, 5);
const FIND_COORDINATOR: (i16, i16) = (10, 2);
const API_VERSIONS: (i16, i16) = (18, 0);
/// No answer to these requests comes near this size; anything larger is not Kafka.
const MAX_RESPONSE: usize = 1 << 20;

/// A broker's view of its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Id of the cluster that answered.
    pub(super) cluster: Option<String>,
    /// Node ids of brokers that are alive and not fenced.
    pub(super) brokers: Vec<i32>,
}

/// Asks the broker on a local port for its view of the cluster.
///
/// # Errors
/// Nobody listens, nobody answers within `limit`, or the answer is not Kafka's.
pub(super) async fn metadata(port: u16, limit: Duration) -> io::Result<Metadata> {
    // No topics (an empty array), no automatic creation.
    let body = ask(port, METADATA, &[0, 0, 0, 0, 0], limit).await?;
    parse_metadata(&body).ok_or_else(not_kafka)
}

/// Asks for the coordinator of a group: `Ok(None)` while there is none yet. The first question makes Kafka create
/// the topic of committed offsets.
///
/// # Errors
/// See [`metadata`].
pub(super) async fn coordinator(port: u16, group: &str, limit: Duration) -> io::Result<Option<i32>> {
    let mut request = Vec::new();
    put_string(&mut request, group);
    request.push(0); // key type: a group
    let body = ask(port, FIND_COORDINATOR, &request, limit).await?;
    let mut reader = Reader(&body);
    let mut parse = || {
        reader.i32()?; // throttle time
        let error = reader.i16()?;
        reader.string()?; // error message
        let node = reader.i32()?;
        Some((error == 0 && node >= 0).then_some(node))
    };
    parse().ok_or_else(not_kafka)
}

/// Asks which requests are understood, which controllers answer too.
///
/// # Errors
/// See [`metadata`].
pub(super) async fn answers(port: u16, limit: Duration) -> io::Result<()> {
    let body = ask(port, API_VERSIONS, &[], limit).await?;
    match Reader(&body).i16() {
        Some(0) => Ok(()),
        _ => Err(not_kafka()),
    }
}

async fn ask(port: u16, (api, version): (i16, i16), request: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut frame = Vec::new();
        frame.extend(api.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(1_i32.to_be_bytes()); // correlation id
        put_string(&mut frame, "kscen-readiness");
        frame.extend(request);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &frame].concat()).await?;
        let length = stream.read_i32().await?;
        let length = usize::try_from(length).ok().filter(|length| (4..=MAX_RESPONSE).contains(length));
        let mut response = vec![0; length.ok_or_else(not_kafka)?];
        stream.read_exact(&mut response).await?;
        Ok(response.split_off(4)) // after the correlation id
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, exchange).await.map_err(|_| late())?
}

fn parse_metadata(body: &[u8]) -> Option<Metadata> {
    let mut reader = Reader(body);
    reader.i32()?; // throttle time
    let mut brokers = Vec::new();
    for _ in 0..reader.i32()? {
        brokers.push(reader.i32()?);
        reader.string()?; // host
        reader.i32()?; // port
        reader.string()?; // rack
    }
    let cluster = reader.string()?;
    brokers.sort_unstable();
    Some(Metadata { cluster, brokers })
}

fn not_kafka() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what answers there does not speak Kafka's protocol")
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend(text.as_bytes());
}

/// Reads the fixed-width encoding that these request versions use.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A nullable string: the outer `None` is a malformed response.
    fn string(&mut self) -> Option<Option<String>> {
        match self.i16()? {
            -1 => Some(None),
            length => Some(Some(String::from_utf8(self.take(usize::try_from(length).ok()?)?.to_vec()).ok()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metadata_response_is_read_and_a_torn_one_refused() {
        let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7];
        put_string(&mut body, "127.0.0.1");
        body.extend(9092_i32.to_be_bytes());
        body.extend((-1_i16).to_be_bytes());
        put_string(&mut body, "abc");
        assert_eq!(parse_metadata(&body), Some(Metadata { cluster: Some("abc".into()), brokers: vec![7] }));
        assert_eq!(parse_metadata(&body[..body.len() - 1]), None);
    }

    #[tokio::test]
    async fn a_stranger_on_the_port_is_not_kafka() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let stranger = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
            stream
        });
        let error = metadata(port, Duration::from_secs(10)).await.expect_err("not Kafka");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(stranger.await);
    }
}
