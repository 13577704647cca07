//! Archives over TLS and SASL, and what somebody without rights is told.

use super::{LONG, Properties, cluster};
use kscen::testing::backup::restore::{Renamed, RestoreListener, RestoreRequest, restore};
use kscen::testing::backup::target::verify;
use kscen::testing::backup::{Archive, BackupOptions, FolderStore, Store, backup};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::path::Path;
use std::sync::Arc;

fn options() -> BackupOptions {
    BackupOptions::new(vec!["t".to_owned()])
}

fn request(folder: &Path, to: &str) -> RestoreRequest {
    let renamed = Renamed { to: to.to_owned(), ..Renamed::same("t") };
    RestoreRequest::new(vec![renamed], folder.join("state"))
}

/// Whoever may do it backs up and restores over any way into the cluster; who may not is told which right is missing, and nothing is
/// made.
pub(super) async fn hold_archives(ways: &[&Properties], nobody: &Properties, folder: &Path) {
    let mut config: ClientConfig = ways[0].clone().into_iter().collect();
    let producer: BaseProducer = config.set("linger.ms", "20").create().expect("a producer");
    for index in 0..500 {
        let text = format!("guarded {index}");
        producer.send(BaseRecord::<(), str>::to("t").partition(index % 2).payload(&text)).expect("queued");
    }
    tokio::task::spawn_blocking(move || producer.flush(LONG).expect("sent")).await.expect("no panic");
    let denied = folder.join("denied");
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(&denied));
    let error = backup(&cluster(nobody), store.clone(), options(), Arc::new(|_| {})).await.expect_err("denied");
    assert!(error.to_string().ends_with("the principal needs DESCRIBE on Topic `t`"), "{error}");
    assert_eq!(store.list("").expect("readable"), [], "nothing that looks like an archive");
    for (number, way) in (0..).zip(ways) {
        let (wire, place) = (cluster(way), folder.join(format!("archive-{number}")));
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(&place));
        let manifest = backup(&wire, store.clone(), options(), Arc::new(|_| {})).await.expect("backed up");
        assert_eq!((manifest.records(), &manifest.missing), (500, &Vec::new()));
        let archive = Archive::open(store).expect("an archive");
        let request = request(folder, &format!("again-{number}"));
        let listener = RestoreListener::new(|_| {});
        let refused = restore(&archive, &cluster(nobody), &request, &listener).await.expect_err("denied").in_full();
        assert!(refused.contains("the principal needs "), "{refused}");
        restore(&archive, &wire, &request, &listener).await.unwrap_or_else(|error| panic!("{}", error.in_full()));
        let verified = verify(&archive, &wire, way, &request).await;
        let verified = verified.unwrap_or_else(|error| panic!("{}", error.in_full())).remove(0);
        assert_eq!((verified.first_difference(), verified.records()), (None, 500));
    }
}
