#!/usr/bin/env python3
"""A small stream job: copies a topic into another one, each message at least once.

usage: copy.py SOURCE TARGET [--careless]; needs `pip install confluent-kafka`. With --careless it commits its position before it has
written what it read: what it had in its hands when it is killed is lost.
"""
import os
import signal
import sys
import time

from confluent_kafka import Consumer, Producer

source, target, *options = sys.argv[1:]
careless = "--careless" in options
brokers = {"bootstrap.servers": os.environ["KSCEN_KAFKA_BOOTSTRAP"]}
consumer = Consumer(brokers | {
    "group.id": f"copy-{source}", "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6000,
})
producer = Producer(brokers | {"enable.idempotence": True})
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
consumer.subscribe([source], on_assign=lambda _, partitions: print("assigned", len(partitions), "partitions", flush=True))
while not stopped:
    messages = [message for message in consumer.consume(200, 0.2) if not message.error()]
    if not messages:
        continue
    if careless:
        consumer.commit(asynchronous=False)
        time.sleep(0.5)
    for message in messages:
        producer.produce(target, message.value(), message.key(), headers=message.headers())
        producer.poll(0)
    producer.flush()
    if not careless:
        consumer.commit(asynchronous=False)
consumer.close()
