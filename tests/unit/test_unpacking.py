"""Blobs of a result: what a step may hand over is measured, and every lie is one error class."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime import Blob, Limits
from orq_runtime._run.codec import TooLarge
from orq_runtime._run.packing import Packing
from orq_runtime._run.unpacking import unpacked
from orq_runtime.errors import BadCall
from orq_runtime.model.checks import Checks
from orq_runtime.model.npy import written_header
from orq_sandbox import wire

_MOST = 1 << 24
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def _memory(content: bytes, seals: int = _SEALS, *, length: int | None = None) -> int:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    if length is not None:
        os.ftruncate(descriptor, length)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _taken(value: object, about: object, descriptor: int, owner: int | None = None) -> object:
    owner = os.geteuid() if owner is None else owner
    try:
        return unpacked(value, about, descriptor, most_bytes=_MOST, owner=owner)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _about(*parts: object) -> dict[str, object]:
    return {"key": "K", "parts": list(parts)}


@pytest.mark.parametrize("seals", [_SEALS, 0], ids=["sealed", "open"])
@pytest.mark.parametrize("size", [1, 5000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_bytes_are_what_they_were(seals: int, size: int) -> None:
    """Mapped or copied, sealed or not; and they stay when the file is gone."""
    content = os.urandom(size)

    found = _taken([{"K": 0}, {"x": {"K": 0}}], _about(["bytes", 0, size]), _memory(content, seals))

    assert [content, {"x": content}] == found


def test_what_one_side_packs_the_other_unpacks() -> None:
    """Every blob in its place, with user data that looks like a place left alone."""
    packing = Packing(Limits(), Checks(), str)
    array = Blob(bytes(range(24)), dtype=">i4", shape=(3, 2), order="F")
    first = Blob(b"abc")
    value = {"a": packing.placed(first), "b": [packing.placed(array), packing.placed(first)]}
    value["c"] = {"orq-blob:0": 0}

    found: Any = _taken(value, packing.about(), packing.written())

    assert (first, first, {"orq-blob:0": 0}) == (found["a"], found["b"][1], found["c"])
    made = found["b"][0]
    assert array == (made if isinstance(made, Blob) else Blob.of(made))


def test_an_input_beyond_the_limit_is_refused() -> None:
    """Before anything is written."""
    packing = Packing(Limits(blob_bytes=10), Checks(), str)
    packing.placed(Blob(b"12345678901"))

    with pytest.raises(BadCall, match="beside their JSON"):
        packing.about()


def _pipe(_: Path) -> int:
    read, write = os.pipe()
    os.close(write)
    return read


def _fifo(folder: Path) -> int:
    os.mkfifo(folder / "fifo")
    return os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)


def _socket(_: Path) -> int:
    return socket.socket().detach()


def _written_only(folder: Path) -> int:
    (folder / "file").write_bytes(bytes(64))
    return os.open(folder / "file", os.O_WRONLY)


_NO_FILES: dict[str, Callable[[Path], int]] = {
    "nothing": lambda _: -1,
    "a pipe": _pipe,
    "a fifo": _fifo,
    "a socket": _socket,
    "a folder": lambda folder: os.open(folder, os.O_RDONLY),
    "a path": lambda folder: os.open(folder, os.O_PATH),
    "endless zeros": lambda _: os.open("/dev/zero", os.O_RDONLY),
    "the kernel's word": lambda _: os.open("/proc/self/status", os.O_RDONLY),
    "no reading": _written_only,
    "holes": lambda _: _memory(b"x", length=1 << 20),
    "too short": lambda _: _memory(b"x" * 63),
}


@pytest.mark.parametrize("make", _NO_FILES.values(), ids=list(_NO_FILES))
def test_what_is_no_file_of_blobs_is_refused(make: Callable[[Path], int], tmp_path: Path) -> None:
    """At once, with the one class of error, and nothing hangs or dies."""
    with pytest.raises(wire.WireError):
        _taken({"K": 0}, _about(["bytes", 0, 64]), make(tmp_path))


def test_a_file_of_somebody_elses_is_refused() -> None:
    """The run's user must own it."""
    with pytest.raises(wire.WireError, match="not the run's own"):
        _taken({"K": 0}, _about(["bytes", 0, 1]), _memory(b"x"), owner=os.geteuid() + 1)


def test_more_than_the_limit_is_not_looked_at() -> None:
    """A length is all that was read of it, holes or not."""
    with pytest.raises(TooLarge, match=f"{_MOST} are allowed"):
        _taken({"K": 0}, _about(["bytes", 0, 1]), _memory(b"x", 0, length=_MOST + 1))


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        {"key": "K"},
        {"key": "K", "parts": [], "more": 1},
        {"key": 1, "parts": [["bytes", 0, 1]]},
        {"key": "K", "parts": {}},
        _about(),
        _about(*[["bytes", 0, 1]] * (wire.MOST_BLOBS + 1)),
        _about(["pickle", 0, 1]),
        _about([["bytes"], 0, 1]),
        _about(["bytes", 0]),
        _about(["bytes", -1, 1]),
        _about(["bytes", 0, 1.0]),
        _about(["bytes", True, 1]),
        _about(["bytes", 0, 1 << 70]),
        _about(["bytes", 60, 5]),
    ],
)
def test_a_word_about_blobs_that_is_none_is_refused(about: object) -> None:
    """Whatever is missing, too much, or of another kind."""
    with pytest.raises(wire.WireError):
        _taken({"K": 0}, about, _memory(bytes(64)))


@pytest.mark.parametrize("number", [1, -1, True, None, "0", 0.0, [0]])
def test_a_blob_that_is_no_part_is_refused(number: object) -> None:
    """A place names a part by its number."""
    with pytest.raises(wire.WireError, match="none of the parts"):
        _taken([{"K": number}], _about(["bytes", 0, 1]), _memory(bytes(64)))


@pytest.mark.parametrize(
    ("dtype", "shape", "extra"),
    [("<f8", (9,), 0), ("<f8", (7,), 0), ("<f8", (8,), 1), ("<U1", (17,), 0), ("|b1", (0, 9), 0)],
)
def test_an_array_fills_its_place(dtype: str, shape: tuple[int, ...], extra: int) -> None:
    """A header that says more or less than there is is a lie."""
    content = written_header(dtype, shape) + bytes(64 + extra)

    with pytest.raises(wire.WireError, match="fill its place"):
        _taken({"K": 0}, _about(["npy", 0, len(content)]), _memory(content))


@given(st.binary(max_size=200))
def test_any_content_is_an_array_or_an_error(garbage: bytes) -> None:
    """A header of garbage kills nothing."""
    content = written_header("<f8", (1,))[:100] + garbage
    try:
        found: Any = _taken({"K": 0}, _about(["npy", 0, len(content)]), _memory(content))
    except wire.WireError:
        return
    assert found.nbytes < len(content)


def test_nesting_without_end_is_walked() -> None:
    """The document is the step's: its depth costs no stack."""
    value: object = {"K": 0}
    for _ in range(20_000):
        value = [value]

    found = _taken(value, _about(["bytes", 0, 1]), _memory(b"x"))

    while isinstance(found, list):
        found = found[0]
    assert found == b"x"


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """After hundreds of lies, and of answers that nobody holds any more, as many as before."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        _taken({"K": 0}, _about(["bytes", 0, 1 << 20]), _memory(bytes(1 << 20)))
        for make in (_pipe, _socket, _written_only):
            with pytest.raises(wire.WireError):
                _taken({"K": 0}, _about(["bytes", 0, 64]), make(tmp_path))

    assert before == len(list(Path("/proc/self/fd").iterdir()))


_LARGE = 1 << 21


@pytest.mark.parametrize(
    ("flags", "only_ours", "is_mapped"),
    [
        (os.O_RDWR, True, True),
        (os.O_RDWR, False, False),
        (os.O_RDONLY, True, False),
        (os.O_RDONLY, False, False),
    ],
)
def test_what_others_may_hold_is_copied(flags: int, *, only_ours: bool, is_mapped: bool) -> None:
    """A file without seals is taken as it is only if the run could write to it and is dead.

    What a run could only read may be a grant: a file of the host's that somebody goes on changing.
    """
    somebodys = _memory(bytes(_LARGE), 0)
    descriptor = os.open(f"/proc/self/fd/{somebodys}", flags)
    about, owner = _about(["bytes", 0, _LARGE]), os.geteuid()

    found: Any = unpacked(
        {"K": 0}, about, descriptor, most_bytes=_MOST, owner=owner, only_ours=only_ours
    )
    os.close(descriptor)
    os.pwrite(somebodys, b"x", 0)
    os.close(somebodys)

    assert (b"x" if is_mapped else b"\0") == found.to_bytes()[:1]


@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_file_that_nobody_can_write_to_is_held(*, is_let_go: bool) -> None:
    """It is taken as it is, and nobody can write to it while that lives; else it is copied."""
    somebodys = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR, 0o600)  # a tmpfs
    os.write(somebodys, bytes(_LARGE))
    descriptor = os.open(f"/proc/self/fd/{somebodys}", os.O_RDWR)
    again = os.open(f"/proc/self/fd/{somebodys}", os.O_RDONLY)
    if is_let_go:
        os.close(somebodys)

    found = _apart(descriptor)

    if is_let_go:
        assert not _is_open_to_writers(again)
    else:
        os.pwrite(somebodys, b"x", 0)
        os.close(somebodys)
    assert bytes(8) == found.to_bytes()[:8]
    del found
    assert _is_open_to_writers(again)
    os.close(again)


def test_a_memory_file_is_not_held() -> None:
    """Its maker's own descriptor is none that the kernel counts: it is copied."""
    somebodys = _memory(bytes(_LARGE), 0)

    found = _apart(os.open(f"/proc/self/fd/{somebodys}", os.O_RDWR))
    os.ftruncate(somebodys, 0)
    os.close(somebodys)

    assert bytes(_LARGE) == found.to_bytes()


def _apart(descriptor: int) -> Any:
    """What is taken of a large file, which is closed, from a run that lives and is apart."""
    about, owner = _about(["bytes", 0, _LARGE]), os.geteuid()
    found = unpacked({"K": 0}, about, descriptor, most_bytes=_MOST, owner=owner, is_apart=True)
    os.close(descriptor)
    return found


def _is_open_to_writers(descriptor: int) -> bool:
    try:
        os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_NONBLOCK))
    except BlockingIOError:
        return False
    return True
