"""Declaration files that are no declarations: too deep, a pipe, a folder, a link that leads out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orq_runtime._supply.asked import read_request
from orq_runtime.errors import BadComponent, BadRequirement, SupplyError
from orq_runtime.model.environment import Component, Interpreter, SupplyRequest

_DEEP = "x = " + "[" * 50_000
_NAMES = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "uv.lock", "pylock.toml")


def _read(folder: Path, *scripts: Path) -> None:
    component = Component(name=folder.name, path=folder, roots=(folder,))
    interpreter = Interpreter(
        path=Path("/usr/bin/python3"),
        version=(3, 11, 7),
        implementation="cpython",
        cache_tag="cpython-311",
        soabi="cpython-311-x86_64-linux-gnu",
        platform="linux-x86_64",
        libc="glibc 2.36",
        prefix=Path("/usr"),
    )
    read_request(SupplyRequest(components=(component,), scripts=scripts), interpreter)


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "pylock.toml"])
def test_a_document_that_is_too_deep_is_the_components_fault(tmp_path: Path, name: str) -> None:
    """Not an error of ours, though the parser's stack ends."""
    (tmp_path / name).write_text(f"version = 1\n{_DEEP}", "utf-8")

    with pytest.raises(BadComponent, match="nested too deeply") as refused:
        _read(tmp_path)

    assert str(tmp_path / name) in refused.value.message


def test_a_script_block_that_is_too_deep_is_the_scripts_fault(tmp_path: Path) -> None:
    """With its line."""
    script = tmp_path / "step.py"
    script.write_text(f"# /// script\n# {_DEEP}\n# ///\n", "utf-8")

    with pytest.raises(BadRequirement, match="nested too deeply"):
        _read(tmp_path, script)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("kind", ["pipe", "folder", "leads out", "leads nowhere", "circle"])
def test_what_is_no_file_of_the_component_is_refused_by_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    """Nobody waits for a pipe, and nothing outside is read or built."""
    path = tmp_path / "core" / name
    path.parent.mkdir()
    targets = {"leads out": "/etc/passwd", "leads nowhere": "nowhere", "circle": name}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(targets[kind])

    with pytest.raises(SupplyError) as refused:
        _read(path.parent)

    assert str(path) in refused.value.message
