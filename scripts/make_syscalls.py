#!/usr/bin/env python3
"""Writes the guest's table of system call numbers from the kernel's headers: `make_syscalls.py`.

Rules of this file:

1. x86_64 comes from `asm/unistd_64.h`, aarch64 from `asm-generic/unistd.h`, both of linux-libc-dev.
2. What is newer than those headers is written down here: from 424 on a call has one number on every
   architecture, so each name is one fact. Headers that know it too must agree.
3. `--check` fails where headers and committed table name different numbers, or one lacks what the
   other has up to the headers' last number: older and newer headers than ours check what they know.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = [
    "both_tables",
    "committed",
    "differences",
    "generic_numbers",
    "plain_numbers",
    "render",
]

_REPOSITORY = Path(__file__).resolve().parent.parent
_TABLE = _REPOSITORY / "sandbox" / "orq_sandbox" / "confine" / "syscall_table.py"
_INCLUDE = Path("/usr/include")
_WIDTH = 96
# rule 2: Linux 6.5 to 6.18
_NEWER_NAMES = (
    "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount "
    "listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat "
    "getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr"
)
_NEWER: Mapping[int, str] = dict(enumerate(_NEWER_NAMES.split(), start=451))
_ONLY_X86_64: Mapping[int, str] = {335: "uretprobe"}
_NOT_CALLS = {"syscalls", "arch_specific_syscall", "sync_file_range2"}
_PLAIN = re.compile(r"^#define\s+__NR_(\w+)\s+(\d+)\b", re.MULTILINE)
_WIDE = re.compile(r"^#define\s+__NR3264_(\w+)\s+(\d+)\b", re.MULTILINE)
_ALIAS = re.compile(r"^#define\s+__NR_(\w+)\s+__NR3264_(\w+)", re.MULTILINE)
_OLD_ABI = 1024  # asm-generic keeps calls here that no 64-bit architecture has
_HEAD = '''"""The numbers of system calls: scripts/make_syscalls.py wrote them from kernel headers.

A word of digits sets the number of the name after it; each further name is one higher.
"""

from __future__ import annotations

__all__ = ["TABLES"]

TABLES = {
'''


def main(arguments: Sequence[str]) -> int:
    """Write the table or check it; 1 when it is not what the headers say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only look; exit 1 on a difference")
    parser.add_argument("--include", type=Path, default=_INCLUDE, help="where the headers are")
    options = parser.parse_args(arguments)
    try:
        tables = both_tables(options.include)
    except OSError as error:
        print(f"cannot read the kernel's headers: `{error.filename}`; they are in linux-libc-dev")
        return 1
    if not options.check:
        _TABLE.write_text(render(tables), "utf-8")
        return 0
    problems = differences(tables, committed(_TABLE.read_text("utf-8")))
    print("".join(f"{problem}\n" for problem in problems), end="")
    return 1 if problems else 0


def differences(
    headers: Mapping[str, Mapping[str, int]], table: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """What the headers say otherwise than the table, a line for each name."""
    problems = []
    for machine, numbers in headers.items():
        known = max(numbers.values())
        ours = {name: n for name, n in table.get(machine, {}).items() if n <= known}
        for name in sorted(numbers.keys() | ours.keys()):
            if numbers.get(name) != ours.get(name):
                said = f"headers {numbers.get(name)}, table {ours.get(name)}"
                problems.append(f"{machine}: `{name}`: {said}; run scripts/make_syscalls.py")
    return problems


def committed(source: str) -> dict[str, dict[str, int]]:
    """The tables in the source of the table's module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLES":
            texts: Mapping[str, str] = ast.literal_eval(node.value)
            return {machine: _numbers(text.split()) for machine, text in texts.items()}
    raise ValueError("the module assigns no TABLES")


def _numbers(words: Sequence[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    number = 0
    for word in words:
        if word.isdigit():
            number = int(word)
        else:
            numbers[word] = number
            number += 1
    return numbers


def both_tables(include: Path) -> dict[str, dict[str, int]]:
    """Names to numbers, per machine. Raises ValueError where rule 2 is contradicted."""
    plain = next(
        (path for path in _plain_headers(include) if path.is_file()),
        include / "asm" / "unistd_64.h",
    )
    generic = include / "asm-generic" / "unistd.h"
    tables = {
        "x86_64": plain_numbers(plain.read_text("utf-8")),
        "aarch64": generic_numbers(generic.read_text("utf-8")),
    }
    for machine, table in tables.items():
        own = _ONLY_X86_64 if machine == "x86_64" else {}
        for number, name in {**_NEWER, **own}.items():
            if table.setdefault(name, number) != number:
                raise ValueError(f"the headers say `{name}` is {table[name]}, not {number}")
    return tables


def plain_numbers(header: str) -> dict[str, int]:
    """The numbers of a header that names them one by one."""
    return {name: int(number) for name, number in _PLAIN.findall(header) if name not in _NOT_CALLS}


def generic_numbers(header: str) -> dict[str, int]:
    """The numbers that asm-generic gives a 64-bit architecture."""
    numbers = {name: number for name, number in plain_numbers(header).items() if number < _OLD_ABI}
    wide = {name: int(number) for name, number in _WIDE.findall(header)}
    named: set[str] = set()
    for name, target in _ALIAS.findall(header):
        # the 64-bit names come first, the 32-bit ones after `#else`
        if target not in named and wide.get(target, _OLD_ABI) < _OLD_ABI:
            numbers[name] = wide[target]
            named.add(target)
    return numbers


def render(tables: Mapping[str, Mapping[str, int]]) -> str:
    """The source of the table's module."""
    parts = [_HEAD]
    for machine, table in tables.items():
        parts.append(f'    "{machine}": """\n')
        parts += [f"{line}\n" for line in _lines(_words(table))]
        parts.append('""",\n')
    return "".join((*parts, "}\n"))


def _words(table: Mapping[str, int]) -> Iterator[str]:
    expected = -1
    for name, number in sorted(table.items(), key=lambda item: item[1]):
        if number != expected:
            yield str(number)
        yield name
        expected = number + 1


def _lines(words: Iterator[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _plain_headers(include: Path) -> Iterator[Path]:
    yield include / "asm" / "unistd_64.h"
    yield from sorted(include.glob("x86_64-*/asm/unistd_64.h"))  # Debian's multiarch folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
