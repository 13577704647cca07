//! Archives that somebody else has made: names that lead out of them, numbers that nothing can have, links and pipes in the place of
//! files. Whatever they say, nothing outside of an archive is read, written or removed, and nothing hangs.

use crate::goldens::root;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SEGMENT: &str = "topics/t@none/0/00000000000000000000.log";

/// A sound archive with one topic of five records, made from a seed of the fuzzer, and a file beside it that is nobody's business.
struct Made {
    folder: tempfile::TempDir,
    manifest: Value,
}

impl Made {
    fn new() -> Self {
        let seed = fs::read(root().join("fuzz/seeds/archive/small")).expect("a seed");
        let at = seed.iter().position(|byte| *byte == 0).expect("two parts");
        let made = Self {
            folder: tempfile::tempdir().expect("a folder"),
            manifest: serde_json::from_slice(&seed[..at]).expect("a manifest"),
        };
        for folder in ["archive/manifests", "archive/topics/t@none/0", "treasure/t@none/0"] {
            fs::create_dir_all(made.at(folder)).expect("a folder");
        }
        fs::write(made.at("archive/archive.json"), r#"{"format":"kscen-archive","version":1,"id":"a"}"#)
            .expect("a file");
        fs::write(made.at("archive").join(SEGMENT), &seed[at + 1..]).expect("a file");
        fs::write(made.at("treasure/gold"), "gold").expect("a file");
        fs::write(made.at("treasure/t@none/0/gold"), "gold").expect("a file");
        made.says(&made.manifest);
        made
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the manifest, and sums that fit.
    fn says(&self, manifest: &Value) {
        let text = manifest.to_string();
        let sum =
            |bytes: &[u8]| openssl::sha::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        fs::write(self.at("archive/manifests/00000001.json"), &text).expect("a file");
        let sums = format!("{}  manifests/00000001.json\n", sum(text.as_bytes()));
        fs::write(self.at("archive/SHA256SUMS"), sums).expect("a file");
    }

    /// Runs kscen with 512 MiB of address space and a time in which nothing here should still run.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("timeout")
            .args(["120", "sh", "-c", "ulimit -v 524288; umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kscen")])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.at("state"))
            .env_remove("KSCEN_ENV")
            .stdin(Stdio::null())
            .output()
            .expect("a shell")
    }

    /// What every command says that reads an archive: each fails in good order, or has nothing to find fault with.
    fn told(&self) -> Vec<(String, Option<i32>)> {
        let commands: [&[&str]; 8] = [
            &["verify", "archive"],
            &["verify", "archive", "--level", "deep"],
            &["archive", "list", "archive"],
            &["archive", "list", "archive", "--generations"],
            &["archive", "show", "archive"],
            &["archive", "cat", "archive", "--uncommitted"],
            &["archive", "translate", "archive", "t", "--time", "1970-01-01T00:00:00Z"],
            &["archive", "prune", "archive", "--keep", "1"],
        ];
        let told = commands.map(|arguments| {
            let output = self.run(arguments);
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let code = output.status.code();
            assert!(code.is_some_and(|code| code < 10), "{arguments:?}: {:?}\n{said}", output.status);
            assert!(!said.contains("panicked at") && !said.contains("gold\n"), "{arguments:?}: {said}");
            assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{arguments:?}: {said:?}");
            (said, code)
        });
        self.unharmed();
        told.to_vec()
    }

    fn unharmed(&self) {
        for name in ["treasure/gold", "treasure/t@none/0/gold"] {
            assert_eq!(fs::read_to_string(self.at(name)).expect("it is there"), "gold", "{name}");
        }
        let all: Vec<_> = fs::read_dir(self.at("treasure")).expect("a folder").flatten().collect();
        assert_eq!(all.len(), 2, "nothing was put there: {all:?}");
    }
}

#[test]
fn a_sound_one_is_read() {
    let made = Made::new();
    let told = made.told();
    for (said, code) in &told {
        assert_eq!(*code, Some(0), "{said}");
    }
    assert_eq!(told[5].0.lines().count(), 4, "{}", told[5].0);
}

/// What a manifest may say that no backup writes: a pointer, a value, and what is said of it.
#[test]
fn names_that_lead_elsewhere_and_numbers_without_sense_are_refused() {
    let partition = "/topics/0/partitions/0";
    let segment = |field: &str| format!("{partition}/segments/0/{field}");
    let own = |field: &str| format!("{partition}/{field}");
    let huge = json!(i64::MAX);
    let cases = [
        (segment("file"), json!("topics/t@none/0/../../../../treasure/gold"), "its file is"),
        (segment("file"), json!("/etc/passwd"), "its file is"),
        ("/topics/0/folder".to_owned(), json!("../treasure/t@none"), "has the folder"),
        ("/topics/0/name".to_owned(), json!("../treasure"), "cannot be a topic"),
        ("/topics/0/name".to_owned(), json!("t\u{1b}[2J\u{202e}\nPASS"), "cannot be a topic"),
        ("/topics/0/id".to_owned(), json!("../../x"), "is no id"),
        (segment("base"), json!(i64::MIN), "is not a valid offset"),
        (segment("end"), huge.clone(), "is not a valid offset"),
        (segment("bytes"), json!(u64::MAX), "which is not a valid count"),
        (segment("records"), json!(u64::MAX), "which is not a valid count"),
        (own("first"), json!(-1), "is not a valid offset"),
        (own("next"), huge.clone(), "is not a valid offset"),
        (own("cut/end"), huge.clone(), "is not a valid offset"),
        (own("missing"), json!(u64::MAX), "have no record"),
        (own("partition"), json!(-7), "is not in its place"),
        (own("partition"), json!(i32::MAX), "is not in its place"),
        (own("aborted/0/marker"), json!(i64::MIN), "is not a valid offset"),
        ("/groups/0/offsets/t/0/offset".to_owned(), huge, "which is not a valid offset"),
        ("/generation".to_owned(), json!(u32::MAX), "does not come with manifest"),
    ];
    let made = Made::new();
    for (pointer, value, expected) in cases {
        let mut manifest = made.manifest.clone();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        manifest.pointer_mut(parent).expect("it is there")[field] = value.clone();
        made.says(&manifest);
        for (said, code) in made.told() {
            assert_ne!(code, Some(0), "{pointer} = {value}: {said}");
            assert!(said.contains(expected), "{pointer} = {value}: {said}");
        }
    }
    made.says(&made.manifest);
    fs::write(made.at("archive/archive.json"), r#"{"format":"kscen-archive","version":1,"id":"../../x"}"#)
        .expect("a file");
    for (said, code) in made.told() {
        assert!(code != Some(0) && said.contains("is no id"), "{said}");
    }
}

/// A batch that claims to be as large as one may be, in a file that has sixty bytes, takes the memory of sixty.
#[test]
fn what_a_batch_claims_to_be_is_not_taken_before_it_is_there() {
    let made = Made::new();
    let mut bytes = fs::read(made.at("archive").join(SEGMENT)).expect("a file");
    bytes.truncate(61);
    bytes[8..12].copy_from_slice(&((100 << 20) - 12_i32).to_be_bytes());
    fs::write(made.at("archive").join(SEGMENT), bytes).expect("a file");
    let mut manifest = made.manifest.clone();
    manifest["topics"][0]["partitions"][0]["segments"][0]["bytes"] = json!(1_u64 << 40);
    made.says(&manifest);
    let told = made.told();
    assert!(told[0].0.contains("the batch needs 104857600 bytes, and only 61 are left"), "{}", told[0].0);
}

#[test]
fn links_and_pipes_are_neither_followed_nor_waited_for() {
    let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    type Plant<'a> = (&'a str, &'a dyn Fn(&Made));
    let plants: [Plant; 7] = [
        ("a folder is a link", &|made| {
            fs::rename(made.at("archive/topics"), made.at("topics")).expect("ours");
            symlink(made.at("treasure"), made.at("archive/topics")).expect("a link");
        }),
        ("a segment is a link", &|made| {
            fs::rename(made.at("archive").join(SEGMENT), made.at("segment")).expect("ours");
            symlink(made.at("segment"), made.at("archive").join(SEGMENT)).expect("a link");
        }),
        ("a manifest is a pipe", &|made| {
            fs::remove_file(made.at("archive/manifests/00000001.json")).expect("ours");
            pipe(&made.at("archive/manifests/00000001.json"));
        }),
        ("the label is a device", &|made| {
            fs::remove_file(made.at("archive/archive.json")).expect("ours");
            symlink("/dev/zero", made.at("archive/archive.json")).expect("a link");
        }),
        ("the sums are a pipe", &|made| {
            fs::remove_file(made.at("archive/SHA256SUMS")).expect("ours");
            pipe(&made.at("archive/SHA256SUMS"));
        }),
        ("the lock is a pipe", &|made| pipe(&made.at("archive/.lock"))),
        ("the lock is a link", &|made| symlink(made.at("treasure/gold"), made.at("archive/.lock")).expect("a link")),
    ];
    for (name, plant) in plants {
        let made = Made::new();
        plant(&made);
        let told = made.told();
        let (said, code) = told.last().expect("the pruning");
        assert_ne!(*code, Some(0), "{name}: {said}");
    }
    // What is written lies in the archive, whatever was put in its way.
    let made = Made::new();
    let stray = made.at("archive/topics/t@none/0/00000000000000000009.log");
    fs::write(&stray, "left over").expect("a file");
    symlink(made.at("treasure/gold"), made.at("archive/SHA256SUMS.part")).expect("a link");
    let (said, code) = made.told().pop().expect("the pruning");
    assert_eq!(code, Some(0), "{said}");
    assert!(!stray.exists() && said.contains("00000000000000000009.log"), "{said}");
    let sums = fs::symlink_metadata(made.at("archive/SHA256SUMS")).expect("it is there");
    assert!(sums.is_file() && sums.permissions().mode() & 0o777 == 0o600, "{sums:?}");
}
