"""What an environment is made of besides its packages, and that nothing is started to make it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from orq_runtime._supply.frame import empty, lead_scripts, make_frame, site_packages
from orq_runtime._supply.manifest import defects
from orq_runtime.model.environment import Environment, Interpreter, SupplyRequest
from tests.supply_fixtures import Recorder, Shop, make_wheel, supplier_with

_ENTRY = "[console_scripts]\nsay = alpha:main\n"
_ALPHA = "import sys\ndef main():\n    print(sys.prefix, *sys.argv[1:])\n"
_SCRIPT = "#!python\nimport alpha\nalpha.main()\n"


def _interpreter(path: Path) -> Interpreter:
    return Interpreter(
        path=path,
        version=(3, 11, 7),
        implementation="cpython",
        cache_tag="cpython-311",
        soabi="cpython-311-x86_64-linux-gnu",
        platform="linux-x86_64",
        libc="glibc 2.36",
        prefix=path.parent.parent,
    )


def _with_scripts(shop: Shop) -> Environment:
    files = {
        "alpha.py": _ALPHA,
        "alpha-1.0.dist-info/entry_points.txt": _ENTRY,
        "alpha-1.0.data/scripts/tell": _SCRIPT,
        "alpha-1.0.data/scripts/plain": "#!/bin/sh\necho plain\n",
    }
    make_wheel(shop.wheels, "alpha", files=files)
    return supplier_with(shop.settings(), Recorder()).supply(SupplyRequest(requirements=("alpha",)))


@pytest.mark.slow
def test_scripts_run_with_their_environment(tmp_path: Path) -> None:
    """Those of entry points and those that a wheel brings; what is no Python stays as it is."""
    environment = _with_scripts(Shop(tmp_path / "shop"))

    for name in ("say", "tell"):
        argv = [str(environment.path / "bin" / name), "a b"]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert f"{environment.path} a b\n" == said
    assert "#!/bin/sh\necho plain\n" == (environment.path / "bin" / "plain").read_text()


@pytest.mark.slow
def test_scripts_are_vouched_for_and_uv_keeps_its_own(tmp_path: Path) -> None:
    """The RECORD says what they are now, and no file of uv's cache was written through a link."""
    shop = Shop(tmp_path / "shop")
    environment = _with_scripts(shop)

    assert [] == defects(environment.path)
    record = next(environment.site_packages.glob("alpha-*/RECORD")).read_text()
    assert "../../../bin/say,sha256=" in record
    kept = [path for path in (shop.root / "cache" / "v1" / "uv").rglob("tell") if path.is_file()]
    assert [_SCRIPT] == [path.read_text() for path in kept]


@pytest.mark.slow
def test_an_environment_starts_no_interpreter_outside_the_wall(tmp_path: Path) -> None:
    """Not even to be asked what it is: a `.pth` of a package would run with it."""
    shop = Shop(tmp_path / "shop")
    ran = tmp_path / "ran"
    make_wheel(
        shop.wheels,
        "alpha",
        files={"alpha.py": "", "x.pth": f"import os; open({str(ran)!r}, 'w')\n"},
    )
    for requirements in (("alpha",), ("alpha", "alpha>=1")):
        supplier = supplier_with(shop.settings(), Recorder())
        supplier.supply(SupplyRequest(requirements=requirements))

    assert not ran.exists()


@pytest.mark.parametrize(
    "place", ["python3.11", "with a space/python3.11", "long" * 40 + "/python3.11"]
)
def test_every_head_that_uv_writes_is_led(tmp_path: Path, place: str) -> None:
    """Also the longer ones, which it has for paths that the kernel would not take."""
    interpreter = _interpreter(tmp_path / place)
    root = tmp_path / "environment"
    make_frame(root, interpreter)
    short = f"#!{interpreter.path}\nprint(1)\n"
    long = f"#!/bin/sh\n'''exec' '{interpreter.path}' \"$0\" \"$@\"\n' '''\nprint(1)\n"
    for name, text in (("short", short), ("long", long)):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)

    lead_scripts(root, interpreter)

    texts = {(root / "bin" / name).read_text() for name in ("short", "long")}
    assert len(texts) == 1
    text = texts.pop()
    assert text.startswith("#!/bin/sh\n'''exec' \"$(dirname")
    assert text.endswith("\n' '''\nprint(1)\n")
    assert 0o755 == stat.S_IMODE((root / "bin" / "short").stat().st_mode)


def test_a_frame_can_be_emptied_in_place(tmp_path: Path) -> None:
    """The folder stays the one that somebody has mounted; links are not followed."""
    interpreter = _interpreter(tmp_path / "python3.11")
    root, other = tmp_path / "environment", tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    make_frame(root, interpreter)
    (site_packages(root, interpreter) / "link").symlink_to(other)
    before = root.stat().st_ino

    empty(root)
    make_frame(root, interpreter)

    assert before == root.stat().st_ino
    assert [] == list(site_packages(root, interpreter).iterdir())
    assert ["kept"] == [path.name for path in other.iterdir()]
