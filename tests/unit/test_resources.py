"""`resources` of a step's document: quantities, limits, devices, and errors at their place."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime.errors import BadDocument, SandboxError
from orq_runtime.model.limits import GIB, MIB, Limits
from orq_runtime.workflow.document import Document
from orq_runtime.workflow.resources import (
    Resources,
    gpu_devices,
    parse_resources,
    quantity,
    read_resources,
)


def _read(text: str) -> Resources:
    document = Document.parse(text.encode(), "step.yaml")
    return read_resources(document, document.root)


def test_the_seeds_own_words_become_limits() -> None:
    """Cores are a speed, memory and disk are bytes, a GPU is counted."""
    found = _read('{cpu: "1000m", memory: "1Gi", disk: "10Gi", gpu: "1"}')

    assert Resources(cpu_millicores=1000, memory_bytes=GIB, disk_bytes=10 * GIB, gpus=1) == found
    assert Limits(
        wall_seconds=5, cpu_millicores=1000, memory_bytes=GIB, tmp_bytes=10 * GIB
    ) == found.limits(Limits(wall_seconds=5))


def test_what_is_left_out_stays_as_it_was() -> None:
    """Null is left out too."""
    base = Limits(memory_bytes=64 * MIB)

    assert base == _read("{memory: null, gpu: '0'}").limits(base)
    assert base == _read("null").limits(base)
    assert base == parse_resources({}).limits(base)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1000m", "1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("2.", "2"),
        (2, "2"),
        (0.1, "0.1"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1M", "1000000"),
        ("1Mi", "1048576"),
        ("1G", "1000000000"),
        ("1Ti", "1099511627776"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("12E-1", "1.2"),
        (1e22, "10000000000000000000000"),
        ("500u", "0.0005"),
        ("1n", "0.000000001"),
        ("+1", "1"),
        (" 1Gi ", "1073741824"),
    ],
)
def test_quantities_are_exact(value: object, expected: str) -> None:
    """As Kubernetes reads them."""
    assert Decimal(expected) == quantity(value)


@given(
    st.integers(min_value=0, max_value=10**12),
    st.sampled_from(["", "Ki", "Mi", "Gi", "k", "M", "G"]),
)
def test_whole_quantities_are_what_their_suffix_says(number: int, suffix: str) -> None:
    """Any whole number of any unit."""
    base = 1024 if suffix.endswith("i") else 1000
    power = "kMG".find(suffix[:1].replace("K", "k")) + 1 if suffix else 0

    assert number * base**power == quantity(f"{number}{suffix}")


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_one_kind_of_error(text: str) -> None:
    """Nothing else is raised, whatever was written."""
    with contextlib.suppress(ValueError):
        assert quantity(text).is_finite()


def test_parts_of_a_unit_are_rounded_up() -> None:
    """A run gets at least what it asked for."""
    assert Resources(cpu_millicores=11, memory_bytes=2**24 + 1) == parse_resources(
        {"cpu": "0.0105", "memory": "16777216.2"}
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{cpu: fast}", "1:7: `resources.cpu`: not a quantity: `fast`", 'cpu: "1000m"'),
        ("{cpu: '-1'}", "1:7: `resources.cpu: -1`: must be finite and above 0", None),
        ("{cpu: 0}", "1:7: `resources.cpu: 0`: must be finite and above 0", None),
        ("{cpu: true}", "1:7: `resources.cpu`: not a quantity: `True`", "1000m"),
        ("{memory: 1GB}", "unknown unit `GB` in `1GB`; did you mean `G`?", "1Gi"),
        ("{memory: 1K}", "unknown unit `K` in `1K`; `k` is 1000 and `Ki` is 1024", "1Gi"),
        ("{memory: 1 Gi}", "unknown unit ` Gi` in `1 Gi`", "1Gi"),
        ("{memory: 128m}", "`resources.memory: 128m`: is at least", "did you mean `128Mi`?"),
        ("{memory: 99Ei}", "`resources.memory: 99Ei`: is at most", None),
        ("{memory: [1]}", "not a quantity: `[1]`", "1Gi"),
        ("{gpu: 1.5}", "`resources.gpu` is a number of devices, not: `1.5`", 'gpu: "1"'),
        ("{gpu: -1}", "`resources.gpu` is a number of devices, not: `-1`", 'gpu: "1"'),
        ("{memroy: 1Gi}", "1:2: `resources` has no `memroy`", "did you mean `memory`?"),
        ("[cpu]", "`resources` is a mapping", None),
    ],
)
def test_an_error_names_field_and_place(text: str, message: str, hint: str | None) -> None:
    """And says what would be right, where that can be said."""
    with pytest.raises(BadDocument) as caught:
        _read(text)

    assert caught.value.message.startswith("step.yaml:1:")
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_without_a_document_the_same_words_are_said() -> None:
    """Only the place is missing."""
    with pytest.raises(BadDocument, match=r"^`resources.cpu`: not a quantity: `x`$"):
        parse_resources({"cpu": "x"})


def test_gpus_are_devices_that_a_policy_must_permit(tmp_path: Path) -> None:
    """The first ones by number, and what all of them need. A folder of ordinary files."""
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()

    names = ("nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm")
    assert tuple(tmp_path / name for name in names) == gpu_devices(2, folder=tmp_path)
    assert () == gpu_devices(0, folder=tmp_path)


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Not a slow run on the processor."""
    with pytest.raises(SandboxError, match="asks for 1 GPUs and this machine has: 0"):
        gpu_devices(1, folder=tmp_path / "none")
