"""A document that describes one step, in the shape of Orquestra's workflows.

::

    name: greeting
    config:
      runtime:
        language: python3                 # `type` is the older word
        imports: [hellov1]
        parameters: {file: hellov1/steps/hello.py, function: greet}
    inputs:
      - name: Ada                         # one name with its value, and its type
        type: string
    outputs:
      - {name: greeting, type: message}

`parameters: {command: [convert, "{picture}", out.png]}` runs a program in place of a function.
`file` begins with its component's name, and a component is the folder of that name beside the
document. `type` is a label and checks nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import yaml

from orq_runtime._dataclass import dataclass, field
from orq_runtime.errors import BadDocument, NotFound, RequestError
from orq_runtime.languages import language
from orq_runtime.model.artifact import Output, outputs_of
from orq_runtime.model.step import Step
from orq_runtime.workflow.document import Document
from orq_runtime.workflow.resources import Resources, read_resources

__all__ = ["StepDocument", "read_step"]

_Entries = Mapping[str, tuple[yaml.Node, yaml.Node]]

_WORKFLOW: Final = ("apiVersion", "name", "imports", "steps", "types", "dataAggregation", "outputs")
_STEP: Final = ("name", "passed", "config", "runtime", "resources", "inputs", "outputs")
_CONFIG: Final = ("runtime", "resources")
_RUNTIME: Final = ("language", "type", "name", "customImage", "imports", "parameters")
_PARAMETERS: Final = ("file", "function", "command")
_LANGUAGE_WORDS: Final = ("language", "type", "name")
_REFERENCE = re.compile(r"\s*\(\(.*\)\)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """What a step runs: a function of a file, or a command."""

    file: Path | None
    function: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDocument:
    """The step that a document describes, with its inputs.

    `references` are the inputs that are another step's output, each with the error for who runs the
    step without giving it. `resources` are what the step asks to be held to. `notes` say what of
    the document is read and not obeyed.
    """

    step: Step
    inputs: Mapping[str, object]
    references: Mapping[str, BadDocument]
    resources: Resources = field(default_factory=Resources)
    notes: tuple[str, ...] = ()

    def inputs_with(self, given: Mapping[str, object]) -> dict[str, object]:
        """The inputs of a run; `given` ones win. Raises `BadDocument` for an open reference."""
        for name, error in self.references.items():
            if name not in given:
                raise error
        return {**self.inputs, **given}


def read_step(
    path: Path,
    *,
    step: str | None = None,
    components: Mapping[str, Path] | None = None,
    requirements: Iterable[str] = (),
) -> StepDocument:
    """Read the one step of a document, or the one that is named `step`.

    `components` are folders by component name, in place of those beside the document. Raises
    `NotFound` without a file and `BadDocument` with line and column for what is wrong in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read the document `{path}`: {error.strerror}") from error
    document = Document.parse(content, str(path))
    reader = _Reader(document, path.absolute().parent, dict(components or {}))
    return reader.step(_chosen(document, step), tuple(requirements))


def _chosen(document: Document, wanted: str | None) -> yaml.Node:
    """The node of the step that is meant, out of a step, a list of steps, or a workflow."""
    root = document.root
    if isinstance(root, yaml.MappingNode):
        entries = document.mapping(root, "the document")
        if "steps" not in entries:
            return root
        _check_keys(document, entries, _WORKFLOW, "a workflow")
        root = entries["steps"][1]
    nodes = document.items(root, "a list of steps")
    names = [_name(document, node) for node in nodes]
    if wanted is not None:
        fitting = [node for node, name in zip(nodes, names, strict=True) if name == wanted]
        if len(fitting) == 1:
            return fitting[0]
        count = f"{len(fitting)} steps are" if fitting else "no step is"
        raise document.error(root, f"{count} named `{wanted}`", hint=_named(names))
    if len(nodes) != 1:
        raise document.error(
            root,
            f"one step is expected, and there are {len(nodes)}: {_named(names)}",
            hint=f"name the one to run: {document.name}:{names[0]}" if names else None,
        )
    return nodes[0]


def _name(document: Document, node: yaml.Node) -> str:
    entries = document.mapping(node, "a step")
    if "name" not in entries:
        raise document.error(node, "a step without a `name`")
    return document.text(entries["name"][1], "a step's `name`")


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _check_keys(document: Document, entries: _Entries, known: tuple[str, ...], what: str) -> None:
    for name, (key, _) in entries.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"known are: {_named(known)}"
            raise document.error(key, f"{what} has no `{name}`", hint=hint)


class _Reader:
    """Reads the nodes of one step; `base` is the folder that components lie in."""

    def __init__(self, document: Document, base: Path, components: dict[str, Path]) -> None:
        self._document = document
        self._base = base
        self._components = components

    def step(self, node: yaml.Node, requirements: tuple[str, ...]) -> StepDocument:
        """The step of a step's node."""
        name = _name(self._document, node)
        entries = self._document.mapping(node, "a step")
        _check_keys(self._document, entries, _STEP, "a step")
        where, resources = self._config(node, entries)
        runtime = self._part(where, "a `runtime`", _RUNTIME)
        self._language(where, runtime)
        code, component = self._parameters(where, runtime)
        inputs, references = self._inputs(entries)
        outputs = self._outputs(entries)
        return StepDocument(
            step=Step(
                file=code.file,
                function=code.function,
                command=code.command,
                components=self._folders(runtime, component),
                requirements=requirements,
                outputs=outputs,
                name=name,
            ),
            inputs=inputs,
            references=references,
            resources=resources,
        )

    def _config(self, node: yaml.Node, entries: _Entries) -> tuple[yaml.Node, Resources]:
        """The runtime's node and the resources, from `config` or from the step itself."""
        found = entries
        if "config" in entries:
            found = self._part(entries["config"][1], "a `config`", _CONFIG)
            for name in _CONFIG:
                if name in entries:
                    raise self._document.error(
                        entries[name][0], f"`{name}` belongs into `config`, or there is no `config`"
                    )
        if "runtime" not in found:
            where = entries["config"][0] if "config" in entries else node
            raise self._document.error(where, "a step without a `runtime`")
        resources = Resources()
        if "resources" in found:
            resources = read_resources(self._document, found["resources"][1])
        return found["runtime"][1], resources

    def _part(self, node: yaml.Node, what: str, known: tuple[str, ...]) -> _Entries:
        entries = self._document.mapping(node, what)
        _check_keys(self._document, entries, known, what)
        return entries

    def _language(self, node: yaml.Node, runtime: _Entries) -> None:
        words = [word for word in _LANGUAGE_WORDS if word in runtime]
        if not words:
            raise self._document.error(node, "a runtime without a `language`")
        value = runtime[words[0]][1]
        try:
            language(self._document.text(value, f"`{words[0]}`"))
        except BadDocument:
            raise
        except RequestError as error:
            raise self._document.error(value, error.message, hint=error.hint) from error

    def _parameters(self, node: yaml.Node, runtime: _Entries) -> tuple[_Code, str | None]:
        """What the step runs, and the name of its file's component."""
        if "parameters" not in runtime:
            raise self._document.error(node, "a runtime without `parameters`")
        where = runtime["parameters"][1]
        parameters = self._part(where, "the `parameters`", _PARAMETERS)
        command: tuple[str, ...] = ()
        if "command" in parameters:
            key, value = parameters["command"]
            if "function" in parameters:
                raise self._document.error(key, "a step has a `function` or a `command`, not both")
            nodes = self._document.items(value, "`command`")
            command = tuple(self._document.text(word, "a word of `command`") for word in nodes)
            if not command:
                raise self._document.error(value, "an empty `command`")
        for name in () if command else ("file", "function"):
            if name not in parameters:
                raise self._document.error(where, f"no `{name}` in the `parameters`")
        function = ""
        if not command:
            function = self._document.text(parameters["function"][1], "`function`")
        file, component = None, None
        if "file" in parameters:
            file, component = self._file(parameters["file"][1])
        return _Code(file=file, function=function, command=command), component

    def _file(self, node: yaml.Node) -> tuple[Path, str]:
        """A step's file, and the name of its component."""
        text = self._document.text(node, "`file`")
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise self._document.error(
                node,
                f"`file` is a path that begins with its component's name: `{text}`",
                hint="for example: my-component/steps/main.py",
            )
        component = path.parts[0]
        file = self._folder(component, node).joinpath(*path.parts[1:])
        if not file.is_file():
            inside = "/".join(path.parts[1:])
            raise self._document.error(node, f"no file `{inside}` in component `{component}`")
        return file, component

    def _folders(self, runtime: _Entries, component: str | None) -> list[Path]:
        """The folders of all components: as imported, then the file's own, then those given."""
        folders: dict[str, Path] = {}
        if "imports" in runtime:
            for node in self._document.items(runtime["imports"][1], "`imports`"):
                name = self._document.text(node, "an import")
                if name in (".", "..") or "/" in name:
                    raise self._document.error(node, f"an import is a component's name: `{name}`")
                folders[name] = self._folder(name, node)
        own = {} if component is None else {component: self._base / component}
        for name, folder in {**own, **self._components}.items():
            folders.setdefault(name, folder)
        return list(folders.values())

    def _folder(self, name: str, node: yaml.Node) -> Path:
        folder = self._components.get(name, self._base / name)
        if not folder.is_dir():
            raise self._document.error(
                node,
                f"no component `{name}`: there is no folder `{folder}`",
                hint=f"put it beside the document, or say where it is: --component {name}=DIR",
            )
        return folder

    def _inputs(self, entries: _Entries) -> tuple[dict[str, object], dict[str, BadDocument]]:
        inputs: dict[str, object] = {}
        references: dict[str, BadDocument] = {}
        for node in self._list(entries, "inputs"):
            key, name, value = self._input(node)
            if name in inputs or name in references:
                raise self._document.error(key, f"the input `{name}` is there twice")
            if isinstance(value, yaml.ScalarNode) and _REFERENCE.fullmatch(value.value):
                references[name] = self._document.error(
                    value,
                    f"input `{name}` is another step's output, and one step is run: "
                    f"`{value.value.strip()}`",
                    hint=f"give its value: -i {name}:=JSON",
                )
            else:
                inputs[name] = self._document.value(value)
        return inputs, references

    def _input(self, node: yaml.Node) -> tuple[yaml.Node, str, yaml.Node]:
        item = dict(self._document.mapping(node, "an input"))
        if "type" in item:
            self._document.text(item.pop("type")[1], "an input's `type`")
        if len(item) != 1:
            raise self._document.error(
                node,
                f"an input has one name beside its `type`, not {len(item)}: {_named(item)}",
                hint="for example: - {n_qubits: 4, type: int}",
            )
        [(name, (key, value))] = item.items()
        return key, name, value

    def _outputs(self, entries: _Entries) -> tuple[Output, ...]:
        found: list[Output] = []
        for node in self._list(entries, "outputs"):
            item = self._part(node, "an output", ("name", "type"))
            if "name" not in item:
                raise self._document.error(node, "an output without a `name`")
            name = self._document.text(item["name"][1], "an output's `name`")
            try:
                found = [*outputs_of([*found, name])]
            except RequestError as error:
                raise self._document.error(
                    item["name"][1], error.message, hint=error.hint
                ) from error
        return tuple(found)

    def _list(self, entries: _Entries, name: str) -> list[yaml.Node]:
        if name not in entries or self._document.is_null(entries[name][1]):
            return []
        return self._document.items(entries[name][1], f"`{name}`")
