#!/usr/bin/env python3
"""The packages of target/deb in a virtual machine with Debian's own kernel: what a container on this machine's kernel cannot
show. AppArmor in force, memory limits and address filters that are real. Needs root; `make vm-test` installs what else it needs."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from machine import Laid, run
from roots import HOME, KEPT, root
from steps import Steps

DEB = HOME / "target" / "deb"
# Everything in it happens without a network and on an emulated processor: patience is for that.
LIMIT = 300

SCRIPT = r"""#!/bin/sh
# Runs once in the virtual machine; each line on the console is one thing seen.
exec >/dev/ttyS0 2>&1
tell() { name=$1; shift; if words=$("$@" 2>&1); then echo "ok|$name|$(echo "$words" | tail -n 1)"; else echo "no|$name|$(echo "$words" | tail -n 20 | tr '\n' '~')"; fi; }
pid() { systemctl show -p MainPID --value linekeepd; }
enforced() { cat "/proc/$(pid)/attr/current" | grep 'linekeepd (enforce)'; }
asked() { install -m 600 /etc/linekeep/keyring /root/siem.key; linekeep lookup --psk-file /root/siem.key "$1"; }
fenced() { journalctl --no-pager -t linekeepd | grep event=confined | tail -n 1 | grep -E 'landlock="(full|partial)' | grep -o 'landlock="[^"]*"'; }
replaced() {
    echo replaced > /var/lib/linekeep/new; chgrp _linekeep /var/lib/linekeep/new; chmod 640 /var/lib/linekeep/new
    mv /var/lib/linekeep/new /var/lib/linekeep/lists/example.txt
    for _ in $(seq 100); do asked replaced && return 0; sleep 0.2; done; return 1
}
from() { python3 -c '
import socket, sys
try:
    socket.create_connection(("127.0.0.1", 44445), 5, (sys.argv[1], 0)).close(); print("connected")
except TimeoutError:
    print("silence")' "$1"; }
filtered() {
    ip address add 203.0.113.5/32 dev lo; ip address add 10.1.2.3/32 dev lo
    [ "$(from 10.1.2.3)" = connected ] && [ "$(from 203.0.113.5)" = silence ] && echo 'a private address connects, a public one hears nothing'
}
limited() {
    mkdir -p /run/systemd/system/linekeepd.service.d
    printf '[Service]\nMemoryMax=24M\nMemorySwapMax=0\nRestart=no\n' > /run/systemd/system/linekeepd.service.d/memory.conf
    systemctl daemon-reload
    seq 1 2000000 > /var/lib/linekeep/lists/long.txt; chgrp _linekeep /var/lib/linekeep/lists/long.txt; chmod 640 /var/lib/linekeep/lists/long.txt
    systemctl stop linekeepd; systemctl reset-failed linekeepd
    ! systemctl start linekeepd || return 1
    journalctl -k --no-pager | grep -q 'Memory cgroup out of memory' || return 1
    rm /run/systemd/system/linekeepd.service.d/memory.conf /var/lib/linekeep/lists/long.txt; systemctl daemon-reload
    systemctl reset-failed linekeepd; systemctl start linekeepd; echo 'killed at 24 MiB, well without the limit'
}
undenied() { ! journalctl -k --no-pager | grep -E 'apparmor="DENIED".*(linekeepd)' || return 1; journalctl -k --no-pager | grep -c 'apparmor="STATUS"'; }
tell 'the package installs' dpkg -i /root/linekeep_*.deb /root/linekeep-client_*.deb
tell 'it runs' systemctl is-active linekeepd
tell 'AppArmor is in force' enforced
tell 'Landlock is up' fenced
tell 'a look-up by key' asked 192.0.2.7
tell 'a reload' systemctl reload linekeepd
tell 'a replaced list is noticed' replaced
tell 'addresses are filtered by the kernel' filtered
tell 'the memory limit is real' limited
tell 'a look-up after it' asked replaced
tell 'the trail is whole but for the kill' sh -c 'linekeepctl audit verify || linekeepctl audit verify | grep -c "no proper end"'
tell 'a restart' systemctl restart linekeepd
tell 'AppArmor denied nothing' undenied
tell 'the package is purged' sh -c 'dpkg --purge linekeep linekeep-client && ! test -e /etc/linekeep && ! test -e /var/lib/linekeep'
echo 'end||'
systemctl poweroff --force --force
"""

UNIT = """[Unit]
Description=what is to be seen
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/root/seen
[Install]
WantedBy=multi-user.target
"""


def kernel() -> pathlib.Path:
    """Debian's kernel for virtual machines; kept, as it is large."""
    KEPT.mkdir(parents=True, exist_ok=True)
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64").stdout
    package = re.search(r"Depends: (linux-image-[0-9]\S*)", depends)[1]
    kept = KEPT / f"vmlinuz-{package}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="linekeep-kernel-") as scratch:
            run("apt-get", "download", package, cwd=scratch, timeout=600)
            (deb,) = pathlib.Path(scratch).glob("*.deb")
            run("dpkg-deb", "-x", deb, scratch)
            (image,) = pathlib.Path(scratch).glob("boot/vmlinuz-*")
            shutil.move(image, kept)
    return kept


def initrd(laid: Laid, scratch: pathlib.Path) -> pathlib.Path:
    """The whole root as the machine's first file system."""
    for package in DEB.glob("linekeep*.deb"):
        if "dbgsym" not in package.name:
            shutil.copy(package, laid.path / "root")
    (laid.path / "root/seen").write_text(SCRIPT)
    (laid.path / "root/seen").chmod(0o755)
    units = laid.path / "etc/systemd/system"
    (units / "seen.service").write_text(UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/seen.service").symlink_to("../seen.service")
    # Nobody logs in, and waiting for the console's device would take a minute and a half.
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    (laid.path / "init").symlink_to("/lib/systemd/systemd")
    file = scratch / "initrd.zst"
    run("sh", "-c", f'cd "{laid.path}" && find . -xdev ! -path "./var/cache/*" ! -path "./usr/share/doc/*/changelog*" ! -path "./usr/share/locale/*" '
        f'| cpio --quiet -o -H newc | zstd -q -3 -T0 -o "{file}"', timeout=300)
    return file


def boot(kernel_file: pathlib.Path, initrd_file: pathlib.Path, log: pathlib.Path):
    """Runs the machine to its end, or to the limit."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "2048", "-nodefaults", "-nographic",
               "-serial", f"file:{log}", "-no-reboot", "-kernel", kernel_file, "-initrd", initrd_file,
               "-append", "console=ttyS0 rdinit=/init panic=-1 quiet systemd.show_status=no apparmor=1 security=apparmor"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT, check=True)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"not at its end after {LIMIT} s:\n{log.read_text(errors='replace')[-3000:]}") from error


def main():
    """One machine, one list of things seen."""
    if not list(DEB.glob("linekeep_*.deb")):
        raise SystemExit("no package in target/deb: make deb")
    lower, image, step = root("bookworm"), kernel(), Steps("virtual machine")
    with tempfile.TemporaryDirectory(prefix="linekeep-vm-") as folder:
        scratch = pathlib.Path(folder)
        log = scratch / "console"
        laid = Laid(lower)
        try:
            file = initrd(laid, scratch)
        finally:
            laid.close()
        booted = step("it boots, and comes to its end", boot, image, file, log)
        seen = re.findall(r"(?m)^.*?\b(ok|no|end)\|([^|\r\n]*)\|([^\r\n]*)", log.read_text(errors="replace")) if booted else []

        def told(held, words):
            assert held == "ok", words.replace("~", "\n")
            return words

        for held, name, words in seen:
            if held != "end":
                step(name, told, held, words)
        if booted:
            step("all of it was told", told, "ok" if seen and seen[-1][0] == "end" else "no", f"{len(seen) - 1} things")
    sys.exit(0 if step.end() else 1)


if __name__ == "__main__":
    main()
