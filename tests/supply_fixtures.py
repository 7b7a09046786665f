"""Builders for supply tests: wheels, source distributions, components, and suppliers for them.

Everything is served from a folder (`find_links`), so that no test here needs a network.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import weakref
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orq_runtime._supply import Supplier
from orq_runtime._workshop import Workshop
from orq_runtime.events import Event, Sink, ignore
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.settings import Settings, load

__all__ = [
    "BACKEND",
    "Recorder",
    "Shop",
    "make_component",
    "make_sdist",
    "make_wheel",
    "no_uv",
    "serving",
    "source_files",
    "store_names",
    "supplier_with",
]

# A PEP 517 backend of a few lines: source trees build with it in a moment and need no index.
BACKEND = """
import base64, hashlib, pathlib, zipfile

NAME, VERSION, REQUIRES = "{name}", "{version}", {requires!r}

def get_requires_for_build_wheel(config_settings=None):
    return []

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        str(p.relative_to("src")): p.read_bytes()
        for p in sorted(pathlib.Path("src").rglob("*.py"))
    }}
    lines = ["Metadata-Version: 2.1", f"Name: {{NAME}}", f"Version: {{VERSION}}"]
    lines += [f"Requires-Dist: {{line}}" for line in REQUIRES]
    files[f"{{info}}/METADATA"] = "\\n".join(lines + ["", ""]).encode()
    files[f"{{info}}/WHEEL"] = (
        b"Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    )
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{{path}},sha256={{digest}},{{len(content)}}")
    files[f"{{info}}/RECORD"] = "\\n".join(record + [f"{{info}}/RECORD,,", ""]).encode()
    name = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return name
"""

_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    tag: str = "py3-none-any",
    description: str = "",
) -> Path:
    """Write a wheel; without `files` it has one module of its name that knows its version."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    content = dict(files or {f"{name}.py": f"VERSION = {version!r}\n"})
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Dist: {line}" for line in requires]
    content[f"{info}/METADATA"] = "\n".join([*headers, "", description])
    content[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in content.items())
    content[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in content.items():
            archive.writestr(inside, text)
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def source_files(
    name: str, version: str = "1.0", *, requires: Sequence[str] = ()
) -> dict[str, str]:
    """The files of a source tree that builds without any index."""
    return {
        "pyproject.toml": _PYPROJECT,
        "backend.py": BACKEND.format(name=name, version=version, requires=list(requires)),
        f"src/{name}/__init__.py": f"VERSION = {version!r}\n",
    }


def make_sdist(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a source distribution; without `files` it builds without any index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.tar.gz"
    content = files or source_files(name, version, requires=requires)
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in content.items():
            member = tarfile.TarInfo(f"{name}-{version}/{inside}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def make_component(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files under a folder and give the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def no_uv(folder: Path) -> Path:
    """A program that stands for uv and fails: whoever starts it did not answer from the store."""
    path = folder / "no-uv"
    path.write_text("#!/bin/sh\necho 'error: uv was started' >&2\nexit 9\n", "utf-8")
    path.chmod(0o755)
    return path


@dataclass
class Recorder:
    """A sink that keeps what it hears."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def count(self, phase: str, state: str = "started") -> int:
        """How many events of a phase and state there were."""
        return sum(1 for e in self.events if e.phase == phase and e.state == state)


@dataclass
class Shop:
    """A folder of wheels that stands for an index, and a cache to supply into."""

    root: Path

    @property
    def wheels(self) -> Path:
        """Where the wheels lie that can be had."""
        return self.root / "wheels"

    def settings(self, **given: object) -> Settings:
        """Settings that reach nothing but the shop."""
        self.wheels.mkdir(parents=True, exist_ok=True)
        (self.root / "home").mkdir(exist_ok=True)
        own: dict[str, object] = {
            "cache_dir": self.root / "cache",
            "find_links": [str(self.wheels)],
            "offline": True,
        }
        environ = {"HOME": str(self.root / "home"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        return load(environ, **{**own, **given})

    def supplier(self, sink: Recorder | None = None, *, uv: Path | None = None) -> Supplier:
        """A supplier of the shop's."""
        return supplier_with(self.settings(), sink or Recorder(), uv=uv)

    def supply(
        self,
        *folders: Path,
        requirements: Sequence[str] = (),
        scripts: Sequence[Path] = (),
        sink: Recorder | None = None,
        uv: Path | None = None,
        python: str | None = None,
    ) -> Environment:
        """Supply components and lines from the shop."""
        supplier = self.supplier(sink, uv=uv)
        return supplier.supply(
            SupplyRequest(
                components=tuple(supplier.component(folder) for folder in folders),
                scripts=tuple(scripts),
                requirements=tuple(requirements),
                python=python,
            )
        )


def supplier_with(
    settings: Settings,
    sink: Sink = ignore,
    *,
    uv: Path | None = None,
    home: Path | None = None,
    isolation: str = "auto",
) -> Supplier:
    """A supplier whose builds run behind the wall; its workshop is closed with it."""
    workshop = Workshop(settings=settings, isolation=isolation)
    supplier = Supplier(settings=settings, sink=sink, runner=workshop, uv=uv, home=home)
    weakref.finalize(supplier, workshop.close)
    return supplier


def _page_hash(file: Path) -> str:
    return f"sha256={hashlib.sha256(file.read_bytes()).hexdigest()}" if file.is_file() else ""


@contextlib.contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """A package index on this machine with one folder per package; and what it was asked for."""
    asked: list[str] = []

    class Index(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def list_directory(self, path: str | os.PathLike[str]) -> io.BytesIO:
            links = [
                f'<a href="{file.name}#{_page_hash(file)}">{file.name}</a><br>'
                for file in sorted(Path(path).iterdir())
            ]
            page = "".join(["<!DOCTYPE html><html><body>", *links, "</body></html>"]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            return io.BytesIO(page)

        def log_message(self, *args: object, **kwargs: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Index, directory=str(root))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def store_names(cache: Path) -> set[str]:
    """What the store has under a name, and what lies in its staging folder."""
    kinds = ("environments", "support", "wheels", "builds", "locks", "staging")
    return {
        f"{kind}/{path.name}"
        for kind in kinds
        if (cache / "v1" / kind).is_dir()
        for path in (cache / "v1" / kind).iterdir()
    }


HOST_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
