"""What runs draw: children of one zygote never draw the same, whatever was drawn before them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

import guest_matrix
import orq_runtime as orq
from tests.supply_fixtures import make_wheel

_RUNS = 100
_PATIENCE_SECONDS = 30.0
_DEALER = """
import os, random, secrets, ssl, tempfile, uuid

drawn_by_fork = []
os.register_at_fork(after_in_child=lambda: drawn_by_fork.append(os.urandom(8).hex()))

def draw():
    return {
        "random": repr(random.random()),
        "uuid1": str(uuid.uuid1()),
        "uuid4": str(uuid.uuid4()),
        "secrets": secrets.token_hex(),
        "ssl": ssl.RAND_bytes(16).hex(),
        "tempfile": next(tempfile._get_candidate_names()),
        "hook": drawn_by_fork[-1] if drawn_by_fork else "",
    }

draw()  # so that every source has its state in the zygote
"""
_DEALS = "import dealer\ndef f() -> dict:\n    return dealer.draw()\n"
_NUMPY = """
import numpy.random
def f() -> dict:
    return {
        "legacy": repr(numpy.random.random()),
        "own": repr(numpy.random.RandomState().random()),
        "default_rng": repr(numpy.random.default_rng().random()),
    }
"""


def _draws(runtime: orq.Runtime, step: orq.Step) -> dict[str, int]:
    """How many different draws of each source there were."""
    seen: dict[str, set[object]] = {}
    for outcome in runtime.map(step, [{}] * _RUNS):
        assert isinstance(outcome.value, Mapping)
        for name, value in outcome.value.items():
            seen.setdefault(name, set()).add(value)
    return {name: len(values) for name, values in seen.items()}


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_a_hundred_runs_draw_a_hundred_numbers(
    cache_dir: Path, tmp_path: Path, isolation: str
) -> None:
    """Every source of the standard library, also one that was drawn from before the fork."""
    make_wheel(tmp_path, "dealer", files={"dealer.py": _DEALER})
    step = orq.Step(source=_DEALS, function="f", requirements=["dealer"])
    with orq.Runtime(
        cache_dir=cache_dir, offline=True, find_links=[str(tmp_path)], isolation=isolation
    ) as runtime:
        draws = _draws(runtime, step)

    sources = ("random", "uuid1", "uuid4", "secrets", "ssl", "tempfile", "hook")
    assert dict.fromkeys(sources, _RUNS) == draws


_NODES = """
import resource, sys
was_there = "uuid" in sys.modules
import uuid
def f() -> list:
    made = uuid.uuid1()
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    return [was_there, made.node, bool(made.node >> 40 & 1), faults]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "python", [str(one.path) for one in guest_matrix.find_interpreters()], ids=lambda path: path
)
def test_every_run_has_a_node_that_is_nobodys_and_starts_no_program_for_it(
    cache_dir: Path, python: str
) -> None:
    """A random one has the bit of groups; the oldest interpreters would look for a library.

    The first children of a zygote have to import the module themselves, until it had time to do so.
    """
    step = orq.Step(source=_NODES, function="f")
    nodes: list[object] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with orq.Runtime(cache_dir=cache_dir, python=python) as runtime:
        while len(nodes) <= 10 and time.monotonic() < deadline:
            for outcome in runtime.map(step, [{}] * 40):
                assert isinstance(outcome.value, list)
                was_there, node, *rest = outcome.value
                if was_there:
                    nodes.append(node)
                    assert [True, 0] == rest

    assert len(set(nodes)) == len(nodes) > 10


@pytest.mark.slow
@pytest.mark.network
def test_a_hundred_runs_draw_a_hundred_numbers_of_numpy(cache_dir: Path) -> None:
    """The legacy global generator, and those that a run makes without a seed."""
    step = orq.Step(source=_NUMPY, function="f", requirements=["numpy"])
    with orq.Runtime(cache_dir=cache_dir) as runtime:
        draws = _draws(runtime, step)

    assert dict.fromkeys(("legacy", "own", "default_rng"), _RUNS) == draws
