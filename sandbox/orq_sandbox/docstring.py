"""A docstring taken apart: what the function does, and what it says of each parameter.

The three usual ways to write it are read: `Args:` with an indented list (Google), a heading that is
underlined (numpy), and `:param name:` (Sphinx). Anything else is text.
"""

from __future__ import annotations

import re
import typing

__all__ = ["parts"]

_GOOGLE = re.compile(r"(?:Args|Arguments|Parameters):\s*$")
_HEADING = re.compile(r"[A-Z][A-Za-z ]*:\s*$")
_GOOGLE_ITEM = re.compile(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_SPHINX_OTHER = re.compile(r":\w+[^:]*:")
_NUMPY = ("Parameters", "Other Parameters")
_NUMPY_ITEM = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")


def parts(text: str) -> typing.Tuple[str, typing.Dict[str, str]]:
    """The text before the first section, and the text of each parameter."""
    lines = text.splitlines()
    end = next((i for i in range(len(lines)) if _starts_section(lines, i)), len(lines))
    about: typing.Dict[str, typing.List[str]] = {}
    current: typing.Optional[typing.List[str]] = None
    style, index = "", end
    while index < len(lines):
        line = lines[index]
        if _is_underlined(lines, index):
            style = "numpy" if line.strip() in _NUMPY else ""
            current, index = None, index + 2
            continue
        if _HEADING.match(line):
            style, current = ("google" if _GOOGLE.match(line) else ""), None
        elif _SPHINX_OTHER.match(line):
            found = _SPHINX.match(line)
            style, current = "sphinx", None
            if found is not None:
                current = about.setdefault(found.group(1), [found.group(2)])
        else:
            current = _next(style, line, current, about)
        index += 1
    said = {name: " ".join(" ".join(words).split()) for name, words in about.items()}
    return "\n".join(lines[:end]).strip(), {name: words for name, words in said.items() if words}


def _starts_section(lines: typing.List[str], index: int) -> bool:
    line = lines[index]
    is_google = _GOOGLE.match(line) or (
        _HEADING.match(line) and index > 0 and _indents(lines, index)
    )
    return bool(is_google or _SPHINX_OTHER.match(line) or _is_underlined(lines, index))


def _indents(lines: typing.List[str], index: int) -> bool:
    return index + 1 < len(lines) and lines[index + 1].startswith((" ", "\t"))


def _is_underlined(lines: typing.List[str], index: int) -> bool:
    below = lines[index + 1].strip() if index + 1 < len(lines) else ""
    return len(below) >= 3 and set(below) == {"-"} and bool(lines[index].strip())


def _next(
    style: str,
    line: str,
    current: typing.Optional[typing.List[str]],
    about: typing.Dict[str, typing.List[str]],
) -> typing.Optional[typing.List[str]]:
    """Take one more line of a section; the list that further lines belong to."""
    if style == "google":
        found = _GOOGLE_ITEM.match(line)
        depth = len(line) - len(line.lstrip())
        if found is not None and depth <= 4:
            return about.setdefault(found.group(1), [found.group(2)])
    elif style == "numpy" and line[:1].strip():
        found = _NUMPY_ITEM.match(line)
        words: typing.List[str] = []
        for name in found.group(1).split(",") if found is not None else ():
            about[name.strip()] = words
        return words
    if current is not None and style:
        current.append(line.strip())
    return current
