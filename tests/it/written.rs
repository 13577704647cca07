//! Where kscen writes to what somebody names: only regular files are replaced.

use crate::goldens::{kscen, root};
use crate::hostile::{put, refused};
use std::path::Path;

/// As root a rename would make a regular file of a device.
#[test]
fn only_regular_files_are_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    std::fs::create_dir(at.join("r")).expect("a folder");
    std::fs::copy(root().join("tests/goldens/record.json"), at.join("r/result.json")).expect("a copy");
    put(at, "treasure", "mine");
    symlink("treasure", at.join("link")).expect("a link");
    put(at, "fine.yaml", "name: x\nchecks: none\nsteps:\n  - wait: 1ms\n");
    for arguments in [
        &["report", "r", "--out", "/dev/full"][..],
        &["report", "r", "--out", "link"],
        &["report", "r", "--format", "markdown", "--out", "link"],
        &["run", "--junit", "link", "fine.yaml"],
    ] {
        let said = refused(at, &format!("{arguments:?}"), arguments);
        assert!(said.contains("cannot write"), "{arguments:?}: {said}");
    }
    let device = std::fs::metadata("/dev/full").expect("every Linux has it");
    assert!(device.file_type().is_char_device());
    assert!(at.join("link").is_symlink() && std::fs::read(at.join("treasure")).expect("there") == b"mine");
    let printed = kscen(at, &["report", "r", "--format", "markdown", "--out", "/dev/stdout"]);
    assert!(printed.code == Some(0) && printed.stdout.starts_with("# "), "{}", printed.stderr);
    assert!(!Path::new("/dev/stdout.svg").exists(), "nothing is put beside a stream");
    assert_eq!(kscen(at, &["report", "r", "--out", "new.html"]).code, Some(0));
    assert!(at.join("new.html").is_file());
}
