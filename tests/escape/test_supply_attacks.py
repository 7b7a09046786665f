"""Hostile builds and imports: each is one clear error or note, and nothing of it is left behind.

What is left of them is a stranger's: links, pipes, names and sizes are what they like.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime.errors import (
    BadComponent,
    BadRequirement,
    BuildFailed,
    ResolutionFailed,
    WallUnavailable,
)
from orq_runtime.model.command import Command, CommandEnd, StartedCommand
from orq_runtime.model.environment import SupplyRequest
from tests.escape.lab_evil import evil, refusal, supplier_in, supply_in
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_sdist,
    make_wheel,
    store_names,
    supplier_with,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop, beside a secret."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "evil-1.0-py3-none-any.whl").write_text("the secret", "utf-8")
    return Shop(tmp_path / "shop")


def _member(name: str) -> str:
    good = "_good(directory); zipfile.ZipFile(path, 'a')"
    return f"{good}.writestr({name!r}, 'x'); return name"


_BUILDS = {
    "the wheel is a link to a secret": (
        "os.symlink(os.path.join(SECRET, name), path); return name",
        BuildFailed,
        "no wheel",
    ),
    "the wheel is a pipe": ("os.mkfifo(path); return name", BuildFailed, "not a regular file"),
    "the wheel has a second name": (
        "_good(directory); os.link(path, path + '2'); return name",
        BuildFailed,
        "not a regular file of its own",
    ),
    "the wheel is a folder": ("os.mkdir(path); return name", BuildFailed, "not a regular file"),
    "its folder is a link": (
        "os.rmdir(directory); os.symlink(SECRET, directory); return name",
        BuildFailed,
        "no wheel",
    ),
    "its name leads out": (
        "return '../../../../../secret/' + name",
        BuildFailed,
        "no wheel",
    ),
    "its name is no text": ("return 7", BuildFailed, "its backend made no wheel"),
    "its name is another's": (
        "_good(directory); os.rename(path, os.path.join(directory, 'x.whl')); return 'x.whl'",
        BadComponent,
        "not a wheel",
    ),
    "a member leads out": (_member("../../x.py"), BadComponent, "a member leads out of it"),
    "a member is absolute": (_member("/tmp/x.py"), BadComponent, "a member leads out of it"),
    "a scheme leads out": (
        _member("evil-1.0.data/data/../../../x"),
        BadComponent,
        "a member leads out of it",
    ),
    "two members have one name": (
        _member("evil/__init__.py"),
        BadComponent,
        "two members have one name",
    ),
    "the answer is a link": (
        "os.unlink(answer); os.symlink(os.path.join(SECRET, name), answer); os._exit(0)",
        BuildFailed,
        "its backend made no wheel",
    ),
    "the answer is a pipe": (
        "os.unlink(answer); os.mkfifo(answer); os._exit(0)",
        BuildFailed,
        "its backend made no wheel",
    ),
    "the answer is too deep": (
        "open(answer, 'w').write('[' * 100000); os._exit(0)",
        BuildFailed,
        "its backend made no wheel",
    ),
    "the answer is too long": (
        "open(answer, 'w').write('[' + '1,' * 5000000 + '1]'); os._exit(0)",
        BuildFailed,
        "its backend made no wheel",
    ),
    "the answer is nonsense": (
        "json.dump({'requires': 7}, open(answer, 'w')); os._exit(0)",
        BuildFailed,
        "answered nonsense",
    ),
    "it asks for a file": (
        "json.dump({'requires': ['-r /etc/shadow']}, open(answer, 'w')); os._exit(0)",
        BadRequirement,
        "asked for by its backend",
    ),
    "it asks for a URL": (
        "json.dump({'requires': ['x @ file:///etc/passwd']}, open(answer, 'w')); os._exit(0)",
        BadRequirement,
        "URLs are not taken",
    ),
    "it says nothing": ("os._exit(0)", BuildFailed, "its backend made no wheel"),
    "it fails": ("raise SystemExit(3)", BuildFailed, "its build ended with status 3"),
    "it kills itself": ("os.kill(os.getpid(), 9)", BuildFailed, "killed by SIGKILL"),
    "it hangs": ("time.sleep(100)", BuildFailed, "took longer than 8 s"),
    "it hangs and ignores signals": (
        "import signal; signal.signal(15, signal.SIG_IGN)\nwhile True: pass",
        BuildFailed,
        "took longer than 8 s",
    ),
    "it fills the disk": (
        "for n in range(10**6): open('f%d' % n, 'wb').write(bytes(1 << 23))",
        BuildFailed,
        "were written, and it was killed",
    ),
    "it takes all memory": (
        "kept = []\nwhile True: kept.append(bytearray(b'x') * (1 << 24))",
        BuildFailed,
        "",
    ),
    "it floods its output": (
        "for _ in range(200): print('x' * (1 << 20))\nraise SystemExit(4)",
        BuildFailed,
        "status 4",
    ),
}


@pytest.mark.parametrize("name", _BUILDS)
def test_what_a_build_leaves_is_not_trusted(shop: Shop, tmp_path: Path, name: str) -> None:
    """Links, pipes, names, sizes, lies and endless loops: one error that names the component."""
    code, kind, fragment = _BUILDS[name]
    folder = evil(tmp_path / "evil", code)

    error = refusal(shop, folder)

    assert kind is type(error)
    assert fragment in error.message
    assert str(folder) in error.message
    assert "the secret" not in error.message
    assert len(error.message) < 20_000


def test_the_hostile_builds_are_real(shop: Shop, tmp_path: Path) -> None:
    """The control: the same component without the hostile line builds, also under small limits."""
    environment = supply_in(shop, evil(tmp_path / "evil", "return _good(directory)"))

    assert ["evil"] == [package.name for package in environment.lock]


def test_an_index_has_no_code_run(shop: Shop, tmp_path: Path) -> None:
    """A source distribution of an index is refused, and its code does not run (`sup-setup-py`)."""
    make_sdist(shop.wheels, "evil", files={"setup.py": f"open({str(tmp_path / 'ran')!r}, 'w')"})

    with pytest.raises(ResolutionFailed, match="evil"):
        shop.supply(requirements=["evil"])

    assert not (tmp_path / "ran").exists()


_LEFT = """
import os
left, here = os.getcwd() + '/bytecode.0', os.path.dirname(__file__)
if os.path.lexists(left):
    os.unlink(left)
def put(path, more=0):
    head = len(path).to_bytes(4, 'big') + (4 + more).to_bytes(4, 'big')
    with open(left, 'ab') as file:
        file.write(head + path.encode() + b'EVIL')
"""
_IMPORTS = {
    "it ends the process": "import os; os._exit(3)",
    "it hangs": "import time; time.sleep(100)",
    "the report is a pipe": "import os; os.mkfifo('report.json'); os._exit(0)",
    "the report is a link": "import os; os.symlink('/etc/shadow', 'report.json'); os._exit(0)",
    "the report is too deep": "import os; open('report.json', 'w').write('[' * 99999); os._exit(0)",
    "bytecode is a link": _LEFT + "os.symlink('/etc/shadow', left)",
    "bytecode is a pipe": _LEFT + "os.mkfifo(left)",
    "bytecode is a folder": _LEFT + "os.mkdir(left)",
    "bytecode has two names": _LEFT + "open(left, 'w'); os.link(left, left + 'x')",
    "bytecode is noise": _LEFT + "open(left, 'wb').write(os.urandom(4096))",
    "bytecode ends too early": _LEFT + "put(here + '/evil.py', 99)",
    "bytecode for what is not there": _LEFT + "put(here + '/other.py')",
    "bytecode above the root": _LEFT + "put(here + '/../x.py'); put(here + '/./../x.py')",
    "bytecode outside of the root": _LEFT + "put('/etc/passwd'); put('/usr/lib/x.py')",
    "bytecode of no name": _LEFT + "put(''); put('\\0'); put(here); put('evil.py')",
    "bytecode of what is no source": _LEFT + "put(here + '/good-1.0.dist-info/RECORD')",
}


@pytest.mark.parametrize("name", _IMPORTS)
def test_what_an_import_leaves_is_not_trusted(shop: Shop, name: str) -> None:
    """The environment is made, whatever a module did when it was compiled by importing it."""
    make_wheel(shop.wheels, "evil", files={"evil.py": _IMPORTS[name] + "\n"})
    make_wheel(shop.wheels, "good")
    heard = Recorder()

    environment = supplier_in(shop, heard).supply(SupplyRequest(requirements=("evil", "good")))

    left = [path.relative_to(environment.path) for path in environment.path.rglob("*.pyc")]
    assert all(path.name.startswith(("evil.", "good.")) for path in left)
    assert all((environment.path / path).read_bytes() != b"EVIL" for path in left)
    for path in environment.path.rglob("*"):
        assert path.is_file() or path.is_dir()  # through links too: no pipe, no dangling link
        assert not path.is_symlink() or path.parent.name == "bin" or path.name == "lib64"


class _NoWall:
    """A machine that cannot give the wall that was asked for."""

    @property
    def isolation(self) -> str:
        raise WallUnavailable("no wall here")

    def run(self, command: Command) -> CommandEnd:
        raise WallUnavailable(f"no wall here for `{command.argv[0]}`")

    def start(self, command: Command) -> StartedCommand:
        raise WallUnavailable(f"no wall here for `{command.argv[0]}`")


def test_without_a_wall_nothing_is_executed(shop: Shop, tmp_path: Path) -> None:
    """Neither a build nor an import: supply fails as a run does, and leaves nothing half-made."""
    ran = tmp_path / "ran"
    make_wheel(shop.wheels, "good", files={"good.py": f"open({str(ran)!r}, 'w')"})
    folder = evil(tmp_path / "evil", f"open({str(ran)!r}, 'w'); return _good(directory)")
    supplier = Supplier(settings=shop.settings(), runner=_NoWall())
    component = supplier.component(folder)

    for request in (
        SupplyRequest(components=(component,)),
        SupplyRequest(requirements=("good",)),
    ):
        with pytest.raises(WallUnavailable, match="no wall here"):
            supplier.supply(request)

    assert not ran.exists()
    names = store_names(shop.root / "cache")
    assert [] == [name for name in names if name.startswith(("environments/", "staging/"))]


@pytest.mark.parametrize("tier", ["process", "namespaces"])
def test_a_build_says_where_it_ran(shop: Shop, tmp_path: Path, tier: str) -> None:
    """Also that it had no wall, which only the caller can have asked for."""
    heard = Recorder()
    supplier = supplier_with(shop.settings(), heard, isolation=tier)
    component = supplier.component(evil(tmp_path / "evil", "return _good(directory)"))

    supplier.supply(SupplyRequest(components=(component,)))

    said = {event.message for event in heard.events if event.phase == "build"}
    assert {f"isolation: {tier}"} == said
