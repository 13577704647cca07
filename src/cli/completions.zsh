
# What a project has, kscen is asked for: the last word says what.
_kscen_names() {
    local -a names
    names=(${(f)"$(kscen complete ${@[-1]} 2>/dev/null)"})
    compadd "${@[1,-2]}" -a names
}
