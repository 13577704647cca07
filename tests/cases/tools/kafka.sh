#!/bin/bash
# kafka.sh CLASS ARGUMENTS: one of Kafka's own tools, from the jars that kscen has fetched.
cache=${KSCEN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kscen}
class=$1
shift
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -XX:TieredStopAtLevel=1 -cp "$cache/kafka/3.6.1/*" "$class" --bootstrap-server "$KSCEN_KAFKA_BOOTSTRAP" "$@"
