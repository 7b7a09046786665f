"""Fetches one distribution file by its URL and checks its hash: for `vendor/`, uv has its own way.

Rules of this file:

1. A file has its name only when it is whole and its hash is the lock's.
2. Credentials go to the host that the user gave them for, and do not follow a redirection.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from orq_runtime.errors import IndexUnavailable, ResolutionFailed
from orq_runtime.model.environment import LockedPackage
from orq_runtime.settings import Settings

__all__ = ["fetch"]

_CHUNK = 1 << 18
_SECONDS = 60.0


def fetch(
    pin: LockedPackage, target: Path, settings: Settings, on_bytes: Callable[[int], None]
) -> None:
    """Write the pin's file to `target`. Blocks. `on_bytes` hears how many bytes have come.

    Raises `IndexUnavailable` when it does not come, `ResolutionFailed` when it is another file.
    """
    digest = next(item for item in pin.digests if not item.startswith("content:"))
    algorithm, _, wanted = digest.partition(":")
    hashed = hashlib.new(algorithm)
    come = 0
    try:
        with _opened(pin.url, settings) as source, open(target, "xb") as file:
            while chunk := source.read(_CHUNK):
                hashed.update(chunk)
                file.write(chunk)
                come += len(chunk)
                on_bytes(come)
    except (OSError, http.client.HTTPException) as error:
        raise IndexUnavailable(
            f"cannot fetch `{pin.file}`: {error}", hint="check the network and try again"
        ) from error
    if hashed.hexdigest() != wanted:
        raise ResolutionFailed(
            f"`{pin.file}` has another hash than the lock: `{algorithm}:{hashed.hexdigest()}`",
            hint="make the lock anew with --refresh",
        )


@contextlib.contextmanager
def _opened(url: str, settings: Settings) -> Iterator[BinaryIO]:
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        with open(url2pathname(parts.path), "rb") as file:
            yield file
        return
    if settings.offline:
        raise OSError(f"the network is not to be used: {url}")
    request = urllib.request.Request(url, headers={"User-Agent": "orq-runtime"})
    if secret := _credentials(url, settings):
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    with _opener(settings).open(request, timeout=_SECONDS) as answer:
        yield answer


def _opener(settings: Settings) -> urllib.request.OpenerDirector:
    """One that knows the user's proxies and certificates, by their usual variables."""
    variables = {key.lower(): value for key, value in settings.tool_environment.items()}
    proxies = {
        kind: variables[f"{kind}_proxy"]
        for kind in ("http", "https")
        if f"{kind}_proxy" in variables
    }
    context = ssl.create_default_context(
        cafile=variables.get("ssl_cert_file"), capath=variables.get("ssl_cert_dir")
    )
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )


def _credentials(url: str, settings: Settings) -> str:
    """What the user's indexes say for this very host, as HTTP wants it."""
    asked = urlsplit(url)
    for place in (settings.default_index or "", *settings.index, *settings.find_links):
        parts = urlsplit(place)
        host = parts.netloc.rpartition("@")[2]
        if parts.username and (parts.scheme, host) == (asked.scheme, asked.netloc):
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            return base64.b64encode(pair.encode()).decode("ascii")
    return ""
