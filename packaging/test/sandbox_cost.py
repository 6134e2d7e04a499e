#!/usr/bin/env python3
"""What the real unit's sandbox costs: CPU a query of the installed service, and of the same program outside of the unit, each
divided by that of a server that looks nothing up, in one run. Needs root, target/deb and a kit of load programs: a folder
with a Makefile that LINKEEP_KIT names. Knows the kit's options."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from machine import CLIENT, SERVER, Machine, run, until
from roots import HOME, root

KIT = pathlib.Path(os.environ.get("LINKEEP_KIT", HOME.parent / "shared" / "tools"))
DEB = HOME / "target" / "deb"
LINES, CONNECTIONS, SECONDS = 1_000_000, 100, 2
INSIDE, OUTSIDE, FLOOR = 44445, 44446, 9443
CAPS = """threads = 1
max-connections-per-source = 256
max-handshakes = 512
max-handshakes-per-source = 512
"""


class Trial:
    """Three servers in one network, and who asks them."""

    def __init__(self, machine: Machine, scratch: pathlib.Path):
        self.machine, self.scratch, self.floor = machine, scratch, None
        self.kit = scratch / "kit"
        shutil.copytree(KIT, self.kit)
        run("make", "-C", self.kit, timeout=300)
        run(self.kit / "build" / "gencorpus", "--kind", "hashes", "--lines", str(LINES), "--out", scratch / "list.txt", "--queries",
            scratch / "list.q", "--expected", scratch / "list.e", "--query-count", "200000", "--hit-ratio", "0.5", timeout=300)
        self.key = self._installed()
        self.pids = {"floor": self._floor(), "inside": self._process("linekeepd"), "outside": self._outside()}

    def _installed(self) -> str:
        """The service of the package, on the network, with the long list; returns its key."""
        sh, home = self.machine.sh, self.machine.root / "root"
        for package in DEB.glob("linekeep*.deb"):
            if "dbgsym" not in package.name:
                shutil.copy(package, home)
        sh("cd /root && apt-get -q -y install ./linekeep_*.deb ./linekeep-client_*.deb 2>&1")
        shutil.copy(self.scratch / "list.txt", home)
        sh("install -m 0640 -g _linekeep /root/list.txt /var/lib/linekeep/lists/")
        self.config = self.machine.read("/etc/linekeep/linekeep.toml").replace("[server]\n", "[server]\n" + CAPS, 1) \
            .replace("[log]\n", '[log]\nlocal = "none"\n', 1).replace('"127.0.0.1:44445"', f'"{SERVER}:{INSIDE}"') \
            .replace('allow = ["127.0.0.0/8"]', f'allow = ["{CLIENT}"]')
        self.machine.write("/etc/linekeep/linekeep.toml", self.config)
        sh("linekeepd check; systemctl restart linekeepd")
        keyring = self.machine.read("/etc/linekeep/keyring")
        return next(line for line in keyring.splitlines() if line.startswith("siem:")).split(":")[1].split()[0]

    def _process(self, unit: str) -> int:
        """The process of a unit of the machine, as this machine counts."""
        there = self.machine.sh(f"systemctl show -p MainPID --value {unit}").stdout.strip()
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            if text.startswith("Name:\tlinekeepd\n") and f"\nNSpid:\t{status.parent.name}\t{there}\n" in text:
                return int(status.parent.name)
        raise AssertionError(f"no process {there} of the machine is seen from here")

    def _listens(self, port: int) -> bool:
        return f":{port} " in run("ip", "netns", "exec", self.machine.names[0], "ss", "-Htln").stdout

    def _floor(self) -> int:
        # ip becomes what it is told to start, so this is that program's process.
        self.floor = subprocess.Popen(
            ["ip", "netns", "exec", self.machine.names[0], self.kit / "build" / "tlsfloor", "--host", SERVER, "--port", str(FLOOR),
             "--psk-identity", "siem", "--psk-hex", self.key], stdin=subprocess.DEVNULL)
        until("the floor's port", lambda: self._listens(FLOOR))
        return self.floor.pid

    def _outside(self) -> int:
        """The same program with the same configuration, list and key, in the same machine, as a unit without a sandbox."""
        config = self.config.replace("/etc/linekeep", "/root/outside").replace("/var/lib/linekeep", "/root/outside") \
            .replace(f":{INSIDE}", f":{OUTSIDE}").replace("[control]\n", '[control]\nsocket = "/root/outside/control.sock"\n', 1)
        self.machine.write("/root/outside/linekeep.toml", config)
        self.machine.sh("""cd /root/outside; mkdir lists; mv ../list.txt lists
install -m 0600 /etc/linekeep/keyring /etc/linekeep/audit.key .
systemd-run -q --unit=outside -p LimitNOFILE=65536 linekeepd --foreground --user root --config /root/outside/linekeep.toml""")
        until("the port of the program outside", lambda: self._listens(OUTSIDE))
        return self._process("outside")

    def measure(self, name: str, pipeline: int) -> float:
        """Microseconds of the server's CPU a query; wrong answers end the trial."""
        port = {"floor": FLOOR, "inside": INSIDE, "outside": OUTSIDE}[name]
        truth = [] if name == "floor" else ["--expected", self.scratch / "list.e"]
        told = self.machine.client(
            self.kit / "build" / "tlsload", "--host", SERVER, "--port", str(port), "--tls", "1.3", "--psk-identity", "siem", "--psk-hex",
            self.key, "--queries", self.scratch / "list.q", *truth, "--connections", str(CONNECTIONS), "--pipeline", str(pipeline),
            "--duration", str(SECONDS), "--warmup", "0.3", "--server-pid", str(self.pids[name])).stdout
        return json.loads(told.strip().splitlines()[-1])["server_us_per_query"]

    def close(self):
        if self.floor:
            self.floor.kill()
            self.floor.wait(20)


def table(trial: Trial, rounds: int):
    """Interleaved rounds, the order turning; medians, and how far the rounds lie apart."""
    names = ["floor", "inside", "outside"]
    print("Server CPU a query; the unit's sandbox (seccomp, address filters, namespaces) against the same program outside of it.\n"
          "The program's own fences (Landlock, no new privileges) are up in both.\n"
          f"{CONNECTIONS} connections, TLS 1.3 by PSK, {LINES} lines; medians of {rounds} rounds of {SECONDS} s.\n\n"
          "pipeline  floor us  inside/floor  outside/floor  inside/outside  (its rounds)", flush=True)
    for pipeline in (1, 16, 128):
        seen = {name: [] for name in names}
        for turn in range(rounds):
            for name in names[turn % 3:] + names[:turn % 3]:
                seen[name].append(trial.measure(name, pipeline))
        floor, inside, outside = (statistics.median(seen[name]) for name in names)
        quotients = sorted(a / b for a, b in zip(seen["inside"], seen["outside"]))
        print(f"{pipeline:8}  {floor:8.3f}  {inside / floor:12.2f}  {outside / floor:13.2f}  {statistics.median(quotients):14.3f}"
              f"  ({quotients[0]:.2f} to {quotients[-1]:.2f})", flush=True)


def main():
    """One machine, three servers."""
    if not (KIT / "Makefile").exists():
        print(f"SKIPPED: no kit of load programs in {KIT}; LINKEEP_KIT names one")
        return
    with tempfile.TemporaryDirectory(prefix="linekeep-cost-") as folder:
        machine, trial = Machine(root("bookworm")), None
        try:
            trial = Trial(machine, pathlib.Path(folder))
            table(trial, int(sys.argv[1]) if len(sys.argv) > 1 else 5)
        finally:
            if trial:
                trial.close()
            machine.close()


if __name__ == "__main__":
    main()
