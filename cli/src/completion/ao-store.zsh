#compdef ao-store
# Completion of ao-store in zsh. Source it after compinit, or save it as _ao-store in a directory
# of $fpath.
_ao-store() {
    local line value
    local -a values
    for line in "${(@f)$(ao-store complete -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}"; do
        case $line in
        '') ;;
        $'\tfiles') compset -P '--*='; _files ;;
        $'\tdirectories') compset -P '--*='; _files -/ ;;
        *)
            value=${line%%$'\t'*}
            values+=("${value//:/\\:}:${line#*$'\t'}")
            ;;
        esac
    done
    (( $#values )) && _describe -V ao-store values
}
if [[ ${funcstack[1]} == _ao-store ]]; then
    _ao-store "$@"
else
    compdef _ao-store ao-store
fi
