//! Broken brokers and bad input.

use super::*;
use crate::record::{RunClock, gaps};

/// Stops the broker's process for some time and lets it go on. `KSCEN_TEST_BROKER_PID` names it.
fn pause_broker(length: Duration) {
    use nix::sys::signal::{Signal, kill};
    let pid = std::env::var("KSCEN_TEST_BROKER_PID").expect("KSCEN_TEST_BROKER_PID names the broker's process");
    let pid = nix::unistd::Pid::from_raw(pid.parse().expect("a number"));
    kill(pid, Signal::SIGSTOP).expect("a process that can be stopped");
    std::thread::sleep(length);
    kill(pid, Signal::SIGCONT).expect("a process that goes on");
}

#[test]
#[ignore = "needs a broker"]
fn a_pause_shows_in_its_own_phase_only() {
    let run = RunIdentity::new(rand::random());
    let topic = topic("pause", 3);
    let clock = RunClock::start();
    let mut reader = ConsumeJob::prepare(consume(&run, &topic), clock).expect("a reader");
    let mut load = ProduceJob::prepare(produce(&run, &topic, Schedule::constant(1000.0, 9000))).expect("a load");
    load.start(clock).expect("threads");
    std::thread::sleep(Duration::from_secs(3));
    let from_us = clock.now_us();
    pause_broker(Duration::from_secs(3));
    let until_us = clock.now_us();
    let (produced, senders) = load.join();
    assert!(reader.drain(Instant::now() + Duration::from_secs(30)));
    let (consumed, account) = reader.join();
    let ledger = ledger_of(&senders, &account);
    print("pause", &produced, &consumed, &ledger);
    println!("fault {from_us}..{until_us} gaps {:?} {:?}", produced.ack_gaps, produced.unavailability());
    let response = &produced.response_latency;
    // What was on its way at the beginning belongs to the fault.
    let from_us = from_us - 50_000;
    let steady = response.within(0..from_us);
    let fault = response.touching(from_us..until_us);
    let recovery = response.within(until_us..u64::MAX);
    for (name, phase) in [("steady", &steady), ("fault", &fault), ("recovery", &recovery)] {
        println!("{name} {:?}", LatencySummary::of(phase));
    }
    assert!(steady.max() < 1_000_000 && fault.max() >= 2_900_000 && recovery.max() < 1_000_000);
    assert_clean(&ledger);
    let (gap, open) = produced.unavailability();
    assert!((2_900_000..3_500_000).contains(&gap) && !open, "{gap}");
    println!("after {:?}", gaps::first_ack_after(&produced.ack_gaps, until_us));
}

#[test]
#[ignore = "needs a broker"]
fn a_full_queue_is_back_pressure_and_a_timeout_is_unknown() {
    let run = RunIdentity::new(rand::random());
    let topic = topic("full", 3);
    let clock = RunClock::start();
    let mut reader = ConsumeJob::prepare(consume(&run, &topic), clock).expect("a reader");
    let mut spec = produce(&run, &topic, Schedule::constant(5000.0, 20_000));
    spec.payload = PayloadSpec::Random { size: 1024.into(), compressibility: 0.0 };
    spec.config.insert("buffer.memory".into(), "2097152".into());
    spec.config.insert("delivery.timeout.ms".into(), "2000".into());
    spec.config.insert("request.timeout.ms".into(), "1000".into());
    let mut load = ProduceJob::prepare(spec).expect("a load");
    load.start(clock).expect("threads");
    std::thread::sleep(Duration::from_secs(1));
    pause_broker(Duration::from_secs(6));
    let (produced, senders) = load.join();
    reader.drain(Instant::now() + Duration::from_secs(30));
    let (consumed, account) = reader.join();
    let ledger = ledger_of(&senders, &account);
    print("full", &produced, &consumed, &ledger);
    assert!(produced.queue_full_us > 1_000_000);
    assert!(produced.unknown_total() + produced.failed_total() > 0);
    assert_eq!(produced.sent, produced.acked + produced.unknown_total() + produced.failed_total());
    assert!(ledger.classes.is_empty(), "{:?}", ledger.classes);
}

#[test]
#[ignore = "needs a broker"]
fn a_broker_that_never_comes_back_ends_the_load() {
    let run = RunIdentity::new(rand::random());
    let topic = topic("never", 1);
    let mut spec = produce(&run, &topic, Schedule::constant(200.0, 400));
    spec.config.insert("delivery.timeout.ms".into(), "3000".into());
    let clock = RunClock::start();
    let mut load = ProduceJob::prepare(spec).expect("a load");
    load.start(clock).expect("threads");
    std::thread::sleep(Duration::from_millis(500));
    let pausing = std::thread::spawn(|| pause_broker(Duration::from_secs(9)));
    let (produced, _) = load.join();
    println!(
        "{} {} {:?} {:?} {} us, gaps {:?} {:?}",
        produced.sent,
        produced.acked,
        produced.failed,
        produced.unknown,
        produced.end_us,
        produced.ack_gaps,
        produced.unavailability()
    );
    assert!(produced.unavailability().1, "an outage that did not end");
    assert_eq!(produced.sent, produced.acked + produced.unknown_total() + produced.failed_total());
    pausing.join().expect("no panic");
}

#[test]
#[ignore = "needs a broker"]
fn bad_input_becomes_counted_outcomes() {
    let run = RunIdentity::new(rand::random());
    // Too large for the client, and too large for the broker.
    for (limit, name) in [("10000", "MSG_SIZE_TOO_LARGE"), ("3000000", "MSG_SIZE_TOO_LARGE")] {
        let topic = topic("large", 1);
        let mut spec = produce(&run, &topic, Schedule::constant(100.0, 20));
        spec.payload = PayloadSpec::Random { size: 2_000_000.into(), compressibility: 0.0 };
        spec.config.insert("max.request.size".into(), limit.into());
        let clock = RunClock::start();
        let mut load = ProduceJob::prepare(spec).expect("a load");
        load.start(clock).expect("threads");
        let (produced, _) = load.join();
        println!("{limit}: {:?} {:?} {:?}", produced.failed, produced.unknown, produced.fatal);
        assert_eq!(produced.failed.get(name), Some(&20));
    }
    // Deleted under load.
    let topic = topic("deleted", 3);
    let mut spec = produce(&run, &topic, Schedule::constant(500.0, 2000));
    spec.config.insert("delivery.timeout.ms".into(), "5000".into());
    let clock = RunClock::start();
    let mut reader = ConsumeJob::prepare(consume(&run, &topic), clock).expect("a reader");
    let mut load = ProduceJob::prepare(spec).expect("a load");
    load.start(clock).expect("threads");
    std::thread::sleep(Duration::from_secs(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let admin =
        crate::kafka::Admin::new(&connection(), Duration::from_secs(10), LogSink::default()).expect("an admin client");
    runtime.block_on(admin.delete_topic(&topic)).expect("deleted");
    let (produced, senders) = load.join();
    let drained = reader.drain(Instant::now() + Duration::from_secs(3));
    let (consumed, account) = reader.join();
    print("deleted", &produced, &consumed, &Ledger::new(&senders, [&account]).settle(None));
    println!("drained {drained}");
    assert_eq!(produced.sent, produced.acked + produced.unknown_total() + produced.failed_total());
    // A topic that is not there, a property that does not exist.
    let missing = ProduceJob::prepare(produce(&run, "kscen-no-such-topic", Schedule::constant(1.0, 1)));
    println!("{}", missing.err().expect("an error"));
    let mut spec = produce(&run, &topic, Schedule::constant(1.0, 1));
    spec.config.insert("compresion.type".into(), "lz4".into());
    println!("{}", ProduceJob::prepare(spec).err().expect("an error"));
}

/// `KSCEN_TEST_FORBIDDEN` names a topic that nobody may write to or read.
#[test]
#[ignore = "needs a broker with an authorizer"]
fn forbidden_topics_are_named() {
    let topic = std::env::var("KSCEN_TEST_FORBIDDEN").expect("KSCEN_TEST_FORBIDDEN names a topic");
    let run = RunIdentity::new(rand::random());
    let clock = RunClock::start();
    match ProduceJob::prepare(produce(&run, &topic, Schedule::constant(100.0, 100))) {
        Err(error) => println!("produce: {error}"),
        Ok(mut load) => {
            load.start(clock).expect("threads");
            let (produced, _) = load.join();
            println!("{:?} {:?} {:?} {:?}", produced.failed, produced.unknown, produced.fatal, produced.validity);
            assert_eq!(produced.failed.get("TOPIC_AUTHORIZATION_FAILED"), Some(&100));
        }
    }
    match ConsumeJob::prepare(consume(&run, &topic), clock) {
        Err(error) => println!("consume: {error}"),
        Ok(mut reader) => {
            reader.drain(Instant::now() + Duration::from_secs(5));
            let (consumed, _) = reader.join();
            println!("{:?} {:?}", consumed.errors, consumed.fatal);
            assert!(consumed.fatal.is_some());
        }
    }
}
