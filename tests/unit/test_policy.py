"""Policies: what they refuse, what they are equal to, and that nothing is permitted by default."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from orq_runtime.errors import RequestError
from orq_runtime.model.policy import Policy, check_place

_FULL = Policy(
    network="full",
    read_only=["/data", "/opt/models"],
    writable=["/data/out", "/srv/x"],
    environ={"TOKEN": "secret", "A": "1"},
    devices=["/dev/nvidia0", "/dev/dri/renderD128"],
)


def test_the_default_permits_nothing() -> None:
    """No network, no path, no variable, no device."""
    assert {
        "network": "none",
        "read_only": [],
        "writable": [],
        "environ": {},
        "devices": [],
    } == Policy().to_json()


@pytest.mark.parametrize("policy", [Policy(), _FULL])
def test_a_policy_survives_json_pickle_and_copy(policy: Policy) -> None:
    """It may cross a cluster, as text or with its step."""
    copies = [
        Policy.from_json(json.loads(json.dumps(policy.to_json()))),
        pickle.loads(pickle.dumps(policy)),
        copy.deepcopy(policy),
    ]

    assert [policy] * 3 == copies
    assert {hash(policy)} == {hash(one) for one in copies}


def test_order_and_repetition_make_no_difference() -> None:
    """Two callers who grant the same share a zygote."""
    one = Policy(read_only=["/a", "/b/", "/a"], environ={"X": "1", "Y": "2"})
    other = Policy(read_only=[Path("/b"), Path("/a")], environ={"Y": "2", "X": "1"})

    assert one == other
    assert hash(one) == hash(other)


def test_paths_become_absolute_by_their_words(tmp_path: Path) -> None:
    """`..` is taken off, links stay as they were named."""
    link = tmp_path / "link"
    link.symlink_to("/nowhere")
    policy = Policy(read_only=["here", link, "//data//x", str(tmp_path / "a" / ".." / "b")])

    assert {Path.cwd() / "here", link, Path("/data/x"), tmp_path / "b"} == set(policy.read_only)


def test_a_variable_cannot_be_changed_afterwards_and_is_not_shown() -> None:
    """The value is frozen, and a log of it holds no secret."""
    given = {"A": "1"}
    policy = Policy(environ=given)
    given["A"] = "2"

    assert (False, "1") == (hasattr(policy.environ, "__setitem__"), policy.environ["A"])
    assert "secret" not in repr(_FULL)


def test_what_a_parked_child_must_know_has_no_variables() -> None:
    """A token that changes with every run does not start a zygote for each."""
    other = Policy.from_json({**_FULL.to_json(), "environ": {"TOKEN": "another"}})

    assert _FULL != other
    assert _FULL.before_parking() == other.before_parking()
    assert {} == _FULL.before_parking().environ


def test_joining_permits_what_either_permits() -> None:
    """Writing includes reading; of a variable in both, the later value counts."""
    base = Policy(read_only=["/data/in", "/lib/x"], environ={"A": "1", "B": "1"})
    more = Policy(network="full", writable=["/data"], environ={"B": "2"}, devices=["/dev/kvm"])

    assert Policy(
        network="full",
        read_only=["/lib/x"],
        writable=["/data"],
        environ={"A": "1", "B": "2"},
        devices=["/dev/kvm"],
    ) == base.joined(more)


_WRONG: dict[str, Callable[[], object]] = {
    "a bool": lambda: Policy.from_json({"network": True}),
    "a host name": lambda: Policy.from_json({"network": "pypi"}),
    "the root": lambda: Policy(read_only=["/"]),
    "the root by dots": lambda: Policy(read_only=["/data/../.."]),
    "the root by slashes": lambda: Policy(writable=["//"]),
    "the host's tmp": lambda: Policy(writable=["/tmp"]),
    "proc": lambda: Policy(read_only=["/proc/self/root"]),
    "cgroups": lambda: Policy(writable=["/sys/fs/cgroup"]),
    "dev as a path": lambda: Policy(read_only=["/dev/shm"]),
    "a NUL": lambda: Policy(read_only=["/a\0b"]),
    "an empty path": lambda: Policy(read_only=[""]),
    "one path": lambda: Policy(read_only="/data"),
    "bytes": lambda: Policy.from_json({"read_only": [b"/data"]}),
    "both ways": lambda: Policy(read_only=["/data"], writable=["/data"]),
    "read-only in writable": lambda: Policy(read_only=["/data/in"], writable=["/data"]),
    "no device": lambda: Policy(devices=["/etc/passwd"]),
    "all devices": lambda: Policy(devices=["/dev"]),
    "shared memory": lambda: Policy(devices=["/dev/shm/x"]),
    "memory": lambda: Policy(devices=["/dev/mem"]),
    "a device by dots": lambda: Policy(devices=["/dev/x/../../etc/passwd"]),
    "the loader": lambda: Policy(environ={"LD_PRELOAD": "/evil.so"}),
    "the C library": lambda: Policy(environ={"GLIBC_TUNABLES": "x"}),
    "the interpreter": lambda: Policy(environ={"PYTHONPATH": "/x"}),
    "no name": lambda: Policy(environ={"": "x"}),
    "an equals sign": lambda: Policy(environ={"A=B": "x"}),
    "a name with a newline": lambda: Policy(environ={"A\n": "x"}),
    "a number": lambda: Policy.from_json({"environ": {"A": 1}}),
    "a NUL in a value": lambda: Policy(environ={"A": "x\0y"}),
    "a lone surrogate": lambda: Policy(environ={"A": "\udc80"}),
    "a long value": lambda: Policy(environ={"A": "x" * 200_000}),
    "many values": lambda: Policy(environ={f"A{i}": "x" * 100_000 for i in range(9)}),
    "an unknown key": lambda: Policy.from_json({"root": True}),
    "a null": lambda: Policy.from_json({"read_only": None}),
    "a list of variables": lambda: Policy.from_json({"environ": ["A=1"]}),
}


@pytest.mark.parametrize("make", _WRONG.values(), ids=_WRONG)
def test_what_no_run_may_have_is_refused(make: Callable[[], object]) -> None:
    """Refused when it is made, before anything runs."""
    with pytest.raises(RequestError):
        make()


def test_a_refusal_does_not_show_a_variables_value() -> None:
    """A token in a wrong place stays out of logs."""
    with pytest.raises(RequestError) as caught:
        Policy(environ={"TOKEN": "hush\0"})

    assert "hush" not in str(caught.value)


def test_a_place_is_checked_once_more_for_what_it_leads_to(tmp_path: Path) -> None:
    """A link to the root passes as a name and not as a place."""
    link = tmp_path / "data"
    link.symlink_to("/")
    (path,) = Policy(read_only=[link]).read_only

    with pytest.raises(RequestError):
        check_place(path.resolve())
