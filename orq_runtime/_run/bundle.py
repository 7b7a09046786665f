"""The guest bundle: a read-only, content-addressed copy of the guest for one interpreter.

::

    <cache>/guest/v1/<key>/__main__.py          run by `python -I -S -B <cache>/guest/v1/<key>`
    <cache>/guest/v1/<key>/orq_sandbox/*.py     with bytecode of that interpreter beside them

The host's own site-packages never come near a guest's path.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._digest import Digest
from orq_runtime.errors import NeverStarted
from orq_runtime.model.environment import Interpreter
from orq_sandbox import wire

__all__ = ["stage"]

_COMPILE_SECONDS = 120


@functools.cache
def _sources() -> tuple[tuple[str, bytes], ...]:
    folder = Path(wire.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return tuple((str(path.relative_to(folder)), path.read_bytes()) for path in files)


@functools.cache
def _key(cache_tag: str, version: tuple[int, int, int]) -> str:
    digest = Digest("guest", 1).text("cache_tag", cache_tag)
    digest.text("version", ".".join(map(str, version)))
    for name, content in _sources():
        digest.text("name", name).raw("content", content)
    return digest.key()


def stage(cache_dir: Path, interpreter: Interpreter) -> Path:
    """The folder of the bundle, made when it is not there. Blocks while it is made.

    Raises `NeverStarted` when the interpreter cannot compile it, `StoreError` when the cache cannot
    be written.
    """
    target = cache_dir / "guest" / "v1" / _key(interpreter.cache_tag, interpreter.version)
    if not target.is_dir():
        with _fs.scratch(cache_dir / "staging") as folder:
            _fill(folder / "bundle", interpreter)
            _fs.publish(folder / "bundle", target)
    return target


def _fill(folder: Path, interpreter: Interpreter) -> None:
    package = folder / "orq_sandbox"
    package.mkdir(parents=True)
    for name, content in _sources():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(content)
    shutil.move(package / "__main__.py", folder / "__main__.py")
    # by content, not by time: a published file's time means nothing
    command = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    try:
        subprocess.run(
            [interpreter.path, *command, folder],
            check=True,
            capture_output=True,
            env={},
            timeout=_COMPILE_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise NeverStarted(
            f"`{interpreter.path}` could not compile the guest: {error}"
            + said.decode("utf-8", "replace")[-500:]
        ) from error
