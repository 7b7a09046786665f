"""How well a wheel fits an interpreter of this machine, by the tags in its name."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.markers import default_environment
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from orq_runtime.model.environment import Interpreter

__all__ = ["marker_environment", "rank", "ranks"]


def ranks(interpreter: Interpreter) -> dict[Tag, int]:
    """Every tag that the interpreter takes, with its place: 0 is best."""
    version = interpreter.version[:2]
    cpython = f"cp{version[0]}{version[1]}"
    tags = [*cpython_tags(version, [cpython]), *compatible_tags(version, cpython)]
    return {tag: place for place, tag in reversed(list(enumerate(tags)))}


def rank(name: str, by_tag: Mapping[Tag, int]) -> int | None:
    """How well a file fits, 0 is best; None for a wheel of another kind of interpreter.

    A source distribution fits everywhere, and any wheel that fits is better.
    """
    if not name.endswith(".whl"):
        return len(by_tag)
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return None
    return min((by_tag[tag] for tag in tags if tag in by_tag), default=None)


def marker_environment(interpreter: Interpreter) -> dict[str, str]:
    """What markers are evaluated against for an interpreter of this machine."""
    full = ".".join(str(part) for part in interpreter.version)
    own = {key: str(value) for key, value in default_environment().items()}
    return {
        **own,
        "extra": "",
        "python_version": interpreter.minor,
        "python_full_version": full,
        "implementation_version": full,
    }
