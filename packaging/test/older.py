"""An older linekeep to upgrade from: the package of target/deb under a lower version, with a configuration that has changed
since. Knows dpkg-deb."""

import pathlib
import re

from machine import run

VERSION = "0.0.9"


def make(packages: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """Makes it in the scratch folder; returns its file."""
    (newer,) = [path for path in packages.glob("linekeep_*.deb")]
    tree = scratch / "older"
    run("dpkg-deb", "--raw-extract", newer, tree)
    control = tree / "DEBIAN" / "control"
    text, count = re.subn(r"(?m)^Version: .*$", f"Version: {VERSION}", control.read_text())
    assert count == 1, text
    # The client of the same version is recommended, not needed.
    control.write_text(text)
    config = tree / "etc" / "linekeep" / "linekeep.toml"
    config.write_text(config.read_text() + "\n# The last line of an older version.\n")
    package = scratch / f"linekeep_{VERSION}_all.deb"
    run("dpkg-deb", "--build", "--root-owner-group", tree, package)
    return package
