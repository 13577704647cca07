#!/usr/bin/env python3
"""Takes a right away from everybody, and gives it back; with Python alone.

usage: acl.py deny|undo OPERATION TOPIC|GROUP|CLUSTER NAME; the cluster is the one of KSCEN_KAFKA_BOOTSTRAP, without TLS or SASL.
`deny` denies the operation and allows all others: a resource that has an ACL is closed for what none of them allows.
"""
import os
import socket
import struct
import sys
import time

OPERATIONS = {"ALL": 2, "READ": 3, "WRITE": 4, "CREATE": 5, "DELETE": 6, "ALTER": 7, "DESCRIBE": 8}
RESOURCES = {"TOPIC": 2, "GROUP": 3, "CLUSTER": 4}
ANY, LITERAL, DENY, ALLOW = 1, 3, 2, 3
DESCRIBE_ACLS, CREATE_ACLS, DELETE_ACLS = 29, 30, 31
EVERYBODY = "User:*"


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def ask(api, body):
    """Sends a request of version 1, and returns the body of its answer behind the throttle time."""
    host, port = os.environ["KSCEN_KAFKA_BOOTSTRAP"].split(",")[0].rsplit(":", 1)
    request = struct.pack(">hhi", api, 1, 7) + text("acl.py") + body
    with socket.create_connection((host, int(port)), 10) as stream:
        stream.sendall(struct.pack(">i", len(request)) + request)
        answer = stream.makefile("rb")
        (length,) = struct.unpack(">i", answer.read(4))
        return answer.read(length)[8:]


def accepted(code, what):
    if code:
        sys.exit(f"{what}: Kafka's error {code}")


def main(command, operation, resource, name):
    kind = RESOURCES[resource]
    # Everything that this program gave or took on the resource.
    mine = struct.pack(">b", kind) + text(name) + struct.pack(">b", LITERAL) + text(EVERYBODY) + text("*") + bytes([ANY, ANY])
    if command == "deny":
        rights = [(OPERATIONS[operation], DENY), (OPERATIONS["ALL"], ALLOW)]
        place = struct.pack(">b", kind) + text(name) + struct.pack(">b", LITERAL) + text(EVERYBODY) + text("*")
        answer = ask(CREATE_ACLS, struct.pack(">i", len(rights)) + b"".join(place + bytes(right) for right in rights))
        at = 4
        for _ in rights:
            code, length = struct.unpack_from(">hh", answer, at)
            accepted(code, command)
            at += 4 + max(length, 0)
    else:
        answer = ask(DELETE_ACLS, struct.pack(">i", 1) + mine)
        accepted(struct.unpack_from(">h", answer, 4)[0], command)
    # The controller has agreed; the broker follows.
    for _ in range(200):
        answer = ask(DESCRIBE_ACLS, mine)
        code, length = struct.unpack_from(">hh", answer, 0)
        accepted(code, "describe")
        (found,) = struct.unpack_from(">i", answer, 4 + max(length, 0))
        if bool(found) == (command == "deny"):
            return
        time.sleep(0.05)
    sys.exit(f"{command}: the broker does not follow")


main(*sys.argv[1:])
