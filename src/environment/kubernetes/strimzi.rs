//! What Strimzi's `Kafka` resource tells: where its brokers are reached.

use super::cluster::{Kube, is_missing};
use crate::environment::{EnvironmentError, EnvironmentResult};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

/// The versions of the resource, the newest first: Strimzi 0.49 and later serve `v1`.
const VERSIONS: [&str; 2] = ["v1", "v1beta2"];

/// `bootstrap.servers` of the first listener without TLS that it names.
///
/// # Errors
/// There is no such resource, or it names no listener that needs nothing else.
pub(super) async fn bootstrap(kube: &Kube, name: &str) -> EnvironmentResult<String> {
    for version in VERSIONS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kafka.strimzi.io", version, "Kafka"));
        let api: Api<DynamicObject> = Api::namespaced_with(kube.client.clone(), &kube.namespace, &resource);
        match api.get(name).await {
            Ok(kafka) => return listener(name, &kafka.data),
            // Another version, or really none.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(kube.explain(&format!("read the Kafka resource {name}"), error)),
        }
    }
    Err(EnvironmentError::Prerequisite {
        message: format!(
            "there is no Kafka resource `{name}` in the namespace `{}` of {}",
            kube.namespace, kube.server
        ),
        remedy: "`kubectl get kafkas.kafka.strimzi.io` shows those that there are".to_owned(),
    })
}

fn listener(name: &str, kafka: &Value) -> EnvironmentResult<String> {
    let defined = kafka["spec"]["kafka"]["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = |listener: &&Value| listener["tls"] == false && listener["authentication"].is_null();
    let plain: Vec<&str> = defined.iter().filter(plain).filter_map(|listener| listener["name"].as_str()).collect();
    let told = kafka["status"]["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = told.iter().find(|listener| listener["name"].as_str().is_some_and(|own| plain.contains(&own)));
    if let Some(address) = found.and_then(|listener| listener["bootstrapServers"].as_str()) {
        return Ok(address.to_owned());
    }
    let message = if told.is_empty() {
        format!("the Kafka resource `{name}` names no address yet: its `status.listeners` is empty")
    } else {
        format!("no listener of the Kafka resource `{name}` is without TLS and authentication")
    };
    let remedy =
        "give the address, and what clients need for it, as `kafka: { bootstrap: …, config: … }` of the environment";
    Err(EnvironmentError::Prerequisite { message, remedy: remedy.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::listener;
    use serde_json::json;

    #[test]
    fn the_plain_listener_is_taken() {
        let kafka = json!({
            "spec": { "kafka": { "listeners": [
                { "name": "tls", "port": 9093, "type": "internal", "tls": true },
                { "name": "plain", "port": 9092, "type": "internal", "tls": false },
            ] } },
            "status": { "listeners": [
                { "name": "tls", "bootstrapServers": "a:9093" }, { "name": "plain", "bootstrapServers": "a:9092" },
            ] },
        });
        assert_eq!(listener("shop", &kafka).expect("an address"), "a:9092");
        let mut encrypted = kafka.clone();
        encrypted["spec"]["kafka"]["listeners"][1]["tls"] = json!(true);
        assert!(listener("shop", &encrypted).is_err_and(|error| error.to_string().contains("without TLS")));
        assert!(listener("shop", &json!({})).is_err_and(|error| error.to_string().contains("no address yet")));
    }
}
