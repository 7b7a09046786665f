"""Folders of guests and runs: a guest that is another host user has a say in none but its runs'."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

from orq_runtime._run.ground import Grounds, may_become_others


@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
def test_a_guest_makes_and_swaps_no_names_beside_its_runs(tmp_path: Path, tier: str) -> None:
    """Root gives away what it has just made: nobody may have put something else in its place."""
    if not may_become_others():
        pytest.skip("needs root, to become others")
    with contextlib.closing(Grounds(tmp_path)) as grounds:
        ground = grounds.make(tier)
        folder = ground.run_folder()
        scratch = ground.scratch.stat()
        owner = None if folder is None else folder.stat().st_uid

        assert (0, 0o711) == (scratch.st_uid, stat.S_IMODE(scratch.st_mode))
        assert owner == (ground.run_uid if tier == "landlock" else None)
    assert ground.run_uid
