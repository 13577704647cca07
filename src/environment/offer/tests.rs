//! Each need, met, not met and unknown; and that no kind of environment gets around it.

use super::*;
use crate::environment::fake::FakeStack;
use crate::environment::mock::MockConfig;
use crate::environment::{
    AnyKind, Environment, EnvironmentResult, FaultKind, Grant, Host, Kind, Refusal, Site, VersionRange,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

fn range(text: &str) -> VersionRange {
    text.parse().expect("a range")
}

fn property(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("a".to_owned(), value.to_owned())])
}

/// A scenario for each thing that can be needed.
fn each() -> Vec<(&'static str, Needs)> {
    vec![
        ("brokers", Needs { brokers: 3, ..Needs::default() }),
        ("3.6", Needs { kafka: Some(range("3.6")), ..Needs::default() }),
        ("dedicated", Needs { controllers: Some(Controllers::Dedicated), ..Needs::default() }),
        ("combined", Needs { controllers: Some(Controllers::Combined), ..Needs::default() }),
        ("a=1", Needs { broker_config: property("1"), ..Needs::default() }),
        ("connect", Needs::default().service(ServiceId::Connect)),
        ("1024 bytes", Needs { log_dir: Some(1024), ..Needs::default() }),
        ("2048 bytes", Needs { archive_dir: Some(2048), ..Needs::default() }),
    ]
}

fn known(controllers: Controllers) -> Offer {
    let brokers = ["kafka-1", "kafka-2", "kafka-3"].map(|name| (name.to_owned(), property("1")));
    Offer {
        brokers: 3,
        kafka: Ok(BTreeSet::from([Release::Exact("3.6.1".to_owned()), Release::Minor(3, 6)])),
        controllers: Ok(controllers),
        broker_config: Ok(BTreeMap::from(brokers)),
        services: BTreeSet::from([ServiceId::Connect]),
        log_dir: Some(1024),
        archive_dir: Some(2048),
    }
}

#[test]
fn what_was_observed_is_met_and_what_is_unknown_is_not() {
    let nothing = Offer::unknown(1, &Endpoints::default(), "nobody looked");
    for (word, needs) in each() {
        let suited = known(needs.controllers.unwrap_or_default());
        assert_eq!(unmet(&suited, &needs), [] as [String; 0], "{word}");
        let refused = unmet(&nothing, &needs);
        assert!(matches!(&refused[..], [one] if one.contains(word)), "{word}: {refused:?}");
    }
    assert!(unmet(&nothing, &Needs::kafka()).is_empty());
}

#[test]
fn one_broker_that_differs_is_enough() {
    let needs = Needs { broker_config: property("1"), kafka: Some(range("<4")), ..Needs::default() };
    let mut offer = known(Controllers::Combined);
    assert!(unmet(&offer, &needs).is_empty());
    offer.broker_config.as_mut().expect("known").insert("kafka-2".to_owned(), property("2"));
    offer.broker_config.as_mut().expect("known").insert("kafka-3".to_owned(), BTreeMap::new());
    offer.kafka.as_mut().expect("known").insert(Release::Minor(4, 0));
    let refused = unmet(&offer, &needs).join("; ");
    for part in ["a broker runs 4.0", "kafka-2 has 2", "kafka-3 does not show"] {
        assert!(refused.contains(part), "{refused}");
    }
}

/// A kind of environment that was written without a thought of needs.
#[derive(Debug, Deserialize, JsonSchema)]
struct Careless {}

impl Kind for Careless {
    const NAME: &'static str = "careless";
    const ABOUT: &'static str = "For this test.";
    const ADDRESSED: bool = false;
    const GRANTS: &'static [Grant] = &[];
    const BETWEEN_RUNS: &'static str = "-";

    fn refusals(&self, _: &Site, _: &Needs) -> Vec<Refusal> {
        Vec::new()
    }

    fn lacks(&self, _: &Site, _: Grant) -> Option<Refusal> {
        None
    }

    fn falsifies(&self, _: &Site) -> Option<Refusal> {
        None
    }

    fn means(_: FaultKind) -> Option<&'static str> {
        None
    }

    fn attach<'a>(
        &'a self,
        _: &'a Site,
        _: &'a Needs,
        _: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async { Ok(FakeStack::brokers(1) as Arc<dyn Environment>) })
    }
}

struct Nowhere;

impl Host for Nowhere {
    fn note(&self, _: String) {}

    fn folder(&mut self) -> PathBuf {
        PathBuf::new()
    }

    fn alone<'a>(&'a mut self, _: Option<&'a dyn Environment>) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn no_kind_of_environment_gets_around_a_need() {
    let kinds: [&dyn AnyKind; 2] = [&Careless {}, &MockConfig::default()];
    let site = Site { name: "theirs".to_owned(), ..Site::default() };
    for kind in kinds {
        assert!(kind.attach(&site, &Needs::kafka(), &mut Nowhere).await.is_ok());
        for (word, needs) in each() {
            let refused = kind.attach(&site, &needs, &mut Nowhere).await.err();
            let error = refused.unwrap_or_else(|| panic!("{} takes {word}", kind.name()));
            assert!(error.to_string().contains(word) && error.remedy().is_some(), "{error}");
        }
    }
    for (word, needs) in each() {
        assert!(!AnyKind::refusals(&MockConfig::default(), &site, &needs).is_empty(), "{word}: before anything starts");
    }
}
