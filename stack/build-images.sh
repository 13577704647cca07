#!/bin/bash
# Builds kscen/kafka, kscen/connect and kscen/postgres without an image registry: from Debian's signed packages and
# Maven Central, each file of which is held against its SHA-256 in stack/checksums. They take the settings of the public
# images (KAFKA_*, CONNECT_*, POSTGRES_*), so that stack/docker-compose.yml runs with either.
# Needs: docker, mmdebstrap (or debootstrap), mvn.
#
#   stack/build-images.sh            builds what is missing
#   FORCE=1 stack/build-images.sh    builds everything again, except the Debian base
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
release=${DEBIAN_RELEASE:-bookworm}
base=kscen/base:$release
kafka=${KAFKA_VERSION:-3.6.1}
debezium=${DEBEZIUM_VERSION:-2.5.4.Final}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
missing() { [ -n "${FORCE:-}" ] || ! docker image inspect "$1" >/dev/null 2>&1; }

# build IMAGE FOLDER [ARGUMENTS...]: from stack/images/FOLDER plus whatever was put into $scratch/FOLDER.
# The classic builder is asked for by name: it is the one every engine has.
build() {
    local image=$1 folder=$2
    shift 2
    mkdir -p "$scratch/$folder"
    cp -R "$here/images/$folder/." "$scratch/$folder"
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" "$@" "$scratch/$folder" >/dev/null 2>"$scratch/build.log" || {
        cat "$scratch/build.log" >&2
        exit 1
    }
    step "$image"
}

# Through a file: piped into `docker import`, a bootstrap that failed would leave an empty image behind.
if ! docker image inspect "$base" >/dev/null 2>&1; then
    if command -v mmdebstrap >/dev/null; then
        mmdebstrap --quiet --variant=minbase "$release" "$scratch/base.tar"
    else
        debootstrap --force-check-gpg --variant=minbase "$release" "$scratch/root" >/dev/null
        tar -C "$scratch/root" -cf "$scratch/base.tar" .
    fi
    docker import "$scratch/base.tar" "$base" >/dev/null
    rm -rf "$scratch/base.tar" "$scratch/root"
    step "$base"
fi

if missing kscen/java:17; then
    build kscen/java:17 java --build-arg "BASE=$base"
fi
if missing "kscen/kafka:$kafka"; then
    mvn -q -B -C -Dstyle.color=never -f "$here/images/kafka/pom.xml" -Dkafka.version="$kafka" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$scratch/kafka/libs"
    "$here/check-sums" "$here/checksums/kafka-$kafka.sha256" "$scratch/kafka/libs"
    build "kscen/kafka:$kafka" kafka
fi
if missing "kscen/connect:$kafka"; then
    mvn -q -B -C -Dstyle.color=never -f "$here/images/connect/pom.xml" -Ddebezium.version="$debezium" \
        dependency:copy -DoutputDirectory="$scratch/debezium"
    "$here/check-sums" "$here/checksums/debezium-plugin-$debezium.sha256" "$scratch/debezium"
    mkdir -p "$scratch/connect/plugins"
    tar -xzf "$scratch/debezium/"*.tar.gz -C "$scratch/connect/plugins" --no-same-owner
    build "kscen/connect:$kafka" connect --build-arg "KAFKA=kscen/kafka:$kafka"
fi
if missing kscen/postgres:15; then
    build kscen/postgres:15 postgres --build-arg "BASE=$base"
fi

cat <<EOF
built; to run the stack on these images:
  export KAFKA_IMAGE=kscen/kafka:$kafka CONNECT_IMAGE=kscen/connect:$kafka POSTGRES_IMAGE=kscen/postgres:15
EOF
