"""`orq-runtime cache`: where the store is, what it holds, and emptying it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from orq_runtime._supply import Supplier
from orq_runtime.cli import jsontext
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import printable, put
from orq_runtime.model.environment import StoredEnvironment

__all__ = ["COMMANDS"]

_KEY_LENGTH = 12
_MOST_PACKAGES = 4
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def _dir(options: Options) -> int:
    folder = settings_of(options).cache_dir
    _put(options, {"cache_dir": str(folder)}, [str(folder)])
    return 0


def _list(options: Options) -> int:
    found = Supplier(settings=settings_of(options)).environments()
    document = {
        "environments": [{**asdict(item), "packages": list(item.packages)} for item in found]
    }
    _put(options, document, _table(found))
    return 0


def _clean(options: Options) -> int:
    report = Supplier(settings=settings_of(options)).clean()
    lines = [f"removed {report.removed} environments, {as_size(report.freed_bytes)}"]
    lines += [f"kept {text}" for text in report.kept]
    _put(options, {**asdict(report), "kept": list(report.kept)}, lines)
    return 0


COMMANDS: Final[Mapping[str, Callable[[Options], int]]] = {
    "dir": _dir,
    "list": _list,
    "clean": _clean,
}


def _put(options: Options, document: object, lines: list[str]) -> None:
    if options.output_format == "json":
        put(jsontext.dump(document))
    else:
        put("".join(printable(line) + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def _table(found: list[StoredEnvironment]) -> list[str]:
    if not found:
        return []
    now = time.time()
    rows = [("KEY", "PYTHON", "SIZE", "USED", "PACKAGES")]
    rows += [
        (
            item.key[:_KEY_LENGTH],
            item.python,
            as_size(item.bytes),
            "in use" if item.in_use else _ago(now - item.last_use) if item.last_use else "-",
            " ".join(_packages(item)),
        )
        for item in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _packages(item: StoredEnvironment) -> Iterator[str]:
    yield from item.packages[:_MOST_PACKAGES]
    if len(item.packages) > _MOST_PACKAGES:
        yield f"and {len(item.packages) - _MOST_PACKAGES} more"


def _ago(seconds: float) -> str:
    for span, unit in _SPANS:
        if seconds >= span:
            return f"{seconds // span:.0f} {unit} ago"
    return "just now"
