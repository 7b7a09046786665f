"""What a run does, without anything around it: the module, the hints, the checks, the call."""

import typing
from collections.abc import Mapping
from types import CodeType

import typeguard


def checked(code: CodeType | str, function: str, inputs: Mapping[str, object]) -> object:
    """Execute the step's module, check every argument in full, call, check what comes back."""
    names: dict[str, typing.Any] = {"__name__": "work"}
    exec(code, names)
    strategy = typeguard.CollectionCheckStrategy.ALL_ITEMS
    found = names[function]
    hints = typing.get_type_hints(found)
    for name, value in inputs.items():
        typeguard.check_type(value, hints[name], collection_check_strategy=strategy)
    value = found(**inputs)
    return typeguard.check_type(value, hints["return"], collection_check_strategy=strategy)
