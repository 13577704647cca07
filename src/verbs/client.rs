//! A step's own client properties.

use crate::ground::input::InputError;
use crate::kafka::{ClientRole, ClientSettings, KafkaFailure, file_of, is_never_of_a_step};
use crate::text::Problem;
use crate::verb::CheckContext;
use serde_json::Value;
use std::collections::BTreeMap;

/// Properties that a word of the verb sets, because kscen keeps its books by them: set past that word they would make the
/// books wrong.
const BY_WORD: &[(ClientRole, &str, &str)] = &[
    (ClientRole::Consumer, "group.id", "`group` names the consumer group"),
    (ClientRole::Consumer, "isolation.level", "`isolation` says which messages are read"),
    (
        ClientRole::Consumer,
        "enable.auto.commit",
        "`commit` says when offsets are committed; `commit: auto` leaves it to the client",
    ),
    (ClientRole::Consumer, "auto.offset.reset", "`from` says where the reader starts"),
    (ClientRole::Consumer, "enable.partition.eof", "kscen finds the end of a partition itself"),
    (ClientRole::Producer, "acks", "`acks` says which acknowledgement a message waits for"),
    (ClientRole::Producer, "request.required.acks", "`acks` says which acknowledgement a message waits for"),
    (ClientRole::Producer, "enable.idempotence", "`idempotent` says whether the producer is idempotent"),
    (ClientRole::Producer, "transactional.id", "`transactional: { id: … }` makes transactions of that id"),
];

/// Client properties as texts.
pub(super) fn plain(config: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    config
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// Refuses client properties that do not exist, whose value the client does not accept, or that a word of the verb sets.
pub(super) fn check(config: &BTreeMap<String, Value>, role: ClientRole, cx: &mut CheckContext<'_>) {
    if config.is_empty() {
        return;
    }
    let Ok(mut settings) = ClientSettings::new(role) else { return };
    for (name, value) in plain(config) {
        let pointer = format!("/config/{}", name.replace('~', "~0").replace('/', "~1"));
        if name.trim() == "bootstrap.servers" {
            let problem = "`bootstrap.servers`: the environment says which cluster the scenario runs against";
            cx.report(&pointer, Problem::new("client-property", problem).help("choose the environment with `--env`"));
            continue;
        }
        // Refused with what the environment grants; it must not reach the client before that.
        if is_never_of_a_step(&name) {
            continue;
        }
        // The client opens it as soon as it is told the name.
        if let Some(Err(error)) = file_of(&name, &value).map(|file| cx.origin.document.fence.admits(file))
            && let InputError::Outside(_) = error
        {
            let problem = Problem::new("client-property", format!("`{name}`: {value}: {error}"));
            cx.report(&pointer, problem.help("put the file into the project, or allow it with --allow-outside"));
            continue;
        }
        if let Some((_, _, word)) = BY_WORD.iter().find(|(of, property, _)| *of == role && *property == name.trim()) {
            let problem = format!(
                "`{name}` cannot be set here: a key of the verb sets it, and kscen counts messages by that key"
            );
            cx.report(&pointer, Problem::new("client-property", problem).help(*word));
            continue;
        }
        let built = settings.set(&name, &value).map(|_| ()).and_then(|()| settings.build().map(|_| ()));
        if let Err(KafkaFailure::Property { name, reason, suggestion }) = built {
            let problem = Problem::new("client-property", format!("`{name}`: {reason}"));
            cx.report(
                &pointer,
                match suggestion {
                    Some(suggestion) => problem.help(format!("did you mean `{suggestion}`?")),
                    None => problem.help("the names are those of librdkafka's CONFIGURATION.md, or the Java client's"),
                },
            );
        }
    }
}
