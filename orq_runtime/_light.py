"""Data classes as of `dataclasses`, made in a tenth of the time.

The standard library writes source text for each class and compiles it: 0.3 ms a class, of which a
command imports fifty for one run (start-up budget). Here the methods are closures over the fields.

Rules of this file:

1. Who asks one of these classes what it has (`dataclasses.fields`, `replace`, `is_dataclass`,
   `inspect.signature`) is told by a twin of the standard library's, made when it is first needed.
2. Only what is used here is there: slots always, fields by keyword, no inheritance, no order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

__all__ = ["asdict", "dataclass", "field", "fields", "replace"]

TYPE_CHECKING = False  # start-up budget: as `typing` has it
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")

_NOTHING: Any = object()  # Any: it stands where a default of any type may stand


class _Field:
    __slots__ = ("default", "factory", "is_compared", "is_hashed", "is_shown", "name")

    def __init__(
        self,
        *,
        default: object = _NOTHING,
        factory: Callable[[], object] = _NOTHING,
        is_shown: bool = True,
        is_hashed: bool = True,
        is_compared: bool = True,
    ) -> None:
        self.name = ""
        self.default = default
        self.factory = factory
        self.is_shown = is_shown
        self.is_hashed = is_hashed
        self.is_compared = is_compared


def field(
    *,
    default: object = _NOTHING,
    default_factory: Callable[[], object] = _NOTHING,
    repr: bool = True,  # noqa: A002 - as `dataclasses` has it
    hash: bool | None = None,  # noqa: A002 - the same
    compare: bool = True,
) -> object:
    """A field that is more than its default."""
    is_hashed = compare if hash is None else hash
    return _Field(
        default=default,
        factory=default_factory,
        is_shown=repr,
        is_hashed=is_hashed,
        is_compared=compare,
    )


def dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, init: bool = True
) -> Callable[[type[T]], type[T]]:
    """Make a data class of what is decorated."""
    assert slots, "there are none without slots"
    assert kw_only or not init, "there are none that take fields by their place"
    return lambda decorated: _made(decorated, is_frozen=frozen, has_init=init)


def _made(decorated: type[T], *, is_frozen: bool, has_init: bool) -> type[T]:
    space = {**vars(decorated), "__qualname__": decorated.__qualname__}
    for name in ("__dict__", "__weakref__"):
        space.pop(name, None)
    parts = tuple(_part(name, space) for name in space.get("__annotations__", ()))
    space["__slots__"] = tuple(part.name for part in parts)
    kind: Any = type(decorated)  # Any: what makes classes takes what it likes
    made: type[T] = kind(decorated.__name__, decorated.__bases__, space)
    own: dict[str, object] = {**_COMMON, **_comparing(parts)}
    if has_init:
        own |= {"__init__": _initialiser(made, parts), "__signature__": _OfTwin("__signature__")}
    own |= _FROZEN if is_frozen else {"__hash__": None}
    for name, value in own.items():
        if name not in space:
            setattr(made, name, value)
    _parts[made] = parts
    return made


_parts: dict[type, tuple[_Field, ...]] = {}


def _part(name: str, space: dict[str, Any]) -> _Field:
    found = space.pop(name, _NOTHING)
    part = found if isinstance(found, _Field) else _Field(default=found)
    part.name = name
    return part


def _initialiser(made: type, parts: Sequence[_Field]) -> Callable[..., None]:
    puts = [(part.name, getattr(made, part.name).__set__) for part in parts]
    count = len(puts)
    defaults = {part.name: part.default for part in parts if part.default is not _NOTHING}
    factories = [(part.name, part.factory) for part in parts if part.factory is not _NOTHING]
    then = getattr(made, "__post_init__", None)

    def initialise(self: object, /, **values: object) -> None:
        if len(values) != count:
            values = {**defaults, **values}
            for name, make in factories:
                if name not in values:
                    values[name] = make()
            if len(values) != count:
                _complain(made, values)
        try:
            for name, put in puts:
                put(self, values[name])
        except KeyError:
            _complain(made, values)
        if then is not None:
            then(self)

    return initialise


def _complain(made: type, values: Mapping[str, object]) -> NoReturn:
    names = [part.name for part in _parts[made]]
    said = f"{made.__qualname__}.__init__() "
    for name in values:
        if name not in names:
            raise TypeError(f"{said}got an unexpected keyword argument '{name}'")
    missing = " and ".join(f"'{name}'" for name in names if name not in values)
    raise TypeError(f"{said}missing required keyword-only arguments: {missing}")


def _comparing(parts: Sequence[_Field]) -> Mapping[str, object]:
    compared = _getter([part.name for part in parts if part.is_compared])
    hashed = _getter([part.name for part in parts if part.is_hashed])
    shown = [part.name for part in parts if part.is_shown]

    def is_equal(self: object, other: object) -> object:
        if other is self:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    def number(self: object) -> int:
        return hash(hashed(self))

    def words(self: object) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({values})"

    return {"__eq__": is_equal, "__hash__": number, "__repr__": words}


def _getter(names: Sequence[str]) -> Callable[[object], object]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def fields(value: object) -> tuple[_Field, ...]:
    """The fields of a class or of an object, in order: of each its `name`, at least."""
    return _parts[value if isinstance(value, type) else type(value)]


def replace(value: T, /, **changes: object) -> T:
    """A copy with other values in some fields."""
    values = {part.name: getattr(value, part.name) for part in _parts[type(value)]}
    return type(value)(**{**values, **changes})


def asdict(value: object) -> dict[str, object]:
    """The fields by name; data classes in it too, also inside of lists, tuples and dicts."""
    return {part.name: _plain(getattr(value, part.name)) for part in _parts[type(value)]}


def _plain(value: Any) -> Any:
    if type(value) in _parts:
        return asdict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        members = [_plain(one) for one in value]
        return type(value)(*members) if hasattr(value, "_fields") else type(value)(members)
    return value


def _state(self: object) -> list[object]:
    return [getattr(self, part.name) for part in fields(self)]


def _restore(self: object, state: Sequence[object]) -> None:
    for part, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, part.name, value)


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    from dataclasses import FrozenInstanceError  # start-up budget, as above

    raise FrozenInstanceError(f"cannot assign to field {name!r} of `{type(self).__qualname__}`")


class _OfTwin:
    """What the standard library's own class with the same fields has of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, _: object, owner: type) -> object:
        return getattr(_twin(owner), self._name)


def _twin(made: type) -> type:
    if made not in _twins:
        import dataclasses  # start-up budget, as above
        import inspect

        is_frozen = vars(made).get("__setattr__") is _refuse
        described = [_described(part, made) for part in _parts[made]]
        twin = dataclasses.make_dataclass(
            made.__name__, described, frozen=is_frozen, slots=True, kw_only=True
        )
        vars_of_twin: Any = twin  # Any: a class may be given any attribute
        vars_of_twin.__signature__ = inspect.signature(twin)
        _twins[made] = twin
    return _twins[made]


_twins: dict[type, type] = {}


def _described(part: _Field, made: type) -> tuple[str, Any, Any]:
    import dataclasses  # start-up budget, as above

    given: dict[str, Any] = {}
    if part.default is not _NOTHING:
        given["default"] = part.default
    if part.factory is not _NOTHING:
        given["default_factory"] = part.factory
    how = dataclasses.field(
        repr=part.is_shown, hash=part.is_hashed, compare=part.is_compared, **given
    )
    return part.name, made.__annotations__[part.name], how


_FROZEN: Mapping[str, object] = {"__setattr__": _refuse, "__delattr__": _refuse}
_COMMON: Mapping[str, object] = {
    "__getstate__": _state,
    "__setstate__": _restore,
    "__replace__": replace,
    "__match_args__": (),
    "__dataclass_fields__": _OfTwin("__dataclass_fields__"),
    "__dataclass_params__": _OfTwin("__dataclass_params__"),
}
