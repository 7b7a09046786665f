"""Blobs: values of bytes with a meaning, that nobody can change."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest

from orq_runtime import Blob, Outcome
from orq_runtime.errors import RequestError
from orq_runtime.model.blob import plain
from orq_runtime.model.outcome import Usage

numpy = pytest.importorskip("numpy")


def _outcome(value: object) -> Outcome:
    return Outcome(verdict="ok", value=value, usage=Usage(wall_seconds=1.0))


@pytest.mark.parametrize(
    "array",
    [
        numpy.arange(6.0).reshape(2, 3),
        numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        numpy.arange(12, dtype=">i4")[::2],
        numpy.array(3.5),
        numpy.empty((0, 4), dtype="<f4"),
        numpy.array(["2020-01-01", "NaT"], dtype="M8[D]"),
        numpy.array(["a", "bcd"]),
        numpy.array([True, False]),
        numpy.array([[1 + 2j]], dtype=">c16"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_an_array_becomes_a_blob_and_back(array: Any) -> None:
    """With dtype, shape and content; the array that comes back cannot be written to."""
    blob = Blob.of(array)

    back: Any = blob.to_numpy()
    assert (array.dtype, array.shape) == (back.dtype, back.shape)
    assert array.tobytes() == back.tobytes()
    assert array.nbytes == blob.nbytes
    assert not back.flags.writeable


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (numpy.array([object()]), "pickled"),
        (numpy.zeros(2, dtype=[("a", "i4")]), "pickled"),
        (numpy.ma.masked_array([1, 2], mask=[True, False]), "mask"),
        ([1, 2], "of type `list`"),
    ],
)
def test_what_cannot_travel_is_refused(value: object, match: str) -> None:
    """Objects and structures would need a pickle, and a mask has no place."""
    with pytest.raises(RequestError, match=match):
        Blob.of(value)


def test_the_content_must_fill_the_shape() -> None:
    """Neither more nor less; a dtype is one of those that travel."""
    for given in ({"dtype": "<f8", "shape": (2,)}, {"dtype": "|O8"}, {"shape": (2, 4)}):
        with pytest.raises(RequestError):
            Blob(bytes(8), **given)


def test_a_blob_is_a_frozen_value() -> None:
    """It cannot be changed, is equal by content, and copies and pickles hold the content."""
    blob = Blob(bytearray(b"abcdefgh"), dtype="<i2", shape=(2, 2), order="F")

    assert blob == pickle.loads(pickle.dumps(blob)) == copy.copy(blob) == copy.deepcopy(blob)
    assert blob != Blob(b"abcdefgh")
    assert Blob(b"abc") == b"abc" == bytes(Blob(b"abc"))
    assert blob.memoryview().readonly
    with pytest.raises(AttributeError):
        blob.dtype = "<f4"


def test_an_outcome_with_blobs_is_json() -> None:
    """Null in their places, and where each was; equal blobs come back."""
    array = numpy.arange(4, dtype="<i2")
    outcome = _outcome({"a": [1, Blob(b"xyz")], "b": array, "c": {"d": None}})

    document = outcome.to_json()

    assert {"a": [1, None], "b": None, "c": {"d": None}} == document["value"]
    again = Outcome.from_json(document)
    expected = {"a": [1, Blob(b"xyz")], "b": Blob.of(array), "c": {"d": None}}
    assert replace(outcome, value=expected) == again
    assert Outcome.from_json(_outcome(Blob(b"x")).to_json()).value == b"x"


def test_a_value_for_people_has_no_gaps() -> None:
    """Bytes are base64 text as the small ones are, an array says what it is."""
    array = numpy.array([1], dtype="<i2")

    assert ["eHl6", {"dtype": "<i2", "shape": [1], "order": "C", "base64": "AQA="}] == plain(
        [Blob(b"xyz"), array]
    )


@pytest.mark.parametrize(
    "blobs",
    [
        {},
        [1],
        [{"at": ["x"], "dtype": "bytes", "shape": [1], "order": "C", "base64": "AA=="}],
        [{"at": [], "dtype": "bytes", "shape": [2], "order": "C", "base64": "AA=="}],
        [{"at": [], "dtype": "bytes", "shape": [1], "order": "C", "base64": "?"}],
    ],
)
def test_a_document_that_was_not_written_here_is_refused(blobs: object) -> None:
    """One class of error for each of them."""
    document = {**_outcome(None).to_json(), "blobs": blobs}

    with pytest.raises(RequestError):
        Outcome.from_json(document)
