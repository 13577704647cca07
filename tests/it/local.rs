//! The local environment on a real Kafka.
//!
//! Without Java these tests cannot run; they then fail, unless `KSCEN_SKIP_KAFKA=1` says that this is known.

use crate::program::skipped;
use kscen::testing::environment::local::{Attached, LocalConfig, LocalStack, Timeouts, supervise};
use kscen::testing::environment::{
    Action, Capability, Direction, Environment, EnvironmentError, Grip, Lifecycle, LogQuery, Needs, NetworkFault,
    NetworkFaultKind, Peers, Site,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) async fn start(config: &LocalConfig, needs: &Needs, dir: &Path) -> LocalStack {
    let stack = tokio::spawn({
        let (config, needs, dir) = (config.clone(), needs.clone(), dir.to_owned());
        async move { LocalStack::start(&config, &needs, &dir, &|line| eprintln!("{line}")).await }
    });
    stack.await.expect("no panic").unwrap_or_else(|error| panic!("{error}\n{}", error.log().join("\n")))
}

pub(crate) fn fast() -> LocalConfig {
    LocalConfig { timeouts: Timeouts::Fast, ..LocalConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_takes_effect_and_says_how_it_is_known() {
    if skipped("every_action_takes_effect_and_says_how_it_is_known") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let run_dir = dir.path().join("run");
    let stack = start(&fast(), &Needs::kafka(), &run_dir).await;
    let lifecycle = async || stack.state("kafka-1").await.expect("a state").lifecycle;
    let act = async |action| stack.act("kafka-1", action).await;
    assert_eq!(lifecycle().await, Lifecycle::Running);

    let effect = act(Action::Pause).await.expect("paused");
    assert!(effect.proof.contains("state T"), "{}", effect.proof);
    assert_eq!(lifecycle().await, Lifecycle::Paused);
    assert!(matches!(act(Action::Pause).await, Err(EnvironmentError::NoEffect { .. })));
    let error = stack.wait_ready("kafka-1", Duration::from_millis(300)).await.expect_err("paused");
    assert!(error.to_string().contains("paused"), "{error}");
    act(Action::Resume).await.expect("resumed");
    stack.wait_ready("kafka-1", LONG).await.expect("ready after resume");

    let effect = act(Action::Restart).await.expect("restarted");
    assert!(effect.down.is_some_and(|down| down >= effect.requested && down <= effect.effective));
    stack.wait_ready("kafka-1", LONG).await.expect("ready after restart");

    act(Action::Pause).await.expect("paused");
    act(Action::Kill).await.expect("killed while paused");
    assert_eq!(lifecycle().await, Lifecycle::Stopped);
    assert_eq!(stack.state("kafka-1").await.expect("a state").exit_code, Some(137));
    assert!(matches!(act(Action::Stop).await, Err(EnvironmentError::NoEffect { .. })));
    assert!(matches!(stack.wait_ready("kafka-1", LONG).await, Err(EnvironmentError::NotReady { .. })));
    act(Action::Start).await.expect("started");
    stack.wait_ready("kafka-1", LONG).await.expect("ready after kill");

    let data = run_dir.join("kafka-1/data");
    assert!(data.join("__consumer_offsets-0").is_dir(), "groups were warmed up");
    act(Action::Wipe).await.expect("wiped");
    stack.wait_ready("kafka-1", LONG).await.expect("ready after wipe");
    assert!(!data.join("__consumer_offsets-0").exists(), "data was erased");

    let state = stack.state("kafka-1").await.expect("a state");
    assert_eq!((state.lifecycle, state.restarts), (Lifecycle::Running, 3));
    let usage = stack.usage("kafka-1").await.expect("usage").expect("known here");
    assert!(usage.cpu_seconds > 0.5 && usage.memory > 20 << 20 && usage.disk.is_some_and(|disk| disk > 0));
    let lines = stack.logs("kafka-1", LogQuery { tail: Some(20), ..LogQuery::default() }).await.expect("a log");
    assert!(lines.len() == 20 && lines.iter().all(|line| line.at_ms.is_some()));
    assert!(matches!(stack.act("kafka-9", Action::Kill).await, Err(EnvironmentError::UnknownService { .. })));
    stack.shutdown().await.expect("shut down");
    stack.shutdown().await.expect("twice is no error");
    assert!(!run_dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_at_start_shows_its_last_words_and_leaves_nothing() {
    if skipped("a_broker_that_dies_at_start_shows_its_last_words_and_leaves_nothing") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let run_dir = dir.path().join("run");
    let mut config = fast();
    config.config.insert("num.io.threads".to_owned(), "0".to_owned());
    let Err(error) = LocalStack::start(&config, &Needs::kafka(), &run_dir, &|_| {}).await else {
        panic!("a broker without threads started")
    };
    assert!(matches!(error, EnvironmentError::Died { .. }), "{error}");
    assert!(error.log().iter().any(|line| line.contains("num.io.threads")), "{:?}", error.log());
    assert!(!run_dir.exists());
}

/// Not a test: the process that the next test kills. It starts a stack, prints the broker's process id and waits.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the helper process of no_broker_survives_a_killed_kscen"]
async fn helper_that_owns_a_stack() {
    let dir = std::env::var("KSCEN_TEST_RUN_DIR").expect("set by the test that starts this process");
    let stack = start(&fast(), &Needs::kafka(), Path::new(&dir)).await;
    let pid = stack.state("kafka-1").await.expect("a state").identity;
    println!("\nbroker {pid}");
    std::future::pending::<()>().await;
}

#[test]
fn no_broker_survives_a_killed_kscen() {
    if skipped("no_broker_survives_a_killed_kscen") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut helper = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "local::helper_that_owns_a_stack", "--ignored", "--nocapture"])
        .env("KSCEN_TEST_RUN_DIR", dir.path().join("run"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the helper starts");
    let output = BufReader::new(helper.stdout.take().expect("piped"));
    let pid = output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("broker ").map(str::to_owned));
    let pid = pid.expect("the helper's broker runs");
    let gone = || !std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("kafka.Kafka");
    assert!(!gone());
    helper.kill().expect("SIGKILL");
    helper.wait().expect("ended");
    let deadline = std::time::Instant::now() + LONG;
    while !gone() {
        assert!(std::time::Instant::now() < deadline, "broker {pid} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn fault(service: &str, kind: NetworkFaultKind, between: Peers) -> NetworkFault {
    NetworkFault { service: service.to_owned(), kind, between, direction: Direction::Both }
}

/// Node ids of the brokers that a fresh client sees.
fn brokers_seen(stack: &LocalStack, limit: Duration) -> Result<Vec<i32>, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stack.endpoints().bootstrap).set("group.id", "kscen-test");
    let consumer: BaseConsumer = config.create().expect("a valid configuration");
    let metadata = consumer.fetch_metadata(None, limit).map_err(|error| error.to_string())?;
    Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn network_faults_are_felt_by_clients_and_end_when_healed() {
    if skipped("network_faults_are_felt_by_clients_and_end_when_healed") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let needs = Needs::kafka().with(Capability::NetworkCut);
    let stack = start(&fast(), &needs, &dir.path().join("run")).await;
    assert_eq!(brokers_seen(&stack, LONG), Ok(vec![1]));

    let cut = fault("kafka-1", NetworkFaultKind::Cut, Peers::Clients);
    let effect = stack.disturb(&cut).await.expect("cut");
    assert!(effect.proof.contains("did not answer"), "{}", effect.proof);
    assert!(brokers_seen(&stack, Duration::from_millis(500)).is_err());
    stack.heal(&cut).await.expect("healed");
    stack.heal(&cut).await.expect("healing twice is no error");
    assert_eq!(brokers_seen(&stack, LONG), Ok(vec![1]));

    let one_way = NetworkFault { direction: Direction::Out, ..cut };
    stack.disturb(&one_way).await.expect("cut one way");
    assert!(brokers_seen(&stack, Duration::from_millis(500)).is_err());
    stack.heal(&one_way).await.expect("healed");

    let delay = Duration::from_millis(150);
    let delayed = fault("kafka-1", NetworkFaultKind::Delay(delay), Peers::Clients);
    stack.disturb(&delayed).await.expect("delayed");
    let began = std::time::Instant::now();
    assert_eq!(brokers_seen(&stack, LONG), Ok(vec![1]));
    assert!(began.elapsed() >= 2 * delay, "there and back");
    stack.heal(&delayed).await.expect("healed");

    let reset = fault("kafka-1", NetworkFaultKind::Reset, Peers::Clients);
    let effect = stack.disturb(&reset).await.expect("reset");
    assert!(effect.proof.contains("refused"), "{}", effect.proof);
    assert!(brokers_seen(&stack, Duration::from_millis(500)).is_err());
    stack.heal(&reset).await.expect("healed");
    assert_eq!(brokers_seen(&stack, LONG), Ok(vec![1]));

    for kind in [NetworkFaultKind::Cut, NetworkFaultKind::Delay(delay), NetworkFaultKind::Throttle(100_000)] {
        in_force_while_its_broker_starts(&stack, &fault("kafka-1", kind, Peers::Clients)).await;
    }

    let alone = fault("kafka-1", NetworkFaultKind::Cut, Peers::Brokers);
    assert!(matches!(stack.disturb(&alone).await, Err(EnvironmentError::Unsupported { .. })));
    stack.shutdown().await.expect("shut down");
}

/// A broker that is only starting answers nowhere, which is none of the fault's doing.
async fn in_force_while_its_broker_starts(stack: &LocalStack, held: &NetworkFault) {
    stack.disturb(held).await.expect("in force");
    stack.act("kafka-1", Action::Restart).await.expect("restarted");
    let up = stack.wait_ready("kafka-1", LONG);
    tokio::pin!(up);
    loop {
        tokio::select! {
            ready = &mut up => break ready.expect("ready"),
            grip = stack.disturbed(held) => assert!(matches!(grip, Ok(Grip::Holds(_))), "{held:?}: {grip:?}"),
        }
    }
    stack.heal(held).await.expect("healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_cut_off_from_the_others_is_fenced_and_returns() {
    if skipped("a_broker_cut_off_from_the_others_is_fenced_and_returns") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let needs = Needs { brokers: 3, ..Needs::kafka().with(Capability::NetworkCut) };
    let stack = start(&fast(), &needs, &dir.path().join("run")).await;
    assert_eq!(stack.services().len(), 3);
    let cut = fault("kafka-2", NetworkFaultKind::Cut, Peers::Brokers);
    stack.disturb(&cut).await.expect("cut");
    let deadline = std::time::Instant::now() + LONG;
    // kafka-2 itself still answers clients with what it last knew; the others do not list it.
    while !brokers_seen(&stack, LONG).is_ok_and(|mut ids| {
        ids.sort_unstable();
        ids == [1, 3]
    }) {
        assert!(std::time::Instant::now() < deadline, "kafka-2 was not fenced");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stack.heal(&cut).await.expect("healed");
    stack.wait_ready("kafka-2", LONG).await.expect("back");
    stack.shutdown().await.expect("shut down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_log_directory_survives_restarts_and_is_gone_afterwards() {
    let test = "a_limited_log_directory_survives_restarts_and_is_gone_afterwards";
    if skipped(test) {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: mounting needs root");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let run_dir = dir.path().join("run");
    let needs = Needs { log_dir: Some(64 << 20), ..Needs::kafka() };
    let stack = start(&fast(), &needs, &run_dir).await;
    let data = stack.info().facts["log directory kafka-1"].clone();
    let data = Path::new(&data);
    let identity = || std::fs::read_to_string(data.join("meta.properties")).expect("the broker's data");
    let before = identity();
    assert!(!run_dir.join("kafka-1/data/meta.properties").exists(), "not in the machine's own mount table");
    stack.act("kafka-1", Action::Kill).await.expect("killed");
    stack.act("kafka-1", Action::Start).await.expect("started");
    stack.wait_ready("kafka-1", LONG).await.expect("ready");
    assert_eq!(identity(), before, "its data survived");
    let usage = stack.usage("kafka-1").await.expect("usage").expect("known");
    assert!(usage.disk.is_some_and(|disk| disk > 0));
    let full = std::fs::write(data.join("ballast"), vec![0; 65 << 20]);
    assert_eq!(full.expect_err("there is no room").kind(), std::io::ErrorKind::StorageFull);
    stack.shutdown().await.expect("shut down");
    assert!(!run_dir.exists() && !data.exists());
}

/// Not a test: the supervisor process of the next test.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the helper process of a_supervised_stack_outlives_its_starter"]
async fn helper_that_supervises() {
    let name = std::env::var("KSCEN_TEST_STACK").expect("set by the test that starts this process");
    supervise(&name, std::io::stdin(), std::io::stdout()).await.expect("a stack");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_stack_outlives_its_starter() {
    if skipped("a_supervised_stack_outlives_its_starter") {
        return;
    }
    let site = Site { name: format!("test-{}", std::process::id()), ..Site::default() };
    let name = Attached::name(&site);
    let program = Path::new("/usr/bin/env");
    let exe = std::env::current_exe().expect("this test").into_os_string();
    let mut args: Vec<OsString> = vec![format!("KSCEN_TEST_STACK={name}").into(), exe];
    args.extend(["--exact", "local::helper_that_supervises", "--ignored", "--nocapture"].map(OsString::from));
    let up = async || Attached::start(&site, &fast(), &Needs::kafka(), program, &args, &|_| {}).await;

    assert!(Attached::find(&site).await.expect("an answer").is_none());
    let stack = up().await.expect("up");
    assert!(up().await.is_err_and(|error| error.to_string().contains("running already")));
    assert_eq!(stack.unmet(&fast(), &site, &Needs::kafka()), None);
    assert!(stack.unmet(&fast(), &site, &Needs { brokers: 3, ..Needs::kafka() }).is_some());
    let effect = stack.act("kafka-1", Action::Pause).await.expect("paused");
    assert!(effect.proof.contains("state T") && effect.effective >= effect.requested);
    assert!(matches!(stack.act("kafka-1", Action::Pause).await, Err(EnvironmentError::NoEffect { .. })));
    stack.act("kafka-1", Action::Resume).await.expect("resumed");
    stack.wait_ready("kafka-1", LONG).await.expect("ready");
    assert!(stack.usage("kafka-1").await.expect("usage").is_some_and(|usage| usage.memory > 0));
    stack.shutdown().await.expect("let go");

    // A supervisor that is killed takes its broker with it and does not stand in the way of the next.
    let broker = stack.state("kafka-1").await.expect("it goes on").identity;
    let gone =
        || !std::fs::read_to_string(format!("/proc/{broker}/cmdline")).unwrap_or_default().contains("kafka.Kafka");
    let supervisor = Pid::from_raw(i32::try_from(stack.supervisor()).expect("a pid"));
    kill(supervisor, Signal::SIGKILL).expect("killed");
    let deadline = std::time::Instant::now() + LONG;
    while !gone() {
        assert!(std::time::Instant::now() < deadline, "broker {broker} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(Attached::find(&site).await.expect("an answer").is_none());
    let stack = up().await.expect("up again");
    stack.down().await.expect("down");
    // Its supervisor ends after its services.
    let deadline = std::time::Instant::now() + LONG;
    while !matches!(stack.state("kafka-1").await, Err(EnvironmentError::Failed { .. })) {
        assert!(std::time::Instant::now() < deadline, "the supervisor still answers");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
