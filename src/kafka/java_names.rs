//! Properties of the Java client that librdkafka has under another name, in another form, or not at all.

/// What is said of each: what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ssl.truststore.location",
        "here it is `ssl.ca.location`, a file in PEM format (`keytool -exportcert -rfc` writes one)",
    ),
    ("ssl.truststore.certificates", "here it is `ssl.ca.pem`"),
    ("ssl.truststore.password", "here `ssl.ca.location` names a file in PEM format, which has no password"),
    ("ssl.truststore.type", "here `ssl.ca.location` is always in PEM format"),
    ("ssl.keystore.type", "here `ssl.keystore.location` is always a PKCS#12 key store"),
    ("ssl.keystore.certificate.chain", "here it is `ssl.certificate.pem`"),
    ("ssl.keystore.key", "here it is `ssl.key.pem`"),
    ("ssl.protocol", "here the newest version of TLS that both sides speak is taken"),
    ("ssl.enabled.protocols", "here the newest version of TLS that both sides speak is taken"),
    ("sasl.jaas.config", "here it is `sasl.username` and `sasl.password`; with OAUTHBEARER `sasl.oauthbearer.…`"),
    (
        "sasl.login.callback.handler.class",
        "here OIDC is built in: `sasl.oauthbearer.method: oidc` and `sasl.oauthbearer.…`",
    ),
    ("max.poll.records", "kscen takes messages in batches of its own"),
    ("key.serializer", "messages are bytes here"),
    ("value.serializer", "messages are bytes here"),
    ("key.deserializer", "messages are bytes here"),
    ("value.deserializer", "messages are bytes here"),
    ("partitioner.class", "here it is `partitioner`, by default that of Java (`murmur2_random`)"),
    ("max.block.ms", "here a full queue is back-pressure, which is measured (`queue_full_time`)"),
    ("interceptor.classes", "there is nothing like it here"),
    ("metric.reporters", "there is nothing like it here"),
];

/// What a property of the Java client is here, where it is something else.
pub(super) fn here(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(java, _)| *java == name).map(|(_, what)| *what)
}
