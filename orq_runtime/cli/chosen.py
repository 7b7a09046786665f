"""The settings in force for a command: its options before the user's own."""

from __future__ import annotations

from orq_runtime import settings
from orq_runtime.cli.options import Options

__all__ = ["settings_of"]

_NAMES = (
    "cache_dir",
    "python",
    "offline",
    "index",
    "default_index",
    "find_links",
    "exclude_newer",
    "allow_build",
    "compile",
    "locked",
    "frozen",
)


def settings_of(options: Options) -> settings.Settings:
    """The settings. Raises `RequestError` for those that cannot be read."""
    return settings.load(**{name: getattr(options, name, None) for name in _NAMES})
