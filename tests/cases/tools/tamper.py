#!/usr/bin/env python3
"""Somebody else's client, who does to topics and groups what a scenario does not know of.

usage: tamper.py COMMAND ARGUMENTS; the cluster is the one of KSCEN_KAFKA_BOOTSTRAP.
"""
import functools
import os
import struct
import sys
import time
import zlib

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
    NewPartitions, NewTopic, ResourcePatternType, ResourceType,
)

BOOTSTRAP = os.environ["KSCEN_KAFKA_BOOTSTRAP"]
IDENTITY = struct.Struct("<QQqHHI")  # nonce, sequence, due time, producer, flags, checksum of the body


@functools.cache
def admin():
    """One client for all: its answers come only while it lives."""
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


def done(futures):
    for future in futures.values():
        future.result(30)


def again(action, tries=100, pause=0.2):
    """Until it succeeds."""
    for _ in range(tries):
        try:
            return action()
        except Exception as error:  # whatever the cluster refuses for the moment
            last = error
            time.sleep(pause)
    raise last


def consumer(**more):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "tamper", "enable.auto.commit": False, **more})


def partitions(topic):
    return sorted(admin().list_topics(topic, 10).topics[topic].partitions)


def ends(topic):
    """First and end offset of each partition."""
    client = consumer()
    found = {p: client.get_watermark_offsets(TopicPartition(topic, p), 10) for p in partitions(topic)}
    client.close()
    return found


def read(topic):
    """All messages of a topic."""
    bounds = {p: (low, high) for p, (low, high) in ends(topic).items() if high > low}
    client = consumer(**{"auto.offset.reset": "earliest", "enable.partition.eof": True})
    client.assign([TopicPartition(topic, p, low) for p, (low, _) in bounds.items()])
    found, ended, deadline = [], 0, time.time() + 15
    while ended < len(bounds) and time.time() < deadline:
        message = client.poll(1)
        if message is None:
            continue
        if message.error():
            ended += 1
        else:
            found.append(message)
    client.close()
    return found


def identity(value):
    """kscen's identity at the head of a payload."""
    if value is None or len(value) < 40 or value[:4] != b"ksn1":
        return None
    return list(IDENTITY.unpack(value[8:40]))


def payload(fields, body):
    """A payload with that identity and another body, its checksums right."""
    tail = IDENTITY.pack(*fields[:5], zlib.crc32(body))
    return b"ksn1" + struct.pack("<I", zlib.crc32(tail)) + tail + body


def changed(kind, message, count):
    """Value, key, partition, timestamp and headers of a copy."""
    value, key, partition, time_ms, headers = message.value(), message.key(), message.partition(), 0, None
    fields = identity(value)
    if kind == "dup-other-partition":
        partition = (partition + 1) % count
    elif kind == "dup-other-key":
        key = b"other"
    elif kind == "dup-other-header":
        headers = [("trace", b"other")]
    elif kind == "dup-old-time":
        time_ms = 1000
    elif kind == "flip-body":
        value = value[:-1] + bytes([value[-1] ^ 1])
    elif kind == "flip-head":
        value = value[:20] + bytes([value[20] ^ 1]) + value[21:]
    elif kind == "cut":
        value = value[:60]
    elif kind == "rebody":
        value = payload(fields, b"another body, its own checksum right")
    elif kind == "phantom":
        fields[1] = 1 << 63
        value = payload(fields, b"x" * 50)
    elif kind == "foreign-nonce":
        fields[0] ^= 1
        value = payload(fields, b"x" * 50)
    elif kind == "null":
        value = None
    elif kind != "dup":
        sys.exit(f"no kind {kind}")
    return value, key, partition, time_ms, headers


def replay(topic, count, *kinds):
    """Writes the first COUNT messages again, once for each kind of change."""
    own = [message for message in read(topic) if identity(message.value())][: int(count)]
    width, producer = len(partitions(topic)), Producer({"bootstrap.servers": BOOTSTRAP})
    for kind in kinds:
        for message in own:
            value, key, partition, time_ms, headers = changed(kind, message, width)
            producer.produce(topic, value, key, partition, timestamp=time_ms, headers=headers)
            producer.poll(0)
    producer.flush()
    print("wrote", len(own), "of each", kinds)


def delete_records(topic, share):
    """Deletes the first share (0 to 1) of each partition."""
    before = {p: int(low + (high - low) * float(share)) for p, (low, high) in ends(topic).items()}
    done(admin().delete_records([TopicPartition(topic, p, offset) for p, offset in before.items()]))
    print("deleted before", before)


def add_partitions(topic, count):
    done(admin().create_partitions([NewPartitions(topic, int(count))]))


def recreate(topic):
    count = len(partitions(topic))
    done(admin().delete_topics([topic], operation_timeout=10))
    again(lambda: done(admin().create_topics([NewTopic(topic, count, 1)])), pause=0.1)
    print("recreated")


def reset(group, topic, where):
    """Moves a group's committed offsets to `start`, `end` or a number."""
    at = lambda low, high: {"start": low, "end": high}.get(where) if where in ("start", "end") else int(where)
    offsets = [TopicPartition(topic, p, at(low, high)) for p, (low, high) in ends(topic).items()]
    again(lambda: done(admin().alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)])))
    print("reset", offsets)


def hang_transaction(topic, transactional_id, seconds="600"):
    """Leaves a transaction open for that long."""
    timeout = {"transaction.timeout.ms": int(float(seconds) * 1000)}
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": transactional_id, **timeout})
    producer.init_transactions()
    producer.begin_transaction()
    for partition in partitions(topic):
        producer.produce(topic, b"hanging", None, partition)
    producer.flush()
    print("open", flush=True)
    os._exit(0)  # neither committed nor aborted


def fence(transactional_id):
    """Takes a transactional id from whoever has it."""
    Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": transactional_id}).init_transactions()


def foreign(topic, count):
    """Messages of somebody else."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for number in range(int(count)):
        producer.produce(topic, b"foreign %d" % number)
        producer.poll(0)
    producer.flush()


def config(topic, *settings):
    entries = [setting.split("=", 1) for setting in settings]
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in entries]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    done(admin().incremental_alter_configs([resource]))


def acl(permission, operation, kind, name):
    """`acl deny WRITE TOPIC orders`, for everybody who is not a superuser; the cluster is `CLUSTER kafka-cluster`."""
    binding = AclBinding(
        # Kafka's CLUSTER has the client's name BROKER.
        ResourceType["BROKER" if kind == "CLUSTER" else kind], name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
        AclOperation[operation], AclPermissionType[permission.upper()],
    )
    done(admin().create_acls([binding]))


def member(group, topic, seconds):
    """Starts a member of a group that stays for that long, and ends once it has partitions."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        client = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "session.timeout.ms": 10000})
        client.subscribe([topic])
        until = time.time() + float(seconds)
        while time.time() < until:
            client.poll(0.5)
        os._exit(0)
    described = lambda: admin().describe_consumer_groups([group])[group].result(10)
    for _ in range(100):
        if any(member.assignment.topic_partitions for member in described().members):
            print("member", child)
            return
        time.sleep(0.2)
    sys.exit("the member got no partitions")


def copy(source, target, drop, double):
    """A pipeline that drops the message at one place and writes the one at another twice; payloads as they were."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for number, message in enumerate(read(source)):
        for _ in range({int(drop): 0, int(double): 2}.get(number, 1)):
            producer.produce(target, message.value(), message.key())
            producer.poll(0)
    producer.flush()


def rewrite(source, target, drop, double):
    """The same with payloads of its own: only the keys are left."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for number, message in enumerate(read(source)):
        for _ in range({int(drop): 0, int(double): 2}.get(number, 1)):
            producer.produce(target, b"rewritten %d" % number, message.key())
            producer.poll(0)
    producer.flush()


COMMANDS = {
    "delete-records": delete_records, "add-partitions": add_partitions, "recreate": recreate, "reset": reset,
    "replay": replay, "hang-transaction": hang_transaction, "fence": fence, "foreign": foreign, "config": config,
    "acl": acl, "member": member, "copy": copy, "rewrite": rewrite,
}
if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"{__doc__}\ncommands: {', '.join(COMMANDS)}")
    COMMANDS[sys.argv[1]](*sys.argv[2:])
