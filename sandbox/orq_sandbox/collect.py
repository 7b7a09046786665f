"""What a call gave that is not yet its value: a coroutine is run, a generator is read to its end.

Only results that are one of these come here. How many items are read is bounded: a generator may
have no end.
"""

from __future__ import annotations

import collections.abc
import itertools
import typing

from orq_sandbox import forms
from orq_sandbox.failure import Refusal

__all__ = ["collected", "result_hint"]

_MOST_ITEMS = 1_000_000
_ITERATORS = ("Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable")
_AWAITABLES = ("Awaitable", "Coroutine")


def collected(value: typing.Any) -> typing.Any:
    """The value behind it. Raises what the step's code raises, `Refusal` when it does not end."""
    if type(value).__module__ == "unittest.mock":
        return value  # it has every method there is, and none means anything
    if isinstance(value, collections.abc.Awaitable):
        import asyncio  # only for steps that use it themselves

        return collected(asyncio.run(_awaited(value)))
    if isinstance(value, collections.abc.AsyncIterator):
        import asyncio  # only for steps that use it themselves

        return asyncio.run(_gathered(value))
    if isinstance(value, collections.abc.Iterator) and not hasattr(value, "fileno"):
        return _bounded(list(itertools.islice(value, _MOST_ITEMS + 1)))
    return value


async def _awaited(value: typing.Any) -> typing.Any:
    return await value


async def _gathered(values: typing.Any) -> list:
    found: list = []
    async for item in values:
        found.append(item)
        if len(found) > _MOST_ITEMS:
            break
    return _bounded(found)


def _bounded(items: list) -> list:
    if len(items) <= _MOST_ITEMS:
        return items
    message = "the function gives more than %d items: return them in parts" % _MOST_ITEMS
    raise Refusal("not_encodable", message)


def result_hint(annotation: typing.Any) -> typing.Any:
    """The type of what `collected` gives, for the annotation of what is collected."""
    name = forms.name_of(forms.origin_of(annotation)) or forms.name_of(annotation)
    args = forms.args_of(annotation)
    if name in _ITERATORS:
        item: typing.Any = args[0] if args else forms.ANYTHING
        return typing.List[item]
    if name in _AWAITABLES:
        return result_hint(args[-1]) if args else forms.ANYTHING
    return annotation
