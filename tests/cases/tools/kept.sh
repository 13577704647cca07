# Sourced by scripts that get `KSCEN run FILE …` and keep a stack. A kept stack belongs to a project and an environment of it; each
# script has its own.
kscen=$1
file=$3
name=case-$$
cases=$PWD

project() { # project FOLDER SETTINGS: makes a project with that local environment, and goes there
    mkdir -p "$1"
    cp "$cases/$file" "$1"
    printf 'default: %s\nenvironments: { %s: { local: { %s } } }\n' "$name" "$name" "$2" >"$1/kscen.yaml"
    cd "$1" || exit 1
}

up() { # keeps a stack; `supervisor` is its process
    "$kscen" up 2>&1 | tee "$CASE_FOLDER/up"
    supervisor=$(sed -n 's/.*(supervisor \([0-9]*\)).*/\1/p' "$CASE_FOLDER/up")
    [ -n "$supervisor" ] || exit 1
    # From there: another project does not find it.
    kept=$PWD
    trap 'cd "$kept" && "$kscen" down' EXIT
}

run() { # run RESULTS FILE
    "$kscen" run "$(basename "$2")" --report none --results "$1"
}
