"""The commands, and which options each of them has."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import orq_runtime
from orq_runtime.cli.options import (
    Options,
    add_cache_dir,
    add_call,
    add_checks,
    add_files,
    add_freshness,
    add_inputs,
    add_output,
    add_supplying,
    add_with,
)
from orq_runtime.cli.terminal import put
from orq_runtime.cli.walls import add_isolation, add_wall

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["parse"]


def parse(words: Sequence[str]) -> Options:
    """The options, or SystemExit with argparse's own message and status 2."""
    return _parser(words[0] if words else "").parse_args(words, namespace=Options())


class _Parser(argparse.ArgumentParser):
    """Prints its help as a result: argparse itself says nothing when nobody reads it."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Write the help to stdout, or to `file`."""
        if file is None:
            put(self.format_help().encode())
        else:
            super().print_help(file)

    def format_help(self) -> str:
        """The help, as wide as the terminal."""
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def format_usage(self) -> str:
        """The usage, as wide as the terminal."""
        self.formatter_class = argparse.HelpFormatter
        return super().format_usage()


def _of_known_width(prog: str) -> argparse.HelpFormatter:
    """For what argparse formats while a parser is made: nobody reads it (start-up budget)."""
    return argparse.HelpFormatter(prog, width=80)


def _parser(first: str) -> argparse.ArgumentParser:
    """A parser of all commands, or of the one that is named first (start-up budget)."""
    parser = _Parser(
        prog="orq-runtime",
        description="Runs Python functions in environments of their own, typed JSON in and out.",
        epilog="Exit codes: docs/verdicts.md. The commands in full: docs/cli.md.",
        allow_abbrev=False,
        formatter_class=_of_known_width,
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"orq-runtime {orq_runtime.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    known = {
        "run": _run,
        "check": _check,
        "supply": _supply,
        "install": _install,
        "cache": _cache,
        "doctor": _doctor,
        "bench": _bench,
        "schema": _schema,
    }
    for add in [known[first]] if first in known else known.values():
        add(commands)
    return parser


_TARGET = "FILE:FUNCTION, or a document with one step (step.yaml)"

_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add(
    commands: _Commands[_Parser],
    name: str,
    command: Callable[[Options], int],
    text: str,
    *,
    details: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}. {details}",
        allow_abbrev=False,
        formatter_class=_of_known_width,
    )
    parser.set_defaults(command=command)
    return parser


def _called(options: Options) -> int:
    from orq_runtime.cli.run import run  # start-up budget: each command imports its own

    return run(options)


def _run(commands: _Commands[_Parser]) -> None:
    parser = _add(
        commands,
        "run",
        _called,
        "run one function and print what it returns",
        details="Its value is one JSON document on stdout; everything else is on stderr.",
    )
    parser.set_defaults(purpose="call")
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    add_inputs(parser)
    add_call(parser)
    for add in (add_files, add_checks, add_wall, add_supplying):
        add(parser)
    add_output(parser, "the value alone (text), or the whole outcome (json)", has_events=True)


def _check(commands: _Commands[_Parser]) -> None:
    parser = _add(
        commands,
        "check",
        _called,
        "check the inputs of a function without calling it",
        details="Exits with what `run` would exit with for them: 2 for names, 3 for types.",
    )
    parser.set_defaults(purpose="check", outputs=None, outputs_dir=None, keep_files=False)
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    add_inputs(parser)
    add_call(parser)
    for add in (add_checks, add_wall, add_supplying):
        add(parser)
    add_output(parser, "words on stderr (text), or the whole outcome (json)")


def _supply(commands: _Commands[_Parser]) -> None:
    def command(options: Options) -> int:
        from orq_runtime.cli.supply import supply  # start-up budget

        return supply(options)

    parser = _add(
        commands,
        "supply",
        command,
        "make or find an environment and print where it is",
        details="Several targets are resolved together, into one environment.",
    )
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="a component's folder, or FILE or FILE:FUNCTION: the file's script block counts too",
    )
    add_with(parser)
    add_freshness(parser)
    parser.add_argument(
        "--vendor",
        action="store_true",
        help="fill the component's vendor/ folder, so that it supplies offline elsewhere",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say why the environment was found or made: what differed, from which one",
    )
    add_supplying(parser)
    add_isolation(parser, "builds of packages")
    add_output(parser, "the path alone (text), or all about it (json)", has_events=True)


def _install(commands: _Commands[_Parser]) -> None:
    def command(options: Options) -> int:
        from orq_runtime.cli.install import install  # start-up budget

        return install(options)

    parser = _add(
        commands,
        "install",
        command,
        "prepare ahead of time what a language itself needs",
        details="Afterwards components with a `vendor/` folder supply offline.",
    )
    parser.add_argument("language", metavar="LANGUAGE", help="python3")
    add_supplying(parser)
    add_isolation(parser, "the making of bytecode")
    add_output(parser, "a sentence (text), or a document (json)", has_events=True)


def _cache(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "cache",
        help="show or empty the store of environments",
        description="Show or empty the store of environments.",
        allow_abbrev=False,
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in (
        ("dir", "print the folder of the store"),
        ("list", "list the environments in the store"),
        ("size", "say what the store takes on the disk"),
        ("prune", "remove what leads to no environment, and more by age and by size"),
        ("pin", "keep environments until they are unpinned"),
        ("unpin", "let environments be removed again"),
        ("verify", "check that environments are as they were made, byte for byte"),
        ("clean", "remove everything that is not in use or pinned"),
    ):

        def command(options: Options, name: str = name) -> int:
            from orq_runtime.cli import cache  # start-up budget

            return cache.COMMANDS[name](options)

        one = _add(inner, name, command, text)
        if name in ("pin", "unpin", "verify"):
            many = "*" if name == "verify" else "+"
            one.add_argument("keys", metavar="KEY", nargs=many, help="a key, or how it begins")
        if name == "prune":
            from orq_runtime.cli.pruning import add_pruning  # start-up budget

            add_pruning(one)
        if name in ("prune", "clean"):
            one.set_defaults(older_than=None)
            one.add_argument(
                "--artifacts",
                action="store_true",
                help="remove the collected outputs of runs too, whoever still needs them",
            )
        if name == "verify":
            one.add_argument("--repair", action="store_true", help="make anew what was edited")
        add_cache_dir(one)
        add_output(one, "for people (text) or a document (json)")


def _doctor(commands: _Commands[_Parser]) -> None:
    def command(options: Options) -> int:
        from orq_runtime.cli.doctor import doctor  # start-up budget

        return doctor(options)

    parser = _add(
        commands,
        "doctor",
        command,
        "say what this machine can do",
        details="Exits with 0 when runs are possible, else with 125.",
    )
    add_cache_dir(parser)
    add_output(parser, "for people (text) or a document (json)")


def _bench(commands: _Commands[_Parser]) -> None:
    def command(options: Options) -> int:
        from orq_runtime.cli.bench import bench  # start-up budget

        return bench(options)

    parser = _add(
        commands,
        "bench",
        command,
        "measure how fast runs start on this machine",
        details="Warm and hot, one by one and many at once, beside a bare interpreter and the "
        "process pool of the standard library. It makes one environment, without network.",
    )
    parser.add_argument(
        "--rounds",
        type=_count,
        default=6,
        metavar="N",
        help="turns of each contender (default: 6)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="do not say that it takes time")
    parser.add_argument(
        "-p",
        "--python",
        metavar="PYTHON",
        help="the interpreter: 3.9, or an absolute path [env: ORQ_RUNTIME_PYTHON]",
    )
    add_isolation(parser, "the runs")
    add_cache_dir(parser)
    add_output(parser, "for people (text) or a document (json)")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _schema(commands: _Commands[_Parser]) -> None:
    def command(options: Options) -> int:
        from orq_runtime.cli.schema import schema  # start-up budget

        return schema(options)

    parser = _add(
        commands,
        "schema",
        command,
        "print the JSON schema of a function's inputs and output, or of a document of ours",
        details="The function's file is imported behind the wall; the function is not called.",
    )
    parser.set_defaults(given=[], purpose="describe", output_format="text")
    parser.set_defaults(outputs=None, outputs_dir=None, keep_files=False)
    parser.set_defaults(typecheck="all", coerce=False, nan="error")
    parser.add_argument(
        "target",
        metavar="TARGET|outcome|failure|event",
        help=f"{_TARGET}; outcome: what `--output-format json` prints, failure: the errors in it, "
        "event: a line of `--output-format ndjson`",
    )
    add_call(parser)
    for add in (add_wall, add_supplying):
        add(parser)
