"""Keys: the same things give the same key wherever they lie, different things different ones."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orq_runtime._supply.indexes import index_digest
from orq_runtime._supply.install import content_digest, environment_digest
from orq_runtime._supply.lock import Lock, Pinned
from orq_runtime._supply.requirements import Declared, declared, read_requirements
from orq_runtime._supply.resolve import Spec
from orq_runtime._supply.store import Store
from orq_runtime._supply.tree import digest_tree, unpack
from orq_runtime._supply.uv import classify
from orq_runtime._supply.wheels import keep_wheel
from orq_runtime.errors import (
    BadComponent,
    IndexUnavailable,
    RequestError,
    ResolutionFailed,
    StoreError,
    SupplyError,
)
from orq_runtime.model.environment import Interpreter
from orq_runtime.settings import load
from tests.supply_fixtures import make_component, make_sdist, make_wheel

_PYTHON = Interpreter(
    path=Path("/usr/bin/python3.11"),
    version=(3, 11, 2),
    implementation="cpython",
    cache_tag="cpython-311",
    soabi="cpython-311-x86_64-linux-gnu",
    platform="linux-x86_64",
    libc="glibc 2.36",
    prefix=Path("/usr"),
)


def _spec(lines: list[str], *, index: str = "", newer: str | None = None) -> str:
    spec = Spec(
        requirements=tuple(declared(line, f"f:{n}") for n, line in enumerate(lines)),
        constraints=(),
        local=(),
        interpreter=_PYTHON,
        index_digest=index,
        exclude_newer=newer,
    )
    return spec.digest().key()


def _key_of(requirements: tuple[Declared, ...]) -> str:
    spec = Spec(
        requirements=requirements,
        constraints=(),
        local=(),
        interpreter=_PYTHON,
        index_digest="",
        exclude_newer=None,
    )
    return spec.digest().key()


@given(st.lists(st.sampled_from(["a", "b>1", "c[x]", "d ; python_version<'4'"]), unique=True))
def test_the_order_of_lines_is_not_in_a_specs_key(lines: list[str]) -> None:
    """Declared in any order, even twice, it is one spec."""
    assert _spec(lines) == _spec(lines[::-1]) == _spec(lines + lines)


def test_what_changes_a_resolution_changes_the_specs_key() -> None:
    """Lines, indexes and the date limit each count."""
    keys = {
        _spec(["a"]),
        _spec(["a==1"]),
        _spec(["a", "b"]),
        _spec(["a"], index="other"),
        _spec(["a"], newer="2022-07-01"),
    }

    assert 5 == len(keys)


_TEXT = st.text(max_size=4) | st.sampled_from(["", "a", "b", "1", "content:c", "index", "local"])
_PINS = st.builds(
    Pinned,
    name=_TEXT,
    version=_TEXT,
    digests=st.lists(_TEXT, unique=True, max_size=2).map(tuple),
    content=st.none() | _TEXT,
    file=_TEXT,
    url=_TEXT,
    size=st.integers(0, 2),
)
_PYTHONS = st.builds(
    Interpreter,
    path=st.sampled_from([Path("/usr/bin/python3"), Path("/opt/python3")]),
    version=st.tuples(st.just(3), st.integers(10, 11), st.integers(1, 11)),
    implementation=st.sampled_from(["cpython", "c"]),
    cache_tag=st.just(""),
    soabi=_TEXT,
    platform=_TEXT,
    libc=_TEXT,
    prefix=st.sampled_from([Path("/usr"), Path("/opt")]),
)
_LOCKS = st.tuples(st.lists(_PINS, max_size=3), _PYTHONS)


def _installed(pins: list[Pinned], python: Interpreter) -> object:
    """What an environment is, wherever it lies: what is installed, for which interpreter."""
    return (
        [
            (p.name, p.version, p.content, () if p.content is not None else sorted(p.digests))
            for p in pins
        ],
        (python.implementation, python.version, python.soabi, python.platform, python.libc),
    )


@given(_LOCKS, _LOCKS)
def test_no_two_different_environments_share_a_key(
    first: tuple[list[Pinned], Interpreter], second: tuple[list[Pinned], Interpreter]
) -> None:
    """Content keys are equal exactly when what is installed is; local keys take the place too."""
    content, local = [], []
    for pins, python in (first, second):
        lock = Lock(packages=tuple(pins), direct=())
        content.append(content_digest(lock, python).key())
        local.append(environment_digest(lock, python).key())
    is_same = _installed(*first) == _installed(*second)

    assert is_same == (content[0] == content[1])
    assert (is_same and first[1].path == second[1].path) == (local[0] == local[1])


@given(_LOCKS, st.sampled_from(["/a/python3", "/b/python3"]))
def test_the_interpreters_path_is_in_the_local_key_alone(
    made: tuple[list[Pinned], Interpreter], path: str
) -> None:
    """On another machine the interpreter lies elsewhere, and the content key is the same."""
    pins, python = made
    moved = replace(python, path=Path(path), prefix=Path(path).parent, cache_tag="other")
    lock = Lock(packages=tuple(pins), direct=("x",))

    assert content_digest(lock, python).key() == content_digest(lock, moved).key()
    assert environment_digest(lock, python).key() != environment_digest(lock, moved).key()


_LINES = st.lists(
    st.sampled_from(["a", "a==1", "b>1", "c[x]", "d ; python_version<'4'"]), max_size=3
)


@given(_LINES, _LINES, _LINES, st.sampled_from([None, "2022-07-01"]), st.sampled_from(["", "i"]))
def test_each_part_of_a_spec_counts_as_that_part(
    lines: list[str], limits: list[str], pins: list[str], newer: str | None, index: str
) -> None:
    """A requirement is no constraint and a constraint no pin; only empty parts are alike."""

    def key(*parts: list[str], newer: str | None = newer, index: str = index) -> str:
        stated = [tuple(declared(line, f"f:{n}") for n, line in enumerate(part)) for part in parts]
        return (
            Spec(
                requirements=stated[0],
                constraints=stated[1],
                pins=stated[2],
                local=(),
                interpreter=_PYTHON,
                index_digest=index,
                exclude_newer=newer,
            )
            .digest()
            .key()
        )

    own = key(lines, limits, pins)
    for order in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        parts = [lines, limits, pins]
        moved = [parts[place] for place in order]
        is_same = [set(part) for part in moved] == [set(part) for part in parts]
        assert is_same == (key(*moved) == own)
    assert own not in (
        key(lines, limits, pins, newer="2021-01-01"),
        key(lines, limits, pins, index="other"),
        key([*lines, "e"], limits, pins),
    )


@given(
    st.lists(st.sampled_from(["alpha", "beta>=1", "gamma[x]<2"]), unique=True, min_size=1),
    st.lists(st.sampled_from(["# a remark", "", "   ", "#"]), max_size=3),
    st.booleans(),
)
def test_comments_and_the_order_of_lines_are_in_no_key(
    lines: list[str], clutter: list[str], is_reversed: bool
) -> None:
    """A requirements file that says the same in other words gives the same spec."""

    def stated(text: str, name: str) -> str:
        with tempfile.TemporaryDirectory(suffix=name) as folder:
            root = make_component(Path(folder), {"requirements.txt": text})
            read = read_requirements(root / "requirements.txt", root)
        return _key_of(read.requirements)

    plain = stated("\n".join(lines), "one")
    other = [*clutter, *(f"  {line}  # why" for line in lines)]

    assert plain == stated("\n".join(other[::-1] if is_reversed else other) + "\n", "two")


def test_credentials_are_not_in_what_is_kept() -> None:
    """Two indexes differ by key, and the preimage names neither."""
    secret = load({"HOME": "/h"}, index=["https://user:hunter2@host/simple"])
    other = load({"HOME": "/h"}, index=["https://user:other@host/simple"])
    spec = Spec(
        requirements=(),
        constraints=(),
        local=(),
        interpreter=_PYTHON,
        index_digest=index_digest(secret),
        exclude_newer=None,
    )

    assert index_digest(secret) != index_digest(other)
    assert "hunter2" not in str(spec.digest().preimage())


def test_a_trees_digest_is_of_what_belongs_to_a_build(tmp_path: Path) -> None:
    """Place, caches, locks, version control do not count; names, content, executable bits do."""
    files = {"setup.py": "x", "src/a.py": "y"}
    first = make_component(tmp_path / "a", files)
    clutter = {
        ".git/HEAD": "z",
        "src/__pycache__/a.pyc": "z",
        "venv/pyvenv.cfg": "z",
        "venv/x.py": "z",
        "build/lib/a.py": "z",
        "dist/a.whl": "z",
        "a.egg-info/PKG-INFO": "z",
        "uv.lock": "z",
        "pylock.toml": "z",
        "pylock.steps.toml": "z",
    }
    second = make_component(tmp_path / "b", {**files, **clutter})
    same = digest_tree(first) == digest_tree(second)
    before = digest_tree(first)

    (first / "setup.py").chmod(0o755)
    executable = digest_tree(first)
    (first / "src" / "a.py").rename(first / "src" / "b.py")

    assert same
    assert 3 == len({before, executable, digest_tree(first)})


def _archive(file: Path, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return file


def _member(name: str, *, link: str = "", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.linkname, member.type = link, tarfile.SYMTYPE if link else kind
    return member


@pytest.mark.parametrize(
    "members",
    [
        [_member("../out.py")],
        [_member("/tmp/out.py")],
        [_member("a/../../out.py")],
        [_member("a", link="../.."), _member("a/out.py")],
        [_member("a", link="/etc")],
        [_member("a", kind=tarfile.FIFOTYPE)],
        [_member("a"), _member("a")],
    ],
)
def test_a_source_distribution_cannot_reach_outside_of_its_folder(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    """Members above, absolute, through links, devices and doubled: refused, nothing is outside."""
    file = _archive(tmp_path / "a-1.tar.gz", members)

    with pytest.raises(BadComponent, match="not a source distribution"):
        unpack(file, tmp_path / "tree", "a-1.tar.gz")

    assert [] == list(tmp_path.rglob("out.py"))


def test_an_unpacked_source_distribution_has_its_files_links_and_modes(tmp_path: Path) -> None:
    """What lies inside comes out: folders, files, inner links, executable bits."""
    script = _member("a-1/run.sh")
    script.size, script.mode = 1, 0o755
    members = [_member("a-1", kind=tarfile.DIRTYPE), script, _member("a-1/link", link="run.sh")]

    tree = unpack(_archive(tmp_path / "a-1.tar.gz", members), tmp_path / "tree", "a-1.tar.gz")

    assert (tmp_path / "tree" / "a-1", "x") == (tree, (tree / "link").read_text("utf-8"))
    assert 0o700 == (tree / "run.sh").stat().st_mode & 0o777


def test_a_wheels_content_is_not_its_archive_nor_its_description(tmp_path: Path) -> None:
    """A rebuilt wheel with another README has the same content; another module does not."""
    store = Store(tmp_path / "cache")
    wheels = [
        make_wheel(tmp_path / "1", "a"),
        make_wheel(tmp_path / "2", "a", description="A long read."),
        make_wheel(tmp_path / "3", "a", files={"a.py": "other"}),
        make_wheel(tmp_path / "4", "a", requires=["b"]),
    ]

    contents = [keep_wheel(store, wheel, "here").content for wheel in wheels]

    assert contents[0] == contents[1]
    assert 3 == len(set(contents))


@pytest.mark.parametrize(
    ("lines", "status", "offline", "kind"),
    [
        (
            ["error: Request failed after 3 retries", "  cause: dns error"],
            2,
            False,
            IndexUnavailable,
        ),
        (
            ["error: Failed to fetch: `https://x`", "  503 Service Unavailable"],
            2,
            False,
            IndexUnavailable,
        ),
        (["error: No solution found when resolving dependencies"], 1, False, ResolutionFailed),
        (
            ["  cause: Packages were unavailable because the network was disabled"],
            1,
            True,
            ResolutionFailed,
        ),
        (["error: No space left on device (os error 28)"], 2, False, StoreError),
        ([], -9, False, StoreError),
        (["error: something new"], 2, False, ResolutionFailed),
    ],
)
def test_uvs_failures_are_classed(
    lines: list[str], status: int, offline: bool, kind: type[SupplyError]
) -> None:
    """Each kind of failure has its class, and uv's reason is kept."""
    error = classify(lines, status=status, offline=offline)

    assert kind is type(error)
    assert all(line.strip().removeprefix("error: ") in error.message for line in lines)


@given(st.integers(0, 2**32), st.integers(1, 255), st.booleans())
def test_a_damaged_distribution_is_whole_or_one_error(place: int, change: int, cut: bool) -> None:
    """Wherever a byte is wrong or the end is missing, nothing but `BadComponent` comes of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [make_wheel(folder, "a"), make_sdist(folder, "b")]
        for number, file in enumerate(files):
            content = bytearray(file.read_bytes())
            content[place % len(content)] ^= change
            file.write_bytes(content[: place % len(content)] if cut else content)
            with contextlib.suppress(BadComponent):
                if file.suffix == ".whl":
                    keep_wheel(Store(folder / "cache"), file, "here")
                else:
                    unpack(file, folder / f"tree{number}", "sdist")


def test_a_date_limit_that_is_no_date_is_refused() -> None:
    """`exclude_newer` enters keys, so it is a point in time and nothing relative."""
    assert "2022-07-01" == load({"HOME": "/h"}, exclude_newer="2022-07-01").exclude_newer
    with pytest.raises(RequestError, match="is a date"):
        load({"HOME": "/h"}, exclude_newer="last week")
