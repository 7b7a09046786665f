"""Why this machine gives no stronger wall, in plain words, and what would change that.

Whether a tier is there is found by standing behind it (`_run.capabilities`). What stands here only
explains a refusal: switches are read, nothing is tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from orq_runtime._run.cgroup import Mechanism

__all__ = ["GIVES", "limits_in_words", "no_wall", "why_not"]

GIVES: Final = {
    "namespaces": "a file system, processes and an empty network of its own",
    "landlock": "files by an allow-list, no sockets with an address, nobody else to be signalled",
}
_UNREADABLE: Final = "cannot be read by user id"
_PROC: Final = Path("/proc")
_SWITCHES: Final = (
    ("sys/user/max_user_namespaces", "0", "user namespaces are switched off", "15000"),
    ("sys/kernel/unprivileged_userns_clone", "0", "only root may make user namespaces", "1"),
    (
        "sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor takes their rights from user namespaces",
        "0",
    ),
)


def why_not(tier: str, reason: str, *, proc: Path = _PROC) -> str:
    """The reason of a refusal, what it means, and what to do."""
    more = list(_explanations(tier, reason, proc))
    return "; ".join([f"not available: {reason}", *more])


def no_wall(reasons: Iterable[str]) -> str:
    """What to do where no confined tier can be had."""
    if any(_UNREADABLE in reason for reason in reasons):
        return "no wall can be had with this cache and this interpreter: root's runs cannot read it"
    return "no wall can be had: allow user namespaces, or a kernel with Landlock (5.13 and up)"


def _explanations(tier: str, reason: str, proc: Path) -> Iterator[str]:
    if _UNREADABLE in reason:
        yield (
            "behind Landlock root's runs are another user, who must be able to read the cache and"
            " the interpreter: `--cache-dir /var/cache/orq-runtime`, `--python /usr/bin/python3`"
        )
        return
    if tier == "landlock":
        yield (
            "it needs Linux 5.13 with Landlock: look for `landlock` in /sys/kernel/security/lsm,"
            " and add it to the kernel's `lsm=`"
        )
        return
    for file, off, means, on in _SWITCHES:
        if _text(proc / file) == off:
            name = file.removeprefix("sys/").replace("/", ".")
            yield f"{means}: as root, `sysctl {name}={on}`"
    if "\nSeccomp:\t2" in _text(proc / "self/status"):
        yield (
            "a filter is around this process, as container engines put it: start the container"
            " with one that lets `unshare`, `mount` and `pivot_root` through"
        )


def limits_in_words(mechanism: Mechanism) -> str:
    """What holds memory and processes of a whole run here, and how to get more."""
    if mechanism.has_cgroup:
        return f"{mechanism.name}: memory and processes are held for each run as a whole"
    notes = "".join(f"; {note}" for note in mechanism.notes)
    how = "" if os.geteuid() == 0 else ": `systemd-run --user --scope -p Delegate=yes COMMAND`"
    return (
        "no group of processes can be made here: memory is limited for each process, and of the"
        " whole run a watcher looks every 50 ms at memory, shared memory too where it is mapped,"
        f" and outside of `namespaces` at processes{notes}. To get more: run in a group of control"
        f" groups version 2 that this user may write{how}"
    )


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace").strip()
    except OSError:
        return ""
