#!/bin/bash
# two-projects.sh KSCEN run FILE …: another project, with another setting of an environment of the same name, keeps a stack.
source tools/kept.sh
project "$CASE_FOLDER/other" "kafka: 3.6.1, timeouts: fast"
up
project "$CASE_FOLDER/project" "kafka: 3.6.1"
run "$CASE_FOLDER/results" "$file"
code=$?
sed -n 's/.*"timeouts": *"\([a-z]*\)".*/it ran with timeouts: \1/p' "$CASE_FOLDER"/results/*/result.json
exit $code
