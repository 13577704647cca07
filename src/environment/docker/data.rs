//! The files by which the data of Kafka and PostgreSQL are known, read through the engine: also of a container that does not run.

use super::container::Container;
use super::engine::{Engine, status};
use bollard::query_parameters::{ContainerArchiveInfoOptions, DownloadFromContainerOptions};
use futures_util::StreamExt;
use std::collections::BTreeSet;

/// Kafka writes the one into each folder of its data, PostgreSQL the other.
const MARKS: [&str; 2] = ["meta.properties", "PG_VERSION"];
/// What Kafka writes when it runs, as a broker or as a controller, and PostgreSQL; an image may have the marks from its making.
const TRACES: [&str; 3] = ["recovery-point-offset-checkpoint", "__cluster_metadata-0", "postmaster.opts"];
/// By which settings services are told where their data belong.
const SETTINGS: [&str; 3] = ["LOG_DIRS", "LOG_DIR", "METADATA_LOG_DIR"];
const VARIABLES: [&str; 3] = ["PGDATA", "POSTGRESQL_DATA_DIR", "POSTGRESQL_VOLUME_DIR"];
/// Where the images that are known put them.
const FOLDERS: [&str; 8] = [
    "/var/lib/kafka/data",
    "/tmp/kraft-combined-logs",
    "/tmp/kafka-logs",
    "/bitnami/kafka/data",
    "/kafka/data",
    "/var/lib/postgresql/data",
    "/var/lib/postgresql",
    "/bitnami/postgresql/data",
];
/// The longest file that is read, its tar included.
const LONGEST: usize = 64 << 10;

/// What the data of a broker say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DataIdentity {
    pub(super) cluster: Option<String>,
    pub(super) node: Option<i32>,
}

/// The folders in which a container may keep data: those of its settings, and where it has none, those of the known images.
pub(super) fn folders(container: &Container) -> BTreeSet<String> {
    let told = SETTINGS.iter().filter_map(|name| container.setting(name));
    let told = told.chain(VARIABLES.iter().filter_map(|name| container.variable(name)));
    let told = told.flat_map(|value| value.split(',')).map(|folder| folder.trim().trim_end_matches('/').to_owned());
    let told: BTreeSet<String> = told.filter(|folder| !folder.is_empty()).collect();
    if told.is_empty() { FOLDERS.map(str::to_owned).into() } else { told }
}

/// Files that tell data, where a folder is mounted: in it, or one step below, as some images have it.
pub(super) fn marks_in(container: &Container, mounted: &str) -> Vec<String> {
    files_in(container, mounted, &MARKS)
}

/// The same of what only a service that has run leaves there.
pub(super) fn traces_in(container: &Container, mounted: &str) -> Vec<String> {
    files_in(container, mounted, &TRACES)
}

fn files_in(container: &Container, mounted: &str, files: &[&str]) -> Vec<String> {
    let mounted = mounted.trim_end_matches('/');
    let below = ["data"].into_iter().chain(container.node_ids().next()).map(|step| format!("{mounted}/{step}"));
    let known = FOLDERS.map(str::to_owned).into_iter().chain(folders(container));
    let known = known.filter(|folder| folder.starts_with(&format!("{mounted}/")));
    let folders: BTreeSet<String> = below.chain(known).chain([mounted.to_owned()]).collect();
    folders.into_iter().flat_map(|folder| files.iter().map(move |file| format!("{folder}/{file}"))).collect()
}

/// Whether a file is in a container; `None` where the engine does not tell.
pub(super) async fn is_there(engine: &Engine, container: &str, path: &str) -> Option<bool> {
    let options = ContainerArchiveInfoOptions { path: path.to_owned() };
    let asked = engine.try_ask(|docker| {
        let options = options.clone();
        async move { docker.get_container_archive_info(container, Some(options)).await }
    });
    match asked.await {
        Ok(_) => Some(true),
        Err(error) if status(&error) == Some(404) => Some(false),
        Err(_) => None,
    }
}

/// Reads what the data of a broker say of it, where they are found.
pub(super) async fn identity(engine: &Engine, container: &Container) -> Option<DataIdentity> {
    let mut folders = folders(container);
    let mounted = container.0.mounts.iter().flatten().filter_map(|mount| mount.destination.clone());
    folders.extend(mounted);
    for folder in folders {
        let path = format!("{folder}/{}", MARKS[0]);
        if let Some(read) = read(engine, container.id(), &path).await.map(|text| properties(&text))
            && read.cluster.is_some()
        {
            return Some(read);
        }
    }
    None
}

async fn read(engine: &Engine, container: &str, path: &str) -> Option<String> {
    if is_there(engine, container, path).await != Some(true) {
        return None;
    }
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut stream = std::pin::pin!(engine.docker.download_from_container(container, Some(options)));
    let mut archive = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        archive.extend_from_slice(&chunk);
        if archive.len() > LONGEST {
            break;
        }
    }
    file_in(&archive)
}

/// The first file of a tar archive. Blocks of 512 bytes: a head with the length in octal at 124 and the kind at 156, then the content.
fn file_in(archive: &[u8]) -> Option<String> {
    const BLOCK: usize = 512;
    let mut rest = archive;
    loop {
        let head = rest.get(..BLOCK)?;
        let digits = std::str::from_utf8(head.get(124..136)?).ok()?;
        let length = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).ok()?;
        let content = rest.get(BLOCK..)?;
        if matches!(head[156], b'0' | 0) {
            return String::from_utf8(content.get(..length)?.to_vec()).ok();
        }
        // A head of extended attributes comes before that of the file.
        rest = content.get(length.checked_next_multiple_of(BLOCK)?..)?;
    }
}

fn properties(text: &str) -> DataIdentity {
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.trim().split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let node = value("node.id").or_else(|| value("broker.id"));
    DataIdentity { cluster: value("cluster.id"), node: node.and_then(|id| id.parse().ok()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(variables: &[&str]) -> Container {
        Container(
            serde_json::from_value(json!({ "Config": { "Env": variables } })).expect("as the engine describes it"),
        )
    }

    #[test]
    fn data_are_looked_for_where_settings_and_images_put_them() {
        let folders = folders(&container(&["KAFKA_CFG_LOG_DIRS=/a, /b/", "PGDATA=/pg"]));
        assert_eq!(folders.iter().collect::<Vec<_>>(), ["/a", "/b", "/pg"]);
        assert!(super::folders(&container(&[])).contains("/tmp/kraft-combined-logs"), "nobody says where they are");
        let marks = marks_in(&container(&["KAFKA_BROKER_ID=7"]), "/bitnami/kafka");
        for mark in
            ["/bitnami/kafka/meta.properties", "/bitnami/kafka/data/meta.properties", "/bitnami/kafka/7/PG_VERSION"]
        {
            assert!(marks.contains(&mark.to_owned()), "{mark}: {marks:?}");
        }
        let traces = traces_in(&container(&["KAFKA_LOG_DIRS=/elsewhere"]), "/tmp");
        assert!(traces.contains(&"/tmp/kraft-combined-logs/__cluster_metadata-0".to_owned()), "{traces:?}");
    }

    #[test]
    fn the_identity_of_data_is_read_out_of_an_archive() {
        let entry = |kind: u8, content: &str| {
            let mut block = vec![0u8; 512];
            block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            block[156] = kind;
            block.extend_from_slice(content.as_bytes());
            block.resize(block.len().next_multiple_of(512), 0);
            block
        };
        let text = "#\n#Tue Dec 01\ncluster.id=5L6g3nShT-eMCtK--X86sw\nversion=1\nnode.id=3\n";
        let archive = [entry(b'x', "30 mtime=1\n"), entry(b'0', text), vec![0; 1024]].concat();
        let read = properties(&file_in(&archive).expect("a file"));
        assert_eq!(read, DataIdentity { cluster: Some("5L6g3nShT-eMCtK--X86sw".to_owned()), node: Some(3) });
        assert_eq!(file_in(&archive[..600]), None, "cut off");
        assert_eq!(properties("broker.id=4").node, Some(4));
    }
}
