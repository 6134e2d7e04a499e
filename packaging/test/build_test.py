#!/usr/bin/env python3
"""Builds the packages in a Debian 13 that has nothing but what apt gave it, its own rustc and cargo among that, and without a
network; installs them there. Needs root; `make trixie-build` installs what else it needs. Knows debian/control's promises."""

import sys

from machine import Laid, run
from roots import HOME, root
from steps import Steps

LEAST_RUST = "1.85"
CARGO = """[source.crates-io]
replace-with = "brought"
[source.brought]
directory = "/root/crates"
"""


def bring(laid: Laid):
    """The sources, and the crates that Cargo.lock names: the root itself reaches nothing."""
    home = laid.path / "root"
    run("cargo", "vendor", "--locked", "--quiet", home / "crates", cwd=HOME, timeout=600)
    (home / ".cargo").mkdir()
    (home / ".cargo" / "config.toml").write_text(CARGO)
    (home / "source").mkdir()
    run("sh", "-ec", 'git ls-files -z --cached --others --exclude-standard | tar --null --no-recursion -T - -cf - | tar -xf - -C "$1"',
        "sh", home / "source", cwd=HOME)


def its_own_rust(laid: Laid):
    version = laid.sh("rustc --version; command -v rustc; command -v cargo").stdout.split("\n")
    assert version[0].startswith(f"rustc {LEAST_RUST}.") and version[1:3] == ["/usr/bin/rustc", "/usr/bin/cargo"], version
    return version[0]


def builds(laid: Laid):
    missing = laid.sh("cd /root/source && dpkg-checkbuilddeps 2>&1", check=False)
    assert missing.returncode == 0, missing.stdout
    laid.sh("cd /root/source && dpkg-buildpackage -us -uc -b >/root/build.log 2>&1 || { tail -n 60 /root/build.log; exit 1; }",
            {"CARGO_NET_OFFLINE": "true"}, timeout=1800)


def no_tags(laid: Laid):
    laid.sh("cd /root && lintian --suppress-tags out-of-date-standards-version --pedantic --display-info --display-experimental "
            "--fail-on error,warning,info,pedantic,experimental linekeep_*.changes", timeout=300)


def installs(laid: Laid):
    (laid.path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (laid.path / "usr/sbin/policy-rc.d").chmod(0o755)
    return laid.sh("cd /root && dpkg -i linekeep_*.deb linekeep-client_*.deb >/dev/null && linekeepd check "
                   "&& linekeep --version").stdout.strip().splitlines()[-1]


def main():
    """One build."""
    step = Steps("trixie, from apt alone")
    laid = Laid(root("trixie", "build"))
    try:
        bring(laid)
        step("Debian's own Rust", its_own_rust, laid)
        if step("the packages build, and nothing is missing", builds, laid):
            step("lintian has no tag", no_tags, laid)
            step("they install, and the configuration is good", installs, laid)
    finally:
        laid.close()
    sys.exit(0 if step.end() else 1)


if __name__ == "__main__":
    main()
