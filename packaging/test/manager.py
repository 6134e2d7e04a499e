"""What systemd does with the service, and the documented drop-ins that change it: restarts, watchdog, Type=notify, time to
load, sockets that are handed over. Knows systemd."""

import time

from machine import SERVER, until
from server import Server, certificate, score

DROP_INS = "/etc/systemd/system/linekeepd.service.d"


def killed_and_started_again(server: Server):
    before = server.running()
    server.sh(f"kill -KILL {before}")
    until("another process", lambda: server.pid() not in ("0", before)
          and server.sh("systemctl is-active linekeepd", check=False).stdout.strip() == "active")
    server.found("replaced")


def watchdog(server: Server):
    server.machine.write(f"{DROP_INS}/watchdog.conf", "[Service]\nWatchdogSec=2\n")
    server.sh("systemctl daemon-reload")
    server.restart()
    before = server.running()
    time.sleep(5)
    assert server.pid() == before, "the watchdog bit a daemon that was well"
    server.sh(f"kill -STOP {before}")
    until("another process", lambda: server.pid() not in ("0", before))
    server.sh(f"rm {DROP_INS}/watchdog.conf; systemctl daemon-reload")
    server.restart()
    server.found("replaced")


def notify(server: Server):
    """The documented drop-in: systemd starts it in the foreground."""
    server.sh(f"cp /usr/share/doc/linekeep/examples/notify.conf {DROP_INS}/; systemctl daemon-reload")
    server.restart()
    shown = server.sh("systemctl show -p Type -p StatusText linekeepd").stdout
    assert "Type=notify" in shown and "StatusText=answers: listeners 2" in shown, shown
    server.found("replaced")
    server.sh("systemctl reload linekeepd")
    server.sh(f"rm {DROP_INS}/notify.conf; systemctl daemon-reload")
    server.restart()


def slow_start(server: Server):
    """Loading takes longer than the unit allows a start, and is given the time."""
    long = "/var/lib/linekeep/lists/long.txt"
    server.sh(f"seq 1 100000000 > {long}; chgrp _linekeep {long}; chmod 640 {long}", timeout=300)
    server.machine.write(f"{DROP_INS}/impatient.conf", "[Service]\nTimeoutStartSec=1\nNotifyAccess=none\n")
    unheard = server.sh("systemctl daemon-reload; systemctl restart linekeepd", check=False)
    assert unheard.returncode != 0, "what systemd does not listen to was given time all the same: the list has to be longer"
    server.machine.write(f"{DROP_INS}/impatient.conf", "[Service]\nTimeoutStartSec=1\n")
    server.sh("systemctl daemon-reload")
    server.restart()
    shown = server.sh("systemctl show linekeepd -p ExecMainStartTimestampMonotonic -p InactiveExitTimestampMonotonic "
                      "-p ActiveEnterTimestampMonotonic").stdout
    moments = {name: int(value) for name, value in (line.split("=") for line in shown.split())}
    took = (moments["ActiveEnterTimestampMonotonic"] - moments["InactiveExitTimestampMonotonic"]) / 1e6
    server.found("59999999")
    server.sh(f"rm {long} {DROP_INS}/impatient.conf; systemctl daemon-reload")
    server.restart()
    return f"{took:.1f} s, where 1 s is allowed"


def handed_sockets(server: Server):
    """The documented socket unit and its drop-in: systemd listens, the daemon has no network."""
    units, examples = "/etc/systemd/system", "/usr/share/doc/linekeep/examples"
    server.sh(f"""systemctl stop linekeepd
cp {examples}/linekeepd.socket {units}/; cp {examples}/socket.conf {units}/linekeepd.service.d/
sed -i 's/^ListenStream=.*/ListenStream=0.0.0.0:44445\\nListenStream=0.0.0.0:44446/' {units}/linekeepd.socket
systemctl daemon-reload; systemctl start linekeepd.socket""")
    try:
        verified = server.sh("systemd-analyze verify linekeepd.socket linekeepd.service", check=False)
        assert verified.returncode == 0 and not verified.stdout.strip(), verified.stdout
        server.restart()
        server.found("replaced")
        server.found("replaced", proof=certificate(server), server=f"{SERVER}:44446")
        pid = server.running()
        mine, machines = server.sh(f"readlink /proc/{pid}/ns/net /proc/1/ns/net").stdout.split()
        assert mine != machines, "it has the machine's network"
        server.sh("systemctl reload linekeepd")
        server.found("replaced")
        exposed = score(server)
        assert exposed <= 0.3, exposed
        # Whom it answers is the socket unit's to say: here this machine alone, where systemd has BPF for it.
        narrow = "linekeepd.socket.d"
        server.sh(f"""mkdir {units}/{narrow}; printf '[Socket]\\nIPAddressAllow=\\nIPAddressAllow=localhost\\n' > {units}/{narrow}/narrow.conf
systemctl daemon-reload; systemctl stop linekeepd.socket linekeepd; systemctl start linekeepd""")
        filtered = server.ask("replaced").returncode != 0
        server.sh(f"rm -r {units}/{narrow}; systemctl daemon-reload; systemctl stop linekeepd.socket linekeepd; systemctl start linekeepd.socket")
        # The first connection starts it.
        server.found("replaced")
        # A socket that no listener names is told in words.
        server.sh(f"systemctl stop linekeepd.socket linekeepd; echo '[Socket]\nListenStream=127.0.0.1:44447' >> {units}/linekeepd.socket"
                  "; systemctl daemon-reload")
        refused = server.sh("systemctl start linekeepd", check=False)
        said = server.sh("journalctl --no-pager -n 30 -u linekeepd").stdout
        assert refused.returncode != 0 and "socket on 127.0.0.1:44447 that no [[listener]] names" in said, said
    finally:
        server.sh(f"""systemctl stop linekeepd.socket linekeepd
rm -rf {units}/linekeepd.socket {units}/linekeepd.socket.d {units}/linekeepd.service.d/socket.conf; systemctl daemon-reload""")
    server.restart()
    server.found("replaced")
    return f"exposure {exposed}, addresses are {'' if filtered else 'not '}filtered by this systemd"
