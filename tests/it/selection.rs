//! Which scenarios run, and what is said of them, on an environment that needs no Kafka.

use crate::program::Project;

/// Three scenarios in the usual folder: one passes, one fails unless it may pass, one only sets up.
fn project() -> Project {
    let project = Project::new();
    project.write("kscen.yaml", "default: quick\nenvironments:\n  quick: { mock: {} }\n");
    std::fs::create_dir(project.path("scenarios")).expect("a folder");
    project.write(
        "scenarios/a-first.yaml",
        "name: The first one\ntags: [quick, one]\nsteps:\n  - run: { command: [echo, words], contains: words }\n",
    );
    project.write(
        "scenarios/b-second.yaml",
        "name: The other\ntags: [quick]\nvars: { says: words }\nmatrix: { n: [1, 2] }\nsteps:\n  \
         - id: talks\n    run: { command: [echo, \"${says}\"], contains: \"words${matrix.n}\" }\n",
    );
    project.write("scenarios/c-third.yaml", "name: Sets up\ntags: [set-up]\nchecks: none\nsteps:\n  - wait: 1ms\n");
    project
}

/// The files that are listed.
fn listed(project: &Project, args: &[&str]) -> Vec<String> {
    let finished = project.run(&[&["list"], args].concat());
    finished.out.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn files_are_selected_by_tag_and_by_name_from_the_usual_folder() {
    let project = project();
    let (first, second, third) = ("scenarios/a-first.yaml", "scenarios/b-second.yaml", "scenarios/c-third.yaml");
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &[first, second, third]),
        (&["-k", "FIRST"], &[first]),
        (&["-k", "the other"], &[second]),
        (&["-k", "first", "-k", "third"], &[first, third]),
        (&["--tag", "quick", "--exclude-tag", "one"], &[second]),
        (&["--exclude-tag", "quick"], &[third]),
        (&["--tag", "quick", "-k", "third"], &[]),
        (&[first, "-k", "other"], &[]),
    ];
    for (args, files) in cases {
        assert_eq!(listed(&project, args), files, "{args:?}");
    }
    project.run(&["check"]).exits(0).says("ok 3 scenarios");
    project.run(&["plan", "-k", "sets up"]).exits(0).says("Sets up");
    project.run(&["run", "-k", "nobody"]).exits(5).says("no scenario is selected");
    project.run(&["list", "--exclude-tag", "quikc"]).exits(2).says("did you mean `quick`?");
    std::fs::rename(project.path("scenarios"), project.path("elsewhere")).expect("it can be moved");
    project.run(&["run"]).exits(2).says("there is no folder `scenarios` here");
}

#[test]
fn a_run_can_end_with_the_first_failure_and_repeat_what_failed() {
    let project = project();
    project.run(&["run", "--last-failed"]).exits(5).says("no selected scenario failed in its last run");
    let finished = project.run(&["run", "--fail-fast"]).exits(1);
    assert_eq!(project.records().len(), 2, "{}", finished.err);
    let last = finished.err.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("FAIL 2 checks") && last.contains("2 runs"), "{}", finished.err);
    assert_eq!(finished.err.matches("--fail-fast was given").count(), 2, "{}", finished.err);
    // In full once, at the end.
    let full = finished.err.matches("error[step-failed]").count();
    let at = finished.err.find("error[step-failed]").expect("it is shown");
    assert!(full == 1 && at > finished.err.find("talks").expect("it ran"), "{}", finished.err);
    project.run(&["run", "scenarios", "--tag", "quick"]).exits(1).says("n=2");
    // Both cells of the second file failed; of them one passes now, and is left out the next time.
    project.run(&["run", "--last-failed", "--var", "says=words1"]).exits(1).says("FAIL 2 checks").says("2 runs");
    project.run(&["run", "--last-failed"]).exits(1).says("FAIL 1 check ").says("1 run ");
}

#[test]
fn completions_know_what_a_project_has() {
    let project = project();
    project.write("scenarios/d-odd.yaml", "name: x\ntags: [\"$(touch made)\"]\nchecks: none\nsteps:\n  - wait: 1ms\n");
    let offered = |words: &str| {
        // As bash calls it.
        let script = format!(
            "source <(\"$0\" completions bash)\nCOMP_WORDS=(\"$0\" {words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _kscen_of_project \"$0\" \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"\necho \"${{COMPREPLY[@]}}\""
        );
        let output = project.shell(&script).output().expect("a shell");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(offered("run --env q"), "quick");
    assert_eq!(offered("list --exclude-tag ''"), "one quick set-up");
    assert_eq!(offered("steps prod"), "produce");
    assert!(offered("explain unknown-v").contains("unknown-verb"));
    assert!(offered("run --fail").contains("--fail-fast"), "what it knows without a project");
    assert!(!project.path("made").exists());
}

#[test]
fn what_has_no_search_is_not_resumed() {
    let project = project();
    project.run(&["run", "-k", "first"]).exits(0);
    for place in ["results", "nowhere"] {
        project.run(&["run", "-k", "first", "--resume", place]).exits(2).says("in which a search has tried a rate");
    }
    assert_eq!(project.records().len(), 1);
}

/// A suite without the scenario that nobody could read is not the suite that was asked for.
#[test]
fn a_scenario_that_cannot_be_read_is_not_left_out_by_a_filter() {
    let project = project();
    for text in ["name: [\n", "name: Says it in a word\ntags: set-up\nchecks: none\nsteps:\n  - wait: 1ms\n"] {
        project.write("scenarios/d-broken.yaml", text);
        project.run(&["run", "--tag", "set-up"]).exits(2).says("d-broken.yaml");
        project.run(&["list", "--tag", "set-up"]).says("scenarios/c-third.yaml");
    }
    assert_eq!(project.records().len(), 0);
    project.run(&["run", "scenarois", "scenarios/c-third.yaml", "--tag", "set-up"]).exits(2).says("scenarois");
}

/// In a new project there is no folder of results yet.
#[test]
fn junit_goes_into_a_folder_that_is_not_there() {
    let project = project();
    project.run(&["run", "-k", "first", "--junit", "results/new/junit.xml"]).exits(0);
    let junit = std::fs::read_to_string(project.path("results/new/junit.xml")).expect("it is there");
    assert!(junit.contains("tests=\"1\""), "{junit}");
}

/// What Ctrl-C kept from beginning did not pass either.
#[test]
fn what_was_cut_off_is_repeated_with_what_failed() {
    let project = project();
    let first = |long: &str| format!("name: Holds\nchecks: none\nsteps:\n  - id: holds\n    wait: {long}\n");
    project.write("scenarios/a-first.yaml", &first("10m"));
    let mut terminal = project.on_terminal(&["run"]);
    terminal.until("holds: wait").ctrl_c();
    let (status, shown) = terminal.end();
    assert_eq!((status.code(), project.records().len()), (Some(130), 1), "{shown}");
    project.write("scenarios/a-first.yaml", &first("1ms"));
    let again = project.run(&["run", "--last-failed"]).exits(1);
    assert_eq!(project.records().len(), 5, "{}", again.err);
}

#[test]
fn quiet_says_what_failed_and_verbose_what_passed() {
    let project = project();
    let quiet = project.run(&["run", "-q", "-k", "first"]).exits(0);
    assert!(quiet.err.starts_with("PASS 1 check"), "{}", quiet.err);
    assert_eq!(quiet.err.lines().count(), 1, "{}", quiet.err);
    let quiet = project.run(&["run", "-q", "scenarios/b-second.yaml"]).exits(1).says("error[step-failed]");
    assert!(!quiet.err.contains("talks  run echo"), "{}", quiet.err);
    project.run(&["run", "-v", "-k", "first"]).exits(0).says("PASS 1 check");
    project.run(&["run", "-q", "-v"]).exits(2);
    project.run(&["run", "-k", "third"]).exits(0).says("PASS nothing to check");
}

/// Somebody goes on editing while a scenario runs: what is shown of it, and what its second run does, is the text that was read.
#[test]
fn a_file_is_read_once_whatever_becomes_of_it() {
    let project = project();
    let (main, part) = ("scenarios/a-first.yaml", "scenarios/parts/part.yaml");
    std::fs::create_dir(project.path("scenarios/parts")).expect("a folder");
    project.write(
        main,
        "name: The first one\ntags: [quick]\nsteps:\n  \
         - run: [sh, -c, \"echo gone >scenarios/a-first.yaml; echo gone >scenarios/parts/part.yaml\"]\n  \
         - include: { file: parts/part.yaml }\n",
    );
    project.write(part, "steps:\n  - run: { command: [echo, words], contains: other }\n");
    let finished = project.run(&["run", "--tag", "quick", "-k", "first", "--repeat", "2"]).exits(1);
    assert_eq!((finished.err.matches("contains: other").count(), project.records().len()), (2, 2), "{}", finished.err);
    assert_eq!(std::fs::read_to_string(project.path(main)).expect("reads"), "gone\n");
}

#[test]
fn a_watched_scenario_runs_again_when_it_is_changed() {
    let project = project();
    let scenario = |name: &str| format!("name: {name}\nchecks: none\nsteps:\n  - wait: 1ms\n");
    project.write("watched.yaml", &scenario("before-it"));
    let mut watching = project.on_terminal(&["run", "--watch", "watched.yaml"]);
    watching.until("before-it").until("waiting for a change");
    project.write("watched.yaml", &scenario("after-it-was-changed"));
    watching.until("after-it-was-changed").ctrl_c();
    let (status, shown) = watching.end();
    assert_eq!(status.code(), Some(130), "{shown}");
}

/// The project's file lies in a folder above.
#[test]
fn a_watched_scenario_runs_again_when_its_project_is_changed() {
    let project = project();
    project.write("below/watched.yaml", "name: Watched\nchecks: none\nsteps:\n  - wait: 1ms\n");
    let file = project.path("kscen.yaml");
    let script = "cd below && exec \"$0\" run --watch watched.yaml";
    let mut shell = project.shell(script).stderr(std::process::Stdio::piped()).spawn().expect("a shell");
    let mut said = std::io::BufReader::new(shell.stderr.take().expect("a pipe"));
    let mut until = |text: &str| {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let read = std::io::BufRead::read_line(&mut said, &mut line).expect("text");
            assert!(read > 0, "`{text}` was never said");
        }
    };
    until("waiting for a change");
    std::fs::write(file, "default: other\nenvironments:\n  other: { mock: {} }\n").expect("it can be changed");
    until("other: ");
    until("waiting for a change");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(shell.id()).expect("a process id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is there");
    assert_eq!(shell.wait().expect("it ends").code(), Some(143));
}

/// The results lie beside the scenario, in a folder of any name.
#[test]
fn what_a_watched_scenario_writes_is_no_change() {
    let project = project();
    let scenario =
        |name: &str| format!("name: {name}\nchecks: none\nsteps:\n  - run: [sh, -c, \"echo 1 >made.json\"]\n");
    project.write("watched.yaml", &scenario("before-it"));
    let mut watching = project.on_terminal(&["run", "--watch", "watched.yaml", "--results", "out"]);
    watching.until("before-it").until("waiting for a change");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let runs = || std::fs::read_dir(project.path("out")).expect("results").count();
    assert_eq!(runs(), 1);
    project.write("watched.yaml", &scenario("after-it-was-changed"));
    watching.until("after-it-was-changed").until("waiting for a change").ctrl_c();
    let (status, shown) = watching.end();
    assert!(status.code() == Some(130) && runs() == 2, "{shown}");
}

#[test]
fn several_runs_go_on_at_once_and_are_told_in_their_order() {
    let project = project();
    // Each waits for the other: one after the other they would wait until their time is over.
    for (own, other, word) in [("met-a", "met-b", "a word"), ("met-b", "met-a", "no word")] {
        let (mine, theirs) = (project.path(own), project.path(other));
        let command =
            format!("touch {}; until [ -e {} ]; do sleep 0.02; done; echo a word", mine.display(), theirs.display());
        project.write(
            &format!("scenarios/{own}.yaml"),
            &format!("name: Meets the other\nsteps:\n  - timeout: 60s\n    run: {{ command: [sh, -c, '{command}'], contains: {word} }}\n"),
        );
    }
    let both = project.run(&["run", "scenarios/met-a.yaml", "scenarios/met-b.yaml", "--jobs", "2"]).exits(1);
    let rows: Vec<&str> = both.err.lines().filter(|line| line.ends_with("result.json")).collect();
    assert!(rows.len() == 2 && rows[0].starts_with("PASS") && rows[0].contains("met-a"), "{}", both.err);
    assert!(rows[1].starts_with("FAIL") && rows[1].contains("met-b"), "{}", both.err);
    // Lines of steps, of which nobody could tell whose they are, are left out; each failure is told once.
    assert!(!both.err.contains("▸") && both.err.matches("error[step-failed]").count() == 1, "{}", both.err);
    // More at once than there is to do, and a failure after which nothing begins any more.
    project.run(&["run", "-k", "first", "--jobs", "9"]).exits(0);
    project.run(&["run", "--jobs", "0"]).exits(2);
}
