//! From a specification to a client's properties.

use super::{Acks, ProduceSpec};
use crate::kafka::{ClientRole, ClientSettings};
use crate::load::payload::MessageTemplate;
use crate::load::{LoadError, PayloadSpec};
use std::ffi::CString;

/// Memory of all slabs together.
const SLAB_BYTES: usize = 16 << 20;
/// `batch.size` where nothing else is set.
const BATCH_SIZE: usize = 16_384;
/// Larger messages are written from where they lie, not copied into the request first.
const COPY_UP_TO: &str = "512";

pub(super) fn check(spec: &ProduceSpec) -> Result<(), LoadError> {
    let refuse = |reason: &str| Err(LoadError::Spec(reason.to_owned()));
    if spec.producers == 0 {
        return refuse("a load needs at least one producer");
    }
    if spec.idempotent && spec.acks != Acks::All {
        return refuse("an idempotent producer needs `acks: all`");
    }
    if let Some(transaction) = &spec.transaction {
        if !spec.idempotent {
            return refuse("transactions need an idempotent producer");
        }
        if transaction.per == 0 || !(0.0..=1.0).contains(&transaction.abort_share) {
            return refuse("a transaction needs at least one message, and a share of aborts between 0 and 1");
        }
    }
    Ok(())
}

/// The producer's properties, and its transactional id if it has one.
pub(super) fn settings(spec: &ProduceSpec, share: u64) -> Result<(ClientSettings, Option<String>), LoadError> {
    let mut settings = ClientSettings::new(ClientRole::Producer)?;
    settings.set_all(&spec.connection)?;
    // TLS would seal each piece of a request by itself.
    if !settings.get("security.protocol").is_some_and(|protocol| protocol.to_ascii_uppercase().contains("SSL")) {
        settings.set("message.copy.max.bytes", COPY_UP_TO)?;
    }
    let acks = match spec.acks {
        Acks::None => "0",
        Acks::Leader => "1",
        Acks::All => "all",
    };
    settings.set("acks", acks)?.set("enable.idempotence", if spec.idempotent { "true" } else { "false" })?;
    let id = spec.transaction.as_ref().map(|transaction| match share {
        0 => transaction.id.clone(),
        _ => format!("{}-{share}", transaction.id),
    });
    if let Some(id) = &id {
        settings.set("transactional.id", id)?;
        // librdkafka wants a delivery to end before the transaction does (60 s, as in Java).
        settings.set("message.timeout.ms", "60000")?;
    } else if spec.idempotent {
        // Statistics tell when the producer id has arrived.
        settings.set("statistics.interval.ms", "200")?;
    }
    settings.set("client.id", &format!("kscen-{}-{share}", spec.name))?;
    settings.set_own(&spec.config, &spec.connection)?;
    Ok((settings, id))
}

/// About how many bytes a message has.
pub(super) fn typical_size(spec: &ProduceSpec) -> usize {
    match &spec.payload {
        PayloadSpec::Random { size, .. } => size.most(),
        PayloadSpec::Fixed(bytes) => bytes.len(),
        _ => 4096,
    }
}

/// How many buffers a producer gets. A schedule goes on while all of them are on their way: then its messages are copied.
pub(super) fn slots(spec: &ProduceSpec) -> u32 {
    let size = typical_size(spec);
    // Five requests in flight and one that fills keep the connection busy; more only leaves the processor's cache.
    let batch = spec.config.get("batch.size").and_then(|text| text.parse::<usize>().ok()).unwrap_or(BATCH_SIZE);
    let wanted = (6 * batch / size.max(1)).clamp(1024, 8192);
    (SLAB_BYTES / spec.producers / size.max(1)).clamp(8, wanted) as u32
}

/// The headers of a producer with this seed.
pub(super) fn headers(spec: &ProduceSpec, seed: u64) -> Result<Vec<(CString, MessageTemplate)>, LoadError> {
    let header = |(name, value): &(String, String)| {
        let template = MessageTemplate::parse(value, seed);
        match (CString::new(name.as_bytes()), template) {
            (Ok(name), Ok(template)) => Ok((name, template)),
            (Err(_), _) => Err(LoadError::Spec(format!("the header name `{}` holds a zero byte", name.escape_debug()))),
            (_, Err(error)) => Err(LoadError::Spec(format!("the header `{name}`: {error}"))),
        }
    };
    spec.headers.iter().map(header).collect()
}
