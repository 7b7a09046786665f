"""What the repository's files say of tables, sizes and places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import make_docs
import make_reliability
from tests.architecture.sources import REPOSITORY, text_files
from tests.escape import newer_attacks, own_attacks, poison

SECURITY = REPOSITORY / "SECURITY.md"
# in pieces, or this file would be the first to break its rule
_REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (("pypi", "org"), ("python" + "hosted", "org"), ("npmjs", "org"), ("crates", "io"))
)
_PLACES = ("root/", "home/", "tmp/" + "dev", "opt/" + "pypi")
_MACHINE_PATH = re.compile(r"(?<![\w.~*}-])/(" + "|".join(_PLACES) + ")")


def _named_hosts(text: str) -> list[str]:
    return [host for host in _REGISTRY_HOSTS if host in text]


def _machine_paths(text: str) -> list[str]:
    return [match.group() for match in _MACHINE_PATH.finditer(text)]


def test_the_verdict_document_is_the_table_of_the_code() -> None:
    """docs/verdicts.md is what scripts/make_docs.py writes."""
    assert make_docs.verdicts_document() == make_docs.DOCUMENT.read_text("utf-8")


def test_the_reliability_document_is_what_was_counted() -> None:
    """RELIABILITY.md is what scripts/make_reliability.py writes; nothing in it broke a store."""
    written = make_reliability.DOCUMENT.read_text("utf-8")
    totals = written.partition("| **all** |")[2].partition("\n")[0].replace("*", "").split("|")
    injected, fired, broken, healed = (int(text) for text in totals if text.strip())

    assert make_reliability.reliability_document() == written
    assert (injected, 0, injected) == (fired, broken, healed)


def test_the_readme_is_short() -> None:
    """Under 600 words: what, install, use, what it does not protect, where to read on."""
    assert len((REPOSITORY / "README.md").read_text("utf-8").split()) < 600


def test_every_claim_of_security_is_linked_to_a_test() -> None:
    """Each row of SECURITY.md's table of claims names test files, and they are there."""
    text = SECURITY.read_text("utf-8")
    table = text.partition("## Shown by")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    files = {row: re.findall(r"`(tests/[\w/]+\.py)`", row) for row in rows}

    assert len(rows) > 10
    assert [] == [row for row, named in files.items() if not named]
    assert [] == [name for named in files.values() for name in named if not _is_there(name)]


def test_security_counts_the_attacks() -> None:
    """The numbers of our own are those of the lists which are tried."""
    text = SECURITY.read_text("utf-8")
    found = re.search(r"the same for (\d+) further attacks", text)
    packages = re.search(r"(\d+) packages that turn their zygote", text)

    assert found
    assert packages
    assert len(own_attacks.ATTACKS.keys() | newer_attacks.ATTACKS.keys()) == int(found[1])
    assert len(poison.POISONS) == int(packages[1])


def _is_there(name: str) -> bool:
    path = REPOSITORY / name
    return path.is_file() and "\ndef test_" in path.read_text("utf-8")


def test_no_file_names_a_package_registry() -> None:
    """Indexes come from the user's settings, never from a file of ours."""
    named = {
        str(path.relative_to(REPOSITORY)): hosts
        for path in text_files()
        if (hosts := _named_hosts(path.read_text("utf-8", "replace")))
    }

    assert {} == named


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    """No home folder, no scratch folder of a developer."""
    named = {
        str(path.relative_to(REPOSITORY)): places
        for path in text_files()
        if (places := _machine_paths(path.read_text("utf-8", "replace")))
    }

    assert {} == named


@pytest.mark.parametrize("place", ["root/x", "home/ada/x", "tmp/" + "dev", "opt/" + "pypi/simple"])
def test_such_a_place_would_be_noticed(tmp_path: Path, place: str) -> None:
    """The pattern sees a path in prose, in quotes and in a URL."""
    for text in (f"see /{place}", f'"/{place}"', f"file:///{place}"):
        assert _machine_paths(text), text


def test_a_registry_host_would_be_noticed() -> None:
    """The search sees a host inside a URL."""
    assert [_REGISTRY_HOSTS[0]] == _named_hosts(f"https://{_REGISTRY_HOSTS[0]}/simple")
