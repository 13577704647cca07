#!/bin/bash
# small-disk.sh KSCEN run …: the results go to a file system of 3 MB, SMALL, in a mount namespace of its own; afterwards they are copied to
# where they were to be.
[ -n "$SMALL" ] || exec unshare --mount env SMALL="$CASE_FOLDER/small" bash "$0" "$@"
mkdir -p "$SMALL" && mount -t tmpfs -o size=3m tmpfs "$SMALL" || exit 77
words=()
for word in "$@"; do
    [ "$word" = "$CASE_FOLDER/results" ] && word=$SMALL/results
    words+=("$word")
done
"${words[@]}"
code=$?
rm -f "$SMALL/fill"
cp -r "$SMALL/results/." "$CASE_FOLDER/results/"
umount "$SMALL"
exit $code
