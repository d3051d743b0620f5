# Completion of ao-store in bash. Source it, or save it as
# ~/.local/share/bash-completion/completions/ao-store
_ao_store() {
    local line value
    # Bash splits words at "=": only what follows the last one is replaced.
    local is_split=no
    if [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
        is_split=yes
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        case $line in
        $'\tfiles') compopt -o default ;;
        $'\tdirectories') compopt -o dirnames ;;
        *)
            [[ $is_split == yes ]] && value=${value##*=}
            [[ $value == *= ]] && compopt -o nospace
            COMPREPLY+=("$value")
            ;;
        esac
    done < <(ao-store complete -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
} 2>/dev/null
complete -o nosort -F _ao_store ao-store 2>/dev/null || complete -F _ao_store ao-store
