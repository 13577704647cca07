//! The store at a place that somebody named: a folder, or `s3://BUCKET/PREFIX`.

use super::bucket::{BucketStore, OpenSsl, in_words};
use super::{FolderStore, Store};
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// A request that the store does not answer is made again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The store at this place. Credentials and endpoints of buckets come from the environment, in the variables that the stores' own
/// tools read.
///
/// # Errors
/// What is wrong with the place or the environment, in words.
pub fn store_at(place: &str) -> Result<Arc<dyn Store>, String> {
    match place.contains("://") {
        true => Ok(Arc::new(bucket_at(place)?)),
        false => Ok(Arc::new(FolderStore::new(place))),
    }
}

/// The names of the folders that lie directly in this place, ascending; none where it does not exist.
///
/// # Errors
/// What is wrong with the place, or why it cannot be read.
pub fn folders_at(place: &str) -> Result<Vec<String>, String> {
    let unread = |error: std::io::Error| format!("cannot list {place}: {error}");
    if place.contains("://") {
        return bucket_at(place)?.folders().map_err(unread);
    }
    let entries = match std::fs::read_dir(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        // Of a link it is not known where it leads.
        if entry.file_type().map_err(unread)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// What is wrong with the address of a bucket as such; whether it can be reached is not asked, nor who asks.
///
/// # Errors
/// In words.
pub fn check_bucket(place: &str) -> Result<(), String> {
    address(place).map(|_| ())
}

/// The parts of a bucket's address: scheme, bucket, and what lies before the names in it.
fn address(place: &str) -> Result<(&str, &str, &str), String> {
    let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // Not repeated: it may be anything that was meant to stay secret.
    if bucket.contains(['@', ':']) {
        return Err(format!(
            "the address of a bucket holds no user and no password: write `{scheme}://BUCKET/PREFIX`; who asks is told by the \
             environment, for S3 by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ));
    }
    let prefix = prefix.trim_matches('/');
    if bucket.is_empty() {
        return Err(format!("`{place}` names no bucket: write `{scheme}://BUCKET/PREFIX`"));
    }
    match scheme {
        "s3" | "gs" | "az" => Ok((scheme, bucket, prefix)),
        _ => Err(format!(
            "`{place}`: archives lie in folders and in buckets, `s3://`, `gs://` or `az://`; there is no store for `{scheme}://`"
        )),
    }
}

fn bucket_at(place: &str) -> Result<BucketStore, String> {
    let (scheme, bucket, prefix) = address(place)?;
    let objects = match scheme {
        "gs" => google(bucket)?,
        "az" => azure(bucket)?,
        _ => s3(bucket)?,
    };
    let store = BucketStore::new(objects, prefix, place.trim_end_matches('/').to_owned());
    store.map_err(|error| format!("`{place}`: {error}"))
}

fn retries() -> RetryConfig {
    RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() }
}

fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::from_env();
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].map(|name| std::env::var(name).ok());
    // What stays on this machine needs no TLS; for everything else AWS_ALLOW_HTTP has to say so.
    if endpoint.into_iter().flatten().next().is_some_and(|endpoint| is_here(&endpoint)) {
        builder = builder.with_allow_http(true);
    }
    let built = builder
        .with_bucket_name(bucket)
        .with_crypto_provider(Arc::new(OpenSsl))
        .with_retry(retries())
        .with_disable_bulk_delete(true)
        .build();
    Ok(Arc::new(built.map_err(|error| format!("S3 bucket `{bucket}`: {}", in_words(&error)))?))
}

/// Whether an endpoint is this machine's own.
fn is_here(endpoint: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(endpoint) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(feature = "gcs")]
fn google(bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let built = object_store::gcp::GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_crypto_provider(Arc::new(OpenSsl))
        .with_retry(retries())
        .build();
    Ok(Arc::new(built.map_err(|error| format!("Google bucket `{bucket}`: {}", in_words(&error)))?))
}

#[cfg(not(feature = "gcs"))]
fn google(_: &str) -> Result<Arc<dyn ObjectStore>, String> {
    Err("this kscen has no Google Cloud Storage in it: build it with `--features gcs`".to_owned())
}

#[cfg(feature = "azure")]
fn azure(container: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let built = object_store::azure::MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_crypto_provider(Arc::new(OpenSsl))
        .with_retry(retries())
        .build();
    Ok(Arc::new(built.map_err(|error| format!("Azure container `{container}`: {}", in_words(&error)))?))
}

#[cfg(not(feature = "azure"))]
fn azure(_: &str) -> Result<Arc<dyn ObjectStore>, String> {
    Err("this kscen has no Azure storage in it: build it with `--features azure`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_folder_and_what_no_store_is_for_is_told() {
        assert_eq!(store_at("a/b").expect("a folder").place(), "a/b");
        let refused = |place: &str| store_at(place).err().expect("refused");
        assert!(refused("ftp://host/x").contains("there is no store for `ftp://`"));
        assert!(refused("s3:///x").contains("names no bucket"));
        for place in ["s3://akid:hun/ter@bucket/x", "s3://hunter@bucket", "gs://a:hunter@b/x", "ftp://hunter@host/x"] {
            let why = refused(place);
            assert!(why.contains("no user and no password") && !why.contains("hun") && !why.contains("ter@"), "{why}");
        }
        if cfg!(not(feature = "gcs")) {
            assert!(refused("gs://b/x").contains("--features gcs"));
        }
        if cfg!(not(feature = "azure")) {
            assert!(refused("az://b/x").contains("--features azure"));
        }
    }

    #[test]
    fn folders_are_listed_without_files_and_links() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["b", "a"] {
            std::fs::create_dir(root.path().join(name)).expect("a folder");
        }
        std::fs::write(root.path().join("file"), "").expect("a file");
        std::os::unix::fs::symlink(root.path().join("a"), root.path().join("link")).expect("a link");
        let place = root.path().to_str().expect("text");
        assert_eq!(folders_at(place), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(folders_at(&format!("{place}/none")), Ok(Vec::new()));
        assert!(folders_at(&format!("{place}/file")).is_err());
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls_unasked() {
        for here in ["http://127.0.0.1:5000", "http://localhost:9000/", "http://[::1]:1"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["http://10.0.0.1", "http://localhost.example.org", "nonsense"] {
            assert!(!is_here(there), "{there}");
        }
    }
}
