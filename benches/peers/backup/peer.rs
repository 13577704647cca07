//! The other tool in Rust: the crate `kafka-backup-core`, in a program of its own.

use crate::Outcome;
use crate::backup::{BackupFigures, BackupSample, RECORDS, folder, timed};
use crate::broker::Broker;
use crate::process::{Taken, run};
use crate::scenario;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The built program.
pub struct BackupPeer {
    program: PathBuf,
    /// The crate's version.
    pub version: String,
}

impl BackupPeer {
    /// Compiles it in its own folder.
    pub fn build() -> Outcome<Self> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package = project.join("benches/peers-backup");
        let target = crate::peers::output()?.join("peers-backup");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target)
            .status()?;
        if !built.success() {
            return Err("the program for kafka-backup-core was not built".into());
        }
        let lock = std::fs::read_to_string(package.join("Cargo.lock"))?;
        let version = lock
            .split("[[package]]")
            .find(|package| package.contains("name = \"kafka-backup-core\""))
            .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
            .ok_or("Cargo.lock names no version of kafka-backup-core")?;
        Ok(Self { program: target.join("release/kscen-backup-peer"), version: version.to_owned() })
    }

    fn config(broker: &Broker, root: &Path, mode: &str, side: &str, topic: &str) -> Value {
        json!({
            "mode": mode,
            "backup_id": "bench",
            side: { "bootstrap_servers": [broker.bootstrap()], "topics": { "include": [topic] } },
            "storage": { "backend": "filesystem", "path": root },
            "offset_storage": { "db_path": root.join("offsets.db") },
        })
    }

    fn run(&self, root: &Path, config: &Value) -> Outcome<Taken> {
        let file = root.join("config.json");
        std::fs::write(&file, serde_json::to_vec_pretty(config)?)?;
        let mut command = Command::new(&self.program);
        command.arg(&file).current_dir(root);
        run(command, |_| false)
    }

    /// Backs a topic up to where it ends now.
    pub fn backup(&self, broker: &Broker, root: &Path, topic: &str, groups: bool) -> Outcome<Taken> {
        let mut config = Self::config(broker, root, "backup", "source", topic);
        config["backup"] = json!({
            "compression": "zstd",
            "compression_level": 3,
            "continuous": false,
            "stop_at_current_offsets": true,
            "start_offset": "earliest",
            "include_offset_headers": groups, // without them it refuses to bring groups back
            "consumer_group_snapshot": groups,
        });
        self.run(root, &config)
    }

    /// Restores it under another name.
    pub fn restore(&self, broker: &Broker, root: &Path, topic: &str, copy: &str, groups: bool) -> Outcome<Taken> {
        let mut config = Self::config(broker, root, "restore", "target", topic);
        config["restore"] = json!({
            "topic_mapping": { topic: copy },
            "create_topics": true,
            "auto_consumer_groups": groups,
            "reset_consumer_offsets": groups,
        });
        self.run(root, &config)
    }

    /// Backup and restore of one topic. Where it fails it gets a second try: a round has one figure of each program.
    pub fn round(&self, broker: &Broker, figures: &mut BackupFigures, topic: &str) -> Outcome<()> {
        let (backup, restore) = self.both(broker, topic).or_else(|error| {
            eprintln!("  kafka-backup-core, once more: {error}");
            self.both(broker, topic)
        })?;
        figures.enter(&format!("backup {topic}"), "kafka-backup-core", backup);
        figures.enter(&format!("restore {topic}"), "kafka-backup-core", restore);
        Ok(())
    }

    fn both(&self, broker: &Broker, topic: &str) -> Outcome<(BackupSample, BackupSample)> {
        let root = folder(broker)?;
        let (backup, _) = timed(broker, || self.backup(broker, &root, topic, false))?;
        let copy = scenario::topic("peer");
        let (restore, _) = timed(broker, || self.restore(broker, &root, topic, &copy, false))?;
        let brought = broker.ends(&copy)?.iter().sum::<i64>();
        if brought < i64::try_from(RECORDS)? {
            return Err(format!("it has brought {brought} of {RECORDS} records back").into());
        }
        broker.delete(&copy)?;
        std::fs::remove_dir_all(root)?;
        Ok((backup, restore))
    }
}
