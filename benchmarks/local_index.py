"""A package index on this machine, in a process of its own: wheels in a folder, pages beside them.

ROOT/simple/NAME/index.html     links with hashes (PEP 503)
ROOT/files/FILE.whl
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import parse_wheel_filename

__all__ = ["serving", "write_pages"]

_PROGRAM = """
import functools, http.server, sys

class Index(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

handler = functools.partial(Index, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def write_pages(root: Path) -> None:
    """Write the pages for all that lies in `files`."""
    links: dict[str, list[str]] = {}
    for file in sorted((root / "files").glob("*.whl")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        link = f'<a href="../../files/{file.name}#sha256={digest}">{file.name}</a><br>'
        links.setdefault(parse_wheel_filename(file.name)[0], []).append(link)
    for name, lines in links.items():
        folder = root / "simple" / name
        folder.mkdir(parents=True)
        page = f"<!DOCTYPE html><html><body>{''.join(lines)}</body></html>"
        (folder / "index.html").write_text(page, "utf-8")


@contextlib.contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve it; the index's URL."""
    argv = [sys.executable, "-I", "-c", _PROGRAM, os.fspath(root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/simple"
        finally:
            server.kill()
