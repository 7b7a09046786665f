"""The command as pip installs it, in a plain virtual environment.

Rules of this file:

1. Nothing is in the environment that runs at every start: no `.pth` file. Whatever is measured
   beside its bare interpreter would look the better the more of them there are.
2. The package's own files, their bytecode and the script are all there is: what needs another
   distribution fails.
"""

from __future__ import annotations

import compileall
import importlib.util
import shutil
import venv
from pathlib import Path

__all__ = ["install"]

_PACKAGES = ("orq_runtime", "orq_sandbox")
_SCRIPT = """#!{python}
import sys
from orq_runtime.cli import command
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit(command())
"""


def install(folder: Path) -> tuple[Path, Path]:
    """Make the environment, on the interpreter below this process's: its python, the command."""
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        kept_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(found.origin).parent, site / name, ignore=kept_out)
    if not compileall.compile_dir(site, quiet=1):
        raise RuntimeError("what is installed cannot be compiled")
    python, command = folder / "bin" / "python", folder / "bin" / "orq-runtime"
    command.write_text(_SCRIPT.format(python=python), "utf-8")
    command.chmod(0o755)
    return python, command
