"""The options of the commands, by uv's names where uv has the concept, and their typed values."""

from __future__ import annotations

import argparse
from collections.abc import Callable

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from orq_runtime._run.guest import Guests
    from orq_runtime.model.checks import Nan, Typecheck
    from orq_runtime.model.plan import Purpose, StartMode
    from orq_runtime.model.policy import Network

__all__ = [
    "Options",
    "add_cache_dir",
    "add_call",
    "add_checks",
    "add_files",
    "add_freshness",
    "add_inputs",
    "add_output",
    "add_supplying",
    "add_with",
]


class Options(argparse.Namespace):
    """What was asked, typed. Each command has only the attributes of its own parser."""

    command: Callable[[Options], int]
    guests: Guests | None = None
    # all that touch the store
    cache_dir: str | None
    python: str | None
    offline: bool | None
    index: list[str] | None
    default_index: str | None
    find_links: list[str] | None
    exclude_newer: str | None
    allow_build: list[str] | None
    compile: str | None
    locked: bool | None
    frozen: bool | None
    no_progress: bool
    quiet: bool
    output_format: str
    # run
    target: str
    given: list[tuple[str, str]]
    component: list[str]
    requirements: list[str]
    timeout: float | None
    start: StartMode
    purpose: Purpose
    isolation: str
    network: Network
    allow_read: list[str]
    allow_write: list[str]
    environ: list[str]
    memory: int | None
    outputs: list[str] | None
    outputs_dir: str | None
    keep_files: bool
    show_locals: bool
    typecheck: Typecheck
    coerce: bool
    nan: Nan
    # supply, install, schema
    targets: list[str]
    lock: bool
    upgrade: bool
    upgrade_packages: list[str]
    refresh: bool
    explain: bool
    vendor: bool
    language: str
    # bench
    rounds: int
    # cache
    keys: list[str]
    max_size: int | None
    older_than: float | None
    repair: bool
    artifacts: bool


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The options that give a run its inputs."""
    parser.add_argument(
        "-i",
        "--input",
        dest="given",
        action=_Given,
        default=[],
        metavar="NAME=TEXT|NAME:=JSON|NAME@=PATH",
        help="one input, as text, as JSON or as an artifact; may be repeated, the last one wins",
    )
    parser.add_argument(
        "--artifact",
        dest="given",
        action=_Given,
        metavar="NAME=PATH",
        help="an input that is a file or folder: the run can read it, and gets its path",
    )
    parser.add_argument(
        "--inputs",
        dest="given",
        action=_Given,
        metavar="FILE|-",
        help="a JSON object of inputs (YAML for .yaml and .yml), `-` for stdin",
    )


def add_call(parser: argparse.ArgumentParser) -> None:
    """The options that say where a function's code is from, and how its process is run."""
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="a component's folder, instead of the one that is found; may be repeated",
    )
    add_with(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="kill the run after this time and exit with 124 (default: 3600)",
    )
    parser.add_argument(
        "--start",
        choices=("exec", "zygote"),
        default="exec",
        help="how the process is started: for itself (default), or forked from a prepared one",
    )
    parser.add_argument(
        "--show-locals",
        action="store_true",
        help="show the variables of every frame when the step raises; they may be secrets",
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """The options that say which files a run must write, and where they go."""
    group = parser.add_argument_group("files")
    group.add_argument(
        "--output",
        dest="outputs",
        action="append",
        metavar="NAME[=PATH]",
        help="a file or folder that the run must write (default: NAME.json); may be repeated",
    )
    group.add_argument(
        "--outputs-dir",
        metavar="DIR",
        help="put the files of the run there, and not into the cache",
    )
    group.add_argument(
        "--keep-files", action="store_true", help="keep all files of the run, not only its outputs"
    )


def add_checks(parser: argparse.ArgumentParser) -> None:
    """The options that say how strictly values are taken."""
    group = parser.add_argument_group("values")
    group.add_argument(
        "--typecheck",
        choices=("all", "sample", "off"),
        default="all",
        help="check every element (default), some of each collection, or none",
    )
    group.add_argument(
        "--coerce",
        action="store_true",
        help="where an input does not fit, try what old workflows mean: JSON text, numbers as text",
    )
    group.add_argument(
        "--nan",
        choices=("error", "allow"),
        default="error",
        help="what NaN and infinities are, in inputs and results (default: error)",
    )


def add_with(parser: argparse.ArgumentParser) -> None:
    """The option for further requirements."""
    parser.add_argument(
        "--with",
        dest="requirements",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="a requirement beside the declared ones (numpy, 'numpy<2'); may be repeated",
    )


def add_supplying(parser: argparse.ArgumentParser) -> None:
    """The options of every command that may make an environment, by uv's names."""
    group = parser.add_argument_group("environment")
    group.add_argument(
        "-p",
        "--python",
        metavar="PYTHON",
        help="the interpreter: 3.9, or an absolute path [env: ORQ_RUNTIME_PYTHON]",
    )
    group.add_argument(
        "--offline",
        action="store_true",
        default=None,
        help="do not use the network [env: ORQ_RUNTIME_OFFLINE]",
    )
    group.add_argument(
        "--index",
        action="append",
        metavar="URL",
        help="a package index beside the default one; may be repeated [env: ORQ_RUNTIME_INDEX]",
    )
    group.add_argument(
        "--default-index",
        metavar="URL",
        help="the package index in place of the public one [env: ORQ_RUNTIME_DEFAULT_INDEX]",
    )
    group.add_argument(
        "-f",
        "--find-links",
        action="append",
        metavar="DIR|URL",
        help="a place with distributions; may be repeated [env: ORQ_RUNTIME_FIND_LINKS]",
    )
    group.add_argument(
        "--exclude-newer",
        metavar="DATE",
        help="only what was published by then: 2022-07-01 [env: ORQ_RUNTIME_EXCLUDE_NEWER]",
    )
    _add_making(group)
    _add_lock_modes(group)
    group.add_argument("--no-progress", action="store_true", help="do not draw progress")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="neither progress nor notes; errors stay"
    )
    add_cache_dir(parser)


def _add_making(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--compile",
        choices=("imports", "all"),
        help="the bytecode made ahead (default: of what is imported) [env: ORQ_RUNTIME_COMPILE]",
    )
    group.add_argument(
        "--allow-build",
        action="append",
        metavar="NAME",
        help="build it, behind the wall, where an index has no wheel of it; may be repeated "
        "[env: ORQ_RUNTIME_ALLOW_BUILD]",
    )


def _add_lock_modes(group: argparse._ArgumentGroup) -> None:
    modes = group.add_mutually_exclusive_group()
    modes.add_argument(
        "--locked",
        action="store_true",
        default=None,
        help="fail unless the lock beside the component fits it [env: ORQ_RUNTIME_LOCKED]",
    )
    modes.add_argument(
        "--frozen",
        action="store_true",
        default=None,
        help="take the lock beside the component as it is [env: ORQ_RUNTIME_FROZEN]",
    )


def add_freshness(parser: argparse.ArgumentParser) -> None:
    """The options that say what a supply makes anew, and what it writes beside a component."""
    group = parser.add_argument_group("locks")
    group.add_argument(
        "--lock",
        action="store_true",
        help="write the lock, pylock.toml, beside the component (pylock.NAME.toml: a step's file)",
    )
    group.add_argument(
        "-U", "--upgrade", action="store_true", help="resolve anew, to the newest versions"
    )
    group.add_argument(
        "-P",
        "--upgrade-package",
        dest="upgrade_packages",
        action="append",
        default=[],
        metavar="NAME",
        help="resolve anew, to the newest version of this package; may be repeated",
    )
    group.add_argument(
        "--refresh",
        action="store_true",
        help="ask the indexes again, and forget what they said before",
    )


def add_cache_dir(parser: argparse.ArgumentParser) -> None:
    """The option for the store's folder."""
    parser.add_argument(
        "--cache-dir", metavar="DIR", help="the store's folder [env: ORQ_RUNTIME_CACHE_DIR]"
    )


def add_output(parser: argparse.ArgumentParser, text: str, *, has_events: bool = False) -> None:
    """The option for the form of the result; `text` says what the forms are."""
    choices = ("text", "json", "ndjson") if has_events else ("text", "json")
    also = ", or every event as a line and the document last (ndjson)" if has_events else ""
    parser.add_argument(
        "--output-format", choices=choices, default="text", help=f"{text}{also}; on stdout"
    )


class _Given(argparse.Action):
    """Keeps `-i` and `--inputs` in the order they came: later ones win."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse's signature
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        kind = {"--inputs": "file", "--artifact": "artifact"}.get(option_string or "", "one")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), (kind, str(values))])
