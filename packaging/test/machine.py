"""A Debian with systemd as process 1, in a container on this machine, reached over a network of its own; and a second host
beside it. Knows nspawn, overlayfs and network namespaces, nothing of linekeep."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

SERVER, CLIENT, OUTSIDER = "192.168.7.1", "192.168.7.2", "192.168.7.66"
PATIENCE = 120
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def run(*command, timeout=120, check=True, **more):
    """Runs a command, in a session of its own: no signal that it sends reaches the test. Its words are the evidence where it
    fails."""
    done = subprocess.run(command, start_new_session=True, stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done


def until(what, question, patience=PATIENCE):
    """Asks until the answer is true, for a bounded time; returns the answer."""
    end = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.05)


class Laid:
    """A root with a layer of its own over it; what is done in it is gone with it."""

    def __init__(self, lower: pathlib.Path):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="linekeep-root-", dir=lower.parent))
        self.path = self.place / "root"
        for folder in ("upper", "work", "root"):
            (self.place / folder).mkdir()
        options = f"lowerdir={lower},upperdir={self.place}/upper,workdir={self.place}/work"
        self.mounted = run("mount", "-t", "overlay", "overlay", "-o", options, self.path, check=False).returncode == 0
        if not self.mounted:
            self.path.rmdir()
            run("cp", "-a", lower, self.path, timeout=300)

    def sh(self, script: str, variables=None, **more):
        """Runs a script in the root; whatever it starts has processes and a network of its own and ends with it."""
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--", "/bin/sh", "-ec",
                   f'ip link set lo up; mount -t proc proc "{self.path}/proc"; exec chroot "{self.path}" /bin/sh -ec "$1"', "sh", script,
                   env={**ENVIRONMENT, **(variables or {})}, **more)

    def close(self):
        if self.mounted:
            run("umount", self.path, check=False)
        shutil.rmtree(self.place, ignore_errors=True)


class Machine:
    """A booted root, and a client's network namespace beside it."""

    def __init__(self, lower: pathlib.Path):
        self.nspawn = self.leader = None
        self.names = [f"lk-{os.getpid()}-{part}" for part in ("srv", "cli")]
        self.laid = Laid(lower)
        self.root = self.laid.path
        try:
            self._network()
            self._boot()
        except BaseException:
            self.close()
            raise

    def _network(self):
        server, client = self.names
        for name in self.names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", client)
        for name, addresses in ((server, [SERVER]), (client, [CLIENT, OUTSIDER])):
            for address in addresses:
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", name, "link", "set", "wire", "up")

    def _boot(self):
        log = open(self.laid.place / "console.log", "wb")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "-b", "--register=no", "--keep-unit",
             f"--network-namespace-path=/run/netns/{self.names[0]}", "--capability=all",
             # What a host lets its services do: cgroup filters, and fences that they put up themselves.
             "--system-call-filter=bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self", "--console=pipe"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        children = f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children"

        def leader():
            if self.nspawn.poll() is not None:
                raise AssertionError("nspawn ended: " + (self.laid.place / "console.log").read_text(errors="replace"))
            return pathlib.Path(children).read_text().split()[:1]

        self.leader = until("the machine's process 1", leader)[0]
        booted = ("running", "degraded")
        until("the end of the boot", lambda: self.sh("systemctl is-system-running", check=False).stdout.strip() in booted)

    def sh(self, script: str, **more):
        """Runs a shell script in the machine."""
        return run("nsenter", "-t", self.leader, "-a", "--", "/bin/sh", "-ec", script,
                   env=ENVIRONMENT, **more)

    def client(self, *command, **more):
        """Runs a command of this machine in the client's network."""
        return run("ip", "netns", "exec", self.names[1], *command, **more)

    def write(self, path: str, content: str):
        """Writes a file in the machine."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        # In place, as an editor that keeps owner and mode.
        with open(place, "w", encoding="utf-8") as file:
            file.write(content)

    def read(self, path: str) -> str:
        """Reads a file in the machine."""
        return self.sh(f"cat {path}").stdout

    def close(self):
        if self.nspawn and self.nspawn.poll() is None:
            self.nspawn.send_signal(signal.SIGTERM)
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                if self.leader:
                    os.kill(int(self.leader), signal.SIGKILL)
                self.nspawn.kill()
                self.nspawn.wait(20)
        for name in self.names:
            run("ip", "netns", "delete", name, check=False)
        self.laid.close()
