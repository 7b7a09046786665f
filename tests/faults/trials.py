"""What every fault is tried on: a supply of a component, and what must hold after any fault.

Rules of this file:

1. Broken is: something that has a name in the store is not whole, or the next supply fails.
2. Healed is: the next supply gives an environment that imports what it should, and leaves nothing
   in staging.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orq_runtime import _fs
from orq_runtime._supply.store import Store, read_json
from orq_runtime._supply.verify import verify
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.model.environment import SupplyRequest
from tests.architecture.sources import REPOSITORY, tree_environment
from tests.supply_fixtures import Shop, make_component, make_wheel, source_files, supplier_with

__all__ = ["SUPPLY", "Grounds", "Tally", "Trial", "tally"]

# argv: shop, component, isolation; the supply that faults are injected into
SUPPLY = """
import sys
from pathlib import Path
from orq_runtime.errors import OrqRuntimeError
from orq_runtime.model.environment import SupplyRequest
from tests.supply_fixtures import Shop, supplier_with
try:
    supplier = supplier_with(Shop(Path(sys.argv[1])).settings(), isolation=sys.argv[3])
    component = supplier.component(Path(sys.argv[2]))
    supplier.supply(SupplyRequest(components=(component,)))
except OrqRuntimeError as error:
    print(f"{type(error).__name__}: {error.message}")
    sys.exit(3)
"""
FAILED = 3  # a supply that failed with one of our errors, and said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One fault. `is_fired`: it took place; `broken` says what then did not hold, empty if all."""

    is_fired: bool
    broken: tuple[str, ...] = ()
    is_healed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The faults of one method, counted."""

    injected: int
    fired: int
    broken: int
    healed: int
    reasons: tuple[str, ...] = ()


def tally(trials: Iterable[Trial]) -> Tally:
    """Count them."""
    found = list(trials)
    return Tally(
        injected=len(found),
        fired=sum(trial.is_fired for trial in found),
        broken=sum(bool(trial.broken) for trial in found),
        healed=sum(trial.is_fired and trial.is_healed for trial in found),
        reasons=tuple(dict.fromkeys(reason for trial in found for reason in trial.broken))[:5],
    )


class Grounds:
    """Makes a fresh shop for each trial under one folder. Safe for several threads.

    `is_primed`: the cache has what another component needed, so that a trial is about one
    environment and not about all that comes before the first; its builds run in a plain process.
    """

    def __init__(self, root: Path, *, is_primed: bool = True) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._number = 0
        self._primed: Path | None = None
        if is_primed:
            first = self.fresh()
            other = make_component(root / "other", source_files("other"))
            supplier = supplier_with(first.shop.settings(), isolation="process")
            supplier.supply(SupplyRequest(components=(supplier.component(other),)))
            shutil.rmtree(first.cache / "v1" / "memos", ignore_errors=True)
            self._primed = first.cache

    def fresh(self) -> Ground:
        """A shop with an empty cache, and a component."""
        with self._lock:
            self._number += 1
            folder = self._root / f"trial-{self._number}"
        shop = Shop(folder / "shop")
        make_wheel(shop.wheels, "alpha")
        files = {"requirements.txt": "alpha\n", **source_files("core")}
        if self._primed is not None:
            subprocess.run(["cp", "-a", self._primed, shop.root / "cache"], check=True)
        return Ground(
            shop=shop,
            component=make_component(folder / "core", files),
            isolation="auto" if self._primed is None else "process",
        )

    def each(self, todo: Iterable[Callable[[Ground], Trial]], *, at_once: int) -> list[Trial]:
        """Try each on a ground of its own, several at once; their folders are gone afterwards."""

        def tried(one: Callable[[Ground], Trial]) -> Trial:
            ground = self.fresh()
            try:
                return one(ground)
            finally:
                _fs.remove_tree(ground.shop.root.parent)

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(tried, todo))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One trial's shop and component."""

    shop: Shop
    component: Path
    isolation: str

    @property
    def cache(self) -> Path:
        """The cache's folder."""
        return self.shop.root / "cache"

    @property
    def argv(self) -> list[str]:
        """The supply, as a program."""
        return [sys.executable, "-c", SUPPLY, *self._words]

    @property
    def _words(self) -> list[str]:
        return [str(self.shop.root), str(self.component), self.isolation]

    def start(self, argv: Sequence[str] | None = None) -> subprocess.Popen[str]:
        """Start the supply, or another program, with its output in a pipe."""
        return subprocess.Popen(
            argv or self.argv,
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def after(self, *, fired: bool, fault: str, ended: tuple[int, str] | None = None) -> Trial:
        """What is left: is all whole, and does the next supply work? `ended`: what must be told."""
        broken = list(self.not_whole())
        if ended is not None and ended[0] > 0 and not _is_told(*ended):
            broken.append(f"ended with status {ended[0]}: {ended[1][-300:]}")
        healed = self.heals()
        if healed:
            broken.append(f"the next supply: {healed}")
        return Trial(
            is_fired=fired,
            broken=tuple(f"{fault}: {text}" for text in broken),
            is_healed=not healed,
        )

    def not_whole(self) -> Iterable[str]:
        """What has a name in the store and is not complete."""
        store = Store(self.cache)
        for finding in verify(store):
            for defect in finding.defects:
                yield f"{finding.kind} {finding.key}: {defect}"
        for folder in (store.locks, store.builds, store.memos, store.interpreters):
            for path in folder.glob("[!.]*.json"):
                if read_json(path) is None:
                    yield f"{folder.name}/{path.name} is torn"

    def heals(self, *, is_whole: bool = True) -> str:
        """Why the next supply does not heal, empty if it does; `is_whole` looks at all else too."""
        supplier = supplier_with(self.shop.settings(), isolation=self.isolation)
        request = SupplyRequest(components=(supplier.component(self.component),))
        try:
            made = supplier.supply(request)
        except (OrqRuntimeError, OSError, LookupError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        program = "import alpha, core; print(alpha.VERSION, core.VERSION)"
        said = subprocess.run(
            [made.python, "-I", "-B", "-c", program], capture_output=True, text=True, check=False
        )
        if said.stdout != "1.0 1.0\n":
            return f"it does not import: {said.stderr[-300:]}"
        store = Store(self.cache)
        _fs.sweep(store.staging)  # a child of a killed one may have been writing at the first
        left = [path.name for path in store.staging.iterdir()]
        if left:
            return f"left in staging: {left}"
        return "; ".join(self.not_whole()) if is_whole else ""


def _is_told(status: int, said: str) -> bool:
    return status == FAILED and said.partition(":")[0].strip().endswith(
        ("Error", "Busy", "Failed", "Unavailable", "Component", "NotFound", "Started")
    )


def environment() -> dict[str, str]:
    """For children that import the repository's code and tests."""
    return {**os.environ, **tree_environment()}
