#!/bin/bash
# compose.sh [COMMAND] KSCEN run FILE --env NAME …: on three brokers of a compose project with a name and ports of its own. COMMAND is another
# hand's, begun when the load has begun; `container SERVICE` in it is a container's name.
hand=
[ -x "$1" ] || { hand=$1; shift; }
kscen=$1
file=$3
env=$5
export PROJECT=case$$
read -r PORT_A PORT_B PORT_C < <(python3 -c "
import socket
held = [socket.create_server(('127.0.0.1', 0)) for _ in range(3)]
print(*(s.getsockname()[1] for s in held))")
export PORT_A PORT_B PORT_C
compose=docker-compose
docker compose version >/dev/null 2>&1 && compose="docker compose"
cd containers || exit 1
container() {
    docker ps -aq --filter "label=com.docker.compose.project=$PROJECT" --filter "label=com.docker.compose.service=$1"
}
down() {
    $compose -p "$PROJECT" -f abc.yml down -v -t 1 >/dev/null 2>&1
    $compose -p "${PROJECT}idle" -f idle.yml down -v -t 1 >/dev/null 2>&1
}
trap down EXIT
$compose -p "$PROJECT" -f abc.yml up -d || exit 1
[ "$env" != mixed ] || $compose -p "${PROJECT}idle" -f idle.yml up -d || exit 1
for port in $PORT_A $PORT_B $PORT_C; do
    for _ in $(seq 300); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.2
    done
done
"$kscen" run "$(basename "$file")" --env "$env" --report none --results "$CASE_FOLDER/results" &
run=$!
if [ -n "$hand" ]; then
    for _ in $(seq 600); do
        grep -qs '"id":"load"' "$CASE_FOLDER"/results/*/events.ndjson && break
        sleep 0.1
    done
    eval "$hand"
fi
wait $run
