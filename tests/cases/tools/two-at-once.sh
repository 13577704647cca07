#!/bin/bash
# two-at-once.sh KSCEN run A …: A on a kept stack, B beside it, A killed in its pause, undo.
source tools/kept.sh
project "$CASE_FOLDER/project" "kafka: 3.6.1"
cp "$cases/verdicts/51b-two-at-once.yaml" .
up
code=0
run "$CASE_FOLDER/a" "$file" >"$CASE_FOLDER/a.txt" 2>&1 &
a=$!
for _ in $(seq 300); do
    grep -q '▸ outage' "$CASE_FOLDER/a.txt" && break
    sleep 0.1
done
sleep 1
run "$CASE_FOLDER/b" 51b-two-at-once.yaml >"$CASE_FOLDER/b.txt" 2>&1
b=$?
cat "$CASE_FOLDER/b.txt"
if [ $b != 0 ] && grep -q 'in use' "$CASE_FOLDER/b.txt"; then echo "B was refused"; else code=1; fi
kill -KILL "$(pgrep -P $a kscen || echo $a)"
wait $a 2>/dev/null
"$kscen" undo
state=$(grep State "/proc/$(pgrep -P "$supervisor" java)/status")
echo "$state"
if [ -n "$state" ] && ! grep -q 'T (' <<<"$state"; then echo "the broker runs again"; else code=1; fi
exit $code
