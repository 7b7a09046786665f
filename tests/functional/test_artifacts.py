"""Files that a step is given: artifacts as inputs, in every tier and from both starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orq_runtime import Artifact, Runtime, Step
from orq_runtime.errors import BadCall, NotFound, RequestError


@pytest.fixture
def runtime(tiered: Runtime) -> Runtime:
    """A runtime of each tier, and of both starts."""
    return tiered


_READ = """
from pathlib import Path
def f(data, folder: Path = None, more: list = None):
    assert type(data) is str and (folder is None or isinstance(folder, Path))
    found = [Path(data).read_text()]
    if folder is not None:
        found += sorted(one.name for one in folder.iterdir())
    for one in more or []:
        found.append(Path(one).read_text())
    return found
"""


def test_an_artifact_is_an_input(runtime: Runtime, tmp_path: Path) -> None:
    """The function gets the path of what it may read, also of another run's output."""
    code = "def f(): open('result.json', 'w').write('made')\n"
    written = runtime.run(Step(source=code, function="f"), outputs=["result"]).outputs["result"]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    step = Step(source=_READ, function="f")

    outcome = runtime.run(
        step,
        {
            "data": written,
            "folder": Artifact(tmp_path / "folder"),
            "more": [Artifact(tmp_path / "b.txt")],
        },
    )

    assert ["made", "a.txt", "b"] == outcome.value


def test_runs_with_artifacts_are_hot_too(one: Runtime, tmp_path: Path) -> None:
    """A zygote that takes artifacts is handed each run's own, a file and a whole folder."""
    step = Step(source=_READ, function="f")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "x.txt").write_text("x")
    starts = []
    for n in range(3):
        file = tmp_path / f"{n}.txt"
        file.write_text(str(n))
        outcome = one.run(step, {"data": Artifact(file), "folder": Artifact(tmp_path / "folder")})
        assert [str(n), "deep"] == outcome.value
        starts.append(outcome.start)

    assert "hot" == starts[-1]


_LOOK = """
import os
from pathlib import Path
def f(path, seen):
    found = []
    place = Path(path)
    while place != place.parent:
        place = place.parent
        try:
            found += [str(one) for one in place.iterdir()]
        except OSError:
            pass
    for attempt in (lambda: os.chmod(Path(path).parents[2], 0o755), lambda: open(seen).read()):
        try:
            attempt()
        except OSError:
            continue
        found.append("reached")
    return [found, path]
"""


def test_a_run_finds_only_what_it_was_handed(runtime: Runtime, tmp_path: Path) -> None:
    """Nobody can list what others are handed, and what one run had is gone for the next."""
    if runtime.run(Step(source="def f(): pass", function="f")).isolation == "process":
        pytest.skip("there is no wall")
    (tmp_path / "a.txt").write_text("a")
    step, handed = Step(source=_LOOK, function="f"), Artifact(tmp_path / "a.txt")

    before = runtime.run(step, {"path": handed, "seen": "/nowhere"}).value
    assert isinstance(before, list)
    after = runtime.run(step, {"path": handed, "seen": before[1]}).value
    assert isinstance(after, list)

    is_where_it_lies = before[1] == str(handed.path)
    assert is_where_it_lies or "reached" not in after[0]
    shared = Path(after[1]).parents[2]
    assert is_where_it_lies or not [one for one in after[0] if Path(one).parent == shared]


def test_what_costs_too_much_is_granted_where_it_lies(one: Runtime, tmp_path: Path) -> None:
    """A folder of many files is not linked file by file: its run starts alone."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(4100):
        (folder / str(n)).touch()
    step = Step(source="import os\ndef f(path): return [path, len(os.listdir(path))]", function="f")

    outcome = one.run(step, {"path": Artifact(folder)})

    assert ([str(folder), 4100], "warm") == (outcome.value, outcome.start)


def test_an_artifact_cannot_be_written(runtime: Runtime, tmp_path: Path) -> None:
    """Behind a wall an input is read-only, whoever it belongs to."""
    file = tmp_path / "a.txt"
    file.write_text("mine")
    file.chmod(0o666)
    step = Step(source="def f(path):\n    open(path, 'w').write('theirs')\n", function="f")

    outcome = runtime.run(step, {"path": Artifact(file)}, check=False)

    if outcome.isolation != "process":
        assert ("raised", "mine") == (outcome.verdict, file.read_text())


def test_a_text_is_never_a_file(one: Runtime, tmp_path: Path) -> None:
    """A text that names a file stays a text, and grants nothing."""
    file = tmp_path / "a.txt"
    file.write_text("a")
    step = Step(source="import os\ndef f(path): return os.path.exists(path)\n", function="f")

    assert one.run(step, {"path": str(file)}).value is False
    assert one.run(step, {"path": Artifact(file)}).value is True


def test_what_is_no_artifact_is_refused(one: Runtime, tmp_path: Path) -> None:
    """A file that is not there, a device, a place that no run is given."""
    step = Step(source="def f(path): pass\n", function="f")
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(NotFound, match="no such artifact"):
        one.run(step, {"path": Artifact(tmp_path / "missing")})
    with pytest.raises(BadCall, match="a file or a folder"):
        one.run(step, {"path": Artifact(tmp_path / "pipe")})
    with pytest.raises(RequestError, match="has its own `/proc`"):
        one.run(step, {"path": Artifact("/proc/self")})
