"""Hostile declarations and archives: refused by name, before anything of them is used."""

from __future__ import annotations

import io
import json
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from orq_runtime._supply.tree import check_members
from orq_runtime.errors import BadComponent, BadRequirement, ResolutionFailed
from tests.escape.lab_evil import evil, refusal
from tests.supply_fixtures import Recorder, Shop, make_component, make_wheel, store_names

pytestmark = pytest.mark.slow

_CATALOGUE = Path(__file__).with_name("catalogue.json")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop")


_DECLARED = {
    "sup-req-r": ("-r /etc/shadow", "included files must lie inside the component"),
    "sup-req-c": ("-c http://127.0.0.1:9/c.txt", ""),
    "sup-req-e": ("-e ./evil", ""),
    "sup-req-find-links": ("--find-links file:///root", "indexes are the user's to choose"),
    "sup-req-trusted-host": ("--trusted-host evil", ""),
    "sup-req-file-url": ("x @ file:///etc/passwd", "URLs are not taken"),
    "sup-req-git": ("x @ git+ssh://127.0.0.1/x", "URLs are not taken"),
    "sup-req-git-ext": ("x @ git+ext::sh -c id", ""),
    "sup-req-cont": ("six\\\n--index-url=http://127.0.0.1:9/", ""),
    "sup-req-nul": ("six\0--index-url", ""),
    "a variable": ("six==${ORQ_SECRET}", ""),
    "a variable of the shell": ("$ORQ_SECRET", ""),
    "an extra index": ("--extra-index-url=http://127.0.0.1:9/", "indexes are the user's"),
    "a carriage return": ("six\r--index-url http://127.0.0.1:9/", ""),
    "a form feed": ("six\f--index-url http://127.0.0.1:9/", ""),
    "a line separator": ("six\u2028--index-url=http://127.0.0.1:9/", ""),
    "an option behind a comment": ("six # x\n-i http://127.0.0.1:9/", ""),
    "a path": ("./vendor/../../x.whl", ""),
    "a global option": ("six --global-option=evil", ""),
    "an option of its own": ("six --config-settings=x=y", ""),
}


@pytest.mark.parametrize("name", _DECLARED)
def test_a_hostile_line_is_refused_with_its_place(shop: Shop, tmp_path: Path, name: str) -> None:
    """Before any program sees it: the file and the line are in the message."""
    line, fragment = _DECLARED[name]
    file = tmp_path / "core" / "requirements.txt"
    make_component(tmp_path / "core", {"requirements.txt": f"# first\n{line}\n"})

    with pytest.raises((BadRequirement, BadComponent)) as refused:
        shop.supply(tmp_path / "core", uv=Path("/bin/false"))

    assert f"{file}:" in refused.value.message or f"`{file}" in refused.value.message
    assert fragment in f"{refused.value.message} {refused.value.hint}"
    assert not (shop.root / "cache" / "v1" / "locks").exists()


@pytest.mark.parametrize("line", ["x @ git+ext::sh -c id", "-r /etc/shadow", "./evil", "a\0b"])
def test_a_hostile_build_requirement_is_refused(shop: Shop, tmp_path: Path, line: str) -> None:
    """What `build-system.requires` says is read by the same rules."""
    text = f'[build-system]\nrequires = [{json.dumps(line)}]\nbuild-backend = "backend"\n'
    folder = evil(tmp_path / "evil", "return _good(directory)", files={"pyproject.toml": text})

    error = refusal(shop, folder)

    assert isinstance(error, BadComponent)  # `BadRequirement` is one


def test_a_backend_outside_of_its_tree_is_refused(shop: Shop, tmp_path: Path) -> None:
    """`backend-path` is inside."""
    text = '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["../../secret"]\n'
    folder = make_component(tmp_path / "core", {"pyproject.toml": text})

    assert "`backend-path` leads out of it" in refusal(shop, folder).message


_WHEELS: dict[str, dict[str, str]] = {
    "sup-wheel-data-scripts": {"evil-1.0.data/scripts/python": "#!/bin/sh\n"},
    "another home": {"evil-1.0.data/data/pyvenv.cfg": "home = /tmp/evil\n"},
    "another home beside it": {"evil-1.0.data/data/bin/pyvenv.cfg": "home = /tmp/evil\n"},
    "another path": {"evil-1.0.data/data/bin/python._pth": "/tmp/evil\n"},
    "another interpreter": {"evil-1.0.data/data/bin/python": "#!/bin/sh\n"},
    "another standard library": {"evil-1.0.data/data/lib/python3.11/os.py": "x"},
    "an activation": {"evil-1.0.data/scripts/activate": "x"},
    "an entry point python": {
        "evil-1.0.dist-info/entry_points.txt": "[console_scripts]\npython = evil:main\n"
    },
    "an entry point outside": {
        "evil-1.0.dist-info/entry_points.txt": "[console_scripts]\n../../x = evil:main\n"
    },
}


@pytest.mark.parametrize("is_vendored", [False, True], ids=["index", "vendor"])
@pytest.mark.parametrize("name", _WHEELS)
def test_a_wheel_cannot_change_what_the_interpreter_runs(
    shop: Shop, tmp_path: Path, name: str, *, is_vendored: bool
) -> None:
    """Its interpreter, its home, its standard library: such a wheel is refused after all."""
    files = {"evil.py": "", **_WHEELS[name]}
    files = {key.replace("python3.11", f"python{_minor()}"): text for key, text in files.items()}
    folder = make_component(tmp_path / "core", {})
    make_wheel(folder / "vendor" if is_vendored else shop.wheels, "evil", files=files)

    with pytest.raises((BadComponent, ResolutionFailed)) as refused:
        shop.supply(*([folder] if is_vendored else []), requirements=["evil"])

    assert "evil" in refused.value.message
    names = store_names(shop.root / "cache")
    assert [] == [name for name in names if name.startswith(("environments/", "staging/"))]


def _minor() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.parametrize("member", ["../../x.py", "/tmp/orq-x.py", "a/../../x.py", "..\\x.py"])
def test_a_vendored_wheel_that_leads_out_is_refused_by_name(
    shop: Shop, tmp_path: Path, member: str
) -> None:
    """And one from an index puts nothing outside either."""
    folder = make_component(tmp_path / "core", {})
    wheel = make_wheel(folder / "vendor", "evil", files={"evil.py": "", member: "x"})

    with pytest.raises(BadComponent) as refused:
        shop.supply(folder)

    assert f"not a wheel: `{wheel}`: a member leads out of it" in refused.value.message


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """A wheel or source distribution is measured before it is unpacked (`sup-wheel-zip-bomb`)."""
    file = make_wheel(tmp_path, "bomb", files={"big.bin": "x"})
    with zipfile.ZipFile(file) as archive:
        check_members(archive)
        archive.infolist()[0].file_size = 5 << 30

        with pytest.raises(ValueError, match="unpacks to more than"):
            check_members(archive)


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    """Installers differ in what they make of it."""
    file = tmp_path / "evil-1.0-py3-none-any.whl"
    info = zipfile.ZipInfo("evil/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/shadow")

        with pytest.raises(ValueError, match="a member is a link"):
            check_members(archive)


def _sdist(file: Path, *members: tuple[str, str]) -> Path:
    """A source distribution with members that are links (`->`) or files."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:]
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))
    return file


@pytest.mark.parametrize(
    "members",
    [
        (("evil-1/x", "->/etc"), ("evil-1/x/cron.d/pwn", "x")),
        (("evil-1/x", "->.."), ("evil-1/x/../../pwn", "x")),
        (("../pwn", "x"),),
        (("/tmp/orq-pwn", "x"),),
    ],
)
def test_a_vendored_sdist_that_leads_out_is_refused_by_name(
    shop: Shop, tmp_path: Path, members: tuple[tuple[str, str], ...]
) -> None:
    """By a link, by `..`, by an absolute name (`sup-sdist-symlink`)."""
    folder = make_component(tmp_path / "core", {})
    file = _sdist(folder / "vendor" / "evil-1.tar.gz", *members)

    error = refusal(shop, folder)

    assert f"not a source distribution: `{file}`" in error.message


def test_links_in_a_vendor_folder_are_left_alone(shop: Shop, tmp_path: Path) -> None:
    """With a note; nothing behind them is read (`sup-vendor-symlink`)."""
    folder = make_component(tmp_path / "core", {"requirements.txt": ""})
    (folder / "vendor").mkdir()
    (folder / "vendor" / "a-1-py3-none-any.whl").symlink_to("/etc/shadow")
    (folder / "vendor" / "root").symlink_to("/")
    heard = Recorder()

    environment = shop.supply(folder, sink=heard)

    assert () == environment.lock
    assert 2 == sum("left alone" in event.message for event in heard.events)


def test_a_vendor_folder_that_is_a_link_is_left_alone(shop: Shop, tmp_path: Path) -> None:
    """It could lead anywhere."""
    folder = make_component(tmp_path / "core", {"requirements.txt": ""})
    make_wheel(tmp_path / "elsewhere", "alpha")
    (folder / "vendor").symlink_to(tmp_path / "elsewhere")

    assert () == shop.supply(folder).lock


def test_a_configuration_of_uv_in_a_component_says_nothing(shop: Shop, tmp_path: Path) -> None:
    """Neither `uv.toml` nor `tool.uv` names an index (`sup-uvconf`)."""
    make_wheel(shop.wheels, "alpha")
    index = '[[index]]\nurl = "http://127.0.0.1:9"\ndefault = true\n'
    files = {
        "uv.toml": index,
        "requirements.txt": "alpha\n",
        "pyproject.toml": index.replace("[[index", "[[tool.uv.index"),
    }

    environment = shop.supply(make_component(tmp_path / "core", files))

    assert ["alpha"] == [package.name for package in environment.lock]


_ELSEWHERE = {
    "sup-setup-py": "test_supply_attacks.py",
    "sup-setup-py-secrets": "test_supply_walls.py",
    "sup-setup-py-hang": "test_supply_attacks.py",
    "sup-wheel-pth": "test_supply_walls.py",
    "sup-wheel-zip-bomb": "test_supply_refusals.py",
    "sup-sdist-symlink": "test_supply_refusals.py",
    "sup-vendor-symlink": "test_supply_refusals.py",
    "sup-uvconf": "test_supply_refusals.py",
    "sup-kill9-builder": "../faults/test_supply_killed.py",
    "sup-cache-hardlink": "test_supply_walls.py",
    "sup-key-collision": "../unit/test_supply_keys.py",
}


def test_every_attack_of_the_catalogue_on_supply_is_here() -> None:
    """Each of the group has its test: here by its name, or in the file named."""
    attacks = json.loads(_CATALOGUE.read_text("utf-8"))["attacks"]
    wanted = {attack["id"] for attack in attacks if attack["group"] == "supply"}

    assert wanted == set(_ELSEWHERE) | (wanted & (_DECLARED.keys() | _WHEELS.keys()))
    assert all(Path(__file__).parent.joinpath(place).is_file() for place in _ELSEWHERE.values())
