//! The pages of reports in a real browser: axe-core finds nothing serious, nothing is wider than the window, and no script complains.
//!
//! axe-core comes from npm, into a folder below `target/`.

use crate::goldens::{kscen, root};
use crate::service_page::browser;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const AXE: &str = "axe-core@4.14.1";
/// As wide as a desk, and as narrow as Chromium's own window can be, which is a telephone to the style; light and dark.
const WINDOWS: [[&str; 2]; 2] = [
    ["--window-size=1400,900", "--blink-settings=preferredColorScheme=1"],
    ["--window-size=390,900", "--blink-settings=preferredColorScheme=0"],
];
/// Runs in the page, with everything unfolded.
const ASK: &str = "document.querySelectorAll('details').forEach(d => d.open = true);
axe.run().then(result => {
  const found = result.violations.filter(v => ['serious', 'critical'].includes(v.impact));
  const told = document.createElement('script');
  told.type = 'application/json';
  told.id = 'axe-told';
  told.textContent = JSON.stringify({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    passes: result.passes.length,
    found: found.flatMap(v => v.nodes.map(n => v.id + ': ' + n.target.join(' '))),
  }).replaceAll('<', '\\\\u003c');
  document.body.append(told);
});";

fn axe() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_kscen")).ancestors().nth(2).expect("target").join("axe");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder).arg(AXE);
        let output = npm.output().map_err(|error| format!("npm does not start: {error}"))?;
        if !output.status.success() {
            return Err(format!("npm cannot install {AXE}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    std::fs::read_to_string(&script).map_err(|error| error.to_string())
}

/// What axe-core says of a page, and what the browser said.
fn asked(browser: &str, page: &Path, window: [&str; 2], profile: &Path) -> (Value, String) {
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--virtual-time-budget=30000",
    ]);
    command.args(window).arg(format!("--user-data-dir={}", profile.display()));
    command.arg("--dump-dom").arg(format!("file://{}", page.display())).stdin(Stdio::null());
    let output = command.output().expect("the browser runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = shown.rsplit_once("id=\"axe-told\">").and_then(|(_, rest)| rest.split("</script>").next());
    (
        told.and_then(|told| serde_json::from_str(told).ok()).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn reports_can_be_read_by_everybody() {
    let (Some(browser), Ok(axe)) = (browser(), axe()) else {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: install chromium and npm");
        let _ = writeln!(std::io::stderr(), "SKIPPED reports_can_be_read_by_everybody: no Chromium, or no npm");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (run, record) in [("messages", "record.json"), ("changes", "changes.json")] {
        let place = folder.path().join("all").join(run);
        std::fs::create_dir_all(&place).expect("a folder");
        std::fs::copy(root().join("tests/goldens").join(record), place.join("result.json")).expect("a stored run");
    }
    let mut wrong = Vec::new();
    for (name, result) in [("run", "all/messages"), ("changes", "all/changes"), ("suite", "all")] {
        let page = folder.path().join(format!("{name}.html"));
        let path = page.display().to_string();
        let printed = kscen(folder.path(), &["report", result, "--format", "html", "--out", &path]);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        let html = std::fs::read_to_string(&page).expect("a page");
        let (body, end) = html.rsplit_once("</body>").expect("a whole page");
        std::fs::write(&page, format!("{body}<script>{axe}</script><script>{ASK}</script></body>{end}")).expect("ours");
        for window in WINDOWS {
            let (told, said) = asked(browser, &page, window, &folder.path().join("profile"));
            let heard = told["passes"].as_u64().is_some_and(|passes| passes > 5);
            if !heard || told["found"] != Value::Array(Vec::new()) || told["overflow"] != 0 || said.contains("CONSOLE")
            {
                wrong.push(format!("{name} {}: {told}\n{said}", window[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
