#!/usr/bin/env python3
"""A client of `kscen serve` that knows nothing but its OpenAPI document: it is made of that when it runs, calls every operation, and holds each request and
each answer against the document's schemas.

usage: client.py URL CLUSTER TOPIC GROUP; needs jsonschema. Exit code 0 says that every operation has been called and answered as described."""
import http.client
import json
import sys
import urllib.parse

import jsonschema

url, cluster, topic, group = sys.argv[1:5]
host = url.removeprefix("http://")


def fetch(method, path, body=None, headers=None):
    """Status, headers and bytes."""
    connection = http.client.HTTPConnection(host, timeout=180)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Operation:
    """An operation, as the document describes it."""

    def __init__(self, document, path, method, described):
        self.document, self.path, self.method, self.described = document, path, method.upper(), described
        self.id = described["operationId"]
        self.seen = set()

    def fits(self, schema, value, what):
        schema = {**schema, "components": self.document["components"]}
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(value))
        assert not errors, f"{self.id}: {what} does not fit its schema: {errors[0].json_path}: {errors[0].message}\n{json.dumps(value)[:2000]}"

    def parameter(self, name, value):
        found = [each for each in self.described["parameters"] if each["name"].lower() == name.lower().replace("_", "-") or each["name"] == name]
        assert len(found) == 1, f"{self.id}: there is no parameter {name}"
        self.fits(found[0]["schema"], value, f"parameter {name}")
        return found[0]

    def __call__(self, expected, body=None, wrong=False, **parameters):
        """Sends it; `wrong` for a body that the document does not allow. Returns the answer."""
        path, query, headers = self.path, {}, {}
        for name, value in parameters.items():
            parameter = self.parameter(name, value)
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", urllib.parse.quote(str(value), safe=""))
            elif parameter["in"] == "query":
                query[parameter["name"]] = value
            else:
                headers[parameter["name"]] = value
        assert "{" not in path, f"{self.id}: {path} lacks a parameter"
        required = {each["name"] for each in self.described["parameters"] if each.get("required")}
        assert required <= set(parameters), f"{self.id}: {required} are required"
        data = None
        if body is not None:
            (kind, content), = self.described["requestBody"]["content"].items()
            data, headers["Content-Type"] = json.dumps(body), kind
            if wrong:
                try:
                    self.fits(content["schema"], body, "the body")
                except AssertionError:
                    pass
                else:
                    raise AssertionError(f"{self.id}: the document allows {body}")
            else:
                self.fits(content["schema"], body, "the body")
        status, fields, text = fetch(self.method, path + ("?" + urllib.parse.urlencode(query) if query else ""), data, headers)
        assert status == expected, f"{self.id}: {status} instead of {expected}: {text.decode()[:2000]}"
        described = self.described["responses"].get(str(status))
        assert described, f"{self.id}: status {status} is not described"
        self.seen.add(status)
        if "content" not in described:
            assert not text, f"{self.id}: no content is described for {status}, and there is some"
            return None
        kind = (fields.get("Content-Type") or "").split(";")[0]
        assert kind in described["content"], f"{self.id}: {kind} is not described for {status}"
        answer = json.loads(text) if kind.endswith("json") else text.decode()
        self.fits(described["content"][kind]["schema"], answer, f"the answer {status}")
        return answer


class Client:
    """Every operation, by its id."""

    def __init__(self):
        status, _, text = fetch("GET", "/openapi.json")
        assert status == 200, status
        self.document = json.loads(text)
        assert self.document["openapi"].startswith("3.1."), self.document["openapi"]
        for name, schema in self.document["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
        self.operations = {}
        for path, methods in self.document["paths"].items():
            for method, described in methods.items():
                operation = Operation(self.document, path, method, described)
                assert operation.id not in self.operations, f"two operations are called {operation.id}"
                self.operations[operation.id] = operation

    def __getattr__(self, name):
        return self.operations[name]


def state(job, wanted):
    assert job["state"] == wanted, f"{job['state']} instead of {wanted}: {json.dumps(job)[:2000]}"
    return job


client = Client()
client.health(200)
client.ready(200)
client.describe(200)
assert cluster in client.listClusters(200)["clusters"]

# Document 004's own request, and the rest of a life of an archive.
done = {"cluster": cluster, "Prefer": "wait=120"}
first = state(client.backup(200, {"topic": topic, "compression": "gzip", "max_messages": 1000}, **done), "succeeded")
kept = state(client.backup(200, {"topics": [topic], "archive": "described", "verify": "full"}, **done), "succeeded")
names = {entry["name"] for entry in client.listBackups(200)["backups"]}
assert {first["archive"], "described"} <= names, names
assert client.getBackup(200, name="described")["records"] == kept["result"]["records"] > 0
restore = {"archive": "described", "topic": topic, "as": f"{topic}-described", "groups": "none", "verify": True}
state(client.restore(200, restore, **done), "succeeded")
state(client.verify(200, {"archive": "described", "level": "deep"}, **done), "succeeded")
state(client.verify(200, {"archive": "described", "level": "target", "topic": f"{topic}-described"}, **done), "succeeded")
migrate = {"from": cluster, "to": cluster, "topic": topic, "as": f"{topic}-moved", "until": "end", "groups": "none", "interval": "1s"}
state(client.migrate(200, migrate, Prefer="wait=120"), "succeeded")
state(client.drain(200, {"group": group, "lag": 1000000}, **done), "succeeded")
state(client.drain(200, {"group": group, "within": "1s"}, **done), "failed")
state(client.drain(200, {"group": group, "topic": topic, "into": f"{topic}-parked"}, **done), "succeeded")

# What is asked for twice, looked at, followed and cancelled.
slow = {"topic": topic, "archive": "slow", "rate": "20kB/s", "compression": "none", "parallel": 1}
job = client.backup(202, slow, cluster=cluster, Idempotency_Key="once")
assert client.backup(202, slow, cluster=cluster, Idempotency_Key="once")["id"] == job["id"]
client.backup(422, {**slow, "archive": "other"}, cluster=cluster, Idempotency_Key="once")
assert client.backup(409, slow, cluster=cluster)["job"] == job["id"]
client.deleteBackup(409, name="slow")
assert job["id"] in {each["id"] for each in client.listJobs(200, kind="backup", limit=5)["jobs"]}
assert client.getJob(200, id=job["id"])["state"] in ("queued", "running")
client.cancelJob(202, id=job["id"])
events = client.followJob(200, id=job["id"])
told = [dict(line.split(": ", 1) for line in event.splitlines() if ": " in line) for event in events.split("\n\n") if event.strip()]
states = [json.loads(event["data"])["state"] for event in told if event.get("event") == "state"]
assert states and states[-1] == "cancelled", events
assert client.cancelJob(200, id=job["id"])["state"] == "cancelled"
client.cancelJob(409, id=kept["id"])

# What is wrong is described, too.
assert "topic" in client.backup(400, {"topik": topic}, wrong=True, cluster=cluster)["help"]
client.backup(400, {"topic": topic, "rate": "0B/s"}, cluster=cluster)
client.backup(404, {"topic": topic}, cluster="nowhere")
client.backup(413, {"topic": "x" * 70000}, cluster=cluster)
client.restore(404, {"archive": "none"}, cluster=cluster)
client.restore(400, {}, wrong=True, cluster=cluster)
client.verify(404, {"archive": "none"}, cluster=cluster)
client.migrate(400, {"from": cluster, "to": cluster, "topic": topic})
client.migrate(404, {"from": "nowhere", "to": cluster, "topic": topic})
client.drain(400, {"group": group, "into": "parked"}, cluster=cluster)
client.getJob(404, id="none")
client.followJob(404, id="none")
client.cancelJob(404, id="none")
client.getBackup(404, name="none")
client.getBackup(400, name="../state")
client.deleteBackup(404, name="none")
client.listJobs(400, limit=0)
client.deleteBackup(204, name="slow")
figures = client.metrics(200)
assert 'kscen_jobs{kind="migrate",state="succeeded"} 1' in figures.splitlines(), figures

silent = [operation.id for operation in client.operations.values() if not operation.seen & {200, 202, 204}]
assert not silent, f"not called: {silent}"
answers = sum(len(operation.seen) for operation in client.operations.values())
print(f"{len(client.operations)} operations of the document, {answers} kinds of answers: all as described")
