//! Brokers that exist only in this process: for tests in paused time, which no socket keeps.

use crate::ground::lock;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Mutex, Weak};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Kafka's number of the question which requests a broker knows.
const API_VERSIONS: i16 = 18;

/// What a broker answers.
pub(crate) trait BrokerScript: Send + Sync {
    /// The requests that it knows, each in one version.
    fn speaks(&self) -> Vec<(i16, i16)>;

    /// The answer to such a request, both without their headers.
    fn answer<'a>(&'a self, api: i16, body: &'a [u8]) -> BoxFuture<'a, Vec<u8>>;
}

static BROKERS: Mutex<BTreeMap<String, Weak<dyn BrokerScript>>> = Mutex::new(BTreeMap::new());

/// From now on, connections to this host lead to the script, for as long as it is there.
pub(crate) fn listen(host: &str, script: Weak<dyn BrokerScript>) {
    lock(&BROKERS).insert(host.to_owned(), script);
}

/// A connection to a host that is such a broker.
pub(super) fn dial(host: &str) -> Option<DuplexStream> {
    let script = lock(&BROKERS).get(host).cloned()?;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(theirs, script));
    Some(ours)
}

async fn serve(mut stream: DuplexStream, script: Weak<dyn BrokerScript>) {
    while let Ok(length) = stream.read_i32().await {
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        stream.read_exact(&mut frame).await.expect("a whole request");
        let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        // Length of the client's name, the name, and no tags.
        let body = 10 + usize::try_from(short(8)).unwrap_or_default() + 1;
        let Some(script) = script.upgrade() else { return };
        let mut answer = frame[4..8].to_vec();
        if short(0) == API_VERSIONS {
            answer.extend(versions(&script.speaks()));
        } else {
            answer.push(0);
            answer.extend(script.answer(short(0), &frame[body..]).await);
        }
        let length = i32::try_from(answer.len()).expect("short").to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}

fn versions(spoken: &[(i16, i16)]) -> Vec<u8> {
    let mut body = vec![0, 0, u8::try_from(spoken.len() + 1).expect("few")];
    for (api, version) in spoken {
        body.extend([api.to_be_bytes(), version.to_be_bytes(), version.to_be_bytes()].concat());
        body.push(0);
    }
    body.extend([0; 5]);
    body
}
