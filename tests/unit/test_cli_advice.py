"""What `doctor` says of a refusal: the cause that this machine shows, and the remedy for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime._run.cgroup import NoMechanism
from orq_runtime.cli.advice import limits_in_words, no_wall, why_not


def _proc(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("sys__user__max_user_namespaces", "0\n", "`sysctl user.max_user_namespaces=15000`"),
        (
            "sys__kernel__unprivileged_userns_clone",
            "0\n",
            "`sysctl kernel.unprivileged_userns_clone=1`",
        ),
        (
            "sys__kernel__apparmor_restrict_unprivileged_userns",
            "1\n",
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
        ),
        ("self__status", "Name:\tx\nSeccomp:\t2\n", "lets `unshare`, `mount` and `pivot_root`"),
    ],
)
def test_a_switch_that_is_off_is_named_with_what_turns_it_on(
    tmp_path: Path, name: str, value: str, remedy: str
) -> None:
    """Only the one that is off."""
    proc = _proc(tmp_path, **{name: value})

    assert remedy in why_not("namespaces", "unshare: Operation not permitted", proc=proc)
    assert 2 == len(why_not("namespaces", "refused", proc=proc).split("; "))


def test_a_folder_that_only_root_reads_has_its_remedy(tmp_path: Path) -> None:
    """The message names the options that lead elsewhere."""
    said = why_not("landlock", "`/x` cannot be read by user id 7", proc=tmp_path)

    assert "--cache-dir" in said
    assert "--python" in said


def test_no_group_is_said_with_what_it_means() -> None:
    """Why there is none is part of it."""
    said = limits_in_words(NoMechanism(("cgroup v2: it is not mounted",)))

    assert "memory is limited for each process" in said
    assert "it is not mounted" in said


def test_a_wall_that_cannot_read_is_not_a_machine_without_one() -> None:
    """The reader is told of the interpreter then, and not of a kernel."""
    assert "interpreter" in no_wall(["no namespaces", "`x` cannot be read by user id 7"])
    assert "Landlock" in no_wall(["no namespaces", "this kernel has no Landlock"])
