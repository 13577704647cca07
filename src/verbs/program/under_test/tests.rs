//! A program with all that it starts: stopped, asked to end, and seen to end by itself.

use super::*;

fn program(script: &str, ready: Option<&str>, stop_within: Duration) -> UnderTest {
    let command = ["sh", "-c", script].map(str::to_owned);
    UnderTest::new(&command, Vec::new(), ready.map(str::to_owned), stop_within).expect("made")
}

#[tokio::test]
async fn what_a_wrapper_has_started_is_asked_to_end_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    let script = format!(
        "sh -c 'trap \"sleep 0.2; echo bye > {0}; exit 0\" TERM; echo up; while :; do sleep 0.01; done' & wait",
        said.display()
    );
    let program = program(&script, Some("up"), Duration::from_secs(5));
    program.begin().await.expect("starts");
    program.is_ready(Duration::from_secs(5)).await.expect("up");
    let end = ProgramHandle::end(&program, false).await.expect("ends");
    assert!(!end.forced && said.is_file(), "{}", end.proof);
    assert!(end.proof.contains("what it had started ended"), "{}", end.proof);
}

#[tokio::test]
async fn what_a_wrapper_has_started_and_does_not_end_is_killed_and_told() {
    let script = "sh -c 'trap : TERM; echo up; while :; do sleep 0.01; done' & wait";
    let program = program(script, Some("up"), Duration::from_millis(300));
    program.begin().await.expect("starts");
    program.is_ready(Duration::from_secs(5)).await.expect("up");
    let mark = program.locked().mark.clone().expect("it has one");
    let end = ProgramHandle::end(&program, false).await.expect("ends");
    assert!(end.forced && end.proof.contains("did not end in time"), "{}", end.proof);
    assert!(marked(&mark).into_iter().all(is_dying));
}

#[tokio::test]
async fn one_that_has_ended_by_itself_is_told_at_the_end_too() {
    let ended = program("exit 3", None, Duration::from_secs(1));
    ended.begin().await.expect("starts");
    ended.process().expect("there").ended().await;
    assert_eq!(ended.finish().await.map(|_| ()), Err("exit code 3".to_owned()));
    // A step that has ended it has asked for that.
    let stopped = program("exec sleep 1000", None, Duration::from_secs(5));
    stopped.begin().await.expect("starts");
    ProgramHandle::end(&stopped, true).await.expect("ends");
    assert!(matches!(stopped.finish().await, Ok(None)));
}

#[tokio::test]
async fn it_is_frozen_only_where_all_that_it_has_started_is() {
    let program = program("sh -c 'sleep 1000 & echo up $!; wait' & wait", Some("up"), Duration::from_secs(5));
    program.begin().await.expect("starts");
    program.is_ready(Duration::from_secs(5)).await.expect("up");
    let pid = program.output().trim().rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a process id");
    ProgramHandle::freeze(&program, true).await.expect("stops");
    assert_eq!(program.state(), ProgramState::Frozen);
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("ours");
    while program.state() == ProgramState::Frozen {
        tokio::task::yield_now().await;
    }
    assert_eq!(program.state(), ProgramState::Woken);
    ProgramHandle::freeze(&program, false).await.expect("goes on");
    assert_eq!(program.state(), ProgramState::Running);
}
