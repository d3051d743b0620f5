# Completion of ao-store in fish. Source it, or save it as ~/.config/fish/completions/ao-store.fish
function __ao_store_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l word (commandline --current-token --cut-at-cursor)
    for line in (ao-store complete -- $words "$word" 2>/dev/null)
        switch $line
            case \tfiles
                __fish_complete_path "$word"
            case \tdirectories
                __fish_complete_directories "$word" ""
            case '*'
                echo $line
        end
    end
end
complete --command ao-store --no-files --keep-order --arguments '(__ao_store_complete)'
