"""The guest bundle: a read-only, content-addressed copy of the guest for one interpreter.

::

    <cache>/guest/v1/<key>/__main__.py          run by `python -I -S -B`
    <cache>/guest/v1/<key>/orq_sandbox/*.py     with bytecode of that interpreter beside them
    <cache>/guest/latest/<interpreter>          names the bundle that was last staged for it

The host's own site-packages never come near a guest's path.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orq_runtime import _fs
from orq_runtime._digest import Digest
from orq_runtime.errors import NeverStarted, StoreError
from orq_sandbox import wire

if TYPE_CHECKING:
    from orq_runtime.model.environment import Interpreter

__all__ = ["clean", "latest", "stage"]

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


def latest(cache_dir: Path, cache_tag: str, version: tuple[int, int, int]) -> Path | None:
    """The bundle that was last staged for an interpreter, perhaps of another guest than this one.

    It is told without reading our own guest, which `staged` has to.
    """
    try:
        bundle = _note(cache_dir, cache_tag, version).read_text("ascii")
    except (OSError, ValueError):
        return None
    found = cache_dir / "guest" / "v1" / bundle
    return found if bundle.isalnum() and found.is_dir() else None


def _note(cache_dir: Path, cache_tag: str, version: tuple[int, int, int]) -> Path:
    return cache_dir / "guest" / "latest" / f"{cache_tag}-{'.'.join(map(str, version))}"


def staged(cache_dir: Path, cache_tag: str, version: tuple[int, int, int]) -> Path:
    """Where the bundle for an interpreter lies, if it was staged."""
    return cache_dir / "guest" / "v1" / _key(cache_tag, version)


def stage(cache_dir: Path, interpreter: Interpreter) -> Path:
    """The folder of the bundle, made when it is not there. Blocks while it is made.

    Raises `NeverStarted` when the interpreter cannot compile it, `StoreError` when the cache cannot
    be written.
    """
    target = staged(cache_dir, interpreter.cache_tag, interpreter.version)
    if not target.is_dir():
        _fs.sweep(cache_dir / "staging")
        with _fs.writing(cache_dir), _fs.scratch(cache_dir / "staging") as folder:
            _fill(folder / "bundle", interpreter)
            _fs.publish(folder / "bundle", target)
    known = latest(cache_dir, interpreter.cache_tag, interpreter.version)
    if known != target:
        note = _note(cache_dir, interpreter.cache_tag, interpreter.version)
        with contextlib.suppress(OSError, StoreError):  # it is only for who is in a hurry
            _fs.sweep_drafts(note.parent)
            _fs.write_atomic(note, target.name.encode())
    return target


def clean(cache_dir: Path, *, only_old: bool = False) -> int:
    """Remove the bundles that no session holds; how many. `only_old` keeps this guest's own."""
    _fs.sweep(cache_dir / "staging")
    parent = cache_dir / "guest" / "v1"
    removed = 0
    for bundle in sorted(parent.iterdir()) if parent.is_dir() else ():
        if only_old and _is_ours(bundle):
            continue
        held = _fs.lock_folder(bundle)
        if held is None:
            continue
        try:
            with _fs.scratch(cache_dir / "staging") as folder:
                bundle.chmod(0o700)  # a folder that is not writable cannot be moved
                bundle.rename(folder / bundle.name)
        finally:
            os.close(held)
        removed += 1
    return removed


def _is_ours(bundle: Path) -> bool:
    """Whether a bundle holds this guest, byte for byte."""
    package = bundle / "orq_sandbox"
    places = [bundle / name if name == "__main__.py" else package / name for name, _ in _sources()]
    try:
        return [path.read_bytes() for path in places] == [content for _, content in _sources()]
    except OSError:
        return False


def _fill(folder: Path, interpreter: Interpreter) -> None:
    import shutil  # start-up budget: most find their bundle staged
    import subprocess

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
