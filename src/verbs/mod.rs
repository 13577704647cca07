//! The verbs: a file each. Schema, decoding, `kscen steps`, the reference and did-you-mean follow from the list below.

mod archives;
pub mod backup;
mod client;
pub mod connector;
pub mod consume;
pub mod corrupt;
pub mod delete;
pub mod drain;
pub mod expect;
mod fault;
pub mod http;
pub mod include;
pub mod join;
pub mod kill;
pub mod logs;
mod metrics;
pub mod migrate;
pub mod network;
mod own_usage;
pub mod parallel;
pub mod pause;
pub mod produce;
pub mod program;
pub mod reassign;
mod resolve;
pub mod restart;
pub mod restore;
pub mod resume;
mod rights;
pub mod run;
pub mod search;
pub mod sql;
pub mod start;
pub mod stop;
mod target;
pub mod topic;
pub mod verify;
pub mod wait;
pub mod wipe;

use crate::validate::Language;
use crate::verb::{Registry, entry};

/// Every verb, in the order of the reference.
pub const REGISTRY: Registry = Registry::new(&[
    entry::<topic::Topic>(),
    entry::<delete::Delete>(),
    entry::<produce::Produce>(),
    entry::<consume::Consume>(),
    entry::<search::Search>(),
    entry::<sql::Sql>(),
    entry::<connector::Connector>(),
    entry::<wait::Wait>(),
    entry::<join::Join>(),
    entry::<expect::Expect>(),
    entry::<pause::Pause>(),
    entry::<resume::Resume>(),
    entry::<stop::Stop>(),
    entry::<start::Start>(),
    entry::<restart::Restart>(),
    entry::<kill::Kill>(),
    entry::<wipe::Wipe>(),
    entry::<network::Network>(),
    entry::<reassign::Reassign>(),
    entry::<backup::Backup>(),
    entry::<restore::Restore>(),
    entry::<verify::Verify>(),
    entry::<corrupt::Corrupt>(),
    entry::<migrate::Migrate>(),
    entry::<drain::Drain>(),
    entry::<http::Http>(),
    entry::<run::Run>(),
    entry::<program::Program>(),
    entry::<parallel::Parallel>(),
    entry::<include::Include>(),
    entry::<logs::Logs>(),
]);

/// The language that they make.
pub static LANGUAGE: Language = Language::new(REGISTRY);

#[cfg(test)]
mod tests {
    use super::REGISTRY;

    #[test]
    fn every_verb_has_its_line_in_the_page_of_acls() {
        let page = include_str!("../../docs/acls.md");
        let lines = || {
            page.lines()
                .take_while(|line| !line.starts_with("| `expect` | rights"))
                .filter(|line| line.starts_with('|'))
        };
        for verb in REGISTRY.iter().map(|entry| entry.verb) {
            let cell = format!("`{verb}`");
            let has = lines().any(|line| line.split('|').nth(1).is_some_and(|verbs| verbs.contains(&cell)));
            assert!(has, "docs/acls.md says nothing of `{verb}`");
        }
    }
}
