"""What a host may do to a runtime: fork beside it, end without closing it, close it at once from
many threads, run out of descriptors.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import orq_runtime as orq
from orq_runtime import errors
from orq_runtime.model.outcome import Outcome

_DOUBLE = orq.Step(source="def f(n: int) -> int:\n    return 2 * n\n", function="f")
_WAITS = orq.Step(
    source=(
        "def f(here: str, fifo: str) -> int:\n"
        "    with open(here, 'w') as file:\n"
        "        file.write('here')\n"
        "    with open(fifo) as file:\n"
        "        file.read()\n"
        "    return 7\n"
    ),
    function="f",
)
_FEW = orq.Limits(tmp_bytes=1 << 20)
_LONG = 120


@pytest.fixture
def fifos(tmp_path: Path) -> dict[str, str]:
    """The inputs of a run that says that it is there, and then waits."""
    found = {name: str(tmp_path / name) for name in ("here", "fifo")}
    for path in found.values():
        os.mkfifo(path)
    return found


def _refusals(runtime: orq.Runtime, future: Future[Outcome]) -> list[object]:
    """What a fork hears of everything it might try."""
    heard: list[object] = []
    for work in (
        lambda: runtime.run(_DOUBLE, {"n": 1}),
        lambda: runtime.submit(_DOUBLE, {"n": 1}),
        lambda: runtime.executor(_DOUBLE).submit(n=1),
        lambda: list(runtime.map(_DOUBLE, [{"n": 1}])),
        lambda: runtime.supply(_DOUBLE),
    ):
        try:
            heard.append(work())
        except errors.RequestError as error:
            heard.append("fork" in error.message)
    heard.append(future.cancel() is False)
    runtime.close()
    runtime.close(drain=True)
    return heard


def test_a_fork_of_the_host_can_do_nothing_to_its_runtime(
    cache_dir: Path, fifos: dict[str, str]
) -> None:
    """It is told so, and its parent's runs, zygotes and folders are as they were."""
    with orq.Runtime(cache_dir=cache_dir, isolation="process") as runtime:
        future = runtime.submit(_WAITS, fifos)
        assert "here" == Path(fifos["here"]).read_text()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if all(one is True for one in _refusals(runtime, future)) else 1)
            finally:
                os._exit(2)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert not future.done()
        os.close(os.open(fifos["fifo"], os.O_WRONLY))
        values = [future.result(_LONG).value, runtime.run(_DOUBLE, {"n": 1}).value]
        values.append(runtime.run(_DOUBLE, {"n": 2}, limits=_FEW).value)
        stats = runtime.stats()

    assert ([7, 2, 4], 0) == (values, stats.deaths)


@pytest.mark.slow
def test_a_host_that_ends_without_closing_leaves_nothing(tmp_path: Path) -> None:
    """It does not hang, and neither processes nor folders stay; a run under way is ended."""
    script = (
        "import os, sys, orq_runtime as orq\n"
        "runtime = orq.Runtime(cache_dir=sys.argv[1], isolation='process')\n"
        "step = orq.Step(source=open(sys.argv[2]).read(), function='f')\n"
        "runtime.submit(step, {'here': sys.argv[3], 'fifo': sys.argv[4]})\n"
        "print(open(sys.argv[3]).read(), flush=True)\n"
    )
    (tmp_path / "step.py").write_text(str(_WAITS.source))
    paths = [tmp_path / name for name in ("cache", "step.py", "here", "fifo")]
    for path in paths[2:]:
        os.mkfifo(path)
    temporary = tmp_path / "tmp"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        check=True,
        timeout=_LONG,
    )
    left = list(temporary.glob("orq-runtime-*/*"))

    assert ((b"here\n", b""), []) == ((done.stdout, done.stderr), left)


def test_many_threads_may_close_a_runtime_at_once(cache_dir: Path, fifos: dict[str, str]) -> None:
    """All of them return when it is closed, and whoever still ran is told."""
    runtime = orq.Runtime(cache_dir=cache_dir, isolation="process", concurrency=2)
    futures = [runtime.submit(_WAITS, fifos)]
    assert "here" == Path(fifos["here"]).read_text()
    futures += [runtime.submit(_DOUBLE, {"n": n}) for n in range(100)]
    with ThreadPoolExecutor(8) as closers:
        closed = [one.exception() for one in [closers.submit(runtime.close) for _ in range(8)]]

    assert [None] * 8 == closed
    assert all(future.done() for future in futures)
    assert futures[0].cancelled()
    for work in (lambda: runtime.run(_DOUBLE, {"n": 1}), lambda: runtime.supply(_DOUBLE)):
        with pytest.raises(errors.RequestError, match="closed"):
            work()


def test_a_host_without_descriptors_keeps_its_zygote(cache_dir: Path) -> None:
    """Runs that find no place have not begun and say so; others go on, and later all is well."""
    before, hardest = resource.getrlimit(resource.RLIMIT_NOFILE)
    with orq.Runtime(cache_dir=cache_dir, isolation="process") as runtime:
        runtime.run(_DOUBLE, {"n": 1})
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(
                target=lambda: outcomes.append(runtime.run(_DOUBLE, {"n": 1}, check=False))
            )
            for _ in range(20)
        ]
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        fillers = [os.open(os.devnull, os.O_RDONLY)]
        while fillers[-1] <= highest:
            fillers.append(os.open(os.devnull, os.O_RDONLY))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 8, hardest))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (before, hardest))
            for filler in fillers:
                os.close(filler)
        again = runtime.run(_DOUBLE, {"n": 2})
        stats = runtime.stats()

    ended = {(outcome.verdict, outcome.began) for outcome in outcomes}
    assert ("never_started", "no") in ended
    assert ended <= {("never_started", "no"), ("ok", "yes")}
    assert (20, 4, 1, 0) == (len(outcomes), again.value, stats.starts, stats.deaths)
