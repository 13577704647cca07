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
# In a folder that is closed to others, root's PostgreSQL would lie elsewhere.
RUN mkdir -p /opt/kscen/cache \
 && if [ -d /dist/cache ]; then \
      cp -R /dist/cache/. /opt/kscen/cache/; \
    else \
      apt-get update && apt-get install -y --no-install-recommends maven xz-utils && kscen fetch --with connect --with postgres; \
    fi \
 && chmod -R a+rX /opt/kscen

FROM runtime
# What is brought along is root's, and everybody may read it: kscen takes programs and instructions from its own user and from root alone, and
# `--user` may be anybody. No VOLUME: one would lie over the results of a folder that is mounted at /kscen, and go with the container.
RUN useradd --uid 1000 --create-home kscen \
 && mkdir -p /usr/local/share/man/man1 /usr/share/bash-completion/completions \
 && kscen man /usr/local/share/man/man1 \
 && kscen completions bash >/usr/share/bash-completion/completions/kscen
COPY --from=fetched /opt/kscen /opt/kscen
COPY kscen.yaml /kscen/kscen.yaml
COPY scenarios /kscen/scenarios
COPY schemas /kscen/schemas
RUN mkdir -p /kscen/results /opt/kscen/cache/class-data && chmod 1777 /kscen/results /opt/kscen/cache/class-data /kscen \
 && chmod -R a+rX,go-w /kscen/kscen.yaml /kscen/scenarios /kscen/schemas
# A user without a name has no home.
ENV XDG_STATE_HOME=/tmp/state-of-kscen
USER kscen
WORKDIR /kscen
ENTRYPOINT ["/usr/bin/tini", "--", "kscen"]
CMD ["run", "scenarios/broker-restart.yaml"]
