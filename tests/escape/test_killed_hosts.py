"""Hosts that are killed, behind every wall and as every user: nothing of their guests is left.

The guests are at their worst: they ignore every signal, one is stopped, one a daemon.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.escape.modes import MODES, WALLED, driven

pytestmark = pytest.mark.slow


def _killed(mode: str, kind: str, number: signal.Signals) -> dict[str, Any]:
    name = f"orqk{os.getpid()}"
    orders = {"kind": kind, "signal": int(number), "name": name}
    return driven(MODES[mode], orders, module="killed")


@pytest.mark.parametrize("mode", WALLED)
@pytest.mark.parametrize("kind", ["zygote", "exec", "cli", "supply"])
def test_nothing_outlives_a_host_that_was_killed(mode: str, kind: str) -> None:
    """Neither of a run nor of a build; folders and groups go when the next host starts.

    It takes some 30 ms (`seconds`); what is asserted is that it happens at all.
    """
    said = _killed(mode, kind, signal.SIGKILL)

    assert said["were"] > 4
    expected = {"outlived": 0, "status": -signal.SIGKILL, "folders": [], "groups": []}
    assert expected == {name: said[name] for name in expected}, said


@pytest.mark.parametrize("mode", WALLED)
def test_ctrl_c_ends_a_run_that_ignores_everything(mode: str) -> None:
    """The command line ends with 130, after the grace that the step has had, and all is gone."""
    said = _killed(mode, "cli", signal.SIGINT)

    assert (0, 130, [], []) == tuple(said[n] for n in ("outlived", "status", "folders", "groups"))
