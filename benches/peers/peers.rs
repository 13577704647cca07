//! `rdkafka_performance`, from the source that the dependency brings.

use crate::Outcome;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The other programs.
pub struct Peers {
    /// The built `rdkafka_performance`.
    pub rdkafka_performance: PathBuf,
    /// librdkafka's version.
    pub librdkafka: String,
}

impl Peers {
    /// Compiles `rdkafka_performance` in cargo's build output, against the very library that kscen is linked with.
    pub fn build() -> Outcome<Self> {
        let profile = profile()?;
        let build = profile.join("build");
        let out = newest_output(&build)?;
        let program = profile.join("rdkafka_performance");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let config = std::fs::read_to_string(out.join("Makefile.config"))?;
        let libraries = config.lines().filter_map(|line| line.strip_prefix("LIBS+=")).flat_map(str::split_whitespace);
        // The folders of these libraries are looked for anew: those written down may have moved since.
        let folders = library_folders(&build)?;
        let built = Command::new(&compiler)
            .arg("-O2")
            .arg("-I")
            .arg(out.join("src"))
            .arg(out.join("examples/rdkafka_performance.c"))
            .arg(out.join("src/librdkafka.a"))
            .args(folders.iter().map(|folder| format!("-L{}", folder.display())))
            .args(libraries)
            .arg("-o")
            .arg(&program)
            .output()?;
        if !built.status.success() {
            return Err(format!("{compiler}: {}", String::from_utf8_lossy(&built.stderr)).into());
        }
        Ok(Self { rdkafka_performance: program, librdkafka: rdkafka::util::get_rdkafka_version().1 })
    }
}

/// Where cargo has put the binary.
fn profile() -> Outcome<&'static Path> {
    Path::new(env!("CARGO_BIN_EXE_kscen")).parent().ok_or_else(|| "the binary lies in no folder".into())
}

/// Cargo's output folder, for what the benchmark builds and fetches beside.
pub fn output() -> Outcome<&'static Path> {
    profile()?.parent().ok_or_else(|| "the binary's folder lies in no other".into())
}

fn outputs(build: &Path, crate_name: &str) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(build)?.flatten().map(|entry| entry.path());
    let own = entries.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(crate_name))
    });
    Ok(own.map(|path| path.join("out")).filter(|path| path.is_dir()).collect())
}

/// The newest build of librdkafka.
fn newest_output(build: &Path) -> Outcome<PathBuf> {
    let complete = outputs(build, "rdkafka-sys-")?.into_iter().filter(|out| out.join("src/librdkafka.a").is_file());
    let newest = complete.max_by_key(|out| out.join("config.h").metadata().and_then(|data| data.modified()).ok());
    newest.ok_or_else(|| "librdkafka has not been built: cargo build --release".into())
}

/// Where the libraries lie that cargo built for librdkafka.
fn library_folders(build: &Path) -> Outcome<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for crate_name in ["libz-sys-", "zstd-sys-"] {
        for out in outputs(build, crate_name)? {
            folders.extend([out.join("lib"), out]);
        }
    }
    Ok(folders)
}
