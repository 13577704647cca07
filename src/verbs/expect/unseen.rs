//! What a question leaves that was not answered: what nobody answered, or what the principal may not see, is unknown; what is told not to be
//! there is nothing to observe.

use crate::connect::ConnectError;
use crate::environment::EnvironmentError;
use crate::kafka::KafkaFailure;
use crate::record::Observed;
use crate::wire::WireError;

/// Of a client of Kafka: a topic that is not there is nothing.
pub(super) fn unseen(error: &KafkaFailure) -> Observed {
    match error.name() {
        Some("UNKNOWN_TOPIC_OR_PART" | "_UNKNOWN_TOPIC" | "_UNKNOWN_PARTITION") => Observed::nothing(error.to_string()),
        _ => Observed::unknown(error.to_string()),
    }
}

/// Of kscen's own connections to Kafka.
pub(super) fn untold(error: &WireError) -> Observed {
    match error.refusal() {
        Some(refusal) if refusal.is_absent() => Observed::nothing(refusal.to_string()),
        _ => Observed::unknown(error.to_string()),
    }
}

/// Of Kafka Connect: a connector that is not there is nothing.
pub(super) fn unanswered(error: &ConnectError) -> Observed {
    match error {
        ConnectError::NotFound { .. } => Observed::nothing(error.to_string()),
        _ => Observed::unknown(error.to_string()),
    }
}

/// Of the environment: a service that is not there is nothing.
pub(super) fn out_of_sight(error: &EnvironmentError) -> Observed {
    match error {
        EnvironmentError::UnknownService { .. } => Observed::nothing(error.to_string()),
        _ => Observed::unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_nobody_answered_is_unknown_and_what_is_not_there_is_nothing() {
        let is_nothing = |observed: &Observed| match observed {
            Observed::Nothing { .. } => true,
            Observed::Unknown { .. } => false,
            other => panic!("{other}"),
        };
        let refused = |status| ConnectError::Refused { status, message: "no".to_owned() };
        let rebalancing =
            ConnectError::Rebalancing { attempts: 3, waited: Duration::from_secs(9), message: "busy".to_owned() };
        for error in [refused(401), refused(403), refused(500), rebalancing] {
            assert!(!is_nothing(&unanswered(&error)), "{error}");
        }
        assert!(is_nothing(&unanswered(&ConnectError::NotFound { message: "no connector c".to_owned() })));
        assert!(!is_nothing(&out_of_sight(&EnvironmentError::failed("the engine is busy"))));
        let unknown = EnvironmentError::UnknownService { service: "kafka-9".to_owned(), known: Vec::new() };
        assert!(is_nothing(&out_of_sight(&unknown)));
    }
}
