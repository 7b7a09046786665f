"""The user's indexes as a key sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orq_runtime._supply.indexes import index_digest
from orq_runtime.errors import RequestError
from orq_runtime.settings import load


def test_a_find_links_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It is the caller's to name another: one error, and no traceback."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    settings = load({"HOME": "/h"}, find_links=[str(folder)])
    readable = index_digest(settings)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    assert readable
    with pytest.raises(RequestError, match="find-links folder"):
        index_digest(load({"HOME": "/h"}, find_links=[str(loop)]))
