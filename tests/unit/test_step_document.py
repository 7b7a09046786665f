"""Documents with one step: what is read, and where what is wrong is said to be."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime.errors import BadDocument, NotFound
from orq_runtime.workflow import Document, StepDocument, read_step

_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

_STEP = """\
name: hello
config:
  runtime:
    language: python3
    imports: [hellov1]
    parameters:
      file: hellov1/main.py
      function: main
  resources: {cpu: "1000m"}
inputs:
  - name: Ada
    type: string
  - n: 3
    type: int
outputs:
  - name: greeting
    type: message
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a component beside the document to come."""
    (tmp_path / "hellov1").mkdir()
    (tmp_path / "hellov1" / "main.py").write_text("def main(name, n): ...\n", "utf-8")
    return tmp_path


def _read(folder: Path, text: str, step: str | None = None, **components: Path) -> StepDocument:
    path = folder / "step.yaml"
    path.write_text(text, "utf-8")
    return read_step(path, step=step, components=components)


def test_a_step_is_read(folder: Path) -> None:
    """File, function, components, inputs, and the outputs that it must write."""
    found = _read(folder, _STEP)

    assert folder / "hellov1" / "main.py" == found.step.file
    assert ("main", "hello") == (found.step.function, found.step.name)
    assert (folder / "hellov1",) == found.step.components
    assert {"name": "Ada", "n": 3} == found.inputs
    assert [("greeting", "greeting.json")] == [(one.name, one.path) for one in found.step.outputs]
    assert 1000 == found.resources.cpu_millicores


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("language", "type", 1),
        lambda text: text.replace("config:\n", "").replace("\n  ", "\n").replace("\n  - ", "\n- "),
        lambda text: "- " + text.replace("\n", "\n  "),
        lambda text: "name: w\nsteps:\n- " + text.replace("\n", "\n  "),
        lambda text: text.replace("[hellov1]", "[]"),
    ],
    ids=["type", "top level", "a list", "a workflow", "not imported"],
)
def test_other_shapes_are_read_alike(folder: Path, change: object) -> None:
    """Older words, a list or a workflow of one step, and a file of no imported component."""
    assert callable(change)
    found, plain = _read(folder, change(_STEP)), _read(folder, _STEP)

    assert (plain.step, plain.inputs) == (found.step, found.inputs)


def test_a_component_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    """The caller's folder wins over the one beside the document."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "main.py").write_text("", "utf-8")

    assert other / "main.py" == _read(folder, _STEP, hellov1=other).step.file


def test_a_step_is_chosen_by_name(folder: Path) -> None:
    """Of several, the one that is named; without a name they are listed."""
    item = "- " + _STEP.replace("\n", "\n  ") + "\n"
    text = item + item.replace("name: hello", "name: again", 1)

    assert "again" == _read(folder, text, "again").step.name
    with pytest.raises(BadDocument, match="there are 2: `hello`, `again`"):
        _read(folder, text)
    with pytest.raises(BadDocument, match="no step is named `third`"):
        _read(folder, text, "third")


def test_another_steps_output_has_to_be_given(folder: Path) -> None:
    """A reference is an error with its place, unless the caller gives the input."""
    found = _read(folder, _STEP.replace("n: 3", "n: ((other.count))"))

    assert {"name": "Ada", "n": 4} == found.inputs_with({"n": 4})
    with pytest.raises(BadDocument, match=r"step\.yaml:13:8: input `n` is another step's output"):
        found.inputs_with({})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("name: hello", "nam: hello", "1:1: a step without a `name`"),
        ("imports", "inports", "5:5: a `runtime` has no `inports`"),
        ("python3", "psi4", "4:15: unknown language: `psi4`"),
        ("    language: python3\n", "", "4:5: a runtime without a `language`"),
        ("function: main", "function: [main]", "8:17: `function` is text, not a list"),
        ("      function: main\n", "", "7:7: no `function` in the `parameters`"),
        ("hellov1/main.py", "main.py", "7:13: `file` is a path that begins with its component's"),
        ("hellov1/main.py", "/hellov1/main.py", "7:13: `file` is a path that begins with"),
        ("hellov1/main.py", "hellov1/../x.py", "7:13: `file` is a path that begins with"),
        ("hellov1/main.py", "hellov1/x.py", "7:13: no file `x.py` in component `hellov1`"),
        ("hellov1/main.py", "hello/main.py", "7:13: no component `hello`: there is no folder"),
        ("[hellov1]", "[hellov1, lib]", "5:24: no component `lib`: there is no folder"),
        ("[hellov1]", "[../hellov1]", "5:15: an import is a component's name: `../hellov1`"),
        ("[hellov1]", "hellov1", "5:14: `imports` is a list, not str: `hellov1`"),
        ("  - n: 3\n    type", "  - n: 3\n    m: 4\n    type", "13:5: an input has one name"),
        ("  - n: 3\n", "  -\n", "14:5: an input has one name beside its `type`, not 0: none"),
        ("  - n: 3", "  - name: 3", "13:5: the input `name` is there twice"),
        ("n: 3", "n: .nan", "13:8: not a finite number: `.nan`"),
        ("n: 3", "n: !!python/name:os.system x", "13:8: no value has the tag"),
        ("n: 3", "n: {1: a}", "13:9: a key is text, not int: `1`"),
        ("n: 3", "n: {a: 1, a: 2}", "13:15: the key `a` is there twice"),
        ("n: 3", "n: !!int x", "13:8: not of type int: `x`"),
        ("n: 3", "n: &a [*a]", "13:8: this value holds itself"),
        ("n: 3", "n: *a", "13:8: found undefined alias 'a'"),
        ("n: 3", "n: [1", "14:9: "),
        ("n: 3", "n: 'a\x07'", "13:10: special characters are not allowed"),
    ],
)
def test_what_is_wrong_has_its_place(folder: Path, before: str, after: str, message: str) -> None:
    """The error begins with file, line and column."""
    assert before in _STEP
    with pytest.raises(BadDocument) as caught:
        _read(folder, _STEP.replace(before, after, 1))

    assert caught.value.message.startswith(f"{folder}/step.yaml:{message}")


def test_a_document_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(NotFound, match=r"step\.yaml"):
        read_step(tmp_path / "step.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x:1:1: the document is empty"),
        (b"a: 1\nb: \xff", "x:2:4: not UTF-8 text"),
        (b"a: 1\n---\nb: 1", "x:2:1: expected a single document"),
        (b"[" * 5000, "x:1:1: it is nested too deeply"),
        (b"a:\n\t- b", "x:2:1: "),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, message: str) -> None:
    """Every kind of it by the one class, with a place."""
    with pytest.raises(BadDocument) as caught:
        Document.parse(content, "x")

    assert caught.value.message.startswith(message)


def test_aliases_cannot_multiply_a_document() -> None:
    """Ten lines that stand for ten thousand million values are refused, and quickly."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    document = Document.parse("\n".join(lines).encode(), "x")

    with pytest.raises(BadDocument, match="aliases make this document too large"):
        document.plain_mapping(document.root)


def test_merged_values_cannot_multiply_a_document() -> None:
    """The same by merge keys."""
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 10)]
    document = Document.parse("\n".join(lines).encode(), "x")

    with pytest.raises(BadDocument, match="aliases make this document too large"):
        document.plain_mapping(document.root)


def test_dates_and_binary_stay_text() -> None:
    """JSON has neither; the guest converts text by the annotation."""
    document = Document.parse(b"a: 2020-01-02\nb: !!binary aGk=\nc: 2020-01-02T03:04:05Z", "x")

    assert {"a": "2020-01-02", "b": "aGk=", "c": "2020-01-02T03:04:05Z"} == document.plain_mapping(
        document.root
    )


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), _PLAIN))
def test_values_are_those_of_yaml(value: dict[str, object]) -> None:
    """What YAML writes is read back, aliases included."""
    written = yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    document = Document.parse(written, "x")

    assert yaml.safe_load(written) == document.plain_mapping(document.root)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(content: bytes) -> None:
    """No bytes raise anything but `BadDocument`."""
    with contextlib.suppress(BadDocument):
        document = Document.parse(content, "x")
        document.value(document.root)


@pytest.mark.skipif(not _CORPUS.is_dir(), reason="the published workflows are not here")
@pytest.mark.slow
def test_published_workflows_are_read(tmp_path: Path) -> None:
    """Every step of every document that is YAML, with the values that YAML gives."""
    counts = {"steps": 0, "not yaml": 0, "refused": 0}
    for path in sorted((_CORPUS / "workflows").rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".zqwl"):
            continue
        try:
            steps = yaml.safe_load(path.read_bytes())["steps"]
        except yaml.YAMLError:
            counts["not yaml"] += 1
            with pytest.raises(BadDocument, match=r":\d+:\d+: "):
                Document.parse(path.read_bytes(), path.name)
            continue
        for step in steps:
            counts[_check_published(path, step, tmp_path)] += 1

    assert {"steps": 650, "not yaml": 3, "refused": 2} == counts


def _check_published(path: Path, step: object, place: Path) -> str:
    """Read one step beside empty components; `refused` for the drafts that name no step."""
    if not isinstance(step, dict) or not isinstance(step.get("name"), str):
        return "refused"
    runtime = step["config"]["runtime"]
    for name in (*runtime["imports"], Path(runtime["parameters"]["file"]).parent):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / runtime["parameters"]["file"]).touch()
    copy = place / "workflow.yaml"
    copy.write_bytes(path.read_bytes())
    try:
        found = read_step(copy, step=step["name"])
    except BadDocument:
        return "refused"
    given = {k: v for item in step.get("inputs", ()) for k, v in item.items() if k != "type"}

    assert given == {**found.inputs, **{name: given[name] for name in found.references}}
    assert len(step.get("outputs", ())) == len(found.step.outputs)
    return "steps"
