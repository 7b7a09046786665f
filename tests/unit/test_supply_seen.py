"""Answers by stamps: what changes is noticed, what is too young proves nothing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._supply.memo import Memo
from orq_runtime._supply.seen import Glance, is_settled, paths_behind, stamps
from orq_runtime._supply.store import Store
from orq_runtime.model.environment import (
    Component,
    Environment,
    Freshness,
    Interpreter,
    SupplyRequest,
)
from orq_runtime.settings import load
from tests.supply_fixtures import make_component

_FILES = {
    "pyproject.toml": "[project]\n",
    "setup.py": "",
    "setup.cfg": "",
    "requirements.txt": "-r more.txt\n",
    "more.txt": "alpha\n",
    "uv.lock": "",
    "src/core/__init__.py": "",
    "src/core/one.py": "1",
    "vendor/alpha.whl": "x",
}


def _component(folder: Path) -> Component:
    return Component(name=folder.name, path=folder, roots=(folder,))


def _edit(folder: Path) -> None:
    (folder / "src/core/one.py").write_text("2", "utf-8")


def _edit_in_secret(folder: Path) -> None:
    file = folder / "src/core/one.py"
    before = file.stat()
    file.write_text("2", "utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap(folder: Path) -> None:
    other = folder.parent / "other"
    other.write_text("2", "utf-8")
    before = (folder / "src/core/one.py").stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(folder / "src/core/one.py")


def _remove(folder: Path) -> None:
    (folder / "src/core/one.py").unlink()


def _replace(folder: Path) -> None:
    (folder / "requirements.txt").unlink()
    (folder / "requirements.txt").mkdir()


_CHANGES: dict[str, Callable[[Path], object]] = {
    "an edit": _edit,
    "an edit with its time set back": _edit_in_secret,
    "another file of the same size and time": _swap,
    "a new module": lambda folder: (folder / "src/core/two.py").write_text("", "utf-8"),
    "a module gone": _remove,
    "an executable bit": lambda folder: (folder / "setup.py").chmod(0o755),
    "an included file": lambda folder: (folder / "more.txt").write_text("beta\n", "utf-8"),
    "a lock that appears": lambda folder: (folder / "pylock.toml").write_text("", "utf-8"),
    "a vendored file": lambda folder: (folder / "vendor/b.whl").write_text("", "utf-8"),
    "a folder of the same name": _replace,
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_change_behind_a_request_changes_a_stamp(tmp_path: Path, change: str) -> None:
    """Content, times set back, swaps, files that come and go: each shows."""
    folder = make_component(tmp_path / "core", _FILES)
    request = SupplyRequest(components=(_component(folder),))
    paths = paths_behind(request, included=[folder / "more.txt"])
    before = stamps(paths)

    same = stamps(paths)
    _CHANGES[change](folder)

    assert before == same
    assert before != stamps(paths)


_LATER = 10**10  # nanoseconds: as if all of it had been there for a while
_REALTIME_COARSE = 5  # of clock_gettime(2): the clock that kernels stamp by


def _tick() -> None:
    """Return when a change bears a later stamp than those before: in 10 ms at most."""
    start = time.clock_gettime_ns(_REALTIME_COARSE)
    while time.clock_gettime_ns(_REALTIME_COARSE) == start:
        pass


@pytest.mark.parametrize("change", _CHANGES)
def test_a_change_behind_a_request_is_seen_at_a_glance(tmp_path: Path, change: str) -> None:
    """Few looks find whatever many looks would find."""
    folder = make_component(tmp_path / "core", _FILES)
    request = SupplyRequest(components=(_component(folder),))
    paths = paths_behind(request, included=[folder / "more.txt"])
    glance = Glance(paths, time.time_ns() + _LATER)

    was_same = glance.is_same()
    _tick()
    _CHANGES[change](folder)

    assert (True, False) == (was_same, glance.is_same())


def _turn(link: Path, goal: Path) -> None:
    other = link.parent / "other"
    other.symlink_to(goal)
    other.rename(link)


_APPEARANCES: dict[str, Callable[[Path], object]] = {
    "a file": lambda root: (root / "there" / "absent").write_text("", "utf-8"),
    "a link to nowhere": lambda root: (root / "there" / "absent").symlink_to("nowhere"),
    "a folder on the way to it": lambda root: (root / "there" / "no").mkdir(),
    "a folder in place of another": lambda root: _turn(root / "now", root / "second"),
}


@pytest.mark.parametrize("change", _APPEARANCES)
def test_what_appears_is_seen_at_a_glance(tmp_path: Path, change: str) -> None:
    """Also deep below what is there, and behind a link that is turned."""
    for name in ("there", "first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "second" / "absent").write_text("", "utf-8")
    (tmp_path / "now").symlink_to(tmp_path / "first")
    absent = [tmp_path / "there" / "absent", tmp_path / "there" / "no" / "way" / "down"]
    paths = [str(path) for path in (*absent, tmp_path / "now" / "absent")]
    glance = Glance(paths, time.time_ns() + _LATER)

    was_same = glance.is_same()
    _tick()
    _APPEARANCES[change](tmp_path)

    assert (True, False) == (was_same, glance.is_same())


def test_a_glance_at_what_is_young_tells_nothing(tmp_path: Path) -> None:
    """A second change might bear the same stamp as the first."""
    (tmp_path / "young").write_text("", "utf-8")

    assert not Glance([str(tmp_path / "young")]).is_same()


def test_what_never_counts_changes_no_stamp(tmp_path: Path) -> None:
    """Bytecode and version control of a package's tree, and files beside plain declarations."""
    package = make_component(tmp_path / "core", {**_FILES, "src/core/__pycache__/x.pyc": ""})
    make_component(package, {".git/HEAD": "a"})
    plain = make_component(tmp_path / "plain", {"requirements.txt": ""})
    request = SupplyRequest(components=(_component(package), _component(plain)))
    before = stamps(paths_behind(request))

    make_component(package, {".git/HEAD": "b", "src/core/__pycache__/y.pyc": ""})
    make_component(plain, {"steps/a.py": "", "notes.md": ""})

    assert before == stamps(paths_behind(request))


@given(st.integers(1, 10**19), st.integers(-(10**10), 10**10), st.sampled_from([0, 1, 999_999_999]))
def test_a_stamp_is_settled_when_it_is_older_than_its_clock_is_coarse(
    read_ns: int, before: int, fraction: int
) -> None:
    """A kernel's clock stands still for milliseconds, one that counts in seconds for seconds."""
    changed = max(0, (read_ns - before) // 10**9) * 10**9 + fraction
    moment = 50_000_000 if fraction else 3_000_000_000

    assert (changed <= read_ns - moment) == is_settled([(changed, 0, 0, 0, 0), None], read_ns)
    assert is_settled([None], read_ns)


def _environment(root: Path) -> Environment:
    path, support = root / "environment", root / "support"
    support.mkdir(parents=True, exist_ok=True)
    make_component(path, {"orq.json": "{}"})
    python = Path("/bin/sh")
    interpreter = Interpreter(
        path=python,
        version=(3, 11, 2),
        implementation="cpython",
        cache_tag="",
        soabi="",
        platform="",
        libc="",
        prefix=Path("/"),
    )
    return Environment(
        key="k",
        path=path,
        python=python,
        site_packages=path,
        support=support,
        interpreter=interpreter,
    )


def _memo(root: Path, **given: object) -> Memo:
    settings = load({"HOME": str(root)}, cache_dir=root / "cache", **given)
    return Memo(store=Store(settings.cache_dir), settings=settings)


def test_an_answer_is_recalled_by_another_process_and_until_something_changes(
    tmp_path: Path,
) -> None:
    """Kept once, known from memory and from the disk; gone with an edit or its environment."""
    folder = make_component(tmp_path / "core", _FILES)
    request = SupplyRequest(components=(_component(folder),))
    environment = _environment(tmp_path)
    memo = _memo(tmp_path)
    later = time.time_ns() + 10**10  # as if all of it had been there for a while

    memo.keep(request, environment, [folder / "more.txt"], later)

    assert environment == memo.recall(request) == _memo(tmp_path).recall(request)
    assert None is memo.recall(SupplyRequest(components=request.components, python="3.9"))
    refreshed = SupplyRequest(components=request.components, freshness=Freshness(refresh=True))
    assert None is memo.recall(refreshed)
    assert None is _memo(tmp_path, frozen=True).recall(request)
    (environment.path / "orq.json").rename(environment.path / "elsewhere")
    assert None is memo.recall(request)
    (environment.path / "elsewhere").rename(environment.path / "orq.json")
    assert environment == memo.recall(request)
    _edit(folder)
    assert [None, None] == [memo.recall(request), _memo(tmp_path).recall(request)]


def test_what_changed_while_it_was_read_is_not_remembered(tmp_path: Path) -> None:
    """A stamp that is not older than the read proves nothing."""
    folder = make_component(tmp_path / "core", _FILES)
    request = SupplyRequest(components=(_component(folder),))
    memo = _memo(tmp_path)
    young = max(stamp[0] for stamp in stamps(paths_behind(request)) if stamp is not None)

    memo.keep(request, _environment(tmp_path), [], young)

    assert None is memo.recall(request)


@given(st.binary(max_size=200))
def test_a_damaged_memo_is_none(content: bytes) -> None:
    """Whatever lies in its file: no answer, and no error."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        memo, request = _memo(root), SupplyRequest(requirements=("alpha",))
        memo.keep(request, _environment(root), [], time.time_ns())
        (file,) = [path for path in (root / "cache").rglob("*.json") if "paths" in path.read_text()]
        file.write_bytes(content)

        assert None is _memo(root)._unchanged(request)
