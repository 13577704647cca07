#!/bin/bash
# kill-kscen.sh KSCEN run …: kills kscen at several instants, and says what is left of its processes two seconds later.
# An instant is a step of the scenario and the seconds after its start.
code=0
below() { # below PID: all its descendants
    local child
    for child in $(pgrep -P "$1"); do
        echo "$child"
        below "$child"
    done
}
for instant in "pause-3 1" "pause-4 0.5" "pause-4 1.5" "restart 0.5"; do
    read -r step seconds <<<"$instant"
    rm -f "$CASE_FOLDER/said"
    "$@" >"$CASE_FOLDER/said" 2>&1 &
    kscen=$!
    for _ in $(seq 600); do
        grep -q "▸ ${step%-*}" "$CASE_FOLDER/said" && [ "$(grep -c "▸ ${step%-*}" "$CASE_FOLDER/said")" -ge "$([ "$step" = pause-4 ] && echo 2 || echo 1)" ] && break
        sleep 0.1
    done
    sleep "$seconds"
    family=$(below "$kscen")
    kill -KILL "$kscen"
    wait "$kscen" 2>/dev/null
    sleep 2
    for process in $family; do
        [ -d "/proc/$process" ] || continue
        echo "killed in $instant: left $process $(cat "/proc/$process/comm") $(grep State "/proc/$process/status")"
        kill -KILL "$process"
        code=1
    done
done
[ $code = 0 ] && echo "nothing is left"
exit $code
