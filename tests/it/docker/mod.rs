//! The Docker environment against the containers of `stack/docker-compose.yml`.
//!
//! One test, since all its parts share one stack that takes ten seconds to start; each part leaves it healthy.

mod crash;
pub(crate) mod fixture;
mod killed;
mod leftover;
mod strangers;

use fixture::{Project, docker, ready};
use kscen::testing::environment::docker::{DockerStack, HealRecipe, heal_from};
use kscen::testing::environment::{
    Action, Capability, Direction, Endpoints, Environment, EnvironmentError, Lifecycle, LogQuery, Needs, NetworkFault,
    NetworkFaultKind, Peers, ServiceId,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::{Duration, SystemTime};

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_compose_project() {
    let Some(project) = Project::up() else { return };
    let needs = Needs::kafka().service(ServiceId::Connect).service(ServiceId::Postgres);
    let stack = project.attach(&needs).await;
    ready(&stack, &["kafka-1", "postgres", "connect"]).await;

    what_is_there_is_found(&stack);
    every_action_takes_effect(&stack).await;
    futile_actions_are_errors(&stack).await;
    usage_and_log_outlive_a_restart(&stack).await;
    a_cut_broker_is_unreachable_until_healed(&stack).await;
    another_process_can_heal(&project, &needs).await;
    crash::any_instant(&project, &cut()).await;
    a_death_is_told_with_its_last_words(&project, &stack).await;
    a_kill_that_somebody_undoes_is_an_error(&project, &stack).await;
    a_wipe_leaves_nothing_but_the_definition(&project, &stack).await;
    stacks_that_are_not_in_order_are_refused(&project).await;
}

fn what_is_there_is_found(stack: &DockerStack) {
    let names: Vec<_> = stack.services().into_iter().map(|service| (service.name, service.node_id)).collect();
    let expected = [("kafka-1", Some(1)), ("postgres", None), ("connect", None)];
    assert_eq!(names, expected.map(|(name, node_id)| (name.to_owned(), node_id)));
    assert_eq!(stack.info().kafka_version.as_deref(), Some("3.6.1"));
    assert_eq!(stack.endpoints().postgres_from_connect.as_deref(), Some("postgres:5432"));
}

async fn every_action_takes_effect(stack: &DockerStack) {
    let steps = [
        (Action::Pause, Lifecycle::Paused, None),
        (Action::Resume, Lifecycle::Running, None),
        (Action::Kill, Lifecycle::Stopped, Some(137)),
        (Action::Start, Lifecycle::Running, None),
        (Action::Stop, Lifecycle::Stopped, Some(143)),
        (Action::Start, Lifecycle::Running, None),
        (Action::Restart, Lifecycle::Running, None),
    ];
    for (action, lifecycle, exit_code) in steps {
        let effect = stack.act("kafka-1", action).await.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert!(effect.requested <= effect.effective, "{action}");
        assert!(effect.proof.contains("event"), "{action} is dated by the engine: {}", effect.proof);
        if action == Action::Restart {
            let down = effect.down.expect("a restart tells when the old process was gone");
            assert!(effect.requested <= down && down <= effect.effective);
        }
        let state = stack.state("kafka-1").await.expect("a state");
        assert_eq!((state.lifecycle, state.exit_code), (lifecycle, exit_code), "{action}");
        if action.brings_up() {
            ready(stack, &["kafka-1"]).await;
        }
    }
    assert_eq!(stack.state("kafka-1").await.expect("a state").restarts, 3);
}

async fn futile_actions_are_errors(stack: &DockerStack) {
    for action in [Action::Resume, Action::Start] {
        let error = stack.act("kafka-1", action).await.expect_err("it is running");
        assert!(matches!(error, EnvironmentError::NoEffect { .. }), "{action}: {error}");
    }
    let error = stack.act("kafka-2", Action::Pause).await.expect_err("there is one broker");
    assert!(error.to_string().contains("kafka-1, postgres, connect"), "{error}");
    for kind in
        [NetworkFaultKind::Delay(Duration::from_millis(1)), NetworkFaultKind::Throttle(1), NetworkFaultKind::Reset]
    {
        let error = stack.disturb(&NetworkFault { kind, ..cut() }).await.expect_err("not possible on containers");
        assert!(matches!(error, EnvironmentError::Unsupported { .. }), "{error}");
    }
    let error =
        stack.disturb(&NetworkFault { between: Peers::Brokers, ..cut() }).await.expect_err("there is one broker");
    assert!(matches!(error, EnvironmentError::Unsupported { .. }), "{error}");
    for (fault, end, words) in
        [(Action::Pause, Action::Resume, "it is paused"), (Action::Kill, Action::Start, "it is not running")]
    {
        stack.act("kafka-1", fault).await.expect("a fault");
        let error = stack.disturb(&cut()).await.expect_err("it speaks to nobody");
        assert!(matches!(error, EnvironmentError::NoEffect { .. }) && error.to_string().contains(words), "{error}");
        stack.act("kafka-1", end).await.expect("its end");
        ready(stack, &["kafka-1"]).await;
    }
}

async fn usage_and_log_outlive_a_restart(stack: &DockerStack) {
    let before = stack.usage("kafka-1").await.expect("usage").expect("a container has usage");
    assert!(before.cpu_seconds > 0.1 && before.cpus >= 1.0, "{before:?}");
    assert!((50 << 20..2 << 30).contains(&before.memory) && before.working_set >= before.memory, "{before:?}");

    assert!(before.disk.is_some_and(|bytes| bytes > 4096), "{before:?}");

    let restarted = SystemTime::now();
    stack.act("kafka-1", Action::Restart).await.expect("a restart");
    ready(stack, &["kafka-1"]).await;
    let after = stack.usage("kafka-1").await.expect("usage").expect("a container has usage");
    assert!(after.cpu_seconds > before.cpu_seconds, "counted over both lives: {before:?} {after:?}");

    let starts = |lines: Vec<kscen::testing::environment::LogLine>| {
        lines.iter().filter(|line| line.at_ms.is_some() && line.text.contains("Kafka Server started")).count()
    };
    let since = LogQuery { since: Some(restarted), ..LogQuery::default() };
    assert_eq!(starts(stack.logs("kafka-1", since).await.expect("a log")), 1);
    assert!(starts(stack.logs("kafka-1", LogQuery::default()).await.expect("a log")) > 1);
    let last = LogQuery { tail: Some(3), ..since };
    assert_eq!(stack.logs("kafka-1", last).await.expect("a log").len(), 3);
}

async fn a_cut_broker_is_unreachable_until_healed(stack: &DockerStack) {
    assert!(answers(stack), "before");
    let effect = stack.disturb(&cut()).await.expect("a cut");
    assert!(effect.proof.contains("disconnected"), "{}", effect.proof);
    assert!(!answers(stack), "cut off");

    // A restart while cut off must not connect it again behind our back.
    stack.act("kafka-1", Action::Restart).await.expect("a restart");
    assert!(!answers(stack), "cut off and restarted");

    stack.heal(&cut()).await.expect("healing");
    ready(stack, &["kafka-1", "connect"]).await;
    stack.heal(&cut()).await.expect("healing twice");
}

/// As after `kill -9`: all that is left of the first process is what it wrote down.
async fn another_process_can_heal(project: &Project, needs: &Needs) {
    let stack = project.attach(needs).await;
    let pause = stack.recipe_for_action("kafka-1", Action::Pause).await.expect("a recipe").expect("pausing needs one");
    let network = stack.recipe_for_network(&cut()).await.expect("a recipe");
    stack.disturb(&cut()).await.expect("a cut");
    stack.act("kafka-1", Action::Pause).await.expect("a pause");
    let journal = serde_json::to_string(&[network, pause]).expect("a recipe is data");
    drop(stack);

    let recipes: Vec<HealRecipe> = serde_json::from_str(&journal).expect("as written");
    for recipe in &recipes {
        heal_from(recipe).await.expect("healing");
    }
    let stack = project.attach(needs).await;
    ready(&stack, &["kafka-1"]).await;
    let aliases = docker(&[
        "inspect",
        "--format",
        "{{range .NetworkSettings.Networks}}{{.Aliases}}{{end}}",
        &project.container("kafka"),
    ]);
    assert!(aliases.contains("kafka"), "Connect finds the broker by its alias: {aliases}");
    ready(&stack, &["connect"]).await;

    let again: Vec<_> = futures_util::future::join_all(recipes.iter().map(heal_from)).await;
    assert!(again.iter().all(|done| done.as_ref().is_ok_and(|done| done.contains("was"))), "nothing to do: {again:?}");
}

async fn a_death_is_told_with_its_last_words(project: &Project, stack: &DockerStack) {
    docker(&["exec", &project.container("connect"), "sh", "-c", "kill -TERM 1"]);
    let error = stack.wait_ready("connect", Duration::from_secs(60)).await;
    // The question may still be answered before the process ends.
    let error = match error {
        Ok(()) => {
            docker(&["wait", &project.container("connect")]);
            stack.wait_ready("connect", Duration::from_secs(60)).await.expect_err("it ended")
        }
        Err(error) => error,
    };
    assert!(matches!(error, EnvironmentError::Died { .. }), "{error}");
    assert!(error.to_string().contains("143") && !error.log().is_empty(), "{error}");
    assert_eq!(stack.state("connect").await.expect("a state").lifecycle, Lifecycle::Exited);
    stack.act("connect", Action::Start).await.expect("a start");
    ready(stack, &["connect"]).await;
}

async fn a_kill_that_somebody_undoes_is_an_error(project: &Project, stack: &DockerStack) {
    let container = project.container("postgres");
    docker(&["update", "--restart", "always", &container]);
    let undone = format!("docker wait {container} && docker start {container}");
    let mut meddler = std::process::Command::new("sh").args(["-c", &undone]).spawn().expect("a shell");
    // `docker wait` has no sign of being connected; the meddler has to be quicker than the kill only now and then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let error = stack.act("postgres", Action::Kill).await.expect_err("it was started again");
    assert!(matches!(error, EnvironmentError::NoEffect { .. }) && error.to_string().contains("always"), "{error}");
    meddler.wait().expect("the meddler ends");
    docker(&["update", "--restart", "no", &container]);
    ready(stack, &["postgres"]).await;
}

async fn a_wipe_leaves_nothing_but_the_definition(project: &Project, stack: &DockerStack) {
    create_topic(stack, "precious").await;
    let error = stack.act("kafka-1", Action::Wipe).await.expect_err("not permitted");
    assert!(matches!(error, EnvironmentError::Unsupported { .. }), "{error}");
    assert!(topics(stack).contains(&"precious".to_owned()));

    let stack = project.attach(&Needs::kafka().with(Capability::Wipe)).await;
    let definition = || {
        let format = "{{.Config.Env}} {{.Config.Healthcheck}} {{.HostConfig.Binds}} {{.HostConfig.PortBindings}} {{.Config.Hostname}}";
        let shown = docker(&["inspect", "--format", format, &project.container("kafka")]);
        // The engine does not keep the order of variables.
        let mut words: Vec<String> = shown.split([' ', '[', ']']).map(str::to_owned).collect();
        words.sort();
        words
    };
    let before = definition();
    let recipe = stack.recipe_for_action("kafka-1", Action::Wipe).await.expect("a recipe").expect("wiping needs one");
    let effect = stack.act("kafka-1", Action::Wipe).await.expect("a wipe");
    assert!(effect.down.is_some() && effect.proof.contains("replaced"), "{}", effect.proof);
    ready(&stack, &["kafka-1"]).await;
    assert_eq!(definition(), before);
    assert!(!topics(&stack).contains(&"precious".to_owned()));
    let log = stack.logs("kafka-1", LogQuery::default()).await.expect("a log");
    assert!(log.iter().filter(|line| line.text.contains("Kafka Server started")).count() > 1, "the old log is kept");

    // As after `kill -9` in the middle of a wipe: the container is gone, only its recipe is left and what keeps its variables, of which
    // the journal holds none; and a rehearsal.
    let written = serde_json::to_string(&recipe).expect("data");
    let recipe: HealRecipe = serde_json::from_str(&written).expect("as written");
    let name = project.container("kafka");
    let variables = docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", &name]);
    let mark = format!("dev.kscen.wipe={}/kafka", project.name);
    for (suffix, keeps) in [("variables", true), ("rehearsal", false)] {
        let left = format!("{name}-{suffix}");
        let mut create = vec!["create", "--name", &left, "--label", &mark];
        for variable in variables.lines().filter(|line| keeps && !line.is_empty()) {
            assert!(!written.contains(variable), "{variable} in {written}");
            create.extend(["-e", variable]);
        }
        create.extend(["kscen/kafka:3.6.1", "true"]);
        docker(&create);
    }
    docker(&["rm", "-f", "-v", &name]);
    heal_from(&recipe).await.expect("healing");
    assert_eq!(definition(), before);
    let left = docker(&["ps", "-aq", "--filter", &format!("label={mark}")]);
    assert_eq!(left.trim(), "", "nothing of the wipe is left");
    let stack = project.attach(&Needs::kafka()).await;
    ready(&stack, &["kafka-1"]).await;
    // Compose has to recognise the new container as its own, or `compose down` would leave it behind.
    let output = project.compose(&["ps", "-q", "kafka"]);
    assert!(!output.stdout.is_empty());
}

async fn stacks_that_are_not_in_order_are_refused(project: &Project) {
    let refusal = async |needs: Needs| {
        let attached = DockerStack::attach("docker", &project.config(), Endpoints::default(), &needs).await;
        let error = attached.err().expect("refused");
        format!("{error} → {}", error.remedy().unwrap_or_default())
    };
    let mut wrong = project.config();
    wrong.project = "kscen-nobody".to_owned();
    let error = DockerStack::attach("docker", &wrong, Endpoints::default(), &Needs::kafka()).await.err().expect("none");
    assert!(error.to_string().contains(&project.name), "the right one is named: {error}");
    assert!(error.remedy().is_some_and(|remedy| remedy.starts_with("docker compose -p kscen-nobody")), "{error}");

    assert!(refusal(Needs { brokers: 3, ..Needs::kafka() }).await.contains("1 brokers, 3 are needed"));
    assert!(refusal(Needs::kafka().service(ServiceId::KafkaUi)).await.contains("`kafka-ui`"));

    docker(&["stop", "-t", "1", &project.container("postgres")]);
    let half = refusal(Needs::kafka().service(ServiceId::Postgres)).await;
    assert!(half.contains("postgres is exited") && half.contains("up -d postgres"), "{half}");

    let extra = format!("{}-extra", project.name);
    project.add("kafka", &project.folder(), &extra);
    let scaled = refusal(Needs::kafka()).await;
    assert!(scaled.contains("2 containers") && scaled.contains("--scale kafka=1"), "{scaled}");
    docker(&["rm", "-f", "-v", &extra]);

    project.add("web", "/elsewhere", &extra);
    let ambiguous = refusal(Needs::kafka()).await;
    assert!(ambiguous.contains("ambiguous") && ambiguous.contains("/elsewhere"), "{ambiguous}");
    docker(&["rm", "-f", "-v", &extra]);

    project.add("kafka-ui", &project.folder(), &extra);
    let stack = project.attach(&Needs::kafka()).await;
    let error = stack.wait_ready("kafka-ui", Duration::from_secs(5)).await.expect_err("no health check");
    assert!(error.remedy().is_some_and(|remedy| remedy.contains("healthcheck")), "{error}");
    docker(&["rm", "-f", "-v", &extra]);
}

fn cut() -> NetworkFault {
    let (between, direction) = (Peers::Clients, Direction::Both);
    NetworkFault { service: "kafka-1".to_owned(), kind: NetworkFaultKind::Cut, between, direction }
}

fn client<T: rdkafka::config::FromClientConfig>(stack: &DockerStack) -> T {
    let bootstrap = stack.endpoints().bootstrap;
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client")
}

fn answers(stack: &DockerStack) -> bool {
    tokio::task::block_in_place(|| client::<BaseConsumer>(stack).fetch_metadata(None, Duration::from_secs(3)).is_ok())
}

fn topics(stack: &DockerStack) -> Vec<String> {
    let metadata =
        tokio::task::block_in_place(|| client::<BaseConsumer>(stack).fetch_metadata(None, Duration::from_secs(10)));
    metadata.expect("metadata").topics().iter().map(|topic| topic.name().to_owned()).collect()
}

async fn create_topic(stack: &DockerStack, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(stack);
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
