"""What is public is what the package lists, and the documents list the same."""

from __future__ import annotations

import re
import typing

import pytest

import orq_runtime
from tests.architecture.sources import REPOSITORY


def test_the_documented_public_names_are_the_exported_ones() -> None:
    """The line `Public names:` in docs/library.md names exactly `orq_runtime.__all__`."""
    text = (REPOSITORY / "docs" / "library.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("Public names:")]
    documented = [name for line in lines for name in re.findall(r"`([\w.]+)`", line)]

    assert sorted(orq_runtime.__all__) == sorted(documented)


@pytest.mark.parametrize("name", orq_runtime.__all__)
def test_every_public_name_exists(name: str) -> None:
    """A name in `__all__` can be had, and `dir()` shows it."""
    assert name in dir(orq_runtime)
    assert getattr(orq_runtime, name) is not None


@pytest.mark.parametrize("name", sorted({*orq_runtime.__all__} - {"errors"}))
def test_the_annotations_of_public_classes_can_be_evaluated(name: str) -> None:
    """Also where a module has names of `typing` for type checkers only."""
    assert isinstance(typing.get_type_hints(getattr(orq_runtime, name)), dict)
