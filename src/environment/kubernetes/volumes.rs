//! Whether what a service writes outlives its pod.

use super::pod::SeenPod;
use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use std::path::Path;

/// The variables by which images are told where data go.
const FOLDERS: [&str; 3] = ["KAFKA_LOG_DIRS", "KAFKA_CFG_LOG_DIRS", "PGDATA"];
/// What is mounted here are settings and programs.
const NO_DATA: [&str; 5] = ["/etc", "/usr", "/dev", "/sys", "/proc"];
/// A path of a node that is a folder, or not said to be anything else.
const FOLDER: [&str; 3] = ["", "Directory", "DirectoryOrCreate"];

/// Whether the data of the service outlive its pod, as far as its definition tells: its own container writes to a claim, a folder of the
/// node or a disk in the network; where its variables say where its data go, to that place.
pub(super) fn keeps_data(pod: &SeenPod) -> bool {
    let told: Vec<&str> =
        FOLDERS.iter().filter_map(|name| pod.variable(name)).flat_map(|dirs| dirs.split(',')).collect();
    let told: Vec<&str> = told.into_iter().map(str::trim).filter(|folder| !folder.is_empty()).collect();
    let volumes = pod.spec().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let mounts = pod.definition().and_then(|own| own.volume_mounts.as_deref()).unwrap_or_default();
    if told.is_empty() {
        return mounts.iter().any(|mount| may_hold(mount) && outlives(mount, volumes));
    }
    told.into_iter().all(|folder| {
        // The innermost mount is the one that counts.
        let around = mounts.iter().filter(|mount| Path::new(folder).starts_with(&mount.mount_path));
        let mount = around.max_by_key(|mount| Path::new(&mount.mount_path).components().count());
        mount.is_some_and(|mount| mount.read_only != Some(true) && outlives(mount, volumes))
    })
}

/// Whether data may be there.
fn may_hold(mount: &VolumeMount) -> bool {
    mount.read_only != Some(true) && !NO_DATA.iter().any(|place| Path::new(&mount.mount_path).starts_with(place))
}

fn outlives(mount: &VolumeMount, volumes: &[Volume]) -> bool {
    let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else { return false };
    let folder = volume.host_path.as_ref().is_some_and(|path| FOLDER.contains(&path.type_.as_deref().unwrap_or("")));
    let disks = [
        volume.nfs.is_some(),
        volume.iscsi.is_some(),
        volume.fc.is_some(),
        volume.rbd.is_some(),
        volume.cephfs.is_some(),
        volume.aws_elastic_block_store.is_some(),
        volume.gce_persistent_disk.is_some(),
        volume.azure_disk.is_some(),
        volume.vsphere_volume.is_some(),
    ];
    volume.persistent_volume_claim.is_some() || folder || disks.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::{Value, json};

    fn keeps(mounts: Value, volumes: Value, env: Value) -> bool {
        let container = json!({ "name": "kafka", "volumeMounts": mounts, "env": env });
        // The second container is none of the service's.
        let other = json!({ "name": "agent", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] });
        keeps_data(&pod(json!({ "containers": [container, other], "volumes": volumes }), json!({})))
    }

    #[test]
    fn only_what_the_service_itself_writes_to_keeps_its_data() {
        let claim = || json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data-kafka-0" } }]);
        let at = |path: &str| json!([{ "name": "data", "mountPath": path }]);
        assert!(keeps(at("/data"), claim(), json!([])));
        assert!(!keeps(json!([]), claim(), json!([])), "another container has it");
        assert!(!keeps(json!([{ "name": "data", "mountPath": "/data", "readOnly": true }]), claim(), json!([])));
        assert!(!keeps(at("/etc/ssl/certs"), claim(), json!([])), "settings");
        assert!(!keeps(at("/data"), json!([{ "name": "data", "emptyDir": {} }]), json!([])));
        let node = |kind: &str| json!([{ "name": "data", "hostPath": { "path": "/srv", "type": kind } }]);
        assert!(keeps(at("/data"), node("Directory"), json!([])) && !keeps(at("/data"), node("File"), json!([])));
    }

    #[test]
    fn where_the_variables_say_where_data_go_that_place_counts() {
        let volumes = || {
            json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data-kafka-0" } },
                { "name": "logs", "emptyDir": {} }])
        };
        let mounts =
            || json!([{ "name": "data", "mountPath": "/var/lib" }, { "name": "logs", "mountPath": "/var/lib/logs" }]);
        let dirs = |text: &str| json!([{ "name": "KAFKA_LOG_DIRS", "value": text }]);
        assert!(keeps(mounts(), volumes(), dirs("/var/lib/kafka")));
        assert!(!keeps(mounts(), volumes(), dirs("/var/lib/logs/kafka")), "the folder inside is no claim");
        assert!(!keeps(mounts(), volumes(), dirs("/var/lib/kafka,/tmp/kafka")), "one of two is not kept");
        assert!(
            keeps(mounts(), volumes(), json!([{ "name": "KAFKA_LOG_DIRS", "value": "$(DATA)/kafka" }])),
            "not told"
        );
    }
}
