# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_linekeepd_global_optspecs
    string join \n c/config= user= f/foreground pid-file= h/help V/version
end

function __fish_linekeepd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_linekeepd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_linekeepd_using_subcommand
    set -l cmd (__fish_linekeepd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c linekeepd -n "__fish_linekeepd_needs_command" -s c -l config -d 'The configuration file' -r -F
complete -c linekeepd -n "__fish_linekeepd_needs_command" -l user -d 'Who to become when started as root, before anything is read: names or numbers, by default _linekeep; `root` stays root. Not started as root, it stays who it is' -r
complete -c linekeepd -n "__fish_linekeepd_needs_command" -l pid-file -d 'Where the process id goes; locked while it runs, and taken away at its end' -r -F
complete -c linekeepd -n "__fish_linekeepd_needs_command" -s f -l foreground -d 'Stay in the foreground, for containers and systemd\'s Type=notify; says by sd_notify how it goes'
complete -c linekeepd -n "__fish_linekeepd_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linekeepd -n "__fish_linekeepd_needs_command" -s V -l version -d 'Print version'
complete -c linekeepd -n "__fish_linekeepd_needs_command" -f -a "check" -d 'Check the configuration, then every key, certificate and list file that it names, as the user that would serve; tell all faults. Binds nothing'
complete -c linekeepd -n "__fish_linekeepd_needs_command" -f -a "reference" -d 'Print the configuration reference, in Markdown'
complete -c linekeepd -n "__fish_linekeepd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand check" -s c -l config -d 'The configuration file' -r -F
complete -c linekeepd -n "__fish_linekeepd_using_subcommand check" -l user -d 'Who to become when started as root, before anything is read: names or numbers, by default _linekeep; `root` stays root. Not started as root, it stays who it is' -r
complete -c linekeepd -n "__fish_linekeepd_using_subcommand check" -s q -l quiet -d 'Say nothing where there is no fault'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand check" -s h -l help -d 'Print help'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand reference" -s c -l config -d 'The configuration file' -r -F
complete -c linekeepd -n "__fish_linekeepd_using_subcommand reference" -l user -d 'Who to become when started as root, before anything is read: names or numbers, by default _linekeep; `root` stays root. Not started as root, it stays who it is' -r
complete -c linekeepd -n "__fish_linekeepd_using_subcommand reference" -l records -d 'The reference of records and counters instead'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand reference" -s h -l help -d 'Print help'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand help; and not __fish_seen_subcommand_from check reference help" -f -a "check" -d 'Check the configuration, then every key, certificate and list file that it names, as the user that would serve; tell all faults. Binds nothing'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand help; and not __fish_seen_subcommand_from check reference help" -f -a "reference" -d 'Print the configuration reference, in Markdown'
complete -c linekeepd -n "__fish_linekeepd_using_subcommand help; and not __fish_seen_subcommand_from check reference help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
