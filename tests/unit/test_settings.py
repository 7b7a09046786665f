"""The user's settings: where each value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime import settings
from orq_runtime.errors import RequestError


def _environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), **more}


def _write(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "config" / "orq-runtime"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)


def test_the_caller_comes_before_environment_before_file(tmp_path: Path) -> None:
    """Precedence is caller, environment, config file, default."""
    _write(tmp_path, 'python = "3.8"\noffline = true\nexclude-newer = "2022-07-01"\n')
    environ = _environ(tmp_path, ORQ_RUNTIME_PYTHON="3.9", ORQ_RUNTIME_OFFLINE="0")

    found = settings.load(environ, python="3.10")

    assert ("3.10", False, "2022-07-01", tmp_path / ".cache" / "orq-runtime") == (
        found.python,
        found.offline,
        found.exclude_newer,
        found.cache_dir,
    )


def test_uv_inherits_certificates_and_proxies_only(tmp_path: Path) -> None:
    """No token, home or UV_ variable of the caller reaches the installer."""
    environ = _environ(
        tmp_path, PATH="/bin", https_proxy="p", UV_INDEX_URL="x", SECRET="s", SSL_CERT_FILE="c"
    )

    found = settings.load(environ)

    assert {"PATH": "/bin", "https_proxy": "p", "SSL_CERT_FILE": "c"} == found.tool_environment


@pytest.mark.parametrize(
    "text", ["not toml", "unknown = 1", "offline = 3", "python = 3", 'index = "one"']
)
def test_a_bad_config_file_is_named(tmp_path: Path, text: str) -> None:
    """A config file that cannot be used is the caller's error."""
    _write(tmp_path, text)

    with pytest.raises(RequestError):
        settings.load(_environ(tmp_path))


def test_relative_cache_folders_become_absolute(tmp_path: Path) -> None:
    """Paths are absolute once accepted; a relative XDG folder is ignored, as its rules say."""
    found = settings.load(_environ(tmp_path, XDG_CACHE_HOME="relative"), cache_dir="here")

    assert Path.cwd() / "here" == found.cache_dir
