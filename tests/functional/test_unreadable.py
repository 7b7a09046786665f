"""An interpreter that the run's user may not read: refused by name before anything ran."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import errors


@pytest.mark.slow
def test_behind_landlock_an_interpreter_of_roots_alone_is_refused_by_name(cache_dir: Path) -> None:
    """Nothing can be bound there: before anything ran the caller reads which, and what to do."""
    base = Path(sys.base_prefix).resolve()
    is_everybodys = all(place.stat().st_mode & 0o001 for place in (base, *base.parents))
    if os.geteuid() != 0 or is_everybodys:
        pytest.skip("needs root, and an interpreter that only root can reach")

    with pytest.raises(errors.WallUnavailable) as caught:
        orq.Runtime(cache_dir=str(cache_dir), isolation="landlock", python=sys.executable).run(
            orq.Step(source="def f() -> int:\n    return 1\n", function="f")
        )

    assert f"`{base}` cannot be read by user id" in caught.value.message
    assert "doctor" in (caught.value.hint or "")
