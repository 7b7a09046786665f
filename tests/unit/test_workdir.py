"""A run's working folder as the host reads it: only what is the run's own counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orq_runtime._run.workdir import Refused, WorkFolder

_ME = os.geteuid()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def test_what_is_no_folder_of_the_run_is_refused(tmp_path: Path) -> None:
    """A file, another user's folder, a folder's mere name; the descriptor is closed all the same.

    By a name that it may not open itself, a run could have us open what is in it.
    """
    (tmp_path / "file").touch()
    name = os.open(tmp_path, os.O_PATH | os.O_CLOEXEC)
    for descriptor, owner in (
        (_opened(tmp_path / "file"), _ME),
        (_opened(tmp_path), _ME + 1),
        (name, _ME),
    ):
        with pytest.raises(Refused):
            WorkFolder(descriptor, owner)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_files_are_listed_below_the_folder_only(tmp_path: Path) -> None:
    """Regular files, sorted; links and pipes are not followed, entered or listed."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep.txt").write_text("12")
    (tmp_path / "top.txt").write_text("1")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "link").symlink_to("top.txt")
    os.mkfifo(tmp_path / "pipe")

    with WorkFolder(_opened(tmp_path), _ME) as work:
        every, is_all = work.files()
        inside, _ = work.files("a")

    assert is_all
    assert [("a/b/deep.txt", 2), ("top.txt", 1)] == [(e.path, e.size_bytes) for e in every]
    assert ["a/b/deep.txt"] == [entry.path for entry in inside]


def test_endless_folders_end(tmp_path: Path) -> None:
    """Deeper than the bound nothing is looked at, and the listing says that it is not all."""
    (tmp_path / "/".join("d" * 40)).mkdir(parents=True)
    (tmp_path / "/".join("d" * 40) / "x").touch()

    with WorkFolder(_opened(tmp_path), _ME) as work:
        assert ([], False) == work.files()


@pytest.mark.parametrize("path", ["link", "up/file", "pipe", "twin", "file/x", "none", "a\0b"])
def test_only_a_plain_file_is_opened(tmp_path: Path, path: str) -> None:
    """No link, no pipe, no second name, nothing that is not there; and nothing blocks."""
    (tmp_path / "file").write_text("1")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "up").symlink_to(".")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one").write_text("1")
    (tmp_path / "twin").hardlink_to(tmp_path / "one")

    with (
        WorkFolder(_opened(tmp_path), _ME) as work,
        pytest.raises((Refused, OSError, ValueError)),
        work.opened(path),
    ):
        pytest.fail("it was opened")


def test_names_that_are_no_text_are_spelled_out(tmp_path: Path) -> None:
    """Such a file is listed by a text that JSON and a terminal can take."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()

    with WorkFolder(_opened(tmp_path), _ME) as work:
        [entry], _ = work.files()

    assert ("\\xff", False) == (entry.shown, entry.shown == entry.path)
