"""`orq-runtime bench` as a process: every contender did the work, and both forms tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime import settings
from orq_runtime.cli import contest, pool_peer
from tests.cli_fixtures import Cli

_ONE_CALL = {
    ("bare interpreter", "paced"),
    ("bare interpreter", "back to back"),
    ("hot", "paced"),
    ("hot", "back to back"),
    ("warm, new Runtime", "once"),
    ("warm, command", "once"),
    ("process pool, reused", "paced"),
    ("process pool, reused", "back to back"),
    ("process pool, single-use", "paced"),
    ("process pool, single-use", "back to back"),
}
_AT_ONCE = {"confined runs", "process pool, reused", "process pool, single-use"}


@pytest.fixture
def cli(cache_dir: Path, tmp_path: Path) -> Cli:
    """The command with the session's store."""
    return Cli(cache=cache_dir, steps=tmp_path)


@pytest.mark.slow
def test_bench_measures_every_contender(cli: Cli) -> None:
    """The document has a row for each, with figures that fit one another."""
    document = cli("bench", "--rounds", "1", "--output-format", "json").document

    rows = document["rows"]
    assert isinstance(rows, list)
    assert _ONE_CALL == {(row["name"], row["pace"]) for row in rows if row["work"] == "one call"}
    assert _AT_ONCE == {row["name"] for row in rows if row["work"] == "8 at once"}
    assert all(0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"] for row in rows)
    assert {5 if pair[1] in ("paced", "back to back") else 1 for pair in _ONE_CALL} == {
        row["n"] for row in rows
    }
    bare = [row["x_bare"] for row in rows if row["name"] == "bare interpreter"]
    assert [1.0, 1.0] == bare
    assert ("namespaces", {}, 1) == (
        document["isolation"],
        document["absent"],
        document["rounds"],
    )


@pytest.mark.slow
def test_bench_shows_tables(cli: Cli) -> None:
    """The tables are the result; that it takes a while is said beside them."""
    said = cli("bench", "--rounds", "1", "--isolation", "process")

    assert 0 == said.code
    assert "measuring, 1 rounds" in said.err
    assert ", isolation process, Python 3." in said.out
    for name, pace in _ONE_CALL:
        assert any(line.split("  ")[0] == name and pace in line for line in said.out.splitlines())
    assert all(name in said.out.partition("8 AT ONCE")[2] for name in _AT_ONCE)


def test_bench_refuses_no_rounds(cli: Cli) -> None:
    """Nothing can be said of nothing."""
    said = cli("bench", "--rounds", "0")

    assert (2, "") == (said.code, said.out)
    assert "--rounds" in said.err


@pytest.mark.slow
def test_a_peer_that_cannot_be_had_is_named(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the rest is measured."""
    broken = tmp_path / "peer.py"
    broken.write_text("raise OSError('no semaphores here')\n", "utf-8")
    monkeypatch.setattr(pool_peer, "__file__", str(broken))

    with contest.contest(tmp_path, settings.load(cache_dir=str(cache_dir)), "auto") as found:
        names = {one.name for one in found.contenders}

    assert {"hot", "bare interpreter"} <= names
    assert {"process pool, reused", "process pool, single-use"} == set(found.absent)
    assert "no semaphores here" in found.absent["process pool, reused"]
