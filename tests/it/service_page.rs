//! The page of `kscen serve` in a real browser: its script runs under its own policy, and follows the service.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROJECT: &str = r#"
environments:
  prod:
    remote: {}
    kafka: { bootstrap: "127.0.0.1:1" }
    allow: [backup, restore]
default: prod
serve:
  listen: 127.0.0.1:0
  archives: archives
  state: state
  backups:
    - { name: nightly, cluster: prod, topics: [orders], cron: 0 3 * * * }
"#;
/// By which names the browser may be there.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The browser that is there.
pub fn browser() -> Option<&'static str> {
    let answers = |name: &&&str| {
        let asked = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    BROWSERS.iter().find(answers).copied()
}

/// The elements of the page after its script has run, and what the browser said.
fn shown(browser: &str, url: &str, profile: &Path) -> (String, String) {
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--timeout=10000"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(["--dump-dom", url]);
    let output = command.stdin(Stdio::null()).output().expect("the browser runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_browser_runs_its_script_and_follows_the_service() {
    let Some(browser) = browser() else {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: install chromium");
        let _ = writeln!(std::io::stderr(), "SKIPPED: no Chromium is installed, so no browser has shown the page");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kscen.yaml"), PROJECT).expect("a project");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
    command.arg("serve").current_dir(folder.path()).env("XDG_STATE_HOME", folder.path().join("xdg"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut serving = Ended(command.spawn().expect("it starts"));
    let mut url = String::new();
    BufReader::new(serving.0.stdout.take().expect("piped")).read_line(&mut url).expect("it listens");
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (page, said) = shown(browser, url.trim(), &folder.path().join("profile"));
        assert!(!said.contains("Content Security Policy") && !said.contains("CONSOLE"), "{said}");
        for part in ["<h2 id=\"jobs-title\">Jobs</h2>", "nightly", "0 3 * * * UTC", "Start the backup"] {
            assert!(page.contains(part), "{part} is missing in\n{page}\n{said}");
        }
        // It is taken as it is when it is loaded, which may be before the service has answered the script.
        if page.contains("Live: this page changes by itself.") {
            break;
        }
        assert!(Instant::now() < deadline, "the script does not follow the service:\n{page}\n{said}");
    }
}
