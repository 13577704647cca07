//! What is told of deliveries, in words.

use super::delivery::{describe, none, observed};
use super::finding::{Finding, Limits, NoAccounts};
use super::terms::{self, gap, samples};
use super::{decide, invalid_tail, subject, tail};
use crate::accounting::changes::{
    ChangeBasis, ChangeCounts, ChangeSettlement, Excuse, Figure, FigureCheck, Gap, NotStored, Reconciliation,
    RowAnomaly, RowClass, Tally,
};
use crate::accounting::{Attribution, Class, LedgerReport, MessageSample, SentLine};
use crate::database::{RowOp, TableName};
use crate::record::health::GeneratorHealth;
use crate::record::latency::LatencyRecorder;
use crate::record::{CheckOutcome, CheckRecord, DeliveryRecord, Observed, ProduceReport};
use crate::scenario::Guarantee;
use std::collections::BTreeMap;

#[test]
fn a_message_is_named_by_all_that_is_known_of_it() {
    let nothing = MessageSample {
        producer: None,
        sequence: None,
        partition: None,
        offset: None,
        time_us: None,
        attribution: None,
    };
    assert_eq!(describe(Class::Lost, &nothing), "lost: ");
    let all = MessageSample {
        producer: Some(1),
        sequence: Some(2),
        partition: Some(3),
        offset: Some(4),
        time_us: Some(1_700_000_000_123_000),
        ..nothing.clone()
    };
    let text = "producer 1, sequence 2, partition 3, offset 4, 22:13:20.123";
    assert_eq!(describe(Class::Duplicated, &all), format!("duplicated: {text}"));
    for (attribution, where_) in [
        (Attribution::MissingFromLog, ": not in the log any more"),
        (Attribution::BelowLogStart, ": below the start of the log (retention or deleted records)"),
        (Attribution::InLogNotRead, ": in the log, but never read"),
        (Attribution::Unplaced, ": not in the log, and the broker had not told where it put it"),
    ] {
        let sample = MessageSample { attribution: Some(attribution), partition: Some(3), ..nothing.clone() };
        assert_eq!(describe(Class::Lost, &sample), format!("lost: partition 3{where_}"));
    }
}

/// Why a delivery cannot be judged.
fn why(line: SentLine, change: impl FnOnce(&mut DeliveryRecord), class: Class) -> String {
    let mut ledger = LedgerReport { sent: line.sent, acked: line.acked, drained: true, ..LedgerReport::default() };
    ledger.sheet.sent.push(line);
    let mut delivery = DeliveryRecord { ledger, ..DeliveryRecord::default() };
    change(&mut delivery);
    match observed(&delivery, class, &none()) {
        Observed::Unknown { reason } => reason,
        other => other.to_string(),
    }
}

#[test]
fn what_is_missing_of_a_delivery_is_named() {
    let line = || SentLine { step: "load".to_owned(), sent: 10, acked: 10, read_once: 10, ..SentLine::default() };
    let unread = |delivery: &mut DeliveryRecord| delivery.ledger.classes.entry(Class::Unread).or_default().count = 3;
    assert_eq!(why(line(), |_| (), Class::Lost), "0");
    let text = "3 acknowledged messages were not read before the drain's end";
    assert_eq!(why(line(), unread, Class::Lost), text);
    assert_eq!(why(line(), |delivery| delivery.incomplete = vec!["a".to_owned(), "b".to_owned()], Class::Lost), "a; b");
    let begins = SentLine { excused: 10, read_once: 0, ..line() };
    assert!(why(begins, |_| (), Class::Lost).contains("every acknowledged message of `load` lies before the place"));
    let refused = SentLine { acked: 0, failed: 9, unknown: 1, ..line() };
    assert_eq!(why(refused, |_| (), Class::Lost), "nothing of `load` was acknowledged");
    let undrained = |delivery: &mut DeliveryRecord| delivery.ledger.drained = false;
    assert!(why(line(), undrained, Class::Phantom).contains("did not come to the end of the log"));
    assert_eq!(why(line(), undrained, Class::Unread), "0", "what is unread is known");
    let held = |delivery: &mut DeliveryRecord| delivery.ledger.held_back = true;
    assert!(why(line(), held, Class::Phantom).contains("an open transaction holds back the end"));
    assert_eq!(why(SentLine::default(), |_| (), Class::Lost), Observed::nothing("nothing was sent").to_string());
    let damaged = SentLine { read_once: 9, damaged: 1, ..line() };
    let text = "1 messages were read only in another form than they were sent; state `corrupted`, or a `guarantee`, to judge them";
    assert_eq!(why(damaged, |_| (), Class::Lost), text);
}

fn anomaly(class: RowClass, key: &str) -> RowAnomaly {
    RowAnomaly {
        class,
        table: TableName::new("public", "orders"),
        key: key.to_owned(),
        op: None,
        xid: None,
        lsn: None,
        committed_us: Some(5),
        topic: None,
        partition: Some(1),
        offset: Some(2),
        detail: String::new(),
    }
}

fn settlement(missing: Option<&str>) -> ChangeSettlement {
    let figures = [Figure::Class(Class::Lost), Figure::Tally(Tally::Inserts)];
    let check = |figure| FigureCheck { subject: "s".to_owned(), at: None, figure };
    ChangeSettlement {
        step: "expect".to_owned(),
        from: vec!["rows".to_owned()],
        to: vec!["reader".to_owned()],
        missing: missing.map(str::to_owned),
        connectors: Some("cdc stands at 0/5".to_owned()),
        basis: ChangeBasis::Sums { because: NotStored::TooMany, sums: Box::default() },
        checks: figures.map(check).into(),
    }
}

/// All that can be wrong, once each, in an account of ten inserts.
fn changes() -> Reconciliation {
    Reconciliation {
        drained: true,
        expected: ChangeCounts { inserts: 10, ..ChangeCounts::default() },
        delivered: ChangeCounts { inserts: 7, ..ChangeCounts::default() },
        covered_by_snapshot: 1,
        lost: 2,
        duplicated: 3,
        redelivered: 4,
        out_of_order: 5,
        wrong_content: 6,
        phantom: 7,
        foreign: 8,
        samples: vec![
            anomaly(RowClass::Lost, "id=1"),
            anomaly(RowClass::Unread, "id=2"),
            anomaly(RowClass::Lost, "id=3"),
        ],
        ..Reconciliation::default()
    }
}

#[test]
fn an_account_of_changes_says_the_same_in_the_terms_of_messages() {
    let delivery = terms::delivery(&settlement(None), changes());
    let ledger = &delivery.ledger;
    assert_eq!((delivery.drained, &delivery.missing_evidence), (true, &None));
    assert_eq!((ledger.sent, ledger.acked, ledger.distinct), (10, 10, 8));
    for (class, count) in [
        (Class::Lost, 2),
        (Class::Unread, 0),
        (Class::Duplicated, 3),
        (Class::Redelivered, 4),
        (Class::Reordered, 5),
        (Class::Corrupted, 6),
        (Class::Phantom, 7),
        (Class::Foreign, 8),
    ] {
        assert_eq!((ledger.count(class), ledger.classes.contains_key(&class)), (count, count > 0), "{class}");
    }
    let lost = &ledger.classes[&Class::Lost].samples;
    assert_eq!((lost.len(), lost[0].partition, lost[0].offset, lost[0].time_us), (2, Some(1), Some(2), Some(5)));
    assert_eq!((delivery.stated.len(), delivery.from.len(), delivery.to.len(), delivery.stored), (1, 1, 1, true));
    let names = |class, most| samples(&delivery, class, most);
    assert_eq!(
        names(Class::Lost, 9),
        ["lost: public.orders id=1", "unread: public.orders id=2", "lost: public.orders id=3"]
    );
    assert_eq!((names(Class::Lost, 2).len(), names(Class::Unread, 9).len(), names(Class::Phantom, 9).len()), (2, 1, 0));
    assert!(samples(&DeliveryRecord::default(), Class::Lost, 9).is_empty());
}

#[test]
fn the_first_thing_that_is_missing_of_an_account_is_told() {
    let told = |missing: Option<&str>, change: &dyn Fn(&mut Reconciliation)| {
        let mut changes = changes();
        change(&mut changes);
        let delivery = terms::delivery(&settlement(missing), changes);
        assert!(!delivery.drained, "{:?}", delivery.missing_evidence);
        (delivery.missing_evidence.clone().expect("something is missing"), samples(&delivery, Class::Lost, 9).len())
    };
    let filter = |changes: u64, records: u64| Gap {
        table: Some(TableName::new("public", "orders")),
        reason: "a filter".to_owned(),
        changes,
        records,
    };
    let excuse = |table: &str| Excuse {
        table: TableName::new("public", table),
        op: RowOp::Delete,
        reason: "it drops deletes".to_owned(),
        changes: 10,
    };
    assert_eq!(told(Some("`a` did not run"), &|changes| changes.drained = false).0, "`a` did not run");
    assert_eq!(
        told(None, &|changes| changes.drained = false).0,
        "the readers did not reach the end of the log in time"
    );
    assert_eq!(told(None, &|changes| changes.unread = 1).0, "the connector has not read that far: cdc stands at 0/5");
    let unjudged = told(None, &|changes| changes.unjudged.push(filter(2, 1)));
    assert_eq!(
        unjudged,
        ("2 changes and 1 records of public.orders: a filter".to_owned(), 4),
        "it is shown with the lost"
    );
    let none = |changes: &mut Reconciliation| changes.expected.inserts = 0;
    assert_eq!(told(None, &none).0, "the senders committed no change");
    let excused = |count: usize| {
        told(None, &|changes| {
            none(changes);
            changes.excused = (0..count).map(|number| excuse(&format!("t{number}"))).collect();
        })
        .0
    };
    let one = "none of the senders' changes has to arrive: 10 of public.t0, it drops deletes";
    assert_eq!((excused(1), excused(3)), (one.to_owned(), format!("{one} (and 2 more reasons)")));
    assert_eq!(gap(&filter(0, 3)), "3 records of public.orders: a filter");
    assert_eq!(gap(&Gap { table: None, ..filter(0, 0) }), "changes: a filter");
}

#[test]
fn checks_of_deliveries_are_told_from_others_by_their_names() {
    let is = |step: &str, subject: &str| {
        let (outcome, observed) = (CheckOutcome::Pass, Observed::Flag(true));
        let (step, subject) = (step.to_owned(), subject.to_owned());
        subject::is_of_delivery(&CheckRecord {
            step,
            subject,
            demand: none(),
            observed,
            outcome,
            at: None,
            samples: Vec::new(),
        })
    };
    let names = |of: &str| [of.to_owned()];
    for class in Class::ALL {
        assert!(is("expect", &subject::stated(class.name())), "{class}");
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce, Guarantee::ExactlyOnce] {
            let subject = subject::implied(guarantee, &names("load"), &names("reader"), class);
            assert!(is("", &subject) && !is("expect", &subject), "{subject}");
        }
    }
    assert!(Tally::ALL.iter().all(|tally| is("expect", &subject::stated(tally.name()))));
    assert_eq!(
        subject::implied(Guarantee::AtLeastOnce, &names("a"), &names("b"), Class::Lost),
        "at-least-once from a to b: lost"
    );
    for other in
        ["delivery.speed", "load: sent", "at-least-once from a to b", "at-least-once from a to b: speed", "lost"]
    {
        assert!(!is("", other) && !is("expect", other), "{other}");
    }
}

/// A load of 10 s whose messages took a millisecond, but for a few.
fn tailed(longest_pause_us: u64, pauses: u64) -> ProduceReport {
    let mut latency = LatencyRecorder::default();
    (0..10_000).for_each(|n| latency.record(n * 1000, if n % 500 == 0 { 50_000 } else { 1_000 }));
    let health = GeneratorHealth { longest_pause_us, pauses, elapsed_us: 10_000_000, ..GeneratorHealth::default() };
    ProduceReport { response_latency: latency.snapshot(), health, ..ProduceReport::default() }
}

#[test]
fn a_tail_that_the_generator_made_itself_is_told() {
    assert_eq!(invalid_tail(&tailed(800, 100)), None, "they are shorter than every tail");
    let text = invalid_tail(&tailed(200_000, 1)).expect("a part of the tail is its own");
    assert!(
        text.contains("response_latency p99, p99.9, max cannot be told") && !text.contains("ack_latency"),
        "{text}"
    );
    let of = |name: &str, statistic: Option<&str>| tail::invalid(&tailed(200_000, 7), name, statistic);
    assert!(of("response_latency", Some("p99")).expect("spoiled").contains("paused 7 times, for up to 200"));
    for (name, statistic) in
        [("response_latency", Some("p50")), ("response_latency", None), ("ack_latency", Some("p99")), ("sent", None)]
    {
        assert_eq!(of(name, statistic), None, "{name} {statistic:?}");
    }
}

#[test]
fn a_finding_says_what_it_could_look_at() {
    let limits = Limits { unstored: 2, sums_only: BTreeMap::from([(NotStored::Secret, 1)]) };
    let text = Finding::Same { deliveries: 3, checks: 4, limits: limits.clone() }.to_string();
    assert_eq!(
        text,
        "the stored accounts give the same result: deliveries 3, checks 4; not judged again, because their accounts are not stored: \
         deliveries of database changes 2; judged again by their sums and not row by row, because the rows contain a secret: deliveries \
         of database changes 1"
    );
    assert_eq!(Finding::Nothing { limits: Limits::default() }.to_string(), "no delivery was judged");
    assert!(
        Finding::Nothing { limits }.to_string().starts_with("no delivery of messages was judged; not judged again")
    );
    let differences = |count: usize| Finding::Differs { differences: vec!["it differs".to_owned(); count] }.to_string();
    assert!(differences(2).ends_with("\n  it differs\n  it differs"));
    assert!(differences(200).ends_with("it differs") && differences(201).ends_with("\n  and 1 more"));
    assert!(Finding::Missing(NoAccounts::Older).to_string().contains("stored no accounts"));
    assert!(Finding::Unreadable { reason: "it is cut".to_owned() }.to_string().ends_with("accounts.bin: it is cut"));
    assert_eq!(decide(&none(), &Observed::Flag(true)), CheckOutcome::Fail, "what is no number meets no bound");
}
