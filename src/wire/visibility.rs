//! Whether a principal sees everything: what it may not see, Kafka leaves out of lists in silence.

use super::cluster::WireCluster;
use super::refusal::MissingRight;
use super::topics;
use super::wire_error::WireError;

/// Whether every topic is in a list of topics; else the refusal that says so.
///
/// A topic that nobody has is "absent" for a principal with DESCRIBE on every topic (by an ACL on `*`, as a super user, or
/// without an authorizer), and "denied" for one that may see only some. An ACL that *denies* single topics to a principal that
/// may see all others cannot be found out.
///
/// ACL: DESCRIBE on Topic `*` for the answer yes.
///
/// # Errors
/// No broker answers.
pub async fn of_topics(cluster: &WireCluster) -> Result<Option<MissingRight>, WireError> {
    let nobodys = format!("kscen-nobodys-{:032x}", rand::random::<u128>());
    let found = topics::describe(cluster, &[&nobodys]).await?;
    Ok(found.into_values().find_map(|answer| answer.err().filter(MissingRight::is_denied)))
}
