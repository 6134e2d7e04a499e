"""The machine with linekeep in it, and the words that several steps share: configure, restart, ask, read the records. Knows
where the package puts things, and the client."""

import pathlib
import re
import shutil

from machine import SERVER, Machine
from roots import HOME

DEB = HOME / "target" / "deb"
ASK = HOME / "target" / "package" / "release" / "linekeep"
CONFIG = "/etc/linekeep/linekeep.toml"


class Server:
    """The machine, with the words that the steps share."""

    def __init__(self, machine: Machine, scratch: pathlib.Path):
        self.machine, self.sh, self.scratch = machine, machine.sh, scratch

    def pid(self) -> str:
        """The daemon's process, as systemd knows it."""
        return self.sh("systemctl show -p MainPID --value linekeepd").stdout.strip()

    def running(self) -> str:
        """The same, where there has to be one."""
        pid = self.pid()
        assert int(pid) > 1, f"linekeepd does not run: {self.sh('systemctl status --no-pager linekeepd', check=False).stdout}"
        return pid

    def config(self) -> str:
        return self.machine.read(CONFIG)

    def configure(self, text: str):
        self.machine.write(CONFIG, text)
        self.sh("linekeepd check")

    def restart(self):
        done = self.sh("systemctl reset-failed linekeepd; systemctl restart linekeepd", check=False)
        assert done.returncode == 0, done.stdout + self.sh("journalctl --no-pager -n 30 -u linekeepd").stdout

    def key(self) -> pathlib.Path:
        """The client's copy of its key."""
        file = self.scratch / "siem.key"
        file.unlink(missing_ok=True)
        file.write_text(self.machine.read("/etc/linekeep/keyring"))
        file.chmod(0o600)
        return file

    def ask(self, *lines, proof=None, server=f"{SERVER}:44445", check=False):
        """A look-up from the client's machine."""
        proof = proof or ["--psk-file", self.key(), "--psk-identity", "siem"]
        return self.machine.client(ASK, "lookup", "--server", server, *proof, *lines, check=check)

    def found(self, line, **more):
        asked = self.ask(line, **more)
        assert asked.returncode == 0 and f"found\t{line}" in asked.stdout, asked.stdout

    def records(self, words: str, place: str, since=""):
        """Whether one record with all the words stands there."""
        shown = self.sh("cat /var/log/auth.log" if place == "auth.log" else "journalctl --no-pager -t linekeepd", check=False)
        lines = shown.stdout.split(since, 1)[-1].splitlines() if since else shown.stdout.splitlines()
        return [line for line in lines if all(word in line for word in words.split())]


def bring(server: Server):
    """The packages, into root's home."""
    for package in DEB.glob("linekeep*.deb"):
        if "dbgsym" not in package.name:
            shutil.copy(package, server.machine.root / "root")


def drop_in(server: Server, name):
    """One of the documented drop-ins, or none."""
    folder = "/etc/systemd/system/linekeepd.service.d"
    copy = f"cp /usr/share/doc/linekeep/examples/{name} {folder}/" if name else ""
    server.sh(f"rm -rf {folder}; mkdir -p {folder}; {copy}\nsystemctl daemon-reload")


def score(server: Server) -> float:
    told = server.sh("systemd-analyze security --no-pager linekeepd | tail -n 1").stdout
    return float(re.search(r"([0-9.]+) [A-Z]+", told)[1])


def certificate(server: Server):
    files = {"ca.pem": "ca.pem", "siem.pem": "issued/siem/certificate.pem", "siem.crt.key": "issued/siem/private-key.pem"}
    for name, path in files.items():
        (server.scratch / name).write_text(server.machine.read(f"/root/ca/{path}"))
        (server.scratch / name).chmod(0o600)
    at = server.scratch
    return ["--ca", at / "ca.pem", "--certificate", at / "siem.pem", "--private-key", at / "siem.crt.key"]
