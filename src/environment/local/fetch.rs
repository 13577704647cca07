//! Fills the cache ahead: what stacks fetch when they start for the first time.

use super::config::LocalConfig;
use super::connect;
use super::postgres;
use super::version;
use crate::environment::{EnvironmentResult, FetchedAhead, Needs, ServiceId};

/// Fetches what a stack with these needs takes from elsewhere, where the cache has it not. Nothing is started, and no Java is needed.
///
/// # Errors
/// As when such a stack starts: no version fits, or something cannot be fetched.
pub(super) async fn fetch_ahead(
    config: &LocalConfig,
    needs: &Needs,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<Vec<FetchedAhead>> {
    let config = version::resolve(config, needs)?;
    let jars = version::jars(&config, progress).await?;
    let mut fetched = vec![FetchedAhead { what: format!("Kafka {}", jars.version), folder: jars.folder() }];
    if needs.services.contains(&ServiceId::Postgres) {
        let folder = postgres::fetched(progress).await?;
        fetched.push(FetchedAhead { what: format!("PostgreSQL {}", postgres::VERSION), folder });
    }
    if needs.services.contains(&ServiceId::Connect) {
        let (debezium, folder) = connect::plugins(config.debezium.as_deref(), jars.major(), progress).await?;
        fetched.push(FetchedAhead { what: format!("Debezium {debezium}"), folder });
        if let Some(version) = &config.sink {
            let folder = connect::sink_plugin(version, progress).await?;
            fetched.push(FetchedAhead { what: format!("Debezium's JDBC sink {version}"), folder });
        }
    }
    Ok(fetched)
}
