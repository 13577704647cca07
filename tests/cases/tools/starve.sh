#!/bin/bash
# starve.sh KSCEN run …: kscen on one core together with four busy loops, the brokers on another.
loops=()
for _ in 1 2 3 4; do
    taskset -c 0 timeout 60 bash -c 'while :; do :; done' &
    loops+=($!)
done
taskset -c 0 "$@" &
kscen=$!
for _ in $(seq 60); do
    for child in $(pgrep -P "$kscen"); do
        [ "$(cat "/proc/$child/comm" 2>/dev/null)" = java ] && taskset -a -p -c 1 "$child" >/dev/null 2>&1
    done
    sleep 0.2
done
wait "$kscen"
code=$?
kill "${loops[@]}" 2>/dev/null
exit $code
