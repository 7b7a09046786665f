"""Faults of an index: it answers 500, breaks off, sends something else, or does not answer."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from orq_runtime.errors import OrqRuntimeError, SupplyError
from orq_runtime.model.environment import Freshness, SupplyRequest
from tests.faults.trials import Ground, Grounds, Tally, Trial, tally
from tests.supply_fixtures import supplier_with

__all__ = ["index_faults"]

KINDS = ("500", "truncated", "wrong bytes", "closed")


def index_faults(room: Path, *, is_long: bool) -> Tally:
    """Each request of a supply to an index is answered wrongly, in each of four ways."""
    grounds = Grounds(room)
    asked = _asked(grounds.fresh())
    todo = [_trial(kind, number) for kind in KINDS for number in range(1, asked + 1)]
    return tally(grounds.each(todo if is_long else todo[::2], at_once=2))


def _asked(ground: Ground) -> int:
    with _faulty(ground, "", 0) as (url, seen):
        _supply(ground, url)
        return len(seen)


def _trial(kind: str, number: int) -> Callable[[Ground], Trial]:
    def trial(ground: Ground) -> Trial:
        broken = []
        with _faulty(ground, kind, number) as (url, seen):
            try:
                _supply(ground, url)
            except SupplyError as error:
                if not error.message.strip():
                    broken.append("an error without a word")
            except (OrqRuntimeError, OSError, ValueError, AssertionError) as error:
                broken.append(f"{type(error).__name__}: {error}")
            fired = len(seen) >= number
            broken += ground.not_whole()
            try:  # the index is well again: it is asked anew at once, for that is asked for
                _supply(ground, url, Freshness(refresh=True))
                healed = ground.heals()
            except SupplyError as error:
                healed = f"{type(error).__name__}: {error.message[-300:]}"
        if healed:
            broken.append(f"the next supply: {healed}")
        return Trial(
            is_fired=fired,
            broken=tuple(f"request {number}, {kind}: {text}" for text in broken),
            is_healed=not healed,
        )

    return trial


def _supply(ground: Ground, url: str, freshness: Freshness | None = None) -> None:
    settings = replace(
        ground.shop.settings(offline=False),
        find_links=(),
        default_index=url,
    )
    settings = replace(
        settings, tool_environment={**settings.tool_environment, "UV_HTTP_RETRIES": "0"}
    )
    supplier = supplier_with(settings, isolation=ground.isolation)
    component = supplier.component(ground.component)
    supplier.supply(SupplyRequest(components=(component,), freshness=freshness or Freshness()))


@contextlib.contextmanager
def _faulty(ground: Ground, kind: str, number: int) -> Iterator[tuple[str, list[str]]]:
    """An index whose request of that number fails so, once; and what it was asked for."""
    root = ground.shop.root / "index"
    for wheel in ground.shop.wheels.glob("*.whl"):
        folder = root / wheel.name.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, folder / wheel.name)
    seen: list[str] = []

    class Index(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            if len(seen) != number:
                super().do_GET()
            elif kind == "500":
                self.send_error(500)
            elif kind == "closed":
                self.close_connection = True
            else:
                self.send_response(200)
                content = b"\x00garbage" * 512
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:100] if kind == "truncated" else content)
                self.close_connection = True

        def log_message(self, *args: object, **kwargs: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Index, directory=str(root))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
