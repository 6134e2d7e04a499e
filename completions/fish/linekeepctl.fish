# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_linekeepctl_global_optspecs
    string join \n s/socket= h/help V/version
end

function __fish_linekeepctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_linekeepctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_linekeepctl_using_subcommand
    set -l cmd (__fish_linekeepctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -s V -l version -d 'Print version'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -f -a "status" -d 'Show lists, listeners, connections and counters'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -f -a "reload" -d 'Read configuration, keys and certificates anew, all or nothing, and lists that changed; waits and tells every fault'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -f -a "psk" -d 'Make, list, rotate, revoke, prune and import keys of a keyring'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -f -a "audit" -d 'Read the chained audit trail: verify it, search it, show it. Asks no daemon'
complete -c linekeepctl -n "__fish_linekeepctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand status" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand status" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand reload" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand reload" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "new" -d 'Make a key for a new identity: 32 random bytes, added to the keyring and printed once'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "list" -d 'Show whose keys there are, until when, and when they were used; never a key'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "rotate" -d 'Make a second key that proves the same, and give the first a last day: both are valid until then'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "revoke" -d 'Take the keys of an identity away. Its sessions end at the next reload'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "prune" -d 'Take away the keys whose last day is over. They open nothing any more; nobody loses anything'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "import" -d 'Take keys over from another program\'s file, all or none'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and not __fish_seen_subcommand_from new list rotate revoke prune import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from new" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from new" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from new" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from new" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from list" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from list" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from list" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from list" -l json -d 'As one JSON array'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -l until -d 'The old key is none from then on: a date (its first second, UTC), or a moment such as 2026-12-24T18:00:00Z' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -l for -d 'The same, counted from now: 14d, 12h' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -l alone -d 'Its own key alone; keys that stand for it stay'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -l reload -d 'Ask the daemon to reload at once'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from prune" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from prune" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from prune" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -l format -d 'Whose form it has' -r -f -a "stunnel\t'`IDENTITY:KEY`: a key of hexadecimal digits alone is taken as such, any other as it is typed'
mosquitto\t'`identity:hex`'
zabbix\t'One key in hex, and nothing else'"
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -l identity -d 'Whose key it is; for zabbix, whose files hold a key alone' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -s k -l keyring -d 'The keyring file. Without this, the one that the configuration names' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -s c -l config -d 'The daemon\'s configuration' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "new" -d 'Make a key for a new identity: 32 random bytes, added to the keyring and printed once'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show whose keys there are, until when, and when they were used; never a key'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Make a second key that proves the same, and give the first a last day: both are valid until then'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Take the keys of an identity away. Its sessions end at the next reload'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Take away the keys whose last day is over. They open nothing any more; nobody loses anything'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "import" -d 'Take keys over from another program\'s file, all or none'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand psk; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "verify" -d 'Is the trail whole? Names every record that was changed, is missing, out of order or cut. Exit status: 0 whole, 1 not, 2 it cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "find" -d 'Who asked for this value, when, and what was the answer? Needs `queries = "digest"` or "plain" at that time. Exit status: 0 found, 1 not found, 2 the trail cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "show" -d 'Show records, in order'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "head" -d 'Print a checkpoint of the trail\'s end, to be kept elsewhere: `EPOCH:COUNT:TAG:MAC`'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "key" -d 'The master key of the trail'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and not __fish_seen_subcommand_from verify find show head key help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s c -l config -d 'The configuration that says where trail and key are' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l folder -d 'The trail\'s folder, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l key -d 'The key\'s file, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l checkpoint -d 'A checkpoint that was kept elsewhere, as `EPOCH:COUNT:TAG` or `EPOCH:COUNT:TAG:MAC`; may be given many times. Without any, an end that was cut off is not seen' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l crashed -d 'An epoch that is known to have ended in a crash: its end is no damage then. May be given many times' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -s c -l config -d 'The configuration that says where trail and key are' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -l folder -d 'The trail\'s folder, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -l key -d 'The key\'s file, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -l since -d 'Not earlier than this: 2026-11-23, or 2026-11-23T04:05:06Z' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -l until -d 'Earlier than this' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -l json -d 'One JSON object a line'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from find" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration that says where trail and key are' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l folder -d 'The trail\'s folder, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l key -d 'The key\'s file, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Not earlier than this: 2026-11-23, or 2026-11-23T04:05:06Z' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l until -d 'Earlier than this' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l client -d 'Of this client' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l event -d 'Of this event, such as client-admitted' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l source -d 'From this address, with or without its port' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l connection -d 'Of this connection' -r
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'One JSON object a line'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -s c -l config -d 'The configuration that says where trail and key are' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l folder -d 'The trail\'s folder, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l key -d 'The key\'s file, instead of the configuration\'s' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l json -d 'As one JSON object'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from head" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from key" -s s -l socket -d 'The daemon\'s control socket' -r -F
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from key" -f -a "new" -d 'Draw a key and write it to a new file that only its owner can read. Run as root, the file gets the owner of its folder'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from key" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Is the trail whole? Names every record that was changed, is missing, out of order or cut. Exit status: 0 whole, 1 not, 2 it cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "find" -d 'Who asked for this value, when, and what was the answer? Needs `queries = "digest"` or "plain" at that time. Exit status: 0 found, 1 not found, 2 the trail cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show records, in order'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "head" -d 'Print a checkpoint of the trail\'s end, to be kept elsewhere: `EPOCH:COUNT:TAG:MAC`'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "key" -d 'The master key of the trail'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and not __fish_seen_subcommand_from status reload psk audit help" -f -a "status" -d 'Show lists, listeners, connections and counters'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and not __fish_seen_subcommand_from status reload psk audit help" -f -a "reload" -d 'Read configuration, keys and certificates anew, all or nothing, and lists that changed; waits and tells every fault'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and not __fish_seen_subcommand_from status reload psk audit help" -f -a "psk" -d 'Make, list, rotate, revoke, prune and import keys of a keyring'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and not __fish_seen_subcommand_from status reload psk audit help" -f -a "audit" -d 'Read the chained audit trail: verify it, search it, show it. Asks no daemon'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and not __fish_seen_subcommand_from status reload psk audit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "new" -d 'Make a key for a new identity: 32 random bytes, added to the keyring and printed once'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "list" -d 'Show whose keys there are, until when, and when they were used; never a key'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "rotate" -d 'Make a second key that proves the same, and give the first a last day: both are valid until then'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "revoke" -d 'Take the keys of an identity away. Its sessions end at the next reload'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "prune" -d 'Take away the keys whose last day is over. They open nothing any more; nobody loses anything'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from psk" -f -a "import" -d 'Take keys over from another program\'s file, all or none'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Is the trail whole? Names every record that was changed, is missing, out of order or cut. Exit status: 0 whole, 1 not, 2 it cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "find" -d 'Who asked for this value, when, and what was the answer? Needs `queries = "digest"` or "plain" at that time. Exit status: 0 found, 1 not found, 2 the trail cannot be read'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'Show records, in order'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "head" -d 'Print a checkpoint of the trail\'s end, to be kept elsewhere: `EPOCH:COUNT:TAG:MAC`'
complete -c linekeepctl -n "__fish_linekeepctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "key" -d 'The master key of the trail'
