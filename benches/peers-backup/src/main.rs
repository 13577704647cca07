//! A backup or a restore with `kafka-backup-core`, as its own command line does it: `kscen-backup-peer CONFIG.json`.

use kafka_backup_core::Config;
use kafka_backup_core::backup::BackupEngine;
use kafka_backup_core::config::Mode;
use kafka_backup_core::restore::{RestoreEngine, ThreePhaseRestore};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("which configuration")?;
    let config: Config = serde_json::from_slice(&std::fs::read(file)?)?;
    if matches!(config.mode, Mode::Backup) {
        BackupEngine::new(config).await?.run().await?;
        return Ok(());
    }
    let groups = config.restore.as_ref().is_some_and(ThreePhaseRestore::wants_offset_reset);
    let phases = if groups { Some(ThreePhaseRestore::new(config.clone())?) } else { None };
    let report = RestoreEngine::new(config)?.run().await?;
    if let Some(phases) = phases {
        phases.run_offset_reset_phase(&report).await?;
    }
    Ok(())
}
