//! A broker made of bytes, for tests: it says what a script makes of each request.

use super::WireCluster;
use super::address::BrokerAddress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A request as it came.
pub(crate) struct ScriptedRequest {
    pub(crate) api: i16,
    pub(crate) version: i16,
    correlation: i32,
    /// How many connections there have been, this one included.
    pub(crate) connection: usize,
    /// What follows the header.
    pub(crate) body: Vec<u8>,
}

impl ScriptedRequest {
    /// A whole frame with this body behind the correlation id.
    pub(crate) fn frame(&self, body: &[u8]) -> ScriptedReply {
        let length = i32::try_from(body.len() + 4).expect("short");
        ScriptedReply::Bytes([&length.to_be_bytes()[..], &self.correlation.to_be_bytes(), body].concat())
    }
}

/// What the broker does.
pub(crate) enum ScriptedReply {
    Bytes(Vec<u8>),
    Silence,
    Close,
}

/// Answers every request by the script. With the count of connections.
pub(crate) async fn broker(
    script: impl Fn(&ScriptedRequest) -> ScriptedReply + Send + Sync + 'static,
) -> (BrokerAddress, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (BrokerAddress::local(port), serve(listener, script))
}

/// The same behind a port that is known before the script is.
pub(crate) fn serve(
    listener: TcpListener,
    script: impl Fn(&ScriptedRequest) -> ScriptedReply + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let (script, count) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    let connections = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let connection = connections.fetch_add(1, Ordering::SeqCst) + 1;
            let script = script.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_i32().await {
                    let mut frame = vec![0; usize::try_from(length).expect("a length")];
                    if stream.read_exact(&mut frame).await.is_err() {
                        return;
                    }
                    let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
                    let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four bytes"));
                    // The client's name and the tags, of which there are none.
                    let header = 8 + 2 + usize::try_from(short(8)).unwrap_or(0) + 1;
                    let body = frame.get(header..).unwrap_or_default().to_vec();
                    match script(&ScriptedRequest { api: short(0), version: short(2), correlation, connection, body }) {
                        ScriptedReply::Bytes(bytes) => _ = stream.write_all(&bytes).await,
                        ScriptedReply::Silence => {}
                        ScriptedReply::Close => return,
                    }
                }
            });
        }
    });
    count
}

/// A cluster behind these ports.
pub(crate) fn cluster_of(ports: &[u16], timeout: Duration) -> WireCluster {
    let servers: Vec<_> = ports.iter().map(|port| BrokerAddress::local(*port).to_string()).collect();
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), servers.join(","))]);
    WireCluster::new(&properties, timeout).expect("valid")
}

/// The answer about versions: `(api, least, most)`.
pub(crate) fn versions(offered: &[(i16, i16, i16)]) -> Vec<u8> {
    let mut body = vec![0, 0, u8::try_from(offered.len() + 1).expect("few")];
    for (api, least, most) in offered {
        body.extend([api.to_be_bytes(), least.to_be_bytes(), most.to_be_bytes()].concat());
        body.push(0);
    }
    body.extend([0; 5]); // throttle time and no tags
    body
}

/// An answer in the making. It has a flexible header, whose tags come first: there are none.
pub(crate) struct AnswerBody(Vec<u8>);

impl AnswerBody {
    pub(crate) fn new() -> Self {
        Self(vec![0])
    }

    /// So many bytes of 0, which are numbers, falsehoods, nulls and empty tags.
    pub(crate) fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// The length of a list that follows.
    pub(crate) fn list(mut self, length: usize) -> Self {
        self.0.push(u8::try_from(length + 1).expect("few"));
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let mut with_length = self.list(text.len());
        with_length.0.extend(text.bytes());
        with_length
    }

    pub(crate) fn short(mut self, number: i16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn int(mut self, number: i32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, number: i64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A cluster of these brokers as Metadata, version 9, tells it; with a topic of one partition, led by the first of them, where one is named.
pub(crate) fn metadata(ports: &[u16], topic: Option<&str>) -> AnswerBody {
    let mut body = AnswerBody::new().zeros(4).list(ports.len());
    for (node, port) in (1..).zip(ports) {
        body = body.int(node).text("127.0.0.1").int((*port).into()).zeros(2);
    }
    body = body.text("c1").int(1).list(usize::from(topic.is_some()));
    if let Some(topic) = topic {
        // No error; not internal; one partition, its leader and its epoch; replicas, those in sync, none offline.
        body = body.short(0).text(topic).zeros(1).list(1).short(0).int(0).int(1).int(0);
        body = body.list(1).int(1).list(1).int(1).list(0).zeros(1);
        body = body.int(i32::MIN).zeros(1);
    }
    body.int(i32::MIN).zeros(1)
}

/// The same as DescribeCluster, version 0, tells it. The principal may describe it.
pub(crate) fn description(ports: &[u16]) -> AnswerBody {
    let mut body = AnswerBody::new().zeros(4 + 2 + 1).text("c1").int(1).list(ports.len());
    for (node, port) in (1..).zip(ports) {
        body = body.int(node).text("127.0.0.1").int((*port).into()).zeros(2);
    }
    body.int(1 << 8).zeros(1)
}
