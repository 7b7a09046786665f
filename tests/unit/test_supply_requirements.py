"""Requirement lines: what is read, what is refused, and that only meaning enters a key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._supply.requirements import declared, read_requirements
from orq_runtime._supply.script import read_script
from orq_runtime.errors import BadComponent, BadRequirement

_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True)
_VERSIONS = st.from_regex(r"(==|>=|<|!=|~=)[1-9]\.[0-9]", fullmatch=True)
_MARKERS = st.sampled_from(["", 'python_version < "3.9"', 'sys_platform == "linux"'])


@st.composite
def _lines(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of one requirement."""
    name = draw(_NAMES)
    extras = draw(st.lists(_NAMES, max_size=3, unique=True))
    versions = draw(st.lists(_VERSIONS, max_size=3, unique=True))
    marker = draw(_MARKERS)

    def spell(spelled: str, first: list[str], second: list[str], space: str) -> str:
        listed = f"[{(',' + space).join(first)}]" if first else ""
        behind = f"{space};{space}{marker}" if marker else ""
        return f"{spelled}{listed}{space}{(space + ',').join(second)}{behind}"

    other = name.upper().replace("-", draw(st.sampled_from(["_", ".", "-"])))
    return (
        spell(name, extras, versions, ""),
        spell(other, draw(st.permutations(extras)), draw(st.permutations(versions)), " "),
    )


@given(_lines())
def test_two_spellings_of_one_requirement_have_one_canonical_line(lines: tuple[str, str]) -> None:
    """Case, separators, order and spaces change nothing; the canonical line reads as itself."""
    first, second = (declared(line, "here") for line in lines)

    assert first.line == second.line
    assert first.line == declared(first.line, "there").line


@given(st.text(max_size=40) | st.from_regex(r"[a-z-]{1,9} ?[@=<;#$/.\[-]{1,3} ?[a-z0-9:/]{0,9}"))
def test_any_text_is_a_requirement_without_url_or_one_error(text: str) -> None:
    """Nothing but `BadRequirement` comes of bad lines, and it names its origin."""
    assert _said(text) in ("url None", "file:1: ")


def _said(text: str) -> str:
    try:
        return f"url {declared(text, 'file:1').requirement.url}"
    except BadRequirement as error:
        return error.message[: len("file:1: ")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("numpy=1.0", "not a requirement"),
        ("-i https://x/simple", "may not choose indexes"),
        ("--index-url=https://x", "may not choose indexes"),
        ("--extra-index-url https://x", "may not choose indexes"),
        ("--find-links ./x", "may not choose indexes"),
        ("--pre", "options are not taken"),
        ("numpy --no-binary numpy", "options are not taken"),
        ("-e ./other", "editable installs are not made"),
        ("-e git+https://x/y", "editable installs are not made"),
        ("git+https://x/y", "URLs are not taken"),
        ("file:///etc/passwd", "URLs are not taken"),
        ("x @ file:///etc/passwd", "URLs are not taken"),
        ("x @ https://h/x.whl", "URLs are not taken"),
        ("https://h/${SECRET}/x.whl", "variables are not expanded"),
        ("$HOME/x", "variables are not expanded"),
        ("./local", "paths are not taken"),
        ("../local.whl", "paths are not taken"),
        ("/abs/x.tar.gz", "paths are not taken"),
        ("num\0py", "control characters"),
        ("-r ../../etc/shadow", "must lie inside the component"),
        ("-r /etc/shadow", "must lie inside the component"),
        ("-c ../limits.txt", "must lie inside the component"),
        ("x --hash=md5:1", "a hash is"),
    ],
)
def test_what_a_component_may_not_say_is_refused_with_a_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    """The message has file, line, reason and the text."""
    file = tmp_path / "requirements.txt"
    file.write_text(f"# one\n{line}\n", "utf-8")

    with pytest.raises(BadRequirement) as refused:
        read_requirements(file, tmp_path)

    assert f"{file}:2: " in refused.value.message
    assert reason in refused.value.message


def test_includes_constraints_comments_and_continuations_are_read(tmp_path: Path) -> None:
    """Files inside the component are followed, each once, circles too."""
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text(
        "\ufeffalpha>1 # why\r\n\r\n-r more/base.txt\n-cmore/limits.txt\nbeta \\\n  <2\n-e .\n",
        "utf-8",
    )
    (tmp_path / "more" / "base.txt").write_text("gamma\n-r ../requirements.txt\n", "utf-8")
    (tmp_path / "more" / "limits.txt").write_text("alpha<9\n-r deep.txt\n", "utf-8")
    (tmp_path / "more" / "deep.txt").write_text("beta<5\n", "utf-8")

    read = read_requirements(tmp_path / "requirements.txt", tmp_path)

    assert ["alpha>1", "beta<2", "gamma"] == [item.line for item in read.requirements]
    assert ["alpha<9", "beta<5"] == [item.line for item in read.constraints]
    assert f"{tmp_path / 'requirements.txt'}:7" == read.names_itself


def test_a_link_out_of_the_component_is_not_followed(tmp_path: Path) -> None:
    """A requirements file may not show what lies elsewhere."""
    (tmp_path / "secret").write_text("password", "utf-8")
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "requirements.txt").symlink_to(tmp_path / "secret")

    with pytest.raises(BadComponent, match="leads out of its component"):
        read_requirements(tmp_path / "core" / "requirements.txt", tmp_path / "core")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("link.txt", "leads out of its component"),
        ("pipe.txt", "not a regular file"),
        ("absent.txt", "cannot read"),
        ("${SECRET}", "variables are not expanded"),
        ("../more.txt", "included files must lie inside the component"),
    ],
)
def test_an_include_that_is_refused_is_named_by_its_line(
    tmp_path: Path, name: str, reason: str
) -> None:
    """Whatever is wrong with the file: the line that names it is what has to be changed."""
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.txt")
    file = tmp_path / "requirements.txt"
    file.write_text(f"alpha\n-r {name}\n", "utf-8")

    with pytest.raises(BadComponent, match=f"^{file}:2: .*{reason}"):
        read_requirements(file, tmp_path)


def test_a_pipe_with_a_declarations_name_hangs_nobody(tmp_path: Path) -> None:
    """Only regular files are read."""
    os.mkfifo(tmp_path / "requirements.txt")

    with pytest.raises(BadComponent, match="not a regular file"):
        read_requirements(tmp_path / "requirements.txt", tmp_path)


def test_a_script_block_is_read(tmp_path: Path) -> None:
    """Dependencies and requires-python of the PEP 723 block, wherever it stands."""
    file = tmp_path / "step.py"
    file.write_text(
        "#!/usr/bin/env python\n# /// script\n# requires-python = '>=3.9'\n# dependencies = [\n"
        "#   'numpy>1',\n#\n# ]\n# ///\nprint(1)\n",
        "utf-8",
    )

    block = read_script(file)

    assert (">=3.9", ["numpy>1"]) == (block.requires_python, [r.line for r in block.requirements])
    assert f"{file}:2" == block.requirements[0].origin


@pytest.mark.parametrize(
    "text",
    [
        "# /// script\n# dependencies = [\n# ///\n",
        "# /// script\n# dependencies = 'x'\n# ///\n",
        "# /// script\n# dependencies = ['x=1']\n# ///\n",
        "# /// script\n# x = 1\n# ///\n\n# /// script\n# x = 1\n# ///\n",
        "# /// script\n# requires-python = 'three'\n# ///\n",
    ],
)
def test_a_broken_script_block_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    """Not TOML, not a list, not a requirement, twice, no version: each names file and line."""
    file = tmp_path / "step.py"
    file.write_text("x = 1\n" + text, "utf-8")

    with pytest.raises(BadComponent) as failed:
        read_script(file)

    assert failed.value.message.startswith(f"{file}:2: ")


def test_a_comment_does_not_go_on_in_the_next_line(tmp_path: Path) -> None:
    """As for pip: what follows a comment that ends in a backslash is a requirement, and refused."""
    (tmp_path / "requirements.txt").write_text("# why \\\nalpha\n", "utf-8")

    read = read_requirements(tmp_path / "requirements.txt", tmp_path)

    assert ["alpha"] == [item.line for item in read.requirements]
    (tmp_path / "requirements.txt").write_text("# why \\\n-r /etc/shadow\n", "utf-8")
    with pytest.raises(BadRequirement, match="inside the component"):
        read_requirements(tmp_path / "requirements.txt", tmp_path)
