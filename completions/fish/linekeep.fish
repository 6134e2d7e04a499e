# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_linekeep_global_optspecs
    string join \n h/help V/version
end

function __fish_linekeep_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_linekeep_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_linekeep_using_subcommand
    set -l cmd (__fish_linekeep_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c linekeep -n "__fish_linekeep_needs_command" -s h -l help -d 'Print help'
complete -c linekeep -n "__fish_linekeep_needs_command" -s V -l version -d 'Print version'
complete -c linekeep -n "__fish_linekeep_needs_command" -f -a "lookup" -d 'Look lines up: is each of them, byte for byte, a line of the server\'s lists?'
complete -c linekeep -n "__fish_linekeep_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -s s -l server -d 'The server: HOST:PORT, [IPV6]:PORT, or unix:/PATH' -r
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l psk-identity -d 'The identity that the pre-shared key goes by' -r
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l psk-file -d 'File of the pre-shared key: hexadecimal digits, or `identity:digits` lines as in a keyring. Nobody else may read it' -r -F
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l certificate -d 'PEM file of the client certificate, followed by its intermediates' -r -F
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l private-key -d 'PEM file of the certificate\'s private key. Nobody else may read it' -r -F
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l ca -d 'PEM file of the CAs that may sign the server\'s certificate; the system\'s own when not given' -r -F
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l server-name -d 'The name or IP address that the server\'s certificate has to hold; the server\'s host when not given' -r
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l source -d 'The local address to connect from' -r
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l timeout -d 'How long connecting may take, and how long the server may be silent while an answer is due' -r
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l progress -d 'Progress on standard error: `auto` shows it on a terminal when it takes more than two seconds' -r -f -a "auto\t'On a terminal, and only when it takes long'
always\t'From the start; one line a second where standard error is no terminal'
never\t'Not at all'"
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l plain -d 'No TLS: only for loopback addresses and UNIX sockets (where it is the default without credentials)'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l explain -d 'With each line the lists that have it, and their generations; with a missing one those that were asked. Needs TLS; not with --quiet, --found and --missing'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l json -d 'One JSON object for each line'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -s q -l quiet -d 'Nothing but the exit code, and errors on standard error'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l found -d 'Only the lines that were found, as they were asked; errors on standard error'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l missing -d 'Only the lines that were not found, as they were asked; errors on standard error'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -l wire -d 'Each request (`> `) and its reply (`< `) as they crossed the wire, escaped'
complete -c linekeep -n "__fish_linekeep_using_subcommand lookup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linekeep -n "__fish_linekeep_using_subcommand help; and not __fish_seen_subcommand_from lookup help" -f -a "lookup" -d 'Look lines up: is each of them, byte for byte, a line of the server\'s lists?'
complete -c linekeep -n "__fish_linekeep_using_subcommand help; and not __fish_seen_subcommand_from lookup help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
