#!/bin/bash
# dead-stack.sh KSCEN run FILE …: on a kept stack whose broker was killed.
source tools/kept.sh
project "$CASE_FOLDER/project" "kafka: 3.6.1"
up
kill -KILL "$(pgrep -P "$supervisor" java)" || exit 1
sleep 1
run "$CASE_FOLDER/results" "$file"
