"""Publishing, scratch folders and locks: whole or absent, and free when their holder is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orq_runtime import _fs
from orq_runtime.errors import StoreBusy, StoreError


def _staged(folder: Path) -> Path:
    (folder / "made" / "deep").mkdir(parents=True)
    (folder / "made" / "deep" / "file").write_text("x")
    return folder / "made"


def test_publish_moves_a_whole_folder_read_only(tmp_path: Path) -> None:
    """A published folder has all its content, and nothing in it may be written."""
    with _fs.scratch(tmp_path / "staging") as folder:
        is_first = _fs.publish(_staged(folder), tmp_path / "store" / "key")

    target = tmp_path / "store" / "key"
    modes = {oct(path.stat().st_mode & 0o222) for path in [target, *target.rglob("*")]}
    assert (True, {"0o0"}) == (is_first, modes)
    _fs.remove_tree(target)
    assert not target.exists()


def test_the_first_to_publish_wins(tmp_path: Path) -> None:
    """A second folder for the same name is left where it is; the first stays."""
    for expected in (True, False):
        with _fs.scratch(tmp_path / "staging") as folder:
            assert expected == _fs.publish(_staged(folder), tmp_path / "key")

    assert [] == list((tmp_path / "staging").iterdir())


def test_sweep_takes_the_dead_and_leaves_the_living(tmp_path: Path) -> None:
    """A scratch folder whose maker was killed is removed; one in use is not."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom orq_runtime import _fs\n"
        "with _fs.scratch(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'file').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    with _fs.scratch(tmp_path) as living:
        left = len(list(tmp_path.iterdir()))
        removed = _fs.sweep(tmp_path)

        assert (4, 1, True) == (left, removed, living.is_dir())


def test_a_folder_in_the_making_is_safe_from_sweepers(tmp_path: Path) -> None:
    """A sweeper that falls between the making of a guard and its lock takes nothing in use."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom orq_runtime import _fs\n"
        "print(flush=True)\nwhile True:\n    _fs.sweep(Path(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=-1) as sweeper:
        assert sweeper.stdout is not None
        sweeper.stdout.readline()
        lost = 0
        for _ in range(2000):
            with _fs.scratch(tmp_path) as folder:
                lost += not folder.with_name(folder.name + ".lock").exists()
        sweeper.kill()

    assert lost == 0


def test_a_lock_file_may_be_removed_under_those_who_wait(tmp_path: Path) -> None:
    """Of many who take a lock and remove its file, only one holds it at a time."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom orq_runtime import _fs\n"
        "path = Path(sys.argv[1]) / 'lock'\nmark = path.with_name('mark')\n"
        "for _ in range(300):\n"
        "    with _fs.lock(path, timeout_seconds=60):\n"
        "        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))\n"
        "        mark.unlink()\n        path.unlink()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", script, tmp_path]) for _ in range(3)]

    assert [0, 0, 0] == [child.wait(120) for child in children]


def test_sweepers_do_not_meet_in_one_folder(tmp_path: Path) -> None:
    """Several sweepers at once remove everything of the dead, guarded or not, and none fails."""
    for number in range(40):
        (tmp_path / f"{number:016x}" / "deep" / "deeper").mkdir(parents=True)
        if number % 2:
            (tmp_path / f"{number:016x}.lock").touch()
    script = "import sys, pathlib, orq_runtime._fs as f\nf.sweep(pathlib.Path(sys.argv[1]))"
    children = [subprocess.Popen([sys.executable, "-c", script, tmp_path]) for _ in range(4)]

    assert [0] * 4 == [child.wait(60) for child in children]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_scratch_folder_that_cannot_go_is_left_to_a_sweep(tmp_path: Path) -> None:
    """The work's own result counts; a later sweep removes what somebody kept busy."""
    with _fs.scratch(tmp_path) as folder:
        (folder / "mounted").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", folder / "mounted"], check=True)
    left = sorted(path.suffix for path in tmp_path.iterdir())
    subprocess.run(["umount", folder / "mounted"], check=True)

    assert ["", ".lock"] == left
    assert (1, []) == (_fs.sweep(tmp_path), list(tmp_path.iterdir()))


def test_drafts_of_the_dead_are_swept(tmp_path: Path) -> None:
    """A draft whose writer was killed goes; one that is being written stays."""
    (tmp_path / ".name.0123456789ab.draft").write_text("half")
    living = _fs.try_lock(tmp_path / ".name.ba9876543210.draft")
    assert living is not None

    assert 1 == _fs.sweep_drafts(tmp_path)
    os.close(living)
    assert (1, []) == (_fs.sweep_drafts(tmp_path), list(tmp_path.iterdir()))


def test_sweep_takes_a_folder_that_nobody_guards(tmp_path: Path) -> None:
    """What a child made again after its maker's folder was swept goes at the next sweep."""
    (tmp_path / "0123456789abcdef" / "deep").mkdir(parents=True)

    assert (1, []) == (_fs.sweep(tmp_path), list(tmp_path.iterdir()))


def test_a_hostile_tree_is_removed(tmp_path: Path) -> None:
    """Depth, unreadable folders and links do not keep a tree from being removed."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "kept").write_text("x")
    (root / "link").symlink_to(tmp_path / "kept")
    (root / "to-folder").symlink_to(tmp_path)
    folder = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", 0o700, dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.fchmod(folder, 0)
    os.close(folder)

    _fs.remove_tree(root)

    assert ["kept"] == [path.name for path in tmp_path.iterdir()]


def test_a_lock_is_exclusive_and_bounded(tmp_path: Path) -> None:
    """Who waits is told so once, and gives up with an error when the time is over."""
    told: list[str] = []
    with (
        _fs.lock(tmp_path / "lock", timeout_seconds=1),
        pytest.raises(StoreBusy),
        _fs.lock(tmp_path / "lock", timeout_seconds=0.05, on_wait=lambda: told.append("waiting")),
    ):
        pass

    assert ["waiting"] == told


def test_shared_locks_live_together(tmp_path: Path) -> None:
    """Readers share; a writer must wait for all of them."""
    first = _fs.try_lock(tmp_path / "lock", shared=True)
    second = _fs.try_lock(tmp_path / "lock", shared=True)
    assert first is not None
    assert second is not None
    writer = _fs.try_lock(tmp_path / "lock")
    for descriptor in (first, second):
        os.close(descriptor)
    late = _fs.try_lock(tmp_path / "lock")

    assert writer is None
    assert late is not None
    os.close(late)


def test_an_unusable_folder_is_a_store_error(tmp_path: Path) -> None:
    """A cache below a file is one clear error."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError) as caught, _fs.scratch(tmp_path / "file" / "staging"):
        pass

    assert str(tmp_path / "file") in caught.value.message


def test_write_atomic_replaces_whole(tmp_path: Path) -> None:
    """A file is replaced in one step and no draft is left."""
    for content in (b"old", b"new"):
        _fs.write_atomic(tmp_path / "folder" / "file", content)

    assert [("file", b"new")] == [
        (path.name, path.read_bytes()) for path in (tmp_path / "folder").iterdir()
    ]


def test_a_copy_into_a_full_store_is_a_store_error(tmp_path: Path) -> None:
    """The system names the source first; what cannot be written lies in the store."""
    full = OSError(28, "No space left on device", "/elsewhere/file", None, str(tmp_path / "copy"))
    with pytest.raises(StoreError, match="No space left"), _fs.writing(tmp_path):
        raise full
    with pytest.raises(PermissionError), _fs.writing(tmp_path):
        raise PermissionError(13, "Permission denied", "/elsewhere/file")
