//! The names of Kafka's errors: its own, and those that the client library gives them.

use super::refusal::upper_snake;
use crate::kafka;
use kafka_protocol::ResponseError;
use std::collections::BTreeSet;

/// Beyond the codes of Kafka 4.
const MOST: i16 = 300;

/// Every error: its code, and a name of it. One with two names stands there twice.
fn all() -> Vec<(i32, String)> {
    let known = (-1..MOST).filter_map(ResponseError::try_from_code);
    let known = known.filter(|error| !matches!(error, ResponseError::Unknown(_)));
    let own = known.map(|error| (i32::from(error.code()), upper_snake(&format!("{error:?}"))));
    own.chain(kafka::error_names().into_iter().filter(|(code, _)| *code != 0)).collect()
}

/// Every name of an error, in order.
pub fn names() -> BTreeSet<String> {
    all().into_iter().map(|(_, name)| name).collect()
}

/// All names of the error that has this one: `MESSAGE_TOO_LARGE` is `MSG_SIZE_TOO_LARGE` to the client library. Empty where no error has
/// the name.
pub fn synonyms(name: &str) -> BTreeSet<String> {
    let all = all();
    let codes: BTreeSet<i32> = all.iter().filter(|(_, known)| known == name).map(|(code, _)| *code).collect();
    all.into_iter().filter(|(code, _)| codes.contains(code)).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_the_names_of_broker_and_client() {
        for (one, other) in [
            ("MESSAGE_TOO_LARGE", "MSG_SIZE_TOO_LARGE"),
            ("UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_OR_PARTITION"),
            ("TOPIC_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"),
        ] {
            assert!(synonyms(one).contains(other), "{one}: {:?}", synonyms(one));
        }
        assert_eq!(synonyms("_MSG_TIMED_OUT"), BTreeSet::from(["_MSG_TIMED_OUT".to_owned()]));
        assert!(synonyms("MESSAGE_TO_LARGE").is_empty() && !names().contains("NO_ERROR"));
    }
}
