//! Asking those who are responsible: leaders of partitions, and again while they move.

use super::cluster::{WireCluster, never, nobody};
use super::frame::{ApiCall, Malformed};
use super::refusal::RightSubject;
use super::topics;
use super::wire_error::WireError;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two rounds; nothing announces that a leader or coordinator has moved.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer for each thing that was asked about.
pub(super) type Answers<K, V> = BTreeMap<K, Result<V, WireError>>;

/// Asks about all keys, and again about those whose trouble passes, until the deadline.
pub(super) async fn rounds<K, V, F>(
    keys: impl IntoIterator<Item = K>,
    deadline: Instant,
    ask: impl Fn(BTreeSet<K>) -> F,
) -> Answers<K, V>
where
    K: Ord + Clone,
    F: Future<Output = Answers<K, V>>,
{
    let mut open: BTreeSet<K> = keys.into_iter().collect();
    let mut answers = BTreeMap::new();
    while !open.is_empty() {
        let round = ask(std::mem::take(&mut open)).await;
        let again = Instant::now() + PAUSE < deadline;
        for (key, answer) in round {
            if again && matches!(&answer, Err(error) if error.is_passing()) {
                open.insert(key);
            } else {
                answers.insert(key, answer);
            }
        }
        if !open.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    answers
}

/// Asks one thing, and again while its trouble passes, until the deadline.
pub(super) async fn insist<V, F>(deadline: Instant, ask: impl Fn() -> F) -> Result<V, WireError>
where
    F: Future<Output = Result<V, WireError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_passing() && Instant::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// A partition, and the epoch of its leader, which a broker that leads no longer cannot know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Led {
    pub(super) partition: i32,
    pub(super) epoch: i32,
}

/// Asks the leader of each partition with one request to each leader. `read` finds the answers in a response; a partition
/// that is not in it is an error.
pub(super) async fn ask_leaders<R: ApiCall, V>(
    cluster: &WireCluster,
    topic: &str,
    partitions: &BTreeSet<i32>,
    deadline: Instant,
    build: impl Fn(&[Led]) -> R,
    read: impl Fn(R::Answer) -> Answers<i32, V>,
) -> Answers<i32, V> {
    let (by_leader, mut answers) = leaders(cluster, topic, partitions, deadline).await;
    let asked = by_leader.into_iter().map(|(leader, led)| {
        let request = build(&led);
        async move { (leader, led, cluster.ask_broker(leader, &request, deadline).await) }
    });
    for (leader, led, result) in join_all(asked).await {
        match result {
            Ok(answer) => {
                let mut found = read(answer);
                for Led { partition, .. } in led {
                    let missing =
                        || Err(missing::<R>(cluster, leader, RightSubject::Partition(topic.to_owned(), partition)));
                    answers.insert(partition, found.remove(&partition).unwrap_or_else(missing));
                }
            }
            Err(error) => answers.extend(led.iter().map(|led| (led.partition, Err(error.clone())))),
        }
    }
    answers
}

/// Sorts partitions by their leader; those that have none get their reason.
async fn leaders<V>(
    cluster: &WireCluster,
    topic: &str,
    partitions: &BTreeSet<i32>,
    deadline: Instant,
) -> (BTreeMap<i32, Vec<Led>>, Answers<i32, V>) {
    let all = |error: WireError| partitions.iter().map(|partition| (*partition, Err(error.clone()))).collect();
    let found = match topics::once(cluster, &[topic], deadline).await {
        Ok(mut found) => match found.remove(topic) {
            Some(Ok(topic)) => topic,
            Some(Err(refusal)) => return (BTreeMap::new(), all(refusal.into())),
            None => return (BTreeMap::new(), all(nobody(&format!("topic `{topic}`"), "no broker knows it"))),
        },
        Err(error) => return (BTreeMap::new(), all(error)),
    };
    let mut by_leader: BTreeMap<i32, Vec<Led>> = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for number in partitions {
        let partition = found.partitions.iter().find(|partition| partition.index == *number);
        match partition.map(|partition| (partition.leader, partition.leader_epoch)) {
            Some((Some(leader), epoch)) => {
                let led = Led { partition: *number, epoch: epoch.unwrap_or(-1) };
                by_leader.entry(leader).or_default().push(led);
            }
            Some((None, _)) => {
                let wanted = format!("the leader of {topic}/{number}");
                answers.insert(*number, Err(nobody(&wanted, "it has none now")));
            }
            None => {
                let count = found.partitions.len();
                let reason = format!("topic `{topic}` has {count} partitions");
                answers.insert(*number, Err(never(&format!("partition {topic}/{number}"), &reason)));
            }
        }
    }
    (by_leader, answers)
}

/// The error for an answer that leaves out what was asked.
pub(super) fn missing<R: ApiCall>(cluster: &WireCluster, broker: i32, subject: RightSubject) -> WireError {
    WireError::Malformed {
        address: cluster.address_of(broker),
        request: R::NAME,
        source: Arc::new(Malformed::Missing(subject.to_string())),
    }
}
