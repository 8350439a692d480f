# SPDX-License-Identifier: ISC
# fish completion for mortise. `mortise complete` says what there is.

function __mortise_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (command $words[1] complete -- $words[2..] 2>/dev/null)
    set -l number (string split -f 2 ' ' -- "$lines[1]")

    switch "$lines[1]"
        case 'files *'
            set -l name (string sub -s (math $number + 1) -- $words[-1])
            printf '%s\n' (string sub -l $number -- $words[-1])(__fish_complete_path "$name")
        case 'directories *'
            set -l name (string sub -s (math $number + 1) -- $words[-1])
            printf '%s\n' (string sub -l $number -- $words[-1])(__fish_complete_directories "$name")
        case 'command *'
            __fish_complete_subcommand --commandline $words[(math $number + 2)..]
        case '*'
            printf '%s\n' $lines
    end
end

complete -c mortise -f -a '(__mortise_complete)'
