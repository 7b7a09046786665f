"""An empty environment, and what makes a filled one stand on its own: no process is started.

::

    ENVIRONMENT/
      pyvenv.cfg               what makes it one: the interpreter's home
      bin/python               link to the interpreter; python3 and python3.N lead to it
      bin/activate             for who works in it by hand, in a shell
      bin/NAME                 scripts, which find their interpreter beside themselves
      lib/python3.N/site-packages/
      lib64                    link to lib

uv fills it as a prefix of the interpreter, which it knows; it would ask an environment's own every
time anew, by starting it. So scripts come out for the interpreter, and are led to the environment.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from pathlib import Path
from typing import Final

from orq_runtime._removal import remove_tree
from orq_runtime.model.environment import Interpreter

__all__ = ["empty", "lead_scripts", "make_frame", "site_packages"]

_SHIM: Final = rb"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""
_ACTIVATE: Final = """# to be sourced, by bash or zsh
VIRTUAL_ENV="$(dirname -- "$(dirname -- "$(realpath -- "${BASH_SOURCE:-$0}")")")"
PATH="$VIRTUAL_ENV/bin:$PATH"
export VIRTUAL_ENV PATH
"""
_LONG_HEAD: Final = re.compile(rb"#!/bin/sh\n'''exec' [^\n]*\n' '''\n")
_PYTHONS: Final = re.compile(r"python(\d(\.\d+)?)?\Z")


def site_packages(path: Path, interpreter: Interpreter) -> Path:
    """Where an environment's packages lie."""
    return path / "lib" / f"python{interpreter.minor}" / "site-packages"


def make_frame(path: Path, interpreter: Interpreter) -> None:
    """Make an empty environment in a folder, which is made if there is none."""
    binaries = path / "bin"
    binaries.mkdir(parents=True)
    site_packages(path, interpreter).mkdir(parents=True)
    (path / "lib64").symlink_to("lib")
    (binaries / "python").symlink_to(interpreter.path)
    for name in ("python3", f"python{interpreter.minor}"):
        (binaries / name).symlink_to("python")
    (binaries / "activate").write_text(_ACTIVATE, "utf-8")
    version = ".".join(map(str, interpreter.version))
    lines = [
        f"home = {interpreter.path.parent}",
        f"implementation = {interpreter.implementation}",
        f"version_info = {version}",
        "include-system-site-packages = false",
        "prompt = orq",
        "relocatable = true",
    ]
    text = "".join(f"{line}\n" for line in lines)
    (path / "pyvenv.cfg").write_bytes(text.encode("utf-8", "surrogateescape"))


def empty(folder: Path) -> None:
    """Remove all that is in a folder, and not the folder: who has it mounted sees what comes."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()


def lead_scripts(path: Path, interpreter: Interpreter) -> None:
    """Have every script run with the environment that it lies in, wherever that will be."""
    head = b"#!" + os.fsencode(interpreter.path) + b"\n"
    rows: dict[str, tuple[str, str]] = {}
    for script in sorted((path / "bin").iterdir()):
        if script.is_symlink() or _PYTHONS.match(script.name):
            continue
        content = script.read_bytes()
        long = _LONG_HEAD.match(content)
        if not long and not content.startswith(head):
            continue
        led = _SHIM + content[long.end() if long else len(head) :]
        _put(script, led)
        digest = base64.urlsafe_b64encode(hashlib.sha256(led).digest()).rstrip(b"=").decode()
        rows[f"../../../bin/{script.name}"] = (f"sha256={digest}", str(len(led)))
    if rows:
        for record in site_packages(path, interpreter).glob("*.dist-info/RECORD"):
            _correct(record, rows)


def _correct(record: Path, rows: dict[str, tuple[str, str]]) -> None:
    """Give the rows of these paths their digests and sizes."""
    with open(record, encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = [row for row in csv.reader(file) if row]
    if not any(row[0] in rows for row in found):
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([row[0], *rows.get(row[0], row[1:])] for row in found)
    _put(record, text.getvalue().encode("utf-8", "surrogateescape"))


def _put(file: Path, content: bytes) -> None:
    """In place of a file, never into it: it may be a hard link into uv's cache."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    draft.chmod(file.stat().st_mode & 0o777)
    draft.replace(file)
