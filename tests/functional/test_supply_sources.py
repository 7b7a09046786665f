"""Every kind of declaration ends in one environment, without a network."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orq_runtime._supply import Supplier
from orq_runtime.errors import (
    BadComponent,
    BadRequirement,
    BuildFailed,
    IndexUnavailable,
    ResolutionFailed,
    StoreError,
    SupplyError,
)
from orq_runtime.model.environment import Environment, SupplyRequest
from orq_runtime.settings import load
from tests.supply_fixtures import (
    HOST_MINOR,
    Recorder,
    Shop,
    make_component,
    make_sdist,
    make_wheel,
    source_files,
    store_names,
    supplier_with,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop")


def _says(environment: Environment, program: str) -> str:
    return subprocess.run(
        [environment.python, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def _pins(environment: Environment) -> dict[str, str]:
    return {package.name: package.version for package in environment.lock}


def test_a_requirements_file_becomes_an_importable_environment(shop: Shop, tmp_path: Path) -> None:
    """What requirements.txt names can be imported, with what it depends on."""
    make_wheel(shop.wheels, "alpha", "1.0", requires=["beta>=2"])
    make_wheel(shop.wheels, "beta", "2.5")
    make_wheel(shop.wheels, "beta", "1.0")
    folder = make_component(tmp_path / "core", {"requirements.txt": "Alpha ==1.0  # pinned\n"})

    environment = shop.supply(folder)

    assert {"alpha": "1.0", "beta": "2.5"} == _pins(environment)
    assert ("alpha", "beta") == environment.modules
    assert "1.0 2.5" == _says(environment, "import alpha, beta; print(alpha.VERSION, beta.VERSION)")


def test_an_environment_has_bytecode_and_is_read_only(shop: Shop, tmp_path: Path) -> None:
    """What the declared requirements import is compiled ahead, and nothing is writable after."""
    make_wheel(
        shop.wheels, "alpha", files={"alpha/__init__.py": "import beta", "alpha/rare.py": ""}
    )
    make_wheel(shop.wheels, "beta")

    environment = shop.supply(requirements=["alpha", "beta"])

    compiled = {path.name.split(".")[0] for path in environment.site_packages.rglob("*.pyc")}
    assert {"__init__", "beta"} == compiled
    writable = [
        p for p in environment.path.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o222
    ]
    assert [] == writable


def test_a_failing_import_at_compile_time_is_a_note(shop: Shop) -> None:
    """A requirement that cannot be imported at supply time is told of and supplied."""
    make_wheel(shop.wheels, "grumpy", files={"grumpy.py": "raise SystemExit('no')"})
    heard = Recorder()

    environment = shop.supply(requirements=["grumpy"], sink=heard)

    notes = [e.message for e in heard.events if e.phase == "compile" and e.state == "moved"]
    assert ("grumpy",) == environment.modules
    assert ["not compiled ahead: `grumpy` (SystemExit: no)"] == notes


def test_siblings_satisfy_each_other_before_any_index(shop: Shop, tmp_path: Path) -> None:
    """A component that another needs by name is taken though an index has a higher version."""
    make_wheel(shop.wheels, "core", "9.0")
    core = make_component(tmp_path / "core", source_files("core", "1.0"))
    user = make_component(tmp_path / "user", source_files("user", requires=["core"]))

    environment = shop.supply(user, core)

    assert {"core": "1.0", "user": "1.0"} == _pins(environment)
    assert (("core", "user"), ()) == (environment.local_modules, environment.modules)
    assert "1.0" == _says(environment, "import core; print(core.VERSION)")


def test_a_sibling_beats_a_url_in_metadata(shop: Shop, tmp_path: Path) -> None:
    """`core @ git+https://...` in a component's metadata means the sibling, if there is one."""
    core = make_component(tmp_path / "core", source_files("core"))
    line = "core @ git+https://example.invalid/core"
    user = make_component(tmp_path / "user", source_files("user", requires=[line]))

    environment = shop.supply(user, core)
    with pytest.raises(BadRequirement) as refused:
        shop.supply(user)

    assert {"core": "1.0", "user": "1.0"} == _pins(environment)
    assert f"{user}: URLs are not taken from declarations: `{line}`" == refused.value.message


def test_vendored_wheels_and_sdists_are_requirements(shop: Shop, tmp_path: Path) -> None:
    """Every distribution in vendor/ is installed; what is no distribution is left with a note."""
    folder = make_component(tmp_path / "core", {"vendor/README": "hi", "vendor/sub/x.whl": ""})
    make_wheel(folder / "vendor", "alpha", requires=["beta"])
    make_sdist(folder / "vendor", "beta", "3.0")
    heard = Recorder()

    environment = shop.supply(folder, sink=heard)

    assert {"alpha": "1.0", "beta": "3.0"} == _pins(environment)
    assert ("alpha", "beta") == environment.local_modules
    notes = [Path(e.message.split("`")[1]).name for e in heard.events if "left alone" in e.message]
    assert ["README", "sub"] == notes


def test_a_vendored_wheel_of_another_interpreter_gives_way_to_the_sdist(
    shop: Shop, tmp_path: Path
) -> None:
    """Of several files of one distribution the one that fits the interpreter is taken."""
    folder = make_component(tmp_path / "core", {})
    make_wheel(folder / "vendor", "beta", "3.0", tag="cp27-cp27m-win32")
    make_sdist(folder / "vendor", "beta", "3.0")

    environment = shop.supply(folder)

    assert {"beta": "3.0"} == _pins(environment)


def test_a_script_block_and_the_callers_lines_count_with_the_components(
    shop: Shop, tmp_path: Path
) -> None:
    """PEP 723, the caller's requirements and a pyproject resolve together, constrained."""
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(shop.wheels, "alpha", version)
    for name in ("beta", "gamma"):
        make_wheel(shop.wheels, name)
    folder = make_component(
        tmp_path / "core",
        {
            "pyproject.toml": '[project]\nname = "core"\ndependencies = ["alpha>1"]\n',
            "requirements.txt": "-c limits/c.txt\n",
            "limits/c.txt": "alpha<3\n",
            "step.py": '# /// script\n# dependencies = ["beta"]\n# ///\n',
        },
    )

    environment = shop.supply(folder, scripts=[folder / "step.py"], requirements=["gamma"])

    assert {"alpha": "2.0", "beta": "1.0", "gamma": "1.0"} == _pins(environment)


def test_a_project_without_build_system_is_built_only_when_required_by_name(
    shop: Shop, tmp_path: Path
) -> None:
    """As for uv, such a project is no package, until a sibling asks for it."""
    files = source_files("core")
    files["pyproject.toml"] = '[project]\nname = "core"\nversion = "1.0"\n'
    core = make_component(tmp_path / "core", files)

    assert () == shop.supply(core).lock
    with pytest.raises(ResolutionFailed, match="build requirements of"):
        # built now, by setuptools, which this shop does not have
        shop.supply(core, requirements=["core"])


def test_editing_what_is_not_packaged_keeps_the_environment(shop: Shop, tmp_path: Path) -> None:
    """A new README and step file rebuild the wheel and change nothing; a new module does."""
    folder = make_component(tmp_path / "core", source_files("core"))
    before = shop.supply(folder)
    make_component(folder, {"README.md": "new", "steps/hello.py": "x = 1"})
    heard = Recorder()

    after = shop.supply(folder, sink=heard)
    make_component(folder, {"src/core/more.py": "x = 1"})
    changed = shop.supply(folder)

    assert before == after
    assert (1, 0, 0) == (heard.count("build"), heard.count("install"), heard.count("resolve"))
    assert before.key != changed.key


def test_the_key_does_not_depend_on_where_the_component_lies(shop: Shop, tmp_path: Path) -> None:
    """A moved component hits the environment of the first."""
    files = {**source_files("core"), "requirements.txt": "# nothing\n"}
    first = shop.supply(make_component(tmp_path / "a" / "core", files))

    second = shop.supply(make_component(tmp_path / "b" / "other", files))

    assert (first, "hit") == (second, second.origin)


def test_offline_builds_with_vendored_build_requirements(shop: Shop, tmp_path: Path) -> None:
    """A build requirement is taken from vendor/ when the index has none."""
    files = source_files("core")
    files["pyproject.toml"] = files["pyproject.toml"].replace(
        "requires = []", 'requires = ["tool"]'
    )
    files["backend.py"] = "import tool\n" + files["backend.py"]
    folder = make_component(tmp_path / "core", files)
    make_wheel(folder / "vendor", "tool")

    environment = shop.supply(folder)

    assert {"core": "1.0", "tool": "1.0"} == _pins(environment)


def test_declared_hashes_are_kept(shop: Shop, tmp_path: Path) -> None:
    """A `--hash` in a requirements file is honoured: another file is not installed."""
    make_wheel(shop.wheels, "alpha")
    folder = make_component(
        tmp_path / "core", {"requirements.txt": f"alpha==1.0 \\\n  --hash=sha256:{'0' * 64}\n"}
    )

    with pytest.raises(ResolutionFailed, match="has a hash that its requirement allows"):
        shop.supply(folder)


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        (
            {"requirements.txt": "# fine\n\nnumpy=1.2\n"},
            BadRequirement,
            "requirements.txt:3: not a",
        ),
        ({"requirements.txt": "nowhere\n"}, ResolutionFailed, "`nowhere` is declared in "),
        ({"requirements.txt": "-r ../x.txt\n"}, BadRequirement, "must lie inside the component"),
        ({"requirements.txt": "alpha<1\nalpha>1\n"}, ResolutionFailed, "requirements.txt:2"),
        ({"pyproject.toml": "[project\n"}, BadComponent, "not TOML"),
        ({"vendor/a-1-py3-none-any.whl": "no zip"}, BadComponent, "not a wheel"),
        ({"setup.py": "raise SystemExit(3)"}, ResolutionFailed, "build requirements of"),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_nothing(
    shop: Shop, tmp_path: Path, files: dict[str, str], kind: type[SupplyError], message: str
) -> None:
    """Each kind of bad declaration has its class and message, and the store is as before."""
    make_wheel(shop.wheels, "alpha")
    folder = make_component(tmp_path / "core", files)
    before = store_names(shop.root / "cache")

    with pytest.raises(kind) as failed:
        shop.supply(folder)

    assert kind is type(failed.value)
    assert message in failed.value.message
    assert before == store_names(shop.root / "cache")


def test_a_failing_build_shows_the_end_of_its_log(shop: Shop, tmp_path: Path) -> None:
    """The component is named and its own error is in the message; nothing is left."""
    files = source_files("core")
    files["backend.py"] += "\nprint('about to fail')\nraise RuntimeError('no compiler')\n"
    folder = make_component(tmp_path / "core", files)

    with pytest.raises(BuildFailed) as failed:
        shop.supply(folder)

    assert f"`{folder}` did not build" in failed.value.message
    assert "RuntimeError: no compiler" in failed.value.message
    environments = [name for name in store_names(shop.root / "cache") if "staging" in name]
    assert [] == environments


def test_an_interpreter_that_does_not_fit_is_told_with_the_fix(shop: Shop, tmp_path: Path) -> None:
    """`requires-python` that is not met names the interpreter that would meet it."""
    text = '[project]\nname = "core"\nversion = "1"\nrequires-python = "<3.4"\n'
    old = make_component(tmp_path / "old", {"pyproject.toml": text})

    with pytest.raises(ResolutionFailed) as failed:
        shop.supply(old)

    assert "requires Python `<3.4`" in failed.value.message
    assert "--python" in str(failed.value.hint)


def test_a_component_that_is_no_folder_is_refused(shop: Shop, tmp_path: Path) -> None:
    """A file is no component."""
    path = tmp_path / "file"
    path.write_text("", "utf-8")

    with pytest.raises(BadComponent, match="not a folder"):
        shop.supply(path)


def test_a_cache_that_cannot_be_made_is_a_store_error(shop: Shop) -> None:
    """A cache folder under a file is told as such, with what to do."""
    shop.root.mkdir()
    (shop.root / "cache").write_text("", "utf-8")

    with pytest.raises(StoreError) as failed:
        shop.supply()

    assert "--cache-dir" in str(failed.value.hint)


def test_the_support_layer_is_the_hosts_own_and_apart(shop: Shop) -> None:
    """For the host's interpreter it comes without network, and not into the environment."""
    environment = shop.supply(python=HOST_MINOR)

    names = {path.name for path in environment.support.iterdir()}
    assert {"orjson", "typeguard", "typing_extensions.py"} <= names
    assert [] == [p for p in environment.site_packages.iterdir() if "typeguard" in p.name]


def _supplier_with(shop: Shop, **tools: str) -> Supplier:
    """A supplier that may use this machine's network, with further variables for its tools."""
    settings = shop.settings(offline=False)
    tools = {**load().tool_environment, **tools}
    return supplier_with(replace(settings, tool_environment=tools))


def test_an_index_that_does_not_answer_is_retryable(shop: Shop) -> None:
    """No answer is the index's fault, and no statement about the requirement."""
    supplier = _supplier_with(shop, HTTPS_PROXY="http://127.0.0.1:1", UV_HTTP_RETRIES="0")

    with pytest.raises(IndexUnavailable) as failed:
        supplier.supply(SupplyRequest(requirements=("nowhere",)))

    assert failed.value.retryable
    assert "a package index did not answer" in failed.value.message


@pytest.mark.network
def test_a_prepared_build_kit_builds_without_a_network(shop: Shop, tmp_path: Path) -> None:
    """After `prepare`, a vendored sdist that needs setuptools builds with the network denied."""
    _supplier_with(shop).prepare(None)
    text = (
        '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "beta"\nversion = "1.0"\n'
    )
    folder = make_component(tmp_path / "core", {})
    make_sdist(folder / "vendor", "beta", files={"pyproject.toml": text, "beta.py": "X = 1\n"})
    make_wheel(folder / "vendor", "alpha")
    denied = {"HTTPS_PROXY": "http://127.0.0.1:1", "UV_HTTP_RETRIES": "0"}

    supplier = _supplier_with(shop, **denied)
    environment = supplier.supply(SupplyRequest(components=(supplier.component(folder),)))

    assert {"alpha": "1.0", "beta": "1.0"} == _pins(environment)


@pytest.mark.network
def test_a_package_that_an_index_has_as_source_only_is_named(shop: Shop) -> None:
    """Nothing from an index is built; the package and the way out are told."""
    with pytest.raises(ResolutionFailed) as failed:
        _supplier_with(shop).supply(SupplyRequest(requirements=("docopt==0.6.2",)))

    assert "docopt==0.6.2 has no usable wheels" in failed.value.message
    assert "vendor a wheel of it" in str(failed.value.hint)
