"""`orq-runtime cache`: where the store is, what it holds, checking it and making it smaller."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from orq_runtime._dataclass import asdict, replace
from orq_runtime._run import artifacts, bundle
from orq_runtime._supply import Supplier
from orq_runtime._workshop import supplying
from orq_runtime.cli import jsontext
from orq_runtime.cli.chosen import settings_of
from orq_runtime.cli.options import Options
from orq_runtime.cli.sizes import as_size
from orq_runtime.cli.terminal import printable, put
from orq_runtime.model.stored import CleanReport, Finding, StoredEnvironment

__all__ = ["COMMANDS"]

_KEY_LENGTH = 12
_DEFECTIVE = 4
_MOST_DEFECTS = 10
_HEADERS = ("KEY", "PYTHON", "SIZE", "USED", "PACKAGES")
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
    rows = _rows(found)
    if rows and options.output_format != "json" and sys.stdout is not None and sys.stdout.isatty():
        from orq_runtime.cli.drawing import draw_table  # only to draw

        draw_table(_HEADERS, rows, right="SIZE")
    else:
        _put(options, document, _lines(rows))
    return 0


def _size(options: Options) -> int:
    found = Supplier(settings=settings_of(options)).size()
    own = as_size(found.environment_bytes)
    count = "1 environment" if found.environments == 1 else f"{found.environments} environments"
    lines = [
        f"{as_size(found.total_bytes)} in {count} and what is needed to make them",
        f"  environments  {own}, and {as_size(found.shared_bytes)} shared with uv's cache",
        f"  uv's cache    {as_size(found.uv_bytes)}",
        f"  the rest      {as_size(found.other_bytes)}",
    ]
    _put(options, {**asdict(found), "total_bytes": found.total_bytes}, lines)
    return 0


def _clean(options: Options) -> int:
    settings = settings_of(options)
    report = Supplier(settings=settings).clean()
    return _report(options, _with_artifacts(options, report), bundle.clean(settings.cache_dir))


def _prune(options: Options) -> int:
    settings = settings_of(options)
    report = Supplier(settings=settings).prune(
        max_bytes=options.max_size, older_than_seconds=options.older_than
    )
    bundles = bundle.clean(settings.cache_dir, only_old=True)
    return _report(options, _with_artifacts(options, report), bundles)


def _with_artifacts(options: Options, report: CleanReport) -> CleanReport:
    """The report, with the artifacts of runs removed as well where that is asked for."""
    if not options.artifacts:
        return report
    age = options.older_than or 0.0
    count, freed = artifacts.clean(settings_of(options).cache_dir, older_than_seconds=age)
    return replace(report, artifacts=count, freed_bytes=report.freed_bytes + freed)


def _report(options: Options, report: CleanReport, bundles: int) -> int:
    report = replace(report, others=report.others + bundles)
    lines = [f"removed {_count(report.removed, 'environment')}, {as_size(report.freed_bytes)}"]
    if report.others:
        lines.append(f"removed {_count(report.others, 'other thing')} that led to none")
    if report.artifacts:
        lines.append(f"removed {_count(report.artifacts, 'artifact')} of runs")
    lines += [f"kept {text}" for text in report.kept]
    _put(options, {**asdict(report), "kept": list(report.kept)}, lines)
    return 0


def _pin(options: Options, *, is_pinned: bool = True) -> int:
    supplier = Supplier(settings=settings_of(options))
    keys = [supplier.pin(key, is_pinned=is_pinned) for key in options.keys]
    word = "pinned" if is_pinned else "unpinned"
    _put(options, {word: keys}, [f"{word} {key}" for key in keys])
    return 0


def _unpin(options: Options) -> int:
    return _pin(options, is_pinned=False)


def _verify(options: Options) -> int:
    settings = settings_of(options)
    if not options.repair:
        found = _checked(Supplier(settings=settings), options)
    else:
        with supplying(settings) as supplier:
            found = _checked(supplier, options)
    bad = [item for item in found if item.defects]
    lines = [line for item in bad for line in _told(item)]
    lines.append(f"{_count(len(found), 'folder')} checked, {len(bad)} not as made")
    _put(options, {"findings": [asdict(item) for item in found]}, lines)
    return 0 if all(item.state == "repaired" for item in bad) else _DEFECTIVE


def _checked(supplier: Supplier, options: Options) -> list[Finding]:
    return [
        item for key in options.keys or [""] for item in supplier.verify(key, repair=options.repair)
    ]


def _told(item: Finding) -> Iterator[str]:
    where = {
        "repaired": "made again; what was there is kept in",
        "quarantined": "taken out of use:",
        "in_use": "in use, so it stays: end what runs in it and verify again",
        "whole": "",
    }[item.state]
    yield f"{item.kind} {item.key}: {where} {item.message}".rstrip()
    yield from (f"  {text}" for text in item.defects[:_MOST_DEFECTS])
    if len(item.defects) > _MOST_DEFECTS:
        yield f"  and {len(item.defects) - _MOST_DEFECTS} more"


COMMANDS: Final[Mapping[str, Callable[[Options], int]]] = {
    "dir": _dir,
    "list": _list,
    "size": _size,
    "prune": _prune,
    "pin": _pin,
    "unpin": _unpin,
    "verify": _verify,
    "clean": _clean,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _put(options: Options, document: object, lines: list[str]) -> None:
    if options.output_format == "json":
        put(jsontext.dump(document))
    else:
        put("".join(printable(line) + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def _rows(found: list[StoredEnvironment]) -> list[tuple[str, ...]]:
    now = time.time()
    return [
        (
            item.key[:_KEY_LENGTH],
            item.python,
            as_size(item.bytes),
            _use(item, now),
            " ".join(_packages(item)),
        )
        for item in found
    ]


def _use(item: StoredEnvironment, now: float) -> str:
    used = "in use" if item.in_use else _ago(now - item.last_use) if item.last_use else "-"
    return f"{used}, pinned" if item.pinned else used


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    rows = [_HEADERS, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADERS))]
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
