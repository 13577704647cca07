//! What an editor with the YAML language server makes of the schemas.
//!
//! The server comes from npm, into a folder below `target/`. Without npm the test says that it was skipped; with `CI=true` it fails.

use crate::goldens::{files, root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The last version that runs on every Node.js since 18.
const SERVER: &str = "yaml-language-server@1.25.0";
/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server's program, installed where it is not there yet.
fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_kscen")).ancestors().nth(2).expect("target").join("editor");
    let program = folder.join("node_modules/yaml-language-server/bin/yaml-language-server");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&folder)
        .arg(SERVER)
        .output()
        .map_err(|error| format!("npm does not start: {error}"))?;
    match output.status.success() && program.is_file() {
        true => Ok(program),
        false => Err(format!("npm cannot install {SERVER}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The server's program; without npm nothing is tested, which is said, and in CI is a failure.
fn server(test: &str) -> Option<PathBuf> {
    match install() {
        Ok(program) => Some(program),
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{why}"),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            None
        }
    }
}

/// The language server, spoken to over its standard input and output.
struct Server {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    diagnostics: BTreeMap<String, Vec<Value>>,
    requests: u64,
}

impl Server {
    fn start(program: &Path) -> Self {
        let mut child = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts where npm does");
        let input = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read_message(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { child, input, messages, diagnostics: BTreeMap::new(), requests: 0 };
        let capabilities = json!({ "textDocument": {
            "hover": { "contentFormat": ["markdown"] },
            "completion": { "completionItem": { "snippetSupport": true } },
        } });
        server.request(
            "initialize",
            json!({ "processId": std::process::id(), "rootUri": uri(root()), "capabilities": capabilities }),
        );
        server.notify("initialized", json!({}));
        // Nothing is fetched: the schemas are those that the files name.
        let settings = json!({ "yaml": { "validate": true, "completion": true, "hover": true, "schemaStore": { "enable": false } } });
        server.notify("workspace/didChangeConfiguration", json!({ "settings": settings }));
        server
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server listens");
        self.input.flush().expect("the server listens");
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.next();
            if message.get("method").is_none() && message["id"] == id {
                return message["result"].clone();
            }
        }
    }

    /// The next message; requests of the server are answered, diagnostics kept.
    fn next(&mut self) -> Value {
        let message = self.messages.recv_timeout(PATIENCE).expect("the server answers");
        match (message["method"].as_str(), message.get("id")) {
            (Some("textDocument/publishDiagnostics"), _) => {
                let list = message["params"]["diagnostics"].as_array().cloned().unwrap_or_default();
                let file = message["params"]["uri"].as_str().unwrap_or_default().to_owned();
                self.diagnostics.insert(file, list);
            }
            (Some("workspace/configuration"), Some(id)) => {
                let items = message["params"]["items"].as_array().map_or(1, Vec::len);
                self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": vec![json!({}); items] }));
            }
            (Some(_), Some(id)) => self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": null })),
            _ => {}
        }
        message
    }

    /// Opens a document and answers what the server finds wrong with it.
    fn open(&mut self, uri: &str, text: &str) -> Vec<String> {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
        while !self.diagnostics.contains_key(uri) {
            self.next();
        }
        self.diagnostics[uri]
            .iter()
            .map(|one| format!("{}: {}", one["range"]["start"]["line"], one["message"]))
            .collect()
    }

    fn at(&mut self, method: &str, uri: &str, line: usize, character: usize) -> Value {
        self.request(
            method,
            json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } }),
        )
    }

    fn completions(&mut self, uri: &str, line: usize, character: usize) -> Vec<String> {
        let answer = self.at("textDocument/completion", uri, line, character);
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["label"].as_str().map(str::to_owned)).collect()
    }

    fn hover(&mut self, uri: &str, line: usize, character: usize) -> String {
        self.at("textDocument/hover", uri, line, character)["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to do where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_message(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn editors_complete_explain_and_check() {
    let Some(program) = server("editors_complete_explain_and_check") else { return };
    let mut server = Server::start(&program);

    let invalid = root().join("scenarios/invalid");
    let mut seen = 0;
    for file in files("scenarios", "yaml").into_iter().filter(|file| !file.starts_with(&invalid)) {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# yaml-language-server: $schema="), "{} names no schema", file.display());
        assert_eq!(server.open(&uri(&file), &text), [""; 0], "{}", file.display());
        seen += 1;
    }
    assert!(seen > 0, "there are scenarios");

    let draft = uri(&root().join("draft.yaml"));
    let text = "# yaml-language-server: $schema=schemas/scenario.json\nname: Draft\nsteps:\n  - \n  - produce:\n      topic: orders\n      rate: 100/s\n      \n";
    server.open(&draft, text);
    let verbs = server.completions(&draft, 3, 4);
    for entry in kscen::testing::REGISTRY {
        assert!(verbs.iter().any(|verb| verb == entry.verb), "`{}` is not offered, but {verbs:?}", entry.verb);
    }
    let fields = server.completions(&draft, 7, 6);
    for field in ["for", "count", "acks", "payload", "thresholds"] {
        assert!(fields.iter().any(|name| name == field), "`{field}` is not offered, but {fields:?}");
    }
    assert!(!fields.iter().any(|name| name == "rate"), "what is there is not offered again");
    let verb = server.hover(&draft, 4, 5);
    assert!(verb.contains("open loop"), "{verb}");
    let field = server.hover(&draft, 6, 7);
    assert!(field.contains("Messages per second"), "{field}");

    let typos = uri(&root().join("typos.yaml"));
    let text = "# yaml-language-server: $schema=schemas/scenario.json\nname: Typos\nsteps:\n  - prodcue: { topic: orders }\n  - wait: 5M\n  - produce: { topic: orders, acks: 5, count: 10 }\n";
    let found = server.open(&typos, text).join("\n");
    for part in ["3: ", "prodcue", "4: ", "write a duration like 10s", "5: ", "Valid values"] {
        assert!(found.contains(part), "{part} is missing in\n{found}");
    }
}

/// Where the cursor stands (`|`), in the steps of a scenario or, behind `project:`, in an environment of kscen.yaml, and what is offered there.
const OFFERED: [(&str, &[&str]); 20] = [
    ("  - produce:\n      topic: a\n      acks: |\n", &["all", "1", "0"]),
    ("  - produce:\n      compression: |\n", &["none", "gzip", "snappy", "lz4", "zstd"]),
    ("  - produce:\n      identity: |\n", &["field", "prefix", "header", "none"]),
    ("  - produce:\n      rate: |\n", &["500/s", "10k/s"]),
    ("  - produce:\n      payload:\n        |\n", &["compressible", "template", "records", "cdc"]),
    ("  - consume:\n      from: |\n", &["start", "end", "committed"]),
    ("  - consume:\n      isolation: |\n", &["read_uncommitted", "read_committed"]),
    ("  - consume:\n      rebalance: |\n", &["eager", "cooperative"]),
    ("  - consume:\n      until:\n        |\n", &["count", "idle", "drained"]),
    ("  - restart:\n      until: |\n", &["ready", "running"]),
    ("  - kill:\n      |\n", &["service", "connector", "step", "member", "for"]),
    ("  - kill:\n      service:\n        |\n", &["leader_of", "controller", "coordinator_of", "any"]),
    ("  - network:\n      |\n", &["service", "fault", "between", "direction"]),
    ("  - expect:\n      |\n", &["delivery", "group", "step", "cluster", "within", "hold"]),
    ("  - expect:\n      delivery:\n        |\n", &["from", "to", "lost", "duplicated", "missing_tombstones"]),
    ("  - expect:\n      step:\n        |\n", &["id", "during", "unavailability", "recovery_time", "response_latency"]),
    ("  - wait: 1s\n    background: |\n", &["true", "false"]),
    ("project:    local:\n      |\n", &["brokers", "kafka", "timeouts", "config"]),
    ("project:    local:\n      timeouts: |\n", &["kafka", "fast"]),
    ("project:    allow:\n      - |\n", &["produce", "topics", "faults", "acls"]),
];

/// Where the pointer rests, and what is said there: what this key does here, not what values of its type are.
const EXPLAINED: [(&str, &[&str]); 8] = [
    ("  - pro|duce: { topic: a }\n", &["open loop"]),
    ("  - ki|ll: kafka\n", &["Ends a service at once"]),
    ("  - produce: { topic: a, ac|ks: all }\n", &["Which acknowledgement each message waits for", "`all`"]),
    ("  - produce: { topic: a, compress|ion: lz4 }\n", &["`zstd`: Zstandard."]),
    ("  - expect: { delivery: { from: a, to: b, lo|st: 0 } }\n", &["it was never read"]),
    ("  - expect: { step: { id: a, unavail|ability: 1s } }\n", &["longest gap between acknowledgements"]),
    ("  - kill: { service: { leader|_of: a/0 } }\n", &["the leader of a partition"]),
    ("project:    local: { time|outs: fast }\n", &["default timeouts", "`fast`: Short session"]),
];

impl Server {
    /// Opens what a position stands in, and answers its file, line and column.
    fn place(&mut self, number: usize, position: &str) -> (String, usize, usize) {
        let (schema, text) = match position.strip_prefix("project:") {
            Some(rest) => ("project", format!("environments:\n  mine:\n{rest}")),
            None => ("scenario", format!("name: Draft\nsteps:\n{position}")),
        };
        let text = format!("# yaml-language-server: $schema=schemas/{schema}.json\n{text}");
        let (before, after) = text.split_once('|').expect("a position has a cursor");
        let file = uri(&root().join(format!("position-{number}.yaml")));
        self.open(&file, &format!("{before}{after}"));
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        (file, before.matches('\n').count(), column)
    }
}

#[test]
fn every_position_offers_and_explains_what_may_stand_there() {
    let Some(program) = server("every_position_offers_and_explains_what_may_stand_there") else { return };
    let mut server = Server::start(&program);
    let mut wrong = Vec::new();
    for (number, (position, wanted)) in OFFERED.iter().enumerate() {
        let (file, line, column) = server.place(number, position);
        let offered = server.completions(&file, line, column);
        if let Some(missing) = wanted.iter().find(|wanted| !offered.iter().any(|label| label == *wanted)) {
            wrong.push(format!("{position}offers {offered:?}, not `{missing}`"));
        }
    }
    for (number, (position, wanted)) in EXPLAINED.iter().enumerate() {
        let (file, line, column) = server.place(OFFERED.len() + number, position);
        let said = server.hover(&file, line, column);
        if let Some(missing) = wanted.iter().find(|wanted| !said.contains(**wanted)) {
            wrong.push(format!("{position}is explained as\n{said}\nwithout `{missing}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
