//! Which Kafka a broker runs, as far as its protocol tells.

use super::cluster::{WireCluster, never};
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::wire_error::WireError;
use kafka_protocol::messages::ApiVersionsRequest;

/// The feature whose levels come with releases.
const FEATURE: &str = "metadata.version";

/// The last level of the feature that a minor release of Apache Kafka knows. Each has brought at least one, since 3.0.
const RELEASES: [(i16, (u32, u32)); 14] = [
    (1, (3, 0)),
    (2, (3, 1)),
    (3, (3, 2)),
    (7, (3, 3)),
    (8, (3, 4)),
    (11, (3, 5)),
    (14, (3, 6)),
    (19, (3, 7)),
    (20, (3, 8)),
    (21, (3, 9)),
    (25, (4, 0)),
    (27, (4, 1)),
    (29, (4, 2)),
    (30, (4, 3)),
];

/// Major and minor number of the release that a broker runs. It does not tell its patch release.
///
/// ACL: none.
///
/// # Errors
/// It does not answer, or does not tell; a release that is newer than this version of kscen knows.
pub async fn of_broker(cluster: &WireCluster, id: i32) -> Result<(u32, u32), WireError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("kscen"))
        .with_client_software_version(text(env!("CARGO_PKG_VERSION")));
    let answer = cluster.ask_broker(id, &request, cluster.deadline()).await?;
    let (operation, subject) = (Operation::Describe, RightSubject::Cluster);
    MissingRight::check(answer.error_code, None, "ask the versions of", operation, subject)?;
    let wanted = format!("the release of broker {id}");
    let known = answer.supported_features.iter().find(|feature| &*feature.name == FEATURE);
    let level = known.map(|feature| feature.max_version);
    let level = level.ok_or_else(|| never(&wanted, "it does not tell which metadata versions it knows"))?;
    release(level).ok_or_else(|| {
        never(&wanted, &format!("it knows metadata version {level}, which this version of kscen has no release for"))
    })
}

fn release(level: i16) -> Option<(u32, u32)> {
    RELEASES.iter().find(|(last, _)| level >= 1 && level <= *last).map(|(_, release)| *release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_belongs_to_the_release_that_brought_it_and_a_later_one_to_none() {
        for (level, expected) in [(1, (3, 0)), (4, (3, 3)), (14, (3, 6)), (21, (3, 9)), (22, (4, 0)), (30, (4, 3))] {
            assert_eq!(release(level), Some(expected), "{level}");
        }
        assert_eq!([0, -1, 31, 120].map(release), [None; 4]);
        assert!(RELEASES.is_sorted());
    }
}
