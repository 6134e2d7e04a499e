#!/usr/bin/env python3
"""The packages of target/deb where no systemd runs: the init script, and piuparts. plain_test.py [bookworm] [trixie].
Needs root; `make plain-test` installs what else it needs."""

import pathlib
import re
import shutil
import sys

from machine import Laid, run
from roots import HOME, root
from steps import Steps

DEB = HOME / "target" / "deb"
SCRIPT = "/etc/init.d/linekeepd"


def packages():
    return sorted(path for path in DEB.glob("linekeep*.deb") if "dbgsym" not in path.name)


def init_script(laid: Laid):
    """One life of the daemon; the status of each command is told, so that the evidence says which one was wrong."""
    for package in packages():
        shutil.copy(package, laid.path / "root")
    # Nothing is started by the installation, so that every start below is the script's.
    (laid.path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (laid.path / "usr/sbin/policy-rc.d").chmod(0o755)
    laid.sh("dpkg -i /root/linekeep*.deb 2>&1")
    told = laid.sh(f"""set +e
told() {{ echo "$1=$2"; }}
{SCRIPT} status; told status-before $?
{SCRIPT} start; told start $?
{SCRIPT} status; told status $?
pid=$(cat /run/linekeep/linekeepd.pid)
told user "$(stat -c %U /proc/$pid)"
told credential "$(stat -c '%a %U' /run/linekeep-credentials /run/linekeep-credentials/audit.key | tr '\\n' ' ')"
{SCRIPT} start; told start-again $?
told same-process "$([ "$(cat /run/linekeep/linekeepd.pid)" = "$pid" ]; echo $?)"
install -m 600 /etc/linekeep/keyring /root/siem.key
linekeep lookup --psk-file /root/siem.key 192.0.2.7; told found $?
cp -p /etc/linekeep/linekeep.toml /root/good; echo '[surprise]' >> /etc/linekeep/linekeep.toml
{SCRIPT} reload; told reload-faulty $?
cp -p /root/good /etc/linekeep/linekeep.toml
{SCRIPT} reload; told reload $?
{SCRIPT} restart; told restart $?
told another-process "$([ "$(cat /run/linekeep/linekeepd.pid)" != "$pid" ]; echo $?)"
{SCRIPT} stop; told stop $?
{SCRIPT} status; told status-after $?
told left "$(ls /run/linekeep | tr '\\n' ' ')"
""").stdout
    seen = dict(re.findall(r"(?m)^([a-z-]+)=(.*)$", told))
    good = ("start", "status", "start-again", "same-process", "found", "reload", "restart", "another-process", "stop")
    wrong = [name for name in good if seen.get(name) != "0"]
    wrong += [name for name in ("status-before", "status-after", "reload-faulty") if seen.get(name) in ("0", None)]
    assert not wrong and seen["user"] == "_linekeep" and not seen["left"].strip(), f"{wrong}\n{told}"
    # What root writes while it starts the daemon stands where the daemon's user can lay no link.
    assert seen["credential"].split() == ["750", "root", "400", "_linekeep"], told


def piuparts(suite: str, folder: pathlib.Path):
    """Installs, removes and purges, and compares every file."""
    sources = (folder / "etc/apt/sources.list").read_text()
    mirror = re.search(r"(?m)^deb\s+(?:\[[^]]*\]\s+)?(\S+)", sources)[1]
    run("piuparts", f"--existing-chroot={folder}", "-m", mirror, "-d", suite, "--no-upgrade-test", "--no-eatmydata",
        *packages(), timeout=600)


def try_suite(suite: str) -> bool:
    folder = root(suite, "plain")
    step = Steps(f"{suite} without systemd")
    laid = Laid(folder)
    try:
        step("the init script starts, tells, reloads and stops", init_script, laid)
    finally:
        laid.close()
    step("piuparts finds nothing left", piuparts, suite, folder)
    return step.end()


if __name__ == "__main__":
    if not list(DEB.glob("linekeep_*.deb")):
        raise SystemExit("no package in target/deb: make deb")
    sys.exit(0 if all([try_suite(suite) for suite in sys.argv[1:] or ["bookworm", "trixie"]]) else 1)
