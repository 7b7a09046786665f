"""The user's own settings: the one module that reads the environment and the user's config file.

Precedence: what the caller passes, then `ORQ_RUNTIME_*`, then the user's config file
(`$XDG_CONFIG_HOME/orq-runtime/config.toml`), then the defaults here. Nothing of a component is
read: indexes, isolation and build permission are never a component's to choose.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from orq_runtime._dataclass import dataclass, fields, replace
from orq_runtime.errors import RequestError
from orq_runtime.model.place import absolute

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Final, Literal

    Compile = Literal["imports", "all"]
    LockMode = Literal["open", "locked", "frozen"]
else:
    Compile = LockMode = str

__all__ = ["Compile", "LockMode", "Settings", "load"]

COMPILE: Final[tuple[Compile, ...]] = ("imports", "all")

_PREFIX = "ORQ_RUNTIME_"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"  # start-up budget: compiled where needed
_SEPARATORS = r"[-_.]+"
_PASSED_TO_UV = (
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this user wants things done.

    `index` are further package indexes, `default_index` replaces the public one, `find_links` are
    folders or pages of distributions; they may hold credentials and are never shown. `offline`
    forbids the network to supply. `exclude_newer` (`2022-07-01` or RFC 3339) dates a resolution.
    `allow_build` names distributions that may be built, behind the wall, where an index has no
    wheel of them. `compile` is the bytecode made ahead: of what the direct requirements import
    (`imports`), or `all`. `locked` wants a lock beside a component that fits its declarations,
    `frozen` takes that lock as it is; not both. `debug` has the command line show tracebacks of its
    own failures.
    `temporary_dir` is where TMPDIR points, `tool_environment` what uv inherits: certificates,
    proxies and PATH, `python_dirs` where pyenv and uv keep their interpreters.
    """

    cache_dir: Path
    python: str | None = None
    offline: bool = False
    index: tuple[str, ...] = ()
    default_index: str | None = None
    find_links: tuple[str, ...] = ()
    exclude_newer: str | None = None
    allow_build: tuple[str, ...] = ()
    compile: Compile = "imports"
    locked: bool = False
    frozen: bool = False
    debug: bool = False
    temporary_dir: Path
    tool_environment: Mapping[str, str]
    python_dirs: tuple[Path, ...] = ()

    @property
    def lock_mode(self) -> LockMode:
        """What a lock beside a component means."""
        return "locked" if self.locked else "frozen" if self.frozen else "open"


def load(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """The settings in force; `given` are the caller's and win where they are not None.

    Raises `RequestError` on a config file that cannot be read and on a value of the wrong kind.
    """
    source = os.environ if environ is None else environ
    values: dict[str, object] = {}
    values.update(_from_file(_config_file(source)))
    values.update(_from_environ(source))
    values.update({key: value for key, value in given.items() if value is not None})
    settings = Settings(
        cache_dir=_default_cache_dir(source),
        temporary_dir=Path(source.get("TMPDIR") or "/tmp"),
        tool_environment={key: source[key] for key in _PASSED_TO_UV if key in source},
        python_dirs=_python_dirs(source),
    )
    read = {key: _READERS[key](key, value) for key, value in values.items()}
    settings = replace(settings, **read)  # type: ignore[arg-type]  # each reader returns its field's type
    if settings.locked and settings.frozen:
        raise RequestError(
            "`locked` and `frozen` exclude each other",
            hint="--locked wants a lock that fits, --frozen takes the lock as it is",
        )
    return settings


def _default_cache_dir(source: Mapping[str, str]) -> Path:
    base = source.get("XDG_CACHE_HOME") or ""
    root = Path(base) if base.startswith("/") else _home(source) / ".cache"
    return root / "orq-runtime"


def _python_dirs(source: Mapping[str, str]) -> tuple[Path, ...]:
    """Folders with one folder per interpreter, by the variables of those who fill them."""
    home = _home(source)
    shared = source.get("XDG_DATA_HOME") or f"{home}/.local/share"
    pyenv = source.get("PYENV_ROOT") or f"{home}/.pyenv"
    places = (f"{pyenv}/versions", source.get("UV_PYTHON_INSTALL_DIR") or f"{shared}/uv/python")
    return tuple(Path(place) for place in places if place.startswith("/"))


def _config_file(source: Mapping[str, str]) -> Path:
    base = source.get("XDG_CONFIG_HOME") or ""
    root = Path(base) if base.startswith("/") else _home(source) / ".config"
    return root / "orq-runtime" / "config.toml"


def _home(source: Mapping[str, str]) -> Path:
    home = source.get("HOME") or ""
    return Path(home) if home.startswith("/") else Path("~").expanduser()


def _from_environ(source: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key in _READERS:
        if text := source.get(_PREFIX + key.upper()):
            found[key] = text.split() if _READERS[key] in (_texts, _names) else text
    return found


def _from_file(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    import tomllib  # start-up budget: most users have no such file

    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read the settings in `{path}`: {error}") from error
    values = {key.replace("-", "_"): value for key, value in document.items()}
    if unknown := sorted(set(values) - set(_READERS)):
        known = ", ".join(name.replace("_", "-") for name in _READERS)
        raise RequestError(f"`{path}`: unknown setting `{unknown[0]}`", hint=f"known are: {known}")
    return values


def _text(key: str, value: object) -> str:
    if not isinstance(value, str | Path) or not str(value):
        raise RequestError(f"setting `{key}` is a text, not: `{value!r}`")
    return str(value)


def _date(key: str, value: object) -> str:
    from datetime import datetime  # start-up budget: few date their resolutions

    text = _text(key, value)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f"setting `{key}` is a date or an RFC 3339 time, not: `{text}`", hint="as 2022-07-01"
        ) from None
    return text


def _path(key: str, value: object) -> Path:
    return absolute(Path(_text(key, value)).expanduser())


def _flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise RequestError(f"setting `{key}` is true or false, not: `{value!r}`")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise RequestError(f"setting `{key}` is a list of texts, not: `{value!r}`")
    return tuple(_text(key, member) for member in value)


def _names(key: str, value: object) -> tuple[str, ...]:
    names = _texts(key, value)
    for name in names:
        if not re.fullmatch(_NAME, name):
            raise RequestError(f"setting `{key}` is a list of distributions' names, not: `{name}`")
    return tuple(re.sub(_SEPARATORS, "-", name).lower() for name in names)


def _compile(key: str, value: object) -> Compile:
    text = _text(key, value)
    for known in COMPILE:
        if text == known:
            return known
    raise RequestError(
        f"setting `{key}` is a word, not: `{text}`",
        hint="one of: " + ", ".join(f"`{known}`" for known in COMPILE),
    )


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "cache_dir": _path,
    "python": _text,
    "offline": _flag,
    "index": _texts,
    "default_index": _text,
    "find_links": _texts,
    "exclude_newer": _date,
    "allow_build": _names,
    "compile": _compile,
    "locked": _flag,
    "frozen": _flag,
    "debug": _flag,
}

_GIVEN_BY_THE_MACHINE = {"temporary_dir", "tool_environment", "python_dirs"}
assert {*_READERS, *_GIVEN_BY_THE_MACHINE} == {item.name for item in fields(Settings)}
