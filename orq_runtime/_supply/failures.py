"""Failures remembered for a moment: a hundred callers do not ask an index what it just refused.

Rules of this file:

1. Only what an index was asked is remembered, and only while the answer is fresh by the clock. One
   that lies in the future is not: a clock may go back.
2. A refresh forgets them all. A store that cannot be written remembers nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from orq_runtime._digest import Digest
from orq_runtime._supply.store import Store, read_json, write_json
from orq_runtime.errors import IndexUnavailable, ResolutionFailed, StoreError
from orq_runtime.settings import Settings

__all__ = ["forget_failures", "is_remembered", "remembered_failure"]

_RECIPE = 1
_SECONDS = 10.0
_KINDS: dict[str, type[IndexUnavailable | ResolutionFailed]] = {
    "unavailable": IndexUnavailable,
    "failed": ResolutionFailed,
}


@contextlib.contextmanager
def remembered_failure(
    store: Store, settings: Settings, kind: str, key: str, *, is_new: bool = False
) -> Iterator[None]:
    """Held around the question `key` to an index. Raises what it said a moment ago.

    `is_new` asks in any case.
    """
    if settings.offline:  # no index is asked
        yield
        return
    path = _place(store, settings, kind, key)
    if not is_new and (error := _recalled(read_json(path))):
        raise error
    try:
        yield
    except (IndexUnavailable, ResolutionFailed) as error:
        name = next(name for name, known in _KINDS.items() if isinstance(error, known))
        with contextlib.suppress(OSError, StoreError):
            write_json(
                path,
                {"kind": name, "message": error.message, "hint": error.hint, "at": time.time()},
            )
        raise


def is_remembered(store: Store, settings: Settings, kind: str, key: str) -> bool:
    """Whether the question would be answered by what an index said a moment ago."""
    document = read_json(_place(store, settings, kind, key))
    return not settings.offline and _recalled(document) is not None


def forget_failures(store: Store) -> None:
    """Ask everything again."""
    if store.failures.is_dir():
        for path in store.failures.iterdir():
            path.unlink(missing_ok=True)


def _place(store: Store, settings: Settings, kind: str, key: str) -> Path:
    digest = Digest("failure", _RECIPE).text("kind", kind).text("key", key)
    digest.texts("index", (settings.default_index or "", *settings.index, *settings.find_links))
    return store.failures / f"{digest.key()}.json"


def _recalled(document: dict[str, object] | None) -> IndexUnavailable | ResolutionFailed | None:
    if document is None:
        return None
    kind, at, hint = _KINDS.get(str(document.get("kind"))), document.get("at"), document.get("hint")
    if kind is None or not isinstance(at, float) or not 0 <= time.time() - at < _SECONDS:
        return None
    again = "asked a moment ago: --refresh asks again"
    return kind(str(document.get("message")), hint=f"{hint}; {again}" if hint else again)
