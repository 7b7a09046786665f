"""A peer that cannot be had, or gives a wrong value, ends a benchmark and says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import environments, report, rivals
from benchmarks.environments import PeerMissing
from benchmarks.workloads import WORKLOADS


def test_what_cannot_be_installed_says_why(tmp_path: Path) -> None:
    """The reason is uv's own, and names what was asked for."""
    with pytest.raises(PeerMissing, match=r"(?s)^lost: .*no-such\.whl"):
        environments.venv("lost", tmp_path, Path(sys.executable), [f"{tmp_path}/no-such.whl"])


def test_a_missing_peer_fails_the_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    """Its reason is the last word, and no traceback."""

    def main() -> int:
        raise PeerMissing("isolate: the index does not have it")

    assert 1 == report.ended(main)
    assert "a peer cannot be had: isolate: the index does not have it\n" == capsys.readouterr().err


def test_bubblewrap_is_the_machines_own_where_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without it and without a way to fetch it, that is the reason."""
    (tmp_path / "bwrap").write_text("")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tmp_path / "bwrap" == environments.bubblewrap(tmp_path)

    (tmp_path / "bwrap").unlink()
    with pytest.raises(PeerMissing, match="no `bwrap`"):
        environments.bubblewrap(tmp_path)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise OSError('no semaphores')", PeerMissing),
        ("input(); print('[0.001, [7]]')", RuntimeError),
    ],
)
def test_a_peer_that_ends_or_errs_is_not_measured(
    tmp_path: Path, program: str, expected: type[Exception]
) -> None:
    """Also when it answers, and only the value is wrong."""
    argv: list[str] = [sys.executable, "-c", program]

    with pytest.raises(expected), rivals.served("peer", [*argv], 28000, tmp_path):
        pytest.fail("it gave no right value")


@pytest.mark.slow
def test_several_calls_are_one_answer(tmp_path: Path) -> None:
    """A pool makes as many calls as it is asked for, and every value counts."""
    work = WORKLOADS[0]
    (tmp_path / f"{work.module}.py").write_text(
        "from pathlib import Path\n"
        "def total(factor, numbers):\n"
        "    with Path(__file__).with_name('calls').open('a') as file:\n"
        "        file.write('x')\n"
        "    return 28000\n"
    )
    bench = rivals.Bench(
        work=work,
        folder=tmp_path,
        interpreter=Path(sys.executable),
        python=Path(sys.executable),
        script=tmp_path / "script.py",
    )

    with bench.pool(tasks=1, workers=2) as pool:
        assert pool.ask(10) > 0

    assert 11 == len((tmp_path / "calls").read_text())
