"""Does what docs/deploy.md says, word by word: every block that begins with "# on the server" or "# on the client", in order,
and what is shown after it. Knows that page's form."""

import os
import pathlib
import re
import shutil
import tempfile

import older
from machine import Machine
from roots import HOME
from steps import Steps

PAGE = HOME / "docs" / "deploy.md"
DEB = HOME / "target" / "deb"
PROGRAMS = HOME / "target" / "package" / "release"


def blocks():
    """Each command block, with the heading it stands under and the words that have to be shown."""
    heading, found = "", []
    parts = re.split(r"(?m)^```(sh|text)\n(.*?)^```\n", PAGE.read_text(encoding="utf-8"), flags=re.S)
    for prose, kind, body in zip(parts[0::3], parts[1::3], parts[2::3]):
        headings = re.findall(r"(?m)^## (.*)$", prose)
        heading = headings[-1] if headings else heading
        if kind == "sh":
            place, _, commands = body.partition("\n")
            assert place in ("# on the server", "# on the client"), f"{PAGE}: a block says not where: {place}"
            found.append((heading, place.rsplit(" ", 1)[1], commands, []))
        else:
            assert prose.strip() == "shows", f"{PAGE}: what is shown stands alone: {body}"
            found[-1][3].extend(body.splitlines())
    return found


def try_deployment(machine: Machine, step: Steps):
    """On a fresh machine."""
    with tempfile.TemporaryDirectory(prefix="linekeep-deploy-") as scratch:
        here = pathlib.Path(scratch)
        home = machine.root / "root"
        for package in DEB.glob("linekeep*.deb"):
            if "dbgsym" not in package.name:
                shutil.copy(package, home)
        (home / "older").mkdir()
        shutil.copy(older.make(DEB, here), home / "older")

        def do(place, commands, shown):
            if place == "server":
                told = machine.sh("cd /root\nexec 2>&1\n" + commands, timeout=300).stdout
            else:
                for key in home.glob("*.key"):
                    shutil.copy(key, here)
                told = machine.client("sh", "-ec", "exec 2>&1\n" + commands, cwd=here,
                                      env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}).stdout
            missing = [words for words in shown if words not in told]
            assert not missing, f"{missing} is not shown by\n{commands}\nbut\n{told}"
            return f"{len(commands.splitlines())} lines"

        for number, (heading, place, commands, shown) in enumerate(blocks(), 1):
            if not step(f"deploy.md, block {number}, {heading}, on the {place}", do, place, commands, shown):
                return
