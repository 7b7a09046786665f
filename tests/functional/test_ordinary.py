"""A line of ordinary code for each module: it works in namespaces; what fails is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.escape.modes import MODES, WALLED, driven
from tests.functional.ordinary import LINES, source_of

_SECURITY = Path(__file__).resolve().parents[2] / "SECURITY.md"
_NEVER = {"tcp": "TCP", "pseudo-terminal": "pseudo-terminals"}
_NOT_BEHIND_LANDLOCK = {
    "list-of-proc-self": "the list of /proc/self",
    "threads-of-mine": "the list of /proc/self",
    "uptime": "`/proc/uptime`",
    "load-file": "`/proc/loadavg`",
    "process-group": "new sessions and process groups",
    "priority-of-a-child": "another process's priority",
    "datagram-pair": "datagram pairs",
    "path-socket": "path sockets",
    "own-address": "names of hosts",
    "watch-a-folder": "inotify",
    "shared-folder": "/dev/shm",
    "slash-tmp": "/tmp itself",
    "process-lock": "locks, queues and pools of `multiprocessing`",
    "process-queue": "locks, queues and pools of `multiprocessing`",
    "process-value": "locks, queues and pools of `multiprocessing`",
}
_NOT_AS_AN_ORDINARY_USER = {
    "chmod": "`chmod`",
    "utime": "`utime`",
    "copy-with-times": "`shutil.copy`",
    "copy-tree": "`shutil.copytree`",
    "dbm": "`dbm`",
    "extended-attribute": "extended attributes",
}
_OF_WHO_ONE_IS = ("getpass", "group-names", "user-names")
"""Behind Landlock they are what the host's files say of the user, who may have no name there."""


def _expected(mode: str) -> set[str]:
    if MODES[mode].tier == "namespaces":
        return set(_NEVER)
    also = _NOT_AS_AN_ORDINARY_USER if mode.endswith("user") else {}
    return {*_NEVER, *_NOT_BEHIND_LANDLOCK, *also}


@pytest.mark.slow
@pytest.mark.parametrize("mode", WALLED)
def test_ordinary_code_works_but_for_what_is_on_the_list(mode: str) -> None:
    """The list is exact: what is on it fails, by an exception of its own, and nothing else does."""
    attacks = [{"id": name, "source": source_of(name)} for name in LINES]
    outcomes = driven(MODES[mode], {"attacks": attacks})["outcomes"]
    assert isinstance(outcomes, dict)

    verdicts = {name: one["verdict"] for name, one in outcomes.items()}
    if MODES[mode].tier == "landlock":
        for name in _OF_WHO_ONE_IS:
            verdicts.pop(name)
    assert _expected(mode) == {name for name, verdict in verdicts.items() if verdict != "ok"}
    assert {"ok", "raised"} == set(verdicts.values())


def test_what_does_not_work_is_documented() -> None:
    """SECURITY.md names everything on the lists."""
    text = " ".join(_SECURITY.read_text("utf-8").split())
    lists = (_NEVER, _NOT_BEHIND_LANDLOCK, _NOT_AS_AN_ORDINARY_USER)

    assert [] == [words for one in lists for words in one.values() if words not in text]
