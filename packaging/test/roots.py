"""Debian roots to test packages in: made by mmdebstrap, kept under target/roots until the list of packages changes.
Knows apt and mmdebstrap, nothing of linekeep but what its package depends on."""

import hashlib
import pathlib
import shutil
import subprocess

HOME = pathlib.Path(__file__).resolve().parents[2]
KEPT = HOME / "target" / "roots"

# What a server has, what linekeep depends on, and what the tests look with.
COMMON = """adduser apparmor ca-certificates dbus init-system-helpers iproute2 logrotate man-db nftables openssl procps python3-minimal
rsyslog systemd systemd-sysv""".split()
# A root to try the init script and piuparts in: no systemd that runs, and no AppArmor, whose folders purging would touch.
PLAIN = "adduser ca-certificates init-system-helpers lsb-base openssl procps sysvinit-core systemd-standalone-sysusers".split()
# A root to build the packages in: what debian/control asks for, and what looks them over.
BUILD = """build-essential ca-certificates cargo debhelper dh-apparmor dh-sequence-installsysusers fakeroot libssl-dev lintian
openssl pkgconf rustc systemd-standalone-sysusers""".split()
KINDS = {"systemd": COMMON, "plain": PLAIN, "build": BUILD}
LIBSSL = {"bookworm": "libssl3", "trixie": "libssl3t64"}


def root(suite: str, kind: str = "systemd") -> pathlib.Path:
    """The folder of a root, made if it is not there. Never changed: whoever uses it lays something over it."""
    packages = sorted(KINDS[kind] + [LIBSSL[suite]])
    name = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    folder = KEPT / f"{suite}-{kind}-{name}"
    if folder.exists():
        return folder
    for old in KEPT.glob(f"{suite}-{kind}-*"):
        shutil.rmtree(old)
    making = KEPT / f"making-{suite}-{kind}"
    shutil.rmtree(making, ignore_errors=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    print(f"# making a root of {suite} ({kind}), once", flush=True)
    done = subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(packages)}",
         "--aptopt=Acquire::Languages \"none\"", suite, str(making)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200,
    )
    if done.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        raise SystemExit(f"no root of {suite} could be made:\n{done.stdout}{done.stderr}")
    (making / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (making / "etc" / "hostname").write_text("server\n")
    making.rename(folder)
    return folder
