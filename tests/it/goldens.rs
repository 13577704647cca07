//! Texts that are kept in files and compared; `BLESS=1` rewrites them.

use std::path::{Path, PathBuf};

/// The folder of the crate.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a text with a file of the project. Answers what is wrong, if anything.
pub fn compare(file: &Path, text: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the folder can be made");
        std::fs::write(file, text).expect("the file can be written");
        return None;
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    if kept == text {
        return None;
    }
    let different = kept.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = different.unwrap_or_else(|| kept.lines().count().min(text.lines().count()));
    let show = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    Some(format!(
        "{} differs from line {}; BLESS=1 rewrites it\n  kept: {}\n  now:  {}",
        file.display(),
        line + 1,
        show(&kept),
        show(text)
    ))
}

/// All files below a folder of the project with that extension, sorted.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, extension, found);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

/// What a command printed, and how it ended.
pub struct Printed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the installed program in a folder, with an environment that says nothing about terminals.
pub fn kscen(folder: &Path, arguments: &[&str]) -> Printed {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kscen"));
    command.current_dir(folder).args(arguments).env_clear();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let output = command.output().expect("the program starts");
    Printed {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
