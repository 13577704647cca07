//! Against a real broker: `KSCEN_TEST_BOOTSTRAP=host:port cargo test load::tests -- --ignored`.

use super::consume::{Commit, From, Until};
use super::produce::{Acks, Partitioning};
use super::*;
use crate::kafka::LogSink;
use crate::ledger::{Class, Ledger, LedgerReport, RunIdentity};
use crate::record::latency::LatencySummary;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn connection() -> BTreeMap<String, String> {
    let bootstrap = std::env::var("KSCEN_TEST_BOOTSTRAP").expect("KSCEN_TEST_BOOTSTRAP names a broker");
    BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)])
}

fn topic(name: &str, partitions: i32) -> String {
    let nonce: u32 = rand::random();
    let name = format!("{name}-{nonce:08x}");
    let admin: AdminClient<_> =
        connection().into_iter().collect::<rdkafka::ClientConfig>().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let created = runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).expect("an answer");
    created.into_iter().for_each(|result| _ = result.expect("a topic"));
    name
}

fn produce(run: &Arc<RunIdentity>, topic: &str, schedule: Schedule) -> ProduceSpec {
    ProduceSpec {
        name: "load".into(),
        topic: topic.into(),
        schedule,
        producers: 1,
        payload: PayloadSpec::Random { size: 100, compressibility: 0.5 },
        key: KeySpec::None,
        headers: Vec::new(),
        partitioning: Partitioning::Client,
        acks: Acks::All,
        idempotent: true,
        transaction: None,
        connection: connection(),
        config: BTreeMap::new(),
        run: run.clone(),
        seed: 1,
        logs: LogSink::default(),
    }
}

fn consume(run: &Arc<RunIdentity>, topic: &str) -> ConsumeSpec {
    ConsumeSpec {
        name: "reader".into(),
        topic: topic.into(),
        from: From::Start,
        group: None,
        members: 1,
        until: Until::default(),
        commit: Commit::After,
        read_committed: false,
        cooperative: false,
        connection: connection(),
        config: BTreeMap::new(),
        run: run.clone(),
        tap: None,
        logs: LogSink::default(),
    }
}

fn run_both(spec: ProduceSpec, reader: ConsumeSpec) -> (ProduceReport, ConsumeReport, LedgerReport) {
    let clock = RunClock::start();
    let mut reader = ConsumeJob::prepare(reader, clock).expect("a reader");
    let mut load = ProduceJob::prepare(spec).expect("a load");
    load.start(clock).expect("threads");
    let (produced, senders) = load.join();
    reader.drain(Instant::now() + Duration::from_secs(30));
    let (consumed, account) = reader.join();
    let ledger = Ledger::new(&senders, [&account]).settle(None);
    (produced, consumed, ledger)
}

fn print(name: &str, produced: &ProduceReport, consumed: &ConsumeReport, ledger: &LedgerReport) {
    let summary = |series: &crate::record::latency::LatencySeries| {
        let s = LatencySummary::of(&series.total());
        format!("n {} mean {:.0} p50 {} p99 {} max {}", s.n, s.mean_us, s.p50_us, s.p99_us, s.max_us)
    };
    println!("== {name}: {:?}", produced.validity);
    println!(
        "sent {} acked {} failed {:?} unknown {:?} in {:.3} s; queue full {} us; cpu {:.2} us/msg; health {:?}",
        produced.sent,
        produced.acked,
        produced.failed,
        produced.unknown,
        (produced.end_us - produced.start_us) as f64 / 1e6,
        produced.queue_full_us,
        produced.health.cpu_us as f64 / produced.sent.max(1) as f64,
        produced.health
    );
    println!("schedule {}", summary(&produced.schedule_delay));
    println!("ack      {}", summary(&produced.ack_latency));
    println!("response {}", summary(&produced.response_latency));
    println!("e2e      {}", summary(&consumed.end_to_end_latency));
    println!(
        "read {} delivered {} errors {:?} commits {} {:?} rebalances {} fatal {:?}/{:?}",
        consumed.read,
        consumed.delivered,
        consumed.errors,
        consumed.commits,
        consumed.commit_errors,
        consumed.rebalances.len(),
        produced.fatal,
        consumed.fatal
    );
    println!(
        "ledger drained {} sent {} acked {} unknown {} ({} read) aborted {} distinct {} classes {:?}",
        ledger.drained,
        ledger.sent,
        ledger.acked,
        ledger.unknown,
        ledger.unknown_read,
        ledger.aborted,
        ledger.distinct,
        ledger.classes.iter().map(|(class, report)| (class, report.count)).collect::<Vec<_>>()
    );
}

fn assert_clean(ledger: &LedgerReport) {
    assert!(ledger.drained);
    assert!(ledger.classes.is_empty(), "{:?}", ledger.classes);
    assert_eq!(ledger.distinct, ledger.acked + ledger.unknown_read);
}

#[test]
#[ignore = "needs a broker"]
fn paced() {
    let run = RunIdentity::new(rand::random());
    let topic = topic("paced", 3);
    let mut spec = produce(&run, &topic, Schedule::constant(1000.0, 3000));
    spec.producers = 2;
    let (produced, consumed, ledger) = run_both(spec, consume(&run, &topic));
    print("paced", &produced, &consumed, &ledger);
    assert_clean(&ledger);
    assert_eq!(ledger.acked, 3000);
    println!("{:?}", produced.seconds);
    println!("{:?}", consumed.seconds);
    println!("{}", serde_json::to_string(&produced).unwrap().len());
}

#[test]
#[ignore = "needs a broker"]
fn unlimited() {
    for size in [100, 1024] {
        let run = RunIdentity::new(rand::random());
        let topic = topic("unlimited", 3);
        let mut spec = produce(&run, &topic, Schedule::Unlimited { count: Some(300_000), length: None });
        spec.payload = PayloadSpec::Random { size, compressibility: 0.5 };
        spec.config.insert("linger.ms".into(), "5".into());
        spec.config.insert("batch.size".into(), "262144".into());
        let (produced, consumed, ledger) = run_both(spec, consume(&run, &topic));
        print("unlimited", &produced, &consumed, &ledger);
        assert_clean(&ledger);
    }
}
