"""Why a supply found its environment or had to make it: preimages compared, the nearest named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orq_runtime._digest import Digest
from orq_runtime._supply.store import Store, read_json
from orq_runtime.model.environment import Difference, Environment, Explanation

__all__ = ["Before", "differences", "explained", "fields_of"]

Fields = Mapping[str, str]


class Before:
    """What the store held before a supply: only that can be near to what was asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.environments = _names(store.environments)
        self.locks = _names(store.locks)

    def environment_fields(self) -> Iterable[tuple[str, Fields]]:
        """Each environment's key with the fields of its preimage."""
        for name in self.environments:
            yield name, _stored(self._store.environments / name / "orq.json")

    def lock_fields(self) -> Iterable[tuple[str, Fields]]:
        """Each lock's key with the fields of its preimage."""
        for name in self.locks:
            yield name.removesuffix(".json"), _stored(self._store.locks / name)


def explained(environment: Environment, *, before: Before, spec: Digest) -> Explanation:
    """Why the environment was found or made, given what was there before."""
    is_resolved = f"{spec.key()}.json" in before.locks
    if environment.origin == "hit":
        lock = (
            f"its declarations were resolved before (lock {spec.key()})"
            if is_resolved
            else "its declarations are new, and came to the same distributions"
        )
        reason = f"{lock}; the environment of these distributions for this interpreter is there"
        return Explanation(environment=environment, reason=reason)
    own = _stored(environment.path / "orq.json")
    nearest, found = _nearest(own, before.environment_fields())
    if not is_resolved:
        found = (*_nearest(fields_of(spec.preimage()), before.lock_fields())[1], *found)
    reason = (
        "no environment in the store has these fields"
        if nearest
        else "the store has no environment yet"
    )
    return Explanation(environment=environment, reason=reason, nearest=nearest, differences=found)


def fields_of(preimage: object) -> dict[str, str]:
    """A preimage as named fields; sequences are joined, packages are fields of their own."""
    found: dict[str, list[str]] = {}
    field = ""
    for pair in preimage if isinstance(preimage, list) else []:
        tag, value = str(pair[0]), str(pair[1])
        if tag == "package#":
            field = ""  # named by its first member
        elif tag == "package[]" and not field:
            field = f"package {value}"
            found[field] = []
        elif tag.endswith("#"):
            field = tag[:-1]
            found[field] = []
        else:
            found.setdefault(field if tag.endswith("[]") else tag, []).append(value)
    return {name: " ".join(values) for name, values in found.items()}


def differences(wanted: Fields, other: Fields) -> tuple[Difference, ...]:
    """The fields that are not alike, in the order of the wanted ones; empty where one has none."""
    names = [*wanted, *(name for name in other if name not in wanted)]
    return tuple(
        Difference(field=name, wanted=wanted.get(name, ""), found=other.get(name, ""))
        for name in names
        if wanted.get(name, "") != other.get(name, "")
    )


def _nearest(
    wanted: Fields, others: Iterable[tuple[str, Fields]]
) -> tuple[str, tuple[Difference, ...]]:
    """The key that differs in the fewest fields, and in which; nothing where there is none."""
    best: tuple[str, tuple[Difference, ...]] = ("", ())
    least = (0, 0)
    for key, fields in others:
        found = differences(wanted, fields)
        distance = (len(found), sum(_distance(item) for item in found))
        if fields and (not best[0] or distance < least):
            best, least = (key, found), distance
    return best


def _distance(difference: Difference) -> int:
    wanted, found = set(difference.wanted.split()), set(difference.found.split())
    return len(wanted ^ found) - len(wanted & found)


def _stored(path: Path) -> dict[str, str]:
    return fields_of((read_json(path) or {}).get("preimage"))


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()
