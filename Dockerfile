# kscen with Java and Kafka's jars inside: `docker run --rm IMAGE run scenarios/broker-restart.yaml` needs nothing else.
#
# What lies in dist/ is taken as it is (scripts/image puts it there): `dist/kscen`, a program that was built already, and `dist/cache`,
# what `kscen fetch` has fetched. What does not lie there is built and fetched here.
ARG BUILDER=rust:1-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
RUN if [ ! -x dist/kscen ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends g++ libssl-dev make pkg-config \
      && cargo build --release --locked \
      && mkdir -p dist && cp target/release/kscen dist/kscen; \
    fi

FROM ${BASE} AS runtime
# tini hands signals on and takes in orphans, which the first process of a container has to do.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 openjdk-17-jre-headless tini \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/*
COPY --from=build /src/dist/kscen /usr/local/bin/kscen
ENV LANG=C.UTF-8 KSCEN_CACHE=/opt/kscen/cache

FROM runtime AS fetched
COPY --from=build /src/dist /dist
RUN if [ -d /dist/cache ]; then \
      mkdir -p /opt/kscen && cp -R /dist/cache /opt/kscen/cache; \
    else \
      apt-get update && apt-get install -y --no-install-recommends maven && kscen fetch --with connect --with postgres; \
    fi

FROM runtime
RUN useradd --uid 1000 --create-home kscen && mkdir -p /kscen/results && chown kscen /kscen /kscen/results \
 && mkdir -p /usr/local/share/man/man1 /usr/share/bash-completion/completions \
 && kscen man /usr/local/share/man/man1 \
 && kscen completions bash >/usr/share/bash-completion/completions/kscen
COPY --from=fetched --chown=1000 /opt/kscen /opt/kscen
COPY --chown=1000 kscen.yaml /kscen/kscen.yaml
COPY --chown=1000 scenarios /kscen/scenarios
COPY --chown=1000 schemas /kscen/schemas
USER kscen
WORKDIR /kscen
VOLUME /kscen/results
ENTRYPOINT ["/usr/bin/tini", "--", "kscen"]
CMD ["run", "scenarios/broker-restart.yaml"]
