#!/usr/bin/env python3
"""Installs the packages of target/deb into a real Debian with systemd and does with them what an administrator does:
package_test.py [bookworm] [trixie]. Needs root; `make package-test` installs what else it needs."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import deploy
import older
from machine import CLIENT, OUTSIDER, SERVER, Machine, until
from manager import handed_sockets, killed_and_started_again, notify, slow_start, watchdog
from roots import HOME, root
from server import CONFIG, DEB, Server, bring, certificate, drop_in, score
from steps import Steps


def install(server: Server):
    bring(server)
    told = server.sh("cd /root && apt-get -q -y install ./linekeep*.deb 2>&1").stdout
    secrets = [line.split(":")[1] for line in server.machine.read("/etc/linekeep/keyring").splitlines() if ":" in line]
    secrets.append(server.machine.read("/etc/linekeep/audit.key").strip())
    logs = told + server.sh("cat /var/log/dpkg.log /var/log/apt/term.log; journalctl --no-pager").stdout
    assert secrets and not any(secret.split()[0] in logs for secret in secrets), "a key stands in a log"


def is_active_and_exposes_nothing(server: Server):
    assert server.sh("systemctl is-active linekeepd; systemctl is-enabled linekeepd").stdout.split() == ["active", "enabled"]
    listening = server.sh("ss -H -tln").stdout
    addresses = [line.split()[3] for line in listening.splitlines() if ":44445" in line]
    assert addresses == ["127.0.0.1:44445"], listening


def first_steps_of_the_readme(server: Server):
    text = server.sh("cat /usr/share/doc/linekeep/README.Debian").stdout
    commands = [line.strip() for line in text.splitlines() if re.match(r"    (linekeep|install )", line)]
    assert len(commands) >= 4, commands
    told = server.sh("cd /root\n" + "\n".join(commands)).stdout
    assert "found\t192.0.2.7" in told, told
    return f"{len(commands)} commands"


def confined(server: Server):
    """What the kernel says of the process, not what the unit asks for."""
    pid = server.running()
    status = dict(line.split(":", 1) for line in server.sh(f"cat /proc/{pid}/status").stdout.splitlines())
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, (capabilities, status[capabilities])
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    ids = server.sh("id -u _linekeep; id -g _linekeep").stdout.split()
    assert set(status["Uid"].split()) == {ids[0]} and set(status["Gid"].split()) == {ids[1]}, status
    assert status["Groups"].split() == [ids[1]], status["Groups"]
    record = server.records("event=confined", "journal")[-1]
    assert "user=_linekeep" in record and 'landlock="none' not in record, record
    return re.search(r'landlock="[^"]*"', record)[0]


def exposure(server: Server):
    whole = score(server)
    drop_in(server, "local-only.conf")
    local = score(server)
    drop_in(server, None)
    assert whole <= 1.0 and local <= 0.9, (whole, local)
    verified = server.sh("systemd-analyze verify linekeepd.service", check=False)
    assert verified.returncode == 0 and not verified.stdout.strip(), verified.stdout
    return f"{whole}, on this machine alone {local}"


def opened_to_the_network(server: Server):
    text = server.config().replace('address = "127.0.0.1:44445"', 'address = "0.0.0.0:44445"')
    server.configure(text.replace('allow = ["127.0.0.0/8"]', f'allow = ["127.0.0.0/8", "{CLIENT}"]'))
    server.restart()
    server.found("192.0.2.7")
    missing = server.ask("192.0.2.8")
    assert missing.returncode == 1 and "missing\t192.0.2.8" in missing.stdout, missing.stdout


def both_logs_have_the_true_source(server: Server):
    for place in ("journal", "auth.log"):
        until(f"the record in {place}", lambda: server.records(f"event=client-admitted source={CLIENT}: client=siem", place))


def outsiders_are_refused(server: Server):
    script = f"""import socket
s = socket.create_connection(("{SERVER}", 44445), 10, ("{OUTSIDER}", 0))
s.settimeout(10)
try:
    print(len(s.recv(1)))
except ConnectionResetError:
    print(0)"""
    assert server.machine.client("python3", "-c", script).stdout.strip() == "0"
    until("its record", lambda: server.records(f"event=connection-refused source={OUTSIDER}:", "auth.log"))


def certificates(server: Server):
    server.sh(f"""umask 077; export LINEKEEP_PKI=/root/ca; linekeep-pki init /root/ca
linekeep-pki server lists.example --dns lists.example --ip {SERVER}
linekeep-pki client siem
cd /root/ca; install -m 0644 ca.pem crl.pem /etc/linekeep/pki/
install -m 0644 issued/lists.example/certificate.pem /etc/linekeep/pki/server.pem
install -m 0640 -g _linekeep issued/lists.example/private-key.pem /etc/linekeep/pki/server.key""")
    listener = f"""
[[listener]]
name = "certificates"
address = "0.0.0.0:44446"
allow = ["{CLIENT}"]
mode = "certificate"
certificate = "/etc/linekeep/pki/server.pem"
private-key = "/etc/linekeep/pki/server.key"
client-ca = "/etc/linekeep/pki/ca.pem"
crl = "/etc/linekeep/pki/crl.pem"
"""
    text = server.config().replace("#certificates = []", 'certificates = ["dns:siem"]').replace("\n# A list:", listener + "\n# A list:")
    server.configure(text)
    # A port that the unit does not name: refused where systemd has BPF for it, as on Debian 13.
    refused = server.sh("systemctl restart linekeepd", check=False).returncode != 0
    drop_in(server, "more-ports.conf")
    server.restart()
    server.found("192.0.2.7", proof=certificate(server), server=f"{SERVER}:44446")
    return "an unnamed port is refused" if refused else "unnamed ports are not refused by this systemd"


def reload_takes_a_list_and_refuses_nonsense(server: Server):
    good = server.config()
    server.sh("install -d -m 0750 -g _linekeep /var/lib/linekeep/more; echo second-list > /var/lib/linekeep/more/a.txt;"
              "chgrp _linekeep /var/lib/linekeep/more/a.txt; chmod 640 /var/lib/linekeep/more/a.txt")
    more = '\n[[dataset]]\nname = "more"\npaths = "/var/lib/linekeep/more"\n'
    server.configure(good.replace("\n# A client:", more + "\n# A client:").replace('datasets = ["lines"]', 'datasets = ["lines", "more"]'))
    server.sh("systemctl reload linekeepd")
    server.found("second-list")
    server.machine.write(CONFIG, good + "\n[surprise]\n")
    refused = server.sh("systemctl reload linekeepd", check=False)
    assert refused.returncode != 0, "a faulty configuration was taken"
    server.found("second-list")
    server.machine.write(CONFIG, good)
    server.sh("systemctl reload linekeepd")
    assert server.ask("second-list").returncode == 1


def served_serial(server: Server) -> str:
    told = server.machine.client(
        "sh", "-c", f"openssl s_client -connect {SERVER}:44446 </dev/null 2>/dev/null | openssl x509 -noout -serial")
    return told.stdout.strip()


def certificate_renewal(server: Server):
    before = served_serial(server)
    server.sh("""umask 077; export LINEKEEP_PKI=/root/ca; linekeep-pki renew lists.example --revoke; cd /root/ca
install -m 0644 crl.pem /etc/linekeep/pki/
install -m 0644 issued/lists.example/certificate.pem /etc/linekeep/pki/server.pem
install -m 0640 -g _linekeep issued/lists.example/private-key.pem /etc/linekeep/pki/server.key
systemctl reload linekeepd""")
    assert served_serial(server) != before, "the old certificate is served"
    server.found("192.0.2.7", proof=certificate(server), server=f"{SERVER}:44446")


def list_replaced(server: Server):
    server.sh("cd /var/lib/linekeep/lists; echo replaced > new; chgrp _linekeep new; chmod 640 new; mv new example.txt")
    until("the answer from the new list", lambda: server.ask("replaced").returncode == 0)
    assert server.ask("192.0.2.7").returncode == 1


def logs_come_back(server: Server, unit: str):
    server.sh(f"systemctl restart {unit}")
    mark = f"mark-{unit}-{time.monotonic_ns()}"
    server.sh(f"logger -p authpriv.notice {mark}")
    until("the mark", lambda: mark in server.sh("cat /var/log/auth.log; journalctl --no-pager -n 200").stdout)
    for place in ("journal", "auth.log"):
        def seen(place=place):
            server.ask("replaced")
            return server.records("event=client-admitted", place, since=mark)
        until(f"a record in {place} after {unit} was restarted", seen)


def autopkgtests(server: Server):
    """Each script of debian/tests, as autopkgtest would run it, in a fresh installation."""
    bring(server)
    server.sh("cd /root && apt-get -q -y install ./linekeep_*.deb ./linekeep-client_*.deb 2>&1")
    tests = HOME / "debian" / "tests"
    shutil.copytree(tests, server.machine.root / "root" / "tests")
    names = re.search(r"(?m)^Tests: (.*)$", (tests / "control").read_text())[1].replace(",", " ").split()
    for name in names:
        server.sh(f"/root/tests/{name} 2>&1")
    return ", ".join(names)


def remove_and_purge(server: Server, before: str):
    server.sh("apt-get -q -y remove linekeep linekeep-client 2>&1")
    assert server.sh("systemctl is-active linekeepd", check=False).stdout.strip() != "active"
    assert server.sh(f"test -f {CONFIG} && test -f /etc/linekeep/keyring", check=False).returncode == 0, "remove keeps what is yours"
    server.sh("rm -rf /etc/systemd/system/linekeepd.service.d /root/*; apt-get -q -y purge linekeep linekeep-client 2>&1")
    left = sorted(set(files(server).splitlines()) - set(before.splitlines()))
    assert not left, "left behind:\n" + "\n".join(left)
    assert server.sh("id _linekeep", check=False).returncode == 0, "the user stays"


def files(server: Server) -> str:
    """Every file that a package could have left."""
    return server.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /root "
        "-o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/lib/systemd \\) -prune -o -print"
        "; find /var/log /run /var/lib/systemd -name '*linekeep*'").stdout


def upgrade_under_load(server: Server):
    """From a package of a lower version with an older configuration, while somebody asks all the time; an edited
    configuration stays, and what the package would have put there lies beside it."""
    bring(server)
    package = older.make(DEB, server.scratch)
    shutil.copy(package, server.machine.root / "root")
    server.sh(f"dpkg -i /root/{package.name} 2>&1")
    assert older.VERSION in server.sh("linekeepctl status --json >/dev/null; dpkg-query -W linekeep").stdout
    edited = server.config().replace('address = "127.0.0.1:44445"', 'address = "0.0.0.0:44445"')
    server.configure(edited.replace('allow = ["127.0.0.0/8"]', f'allow = ["127.0.0.0/8", "{CLIENT}"]'))
    server.restart()
    key = server.key()
    proof = ["--psk-file", key, "--psk-identity", "siem"]
    kept = server.config()
    asked, retried, failed, stop = [], [], [], threading.Event()

    def load():
        while not stop.is_set():
            if server.ask("192.0.2.7", proof=proof).returncode == 0:
                asked.append(1)
                continue
            time.sleep(1)
            (retried if server.ask("192.0.2.7", proof=proof).returncode == 0 else failed).append(1)

    asking = threading.Thread(target=load)
    asking.start()
    try:
        until("the load", lambda: len(asked) > 20)
        server.sh("cd /root && apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
                  "install $(ls ./linekeep_*.deb | grep -v 0.0.9) 2>&1")
        count = len(asked)
        until("look-ups after the upgrade", lambda: len(asked) > count + 20)
    finally:
        stop.set()
        asking.join(60)
    assert not failed, f"{len(failed)} look-ups failed twice"
    assert server.config() == kept, "the edited configuration was changed"
    assert server.sh(f"test -f {CONFIG}.dpkg-dist", check=False).returncode == 0, "what the package has is not beside it"
    assert older.VERSION not in server.sh("dpkg-query -W linekeep").stdout
    assert server.key().read_text() == key.read_text(), "the keyring was drawn anew"
    return f"{len(asked)} look-ups, {len(retried)} needed a second try, {len(failed)} failed"


def try_suite(suite: str) -> bool:
    """Everything, on one Debian."""
    lower = root(suite)
    step = Steps(suite)
    with tempfile.TemporaryDirectory(prefix="linekeep-package-") as scratch:
        machine = Machine(lower)
        try:
            server = Server(machine, pathlib.Path(scratch))
            before = files(server)
            if not step("apt installs it, and no key shows", install, server):
                return step.end()
            step("it runs, is enabled, and listens on loopback alone", is_active_and_exposes_nothing, server)
            step("the first steps of README.Debian", first_steps_of_the_readme, server)
            step("no capability, no new privileges, a filter, its own groups, a fence", confined, server)
            step("exposure, and a unit without a fault", exposure, server)
            step("look-ups by key from another machine", opened_to_the_network, server)
            step("the journal and auth.log have the true source", both_logs_have_the_true_source, server)
            step("who is not in the allowlist is refused", outsiders_are_refused, server)
            step("look-ups by certificate", certificates, server)
            step("a reload takes a list, and refuses a faulty configuration", reload_takes_a_list_and_refuses_nonsense, server)
            step("a renewed certificate is served after a reload", certificate_renewal, server)
            step("a replaced list is noticed", list_replaced, server)
            step("records come again after rsyslog", logs_come_back, server, "rsyslog")
            step("records come again after journald", logs_come_back, server, "systemd-journald")
            step("killed, it is started again", killed_and_started_again, server)
            step("stopped by a signal, the watchdog starts it again", watchdog, server)
            step("the drop-in for Type=notify", notify, server)
            step("a start that takes longer than its time-out is waited for", slow_start, server)
            step("the socket unit, and a daemon without a network", handed_sockets, server)
            step("remove keeps what is the administrator's, purge leaves no file", remove_and_purge, server, before)
            step("upgrade under load from an older package", upgrade_under_load, server)
            step("purge after an upgrade", remove_and_purge, server, before)
            step("the autopkgtests", autopkgtests, server)
            step("purge after the autopkgtests", remove_and_purge, server, before)
        finally:
            machine.close()
    machine = Machine(lower)
    try:
        deploy.try_deployment(machine, step)
    finally:
        machine.close()
    return step.end()


def main():
    """Every suite that was asked for."""
    if not list(DEB.glob("linekeep_*.deb")):
        raise SystemExit("no package in target/deb: make deb")
    suites = sys.argv[1:] or ["bookworm", "trixie"]
    # Every suite is tried, whatever came of the one before.
    sys.exit(0 if all([try_suite(suite) for suite in suites]) else 1)


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"took too long: {error}") from error
