//! `--identity`: what opens an encrypted archive.

use crate::backup::Identities;
use crate::ground::input;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// The most bytes of an identity file.
const LONGEST: u64 = 1 << 20;

/// Which identity files are read.
#[derive(ClapArgs)]
pub(super) struct IdentityArgs {
    /// The file with an age identity that opens what the archive encrypts; may be given several times.
    #[arg(long = "identity", value_name = "FILE", env = "KSCEN_IDENTITY")]
    files: Vec<PathBuf>,
}

impl IdentityArgs {
    /// The identities in all of them.
    pub(super) fn read(&self) -> Result<Identities, String> {
        self.files.iter().try_fold(Identities::default(), |all, file| {
            let named = |reason: String| format!("--identity {}: {reason}", file.display());
            let text = input::text(file, LONGEST).map_err(|error| named(error.to_string()))?;
            Ok(all.and(&Identities::read(&text).map_err(named)?))
        })
    }
}
