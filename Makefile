# `make help` lists every target with its purpose.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
ENV ?= local
KSCEN := target/release/kscen
RUN := $(KSCEN) run --env $(ENV)
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-24s %s\n", $$1, $$2}'

.PHONY: prerequisites
prerequisites: ## Installs, or says how to install, what is needed to build and run
	@scripts/prerequisites

.PHONY: build
build: prerequisites ## Builds kscen (release)
	$(CARGO) build --release --locked

.PHONY: demo
demo: build ## Runs the restart of a broker under load on a local Kafka that kscen starts itself
	$(KSCEN) run scenarios/broker-restart.yaml

.PHONY: test
test: prerequisites ## Runs all tests, those on a real Kafka included
	$(CARGO) test --locked --no-fail-fast --lib --bins --tests -- --test-threads=5

.PHONY: cases
cases: ## Runs every scenario of tests/cases and writes docs/cases.md; CASES='v05 p' for some of them
	scripts/cases $(CASES)

.PHONY: clean-runs
clean-runs: build ## The delivery suite 40 times idle and 10 times beside busy loops, for false alarms; RUNS='1 0 TEXT' for others
	scripts/clean-runs $(RUNS)

.PHONY: museum
museum: build ## Published bugs of Kafka and Debezium, on versions with and without them, three times each; writes docs/found.md
	scripts/museum $(EXHIBITS)

.PHONY: oracle
oracle: prerequisites ## Random histories against the oracles: a million of messages, 200,000 of change data; HISTORIES='20000 5000' for others
	scripts/oracle $(HISTORIES)

.PHONY: mutation
mutation: prerequisites ## Breaks the code that judges in hundreds of ways and lists what no test notices; ROOMS='judge --sample 50' for some
	scripts/mutation $(ROOMS)

.PHONY: fuzz
fuzz: ## Fuzzes every reader with coverage, an hour for all; FOR=600, TARGETS='loader units' for some
	scripts/fuzz $(or $(FOR),3600) $(TARGETS)

.PHONY: bench
bench: prerequisites ## Side by side with Kafka's own tools and librdkafka's; PAIRS=9, PARTS='changes produce …'; writes docs/benchmarks.md
	$(CARGO) bench --locked --bench peers -- $(PARTS)

.PHONY: site
site: ## Builds the site of docs/ into target/site, each link followed
	scripts/book

.PHONY: lint
lint: ## Formatting and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

.PHONY: bless
bless: ## Rewrites generated files: schemas, reference, golden messages
	BLESS=1 $(CARGO) test --locked --lib --test it -- report:: check:: schemas:: verbs:: --test-threads=1

.PHONY: start-kafka
start-kafka: build ## Keeps a stack running (ENV=docker: the compose stack)
ifeq ($(ENV),docker)
	$(COMPOSE) -p kscen -f stack/docker-compose.yml up -d
else
	$(KSCEN) up --env $(ENV)
endif

.PHONY: stop-kafka
stop-kafka: ## Stops the stack that start-kafka keeps
ifeq ($(ENV),docker)
	$(COMPOSE) -p kscen -f stack/docker-compose.yml stop
else
	$(KSCEN) down --env $(ENV)
endif

.PHONY: status-kafka
status-kafka: build ## Brokers, topics and services
	$(KSCEN) status --env $(ENV)

.PHONY: status-cdc
status-cdc: build ## Whether each connector runs, task by task, and whether Kafka UI answers
	$(KSCEN) status --env $(ENV)

.PHONY: create-topics
create-topics: build ## Creates the topics for change data on the running stack
	$(RUN) --keep scenarios/create-topics.yaml

.PHONY: test-kafka-performance
test-kafka-performance: build ## Runs the performance suite
	$(RUN) scenarios --tag performance

.PHONY: test-kafka-delivery
test-kafka-delivery: build ## Runs the delivery suite
	$(RUN) scenarios --tag delivery

.PHONY: test-kafka-backup
test-kafka-backup: build ## Runs the backup suite: what is backed up comes back, whatever happens meanwhile
	$(RUN) scenarios/backup --tag backup

.PHONY: test-kafka
test-kafka: build ## Runs the setup, performance, delivery, edge and backup suites
	$(RUN) scenarios scenarios/backup --tag setup --tag performance --tag delivery --tag edge --tag backup

.PHONY: kafka-reports
kafka-reports: build ## Renders reports/*.md with charts and recommendations from the stored results
	$(KSCEN) report --baseline results --scenarios scenarios --scenarios scenarios/backup --out reports

.PHONY: clean
clean: ## Removes build output and results
	$(CARGO) clean
	find results -mindepth 1 ! -name README.md -delete
