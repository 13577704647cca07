
# What a project has, kscen is asked for.
_kscen_of_project() {
    local names=
    case "$3" in
        --env) names=environments ;;
        --tag | --exclude-tag) names=tags ;;
        steps) names=verbs ;;
        explain) names=codes ;;
        --from | --to) [[ "${COMP_WORDS[1]}" != migrate ]] || names=environments ;;
    esac
    if [[ -n "$names" && "$2" != -* ]]; then
        COMPREPLY=($(compgen -W "$("$1" complete "$names" 2>/dev/null)" -- "$2"))
        return 0
    fi
    _kscen "$@"
}
complete -F _kscen_of_project -o bashdefault -o default kscen
