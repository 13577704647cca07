//! Against a real broker: `KSCEN_TEST_BOOTSTRAP=host:port cargo test load::tests -- --ignored`.

mod faults;

use super::consume::{CommitMode, ReadFrom, ReadLimit};
use super::produce::Acks;
use super::*;
use crate::accounting::{Class, KeySpec, Ledger, LedgerReport, RunIdentity, Schedule};
use crate::kafka::LogSink;
use crate::record::latency::LatencySummary;
use crate::record::{ConsumeReport, ProduceReport, RunClock};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use std::collections::{BTreeMap, BTreeSet};
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
        payload: PayloadSpec::Random { size: 100.into(), compressibility: 0.5 },
        key: KeySpec::None,
        identity: None,
        headers: Vec::new(),
        acks: Acks::All,
        idempotent: true,
        transaction: None,
        connection: connection(),
        config: BTreeMap::new(),
        run: run.clone(),
        seed: 1,
        logs: LogSink::default(),
        detail: Default::default(),
    }
}

fn consume(run: &Arc<RunIdentity>, topic: &str) -> ConsumeSpec {
    ConsumeSpec {
        name: "reader".into(),
        topic: topic.into(),
        from: ReadFrom::Start,
        group: None,
        members: 1,
        until: ReadLimit::default(),
        commit: CommitMode::After,
        read_committed: false,
        cooperative: false,
        connection: connection(),
        config: BTreeMap::new(),
        run: run.clone(),
        tap: None,
        counts_own: false,
        senders_over: None,
        tamper: None,
        sample_limit: 10_000,
        logs: LogSink::default(),
        detail: Default::default(),
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

/// All members of a reader.
fn all(reader: &ConsumeJob) -> BTreeSet<usize> {
    (0..reader.members()).collect()
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
    println!("{:?}", produced.timeline);
    println!("{:?}", consumed.timeline);
    println!("{}", serde_json::to_string(&produced).unwrap().len());
}

#[test]
#[ignore = "needs a broker"]
fn unlimited() {
    for size in [100, 1024] {
        let run = RunIdentity::new(rand::random());
        let topic = topic("unlimited", 3);
        let mut spec = produce(&run, &topic, Schedule::Unlimited { count: Some(300_000), length: None });
        spec.payload = PayloadSpec::Random { size: size.into(), compressibility: 0.5 };
        spec.config.insert("linger.ms".into(), "5".into());
        spec.config.insert("batch.size".into(), "262144".into());
        let (produced, consumed, ledger) = run_both(spec, consume(&run, &topic));
        print("unlimited", &produced, &consumed, &ledger);
        assert_clean(&ledger);
    }
}

/// Everything that administration promises, on one topic and one group.
#[test]
#[ignore = "needs a broker"]
fn administration() {
    use crate::kafka::Admin;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let limit = Duration::from_secs(20);
    let admin = Admin::new(&connection(), limit, LogSink::default()).expect("an admin client");
    let name = format!("admin-{:08x}", rand::random::<u32>());
    let config = BTreeMap::from([("retention.ms".to_owned(), "604800000".to_owned())]);
    runtime.block_on(async {
        admin.create_topic(&name, 3, 1, &config).await.expect("created");
        admin.await_leaders(&name, limit).await.expect("leaders");
        let again = admin.create_topic(&name, 3, 1, &config).await.unwrap_err();
        assert_eq!(again.name(), Some("TOPIC_ALREADY_EXISTS"));
        let cluster = admin.cluster().await.expect("cluster");
        println!("{:?} {:?} {:?}", cluster.id, cluster.controller, cluster.brokers);
        assert_eq!((cluster.offline_partitions(), cluster.under_replicated()), (0, 0));
        let broker = admin.broker_config(cluster.brokers[0].id).await.expect("broker config");
        println!("{:?}", broker["inter.broker.protocol.version"]);
        assert!(admin.topic(&format!("no-such-{name}")).await.expect("an answer").is_none());
        admin.warm_coordinator("admin-group", limit).await.expect("coordinator");
        assert_eq!(admin.group("admin-group").await.expect("group").state, "Dead");
    });
    let run = RunIdentity::new(rand::random());
    let mut reader = consume(&run, &name);
    reader.group = Some(format!("{name}-group"));
    reader.until.count = Some(300);
    let clock = RunClock::start();
    let mut reader = ConsumeJob::prepare(reader, clock).expect("a reader");
    let mut load = ProduceJob::prepare(produce(&run, &name, Schedule::Unlimited { count: Some(300), length: None }))
        .expect("a load");
    load.start(clock).expect("threads");
    runtime.block_on(reader.live().finished());
    let group = runtime.block_on(admin.group(&format!("{name}-group"))).expect("group");
    println!("{group:?}");
    assert_eq!((group.state.as_str(), group.members.len()), ("Stable", 1));
    reader.stop_members(&all(&reader));
    load.join();
    runtime.block_on(async {
        let lag = admin.lag(&format!("{name}-group"), &name).await.expect("lag");
        println!("{lag:?}");
        assert!(lag.values().all(|lag| lag.lag == Some(0)));
        assert_eq!(lag.values().map(|lag| lag.end).sum::<i64>(), 300);
        let left = admin.delete_records(&name, &BTreeMap::from([(0, -1)])).await.expect("deleted");
        let offsets = admin.offsets(&name).await.expect("offsets");
        assert_eq!((offsets[&0].start, offsets[&0].end), (left[&0], lag[&0].end));
        admin.delete_group(&format!("{name}-group")).await.expect("deleted");
        admin.delete_topic(&name).await.expect("deleted");
    });
}

fn ledger_of(senders: &[crate::accounting::SenderAccount], account: &crate::accounting::ReaderAccount) -> LedgerReport {
    let ledger = Ledger::new(senders, [account]).with_samples(10_000);
    let missing = ledger.missing();
    if missing.is_empty() {
        return ledger.settle(None);
    }
    let limit = Duration::from_secs(30);
    let nonce = account.nonce();
    let evidence =
        crate::delivery::scan(&connection(), &account.topic, nonce, &missing, false, limit).expect("a complete scan");
    ledger.settle(Some(&evidence))
}

#[test]
#[ignore = "needs a broker"]
fn transactions() {
    for read_committed in [true, false] {
        let run = RunIdentity::new(rand::random());
        let topic = topic("transactions", 3);
        let mut spec = produce(&run, &topic, Schedule::constant(2000.0, 4000));
        spec.transaction = Some(produce::TransactionSpec { per: 100, abort_share: 0.5, id: topic.clone() });
        let mut reader = consume(&run, &topic);
        reader.read_committed = read_committed;
        let (produced, consumed, ledger) = run_both(spec, reader);
        print("transactions", &produced, &consumed, &ledger);
        assert!(ledger.drained && ledger.classes.is_empty(), "{:?}", ledger.classes);
        assert_eq!(ledger.distinct, ledger.acked + if read_committed { 0 } else { ledger.aborted });
        assert_eq!(produced.committed_transactions + produced.aborted_transactions, 40);
        assert_eq!(ledger.aborted, produced.aborted_transactions * 100);
        assert_eq!(ledger.acked, produced.committed_transactions * 100);
    }
}

/// Members come and go, in order and not; with a commit after each batch nothing is lost.
#[test]
#[ignore = "needs a broker"]
fn group_with_lives() {
    for cooperative in [false, true] {
        let run = RunIdentity::new(rand::random());
        let topic = topic("group", 4);
        let mut spec = consume(&run, &topic);
        spec.group = Some(topic.clone());
        spec.members = 3;
        spec.cooperative = cooperative;
        spec.config.insert("session.timeout.ms".into(), "3000".into());
        spec.config.insert("heartbeat.interval.ms".into(), "300".into());
        let clock = RunClock::start();
        let mut reader = ConsumeJob::prepare(spec, clock).expect("a reader");
        let mut load = ProduceJob::prepare(produce(&run, &topic, Schedule::constant(500.0, 4000))).expect("a load");
        load.start(clock).expect("threads");
        std::thread::sleep(Duration::from_secs(1));
        reader.stop_members(&BTreeSet::from([0]));
        std::thread::sleep(Duration::from_secs(1));
        reader.kill_members(&BTreeSet::from([1]));
        reader.start().expect("assigned");
        std::thread::sleep(Duration::from_secs(1));
        reader.kill_members(&all(&reader));
        reader.start().expect("assigned");
        let (produced, senders) = load.join();
        let drained = reader.drain(Instant::now() + Duration::from_secs(30));
        let (consumed, account) = reader.join();
        let ledger = ledger_of(&senders, &account);
        print("group", &produced, &consumed, &ledger);
        for event in &consumed.rebalances {
            println!("{event:?}");
        }
        println!("{:?}", consumed.lives);
        println!("{:?}", ledger.samples(Class::Lost));
        assert!(drained);
        assert_eq!((ledger.acked, ledger.distinct), (4000, 4000));
        assert!(ledger.classes.keys().all(|class| *class == Class::Redelivered), "{:?}", ledger.classes);
    }
}

#[test]
#[ignore = "needs a broker"]
fn change_events() {
    use payload::cdc::{CdcSpec, Table};
    let run = RunIdentity::new(rand::random());
    let topic = topic("cdc", 3);
    let mut spec = produce(&run, &topic, Schedule::Unlimited { count: Some(30_000), length: None });
    spec.payload = PayloadSpec::Cdc(CdcSpec { snapshot_rows: 5000, ..CdcSpec::streaming(Table::Comments) });
    spec.key = KeySpec::Payload;
    spec.producers = 2;
    let tombstones = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut reader = consume(&run, &topic);
    let counter = tombstones.clone();
    reader.tap = Some(Arc::new(move |message| {
        counter.fetch_add(u64::from(message.payload.is_none()), std::sync::atomic::Ordering::Relaxed);
        assert!(message.identity.is_some() && message.key.is_some());
    }));
    let (produced, consumed, ledger) = run_both(spec, reader);
    print("cdc", &produced, &consumed, &ledger);
    assert_clean(&ledger);
    let tombstones = tombstones.load(std::sync::atomic::Ordering::Relaxed);
    assert!(tombstones > 500, "{tombstones}");
}

/// What `selfcheck` does.
#[test]
#[ignore = "needs a broker"]
fn injected_anomalies_are_reported_exactly() {
    use crate::selfcheck::injection::{InjectionPlan, inject};
    for seed in 0..5 {
        let run = RunIdentity::new(rand::random());
        let topic = topic("injection", 3);
        let inside = [
            Class::Lost,
            Class::Skipped,
            Class::Duplicated,
            Class::Redelivered,
            Class::Reordered,
            Class::Corrupted,
            Class::Phantom,
            Class::Foreign,
        ];
        let anomalies =
            inside.into_iter().enumerate().map(|(n, class)| (class, (seed * 7 + n as u64 * 13) % 60)).collect();
        let plan = InjectionPlan { messages: 5000, anomalies, partitions: 3, seed };
        let injected = inject(&connection(), &topic, &run, &plan).expect("written");
        let mut spec = consume(&run, &topic);
        let deliveries = injected.deliveries.clone();
        spec.tamper = Some(Arc::new(move |partition, offset| *deliveries.get(&(partition, offset)).unwrap_or(&1)));
        let mut reader = ConsumeJob::prepare(spec, RunClock::start()).expect("a reader");
        assert!(reader.drain(Instant::now() + Duration::from_secs(30)));
        let (_, account) = reader.join();
        let report = ledger_of(std::slice::from_ref(&injected.sender), &account);
        assert_eq!(injected.mismatches(&report), [], "seed {seed}");
        println!("{:?}", report.classes.iter().map(|(class, found)| (class, found.count)).collect::<Vec<_>>());
    }
}

/// Resident memory of this process in MiB, at its highest: `VmHWM` of `/proc/self/status`.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).expect("a figure").parse::<u64>().expect("a number") / 1024
}

/// The size of the snapshot suite: `cargo test --release … large_snapshot`.
#[test]
#[ignore = "needs a broker with 5 GB of disk"]
fn large_snapshot_in_little_memory() {
    use payload::cdc::{CdcSpec, Table};
    let run = RunIdentity::new(rand::random());
    let topic = topic("snapshot", 3);
    let mut spec = produce(&run, &topic, Schedule::Unlimited { count: Some(895_000), length: None });
    spec.payload = PayloadSpec::Cdc(CdcSpec::snapshot(Table::Videos));
    spec.key = KeySpec::Payload;
    let (produced, consumed, ledger) = run_both(spec, consume(&run, &topic));
    print("snapshot", &produced, &consumed, &ledger);
    assert_clean(&ledger);
    let peak = peak_memory_mib();
    println!("peak {peak} MiB, {} MB", produced.bytes / 1_000_000);
    assert!(peak < 256, "{peak} MiB");
}
