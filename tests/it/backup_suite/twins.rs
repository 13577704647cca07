//! The scenarios of archives can tell good from bad: of each small thing that a restore could get wrong there is a twin, sabotaged in that one thing, which
//! fails and names it.

use super::altered::{Change, alter};
use crate::program::{Project, skipped};
use crate::twins::Twin;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Where a twin asks for its archive to be altered; the run's id and what is altered follow.
const SERVER: &str = "http://SERVER/";
/// Before the topic is restored.
const DELETE: &str = "  - delete: { topic: \"${topic}\" }\n";
/// When it was.
const COMPARED: &str = "  - name: the restored topic is the same, record for record\n";
/// The cluster is still there.
const DISASTER: &str = "  - id: disaster\n";

const TWINS: [Twin; 5] = [
    Twin {
        name: "byte-flipped",
        of: "backup/single-partition",
        edits: &[(
            "  - name: the archive is what it was\n",
            "  - corrupt: { archive: kept, file: segment, how: flip }\n  - name: the archive is what it was\n",
        )],
        fails: &[],
        sample: ".log is damaged at byte",
    },
    Twin {
        name: "record-left-out",
        of: "backup/single-partition",
        edits: &[(DELETE, "  - http: \"http://SERVER/${run.id}/left-out\"\n  - delete: { topic: \"${topic}\" }\n")],
        fails: &["delivery.lost"],
        sample: "lost: producer 0, sequence",
    },
    Twin {
        name: "tombstone-turned-empty",
        of: "backup/single-partition",
        edits: &[(DELETE, "  - http: \"http://SERVER/${run.id}/emptied\"\n  - delete: { topic: \"${topic}\" }\n")],
        fails: &["reader: messages that break `tombstone or size > 0`"],
        sample: "",
    },
    Twin {
        name: "headers-reordered",
        of: "backup/single-partition",
        edits: &[(
            COMPARED,
            "  - http: \"http://SERVER/${run.id}/reordered\"\n  - name: the restored topic is the same, record for record\n",
        )],
        // Nothing is read any more.
        fails: &["at-least-once: deliveries that were judged"],
        sample: "headers",
    },
    Twin {
        name: "group-shifted",
        of: "backup/disaster-recovery",
        edits: &[
            ("transactional: { per: 50, abort: 10% }", "transactional: { per: 50 }"),
            // A check that cannot become true is not waited for so long.
            ("within: 5m", "within: 5s"),
            (DISASTER, "  - http: \"http://SERVER/${run.id}/shifted\"\n  - id: disaster\n"),
        ],
        fails: &["delivery.lost"],
        sample: "lost: producer 0, sequence",
    },
];

/// The archive of a run, wherever its suite lies.
fn archive(folder: &Path, run: &str) -> Option<PathBuf> {
    let inside = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut inside: Vec<PathBuf> = inside.collect();
    inside.sort();
    match inside.iter().find(|path| path.ends_with(run)) {
        Some(found) => Some(found.join("archives/kept")),
        None => inside.iter().find_map(|path| archive(path, run)),
    }
}

/// Alters archives below this folder when it is asked to; returns its address. The run waits for the answer.
fn server(results: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // The request ends with an empty line.
            lines.find(String::is_empty);
            let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let (run, change) = path.split_once('/').unwrap_or_default();
            let change = match change {
                "left-out" => Change::LeftOut,
                "emptied" => Change::Emptied,
                "reordered" => Change::Reordered,
                _ => Change::Shifted,
            };
            alter(&archive(&results, run).expect("the run's archive"), change);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn sabotaged_twins_of_the_backup_scenarios_fail_and_say_why() {
    if skipped("sabotaged_twins_of_the_backup_scenarios_fail_and_say_why") {
        return;
    }
    let project = Project::fast();
    std::fs::create_dir(project.path("twins")).expect("a folder");
    let server = format!("http://{}/", server(project.path("results")));
    for twin in &TWINS {
        project.write(&format!("twins/{}.yaml", twin.name), &twin.text().replace(SERVER, &server));
    }
    let finished = project.run(&["run", "twins"]);
    let text = format!("{}{}", finished.out, finished.err);
    finished.exits(1);
    let records = project.records();
    assert_eq!(records.len(), TWINS.len(), "{text}");
    for record in &records {
        let file = record["run"]["file"].as_str().expect("a file");
        let twin = TWINS.iter().find(|twin| file.ends_with(&format!("{}.yaml", twin.name))).expect("a twin");
        twin.assert_found(record);
    }
}
