//! What the images are built from is what was taken up.

use crate::goldens::root;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn held(list: &Path, folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(root().join("stack/check-sums")).arg(list).arg(folder).output().expect("bash starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_file_of_an_image_that_is_another_one_missing_or_not_listed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (jars, list) = (folder.path().join("jars"), folder.path().join("kafka-0.sha256"));
    fs::create_dir(&jars).expect("a folder");
    fs::write(jars.join("a.jar"), "a").expect("a file");
    let sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.jar\n";
    fs::write(&list, sum).expect("a list");
    assert_eq!(held(&list, &jars), (Some(0), String::new()));
    fs::create_dir(jars.join("inner")).expect("a folder");
    fs::write(jars.join("inner/b.jar"), "b").expect("a file");
    let (code, said) = held(&list, &jars);
    assert!(code == Some(1) && said.contains("inner/b.jar: the list does not name it"), "{said}");
    fs::remove_dir_all(jars.join("inner")).expect("ours");
    for (text, words) in [
        (sum.replace("ca97", "ca98"), "a.jar: FAILED"),
        (format!("{sum}{}", sum.replace("a.jar", "c.jar")), "c.jar: FAILED open or read"),
        ("no list\n".to_owned(), "the list does not name it"),
    ] {
        fs::write(&list, text).expect("a list");
        let (code, said) = held(&list, &jars);
        assert!(code == Some(1) && said.contains(words) && said.contains("do not use it"), "{said}");
    }
    // A version that nobody has taken up is said to be one.
    let (code, said) = held(&folder.path().join("kafka-9.sha256"), &jars);
    assert!(code == Some(0) && said.contains("NOT PINNED: kafka-9"), "{said}");
}

/// The images that the scripts build by themselves have their lists, and no image of the compose file floats on `latest`.
#[test]
fn what_is_built_by_itself_is_pinned() {
    let script = fs::read_to_string(root().join("stack/build-images.sh")).expect("a script");
    for (variable, list) in
        [("kafka=${KAFKA_VERSION:-", "kafka-"), ("debezium=${DEBEZIUM_VERSION:-", "debezium-plugin-")]
    {
        let version = script.split_once(variable).and_then(|(_, rest)| rest.split_once('}')).expect("a version").0;
        let file = root().join(format!("stack/checksums/{list}{version}.sha256"));
        assert!(file.is_file(), "{}", file.display());
    }
    let mvn: Vec<_> = script.lines().filter(|line| line.trim_start().starts_with("mvn ")).collect();
    assert!(mvn.len() == 2 && mvn.iter().all(|line| line.contains(" -C ")), "{mvn:?}");
    assert_eq!(script.matches("/check-sums\"").count(), mvn.len());
    let compose = fs::read_to_string(root().join("stack/docker-compose.yml")).expect("a compose file");
    for line in compose.lines().filter(|line| line.trim_start().starts_with("image:")) {
        let image = line.split_once(":-").expect("it can be replaced, by one with a digest").1;
        let tag = image.split_once(':').expect("a tag").1;
        assert!(tag.contains(|c: char| c.is_ascii_digit()), "{line}");
    }
}

/// A volume would lie over the results in a folder that somebody mounts, and what belongs to one user another one does not trust.
#[test]
fn the_image_is_for_any_user_and_keeps_no_results_to_itself() {
    let text = fs::read_to_string(root().join("Dockerfile")).expect("a file");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let has = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(!has("VOLUME") && !has("--chown"), "{text}");
    assert!(has("chmod -R a+rX /opt/kscen") && has("chmod 1777 /kscen/results /opt/kscen/cache/class-data"), "{text}");
    let state = lines.iter().find_map(|line| line.strip_prefix("ENV XDG_STATE_HOME=")).expect("a place for state");
    assert!(!state.starts_with("/tmp/kscen-"), "folders of that name are swept: {state}");
}

/// A program of that name in a folder.
fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may run");
}

fn path_with(folder: &Path) -> String {
    format!("{}:/usr/bin:/bin", folder.display())
}

/// What `scripts/supply-chain` says and asks of cargo-deny, with a database of advisories or without one.
fn supply_chain(with_database: bool, refused: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let asked = folder.path().join("asked");
    program(folder.path(), "cargo-deny", "exit 0");
    program(folder.path(), "cargo", &format!("echo \"$@\" >> {}\n[ \"$4\" != {refused:?} ]", asked.display()));
    program(folder.path(), "git", if with_database { "exit 0" } else { "exit 128" });
    let mut script = Command::new(root().join("scripts/supply-chain"));
    let output = script.env("PATH", path_with(folder.path())).output().expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said, fs::read_to_string(asked).expect("it was asked"))
}

#[test]
fn advisories_are_looked_at_where_their_database_can_be_had_and_else_that_is_said() {
    let crates = "deny --locked check licenses sources bans\n";
    let (code, said, asked) = supply_chain(true, "");
    assert_eq!((code, &*said, asked), (Some(0), "", format!("{crates}deny --locked check advisories\n")));
    let (code, said, asked) = supply_chain(false, "");
    assert!(code == Some(0) && said.contains("NOT CHECKED") && asked == crates, "{said}{asked}");
    for refused in ["licenses", "advisories"] {
        assert_eq!(supply_chain(true, refused).0, Some(1), "{refused} are refused");
    }
}

#[test]
fn images_are_pinned_by_the_digests_that_their_registries_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let (here, digests) = (folder.path(), ["a", "b"].map(|digit| format!("sha256:{}", digit.repeat(64))));
    let files = ["stack/docker-compose.yml", "Dockerfile", "scripts/pin-images"];
    for name in ["stack", "scripts"] {
        fs::create_dir(here.join(name)).expect("a folder");
    }
    for file in files {
        fs::copy(root().join(file), here.join(file)).expect("it is copied");
    }
    let texts = || [files[0], files[1]].map(|file| fs::read_to_string(here.join(file)).expect("a file"));
    let pin = |answer: &str, arguments: &[&str]| {
        program(here, "docker", answer);
        let mut script = Command::new(here.join("scripts/pin-images"));
        let output = script.args(arguments).env("PATH", path_with(here)).output().expect("bash starts");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let before = texts();
    let (code, said) = pin("exit 1", &[]);
    assert!(code == Some(1) && said.contains("NOT LOOKED UP: postgres:15") && texts() == before, "{said}");
    let answers = digests.each_ref().map(|digest| format!("echo {digest}"));
    assert_eq!((pin(&answers[0], &["--check"]).0, texts()), (Some(1), before.clone()), "a check changes nothing");
    assert_eq!(pin(&answers[0], &[]).0, Some(0));
    let images = before.iter().map(|text| text.matches("image: ${").count() + text.matches("ARG B").count());
    assert_eq!(texts().map(|text| text.matches(&digests[0]).count()).iter().sum::<usize>(), images.sum::<usize>());
    assert!(texts()[0].contains(&format!("${{POSTGRES_IMAGE:-postgres:15@{}}}", digests[0])), "{}", texts()[0]);
    assert_eq!(pin(&answers[0], &["--check"]).0, Some(0));
    let (code, said) = pin(&answers[1], &["--check"]);
    assert!(code == Some(1) && said.contains("NOT PINNED: postgres:15"), "{said}");
    // Another digest takes the place of the former one.
    assert_eq!(pin(&answers[1], &[]).0, Some(0));
    assert!(texts().iter().all(|text| !text.contains(&digests[0]) && text.contains(&digests[1])));
}

/// The programs of fuzz/ are locked by themselves: a crate that kscen has taken up since would keep them from being built.
#[test]
fn the_programs_that_fuzz_are_locked_with_the_crates_that_are_used() {
    let used = |lock: &str| {
        let text = fs::read_to_string(root().join(lock)).expect("a lock");
        let (_, kscen) = text.split_once("name = \"kscen\"\n").expect("kscen is in it");
        let names =
            kscen.split_once("dependencies = [\n").and_then(|(_, rest)| rest.split_once(']')).expect("a list").0;
        let name = |line: &str| line.trim().trim_matches(['"', ',']).split(' ').next().map(str::to_owned);
        names.lines().filter_map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let (all, locked) = (used("Cargo.lock"), used("fuzz/Cargo.lock"));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let (_, dev) = manifest.split_once("[dev-dependencies]\n").expect("there are some");
    let (dev, _) = dev.split_once("\n[").expect("an end");
    let is_dev = |name: &str| dev.lines().any(|line| line.starts_with(&format!("{name} =")));
    let missing: Vec<_> = all.difference(&locked).filter(|name| !is_dev(name)).collect();
    assert!(missing.is_empty(), "{missing:?}: cargo metadata --manifest-path fuzz/Cargo.toml");
}
