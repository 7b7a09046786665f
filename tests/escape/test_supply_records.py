"""Wheels whose own list of files is not true: an environment is checked by it later."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from orq_runtime.errors import BadComponent
from tests.supply_fixtures import HOST_MINOR, Shop, make_component, make_wheel, store_names

pytestmark = pytest.mark.slow

_LIE = "sha256=" + "A" * 43 + ",3\n"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop")


def _with_record(wheel: Path, record: str, more: Mapping[str, str] = _NOTHING) -> None:
    """Give a wheel another RECORD, and more files."""
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content.update({name: text.encode() for name, text in more.items()})
    content[next(name for name in content if name.endswith("RECORD"))] = record.encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"evil.py,{_LIE}", "is not true of `evil.py`"),
        (f"/etc/passwd,{_LIE}", "lists what it does not have: `/etc/passwd`"),
    ],
)
def test_a_vendored_wheel_whose_record_lies_is_refused(
    shop: Shop, tmp_path: Path, line: str, reason: str
) -> None:
    """By it an environment is checked later: it would be found tampered with, or looked for."""
    folder = make_component(tmp_path / "core", {})
    wheel = make_wheel(folder / "vendor", "evil")
    _with_record(wheel, line)

    with pytest.raises(BadComponent, match=reason) as refused:
        shop.supply(folder)

    assert str(wheel) in refused.value.message


def test_a_record_of_another_inside_of_a_wheel_is_a_file_as_any(shop: Shop, tmp_path: Path) -> None:
    """Setuptools brings distributions that it uses along: their RECORDs are in its own."""
    inner = "outer/_vendor/inner-1.0.dist-info"
    files = {"outer/__init__.py": "", f"{inner}/RECORD": "x,,\n", f"{inner}/METADATA": "Name: x\n"}
    folder = make_component(tmp_path / "core", {})
    make_wheel(folder / "vendor", "outer", files=files)

    made = shop.supply(folder)

    assert "x,,\n" == (made.site_packages / inner / "RECORD").read_text("utf-8")
    assert [] == [text for item in shop.supplier().verify(made.key) for text in item.defects]


def test_an_indexs_wheel_whose_record_lies_is_refused(shop: Shop) -> None:
    """By its name, with the file; else it would be found tampered with, however often made anew."""
    _with_record(make_wheel(shop.wheels, "evil"), f"evil.py,{_LIE}")
    make_wheel(shop.wheels, "good")

    with pytest.raises(BadComponent, match=r"the RECORD of `evil-1\.0` is not true of .*evil\.py"):
        shop.supply(requirements=["evil", "good"])

    assert not any("environments/" in name for name in store_names(shop.root / "cache"))
    assert "built" == shop.supply(requirements=["good"]).origin


def test_what_an_indexs_wheel_lists_and_has_not_is_not_looked_for(shop: Shop) -> None:
    """Nor is bytecode believed that came with it: ours takes its place."""
    bytecode = f"plain/__pycache__/__init__.cpython-{HOST_MINOR.replace('.', '')}.pyc"
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"none").digest()).rstrip(b"=").decode()
    absent = ("ghost.py", "../../../../../../../etc/passwd", "../../../pyvenv.cfg")
    rows = "".join(f"{name},{_LIE}" for name in absent) + f"{bytecode},sha256={digest},4\n"
    more = {bytecode: "none", "plain/__init__.py": "X = 1\n"}
    _with_record(make_wheel(shop.wheels, "plain"), f"plain/__init__.py,,\n{rows}", more)

    made = shop.supply(requirements=["plain"])

    assert "plain" in made.modules
    assert (made.site_packages / bytecode).read_bytes() != b"none"
    assert [] == [text for item in shop.supplier().verify(made.key) for text in item.defects]
