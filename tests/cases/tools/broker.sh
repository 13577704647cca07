#!/bin/bash
# broker.sh SIGNAL [only-stopped]: sends a signal to the Java children of the kscen that started this command, to no other process.
[ "$(cat /proc/$PPID/comm)" = kscen ] || { echo "the parent is not kscen"; exit 1; }
sent=
for child in $(pgrep -P "$PPID"); do
    [ "$(cat "/proc/$child/comm")" = java ] || continue
    if [ "$2" = only-stopped ]; then grep -q '^State:.T' "/proc/$child/status" || continue; fi
    kill "-$1" "$child" && sent=yes && echo "sent $1 to $child"
done
[ -n "$sent" ] || { echo "kscen has no such child"; exit 1; }
