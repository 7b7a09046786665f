"""The checker of classes with named fields: TypedDict, dataclass, NamedTuple, attrs."""

from __future__ import annotations

import typing

from orq_sandbox import forms, records
from orq_sandbox.mismatch import Unmade, mismatch
from orq_sandbox.nature import held, is_a

__all__ = ["Fields", "of"]

_MISSING = object()


def of(annotation: typing.Any, kind: type) -> typing.List[records.Field]:
    """The fields of the class. Raises `Unresolved`."""
    return records.fields_of(annotation if forms.origin_of(annotation) else kind)


class Fields:
    """Named fields, each with its type. Filled after it is made: such a class may hold itself."""

    sort = "fields"

    def __init__(self, annotation: object, kind: type) -> None:
        self.kind = kind
        self.is_dict = forms.is_typed_dict(kind)
        self.parts: list = []
        self._shown = forms.shown_type(annotation)
        self._is_tuple = forms.is_named_tuple(kind)
        self._keys: dict = {}
        self._held: list = []
        self.required: frozenset = frozenset()

    def fill(self, parts: list) -> None:
        """Take the fields with their checkers."""
        self.parts = parts
        self._keys = {field.key: (field, checker) for field, checker in parts}
        self._held = [
            (field.attribute, checker, not field.is_given)
            for field, checker in parts
            if field.attribute
        ]
        self.required = frozenset(field.key for field, _ in parts if field.is_required)

    def accepts(self, value: object) -> bool:
        if self.is_dict:
            if not is_a(value, dict):
                return False
            pairs = held(value)
            if not self.required <= pairs.keys() <= self._keys.keys():
                return False
            return all(self._keys[name][1].accepts(item) for name, item in pairs.items())
        if not is_a(value, self.kind):
            return False
        return all(self._holds(value, *part) for part in self._held)

    @staticmethod
    def _holds(value: object, name: str, checker: typing.Any, may_be_missing: bool) -> bool:
        item = getattr(value, name, _MISSING)
        return may_be_missing if item is _MISSING else checker.accepts(item)

    def takes(self, given: dict) -> bool:
        """Whether the class can be made with these, by key: none unknown, missing or wrong."""
        if not self.required <= given.keys():
            return False
        for name, item in given.items():
            field, checker = self._keys[name]
            if not field.is_given or not (field.is_free or checker.accepts(item)):
                return False
        return True

    def explain(self, value: object, path: str) -> list:
        if isinstance(value, Unmade):
            return value.explain(path, self._shown)
        if is_a(value, dict):
            found = self._explain_given(held(value), path)
        elif self.is_dict or not is_a(value, self.kind):
            return [self._explain_other(value, path)]
        else:
            found = []
            for name, checker, may_be_missing in self._held:
                item = getattr(value, name, _MISSING)
                where = "%s.%s" % (path, name)
                if item is not _MISSING:
                    found += checker.explain(item, where)
                elif not may_be_missing:
                    found.append(mismatch(where, self._shown, value, "missing attribute"))
        if found or self.accepts(value):
            return found
        return [mismatch(path, self._shown, value)]

    def _explain_other(self, value: object, path: str) -> tuple:
        if self._is_tuple and isinstance(value, list):
            wanted = "%d" % len(self._keys)
            if len(self.required) < len(self._keys):
                wanted = "%d to %s" % (len(self.required), wanted)
            message = "expected %s with %s items, got %d" % (self._shown, wanted, len(value))
            return mismatch(path, self._shown, value, message)
        return mismatch(path, self._shown, value)

    def _explain_given(self, given: dict, path: str) -> list:
        found = [
            mismatch("%s.%s" % (path, name), self._shown, given, "missing key")
            for name in self._keys
            if name in self.required and name not in given
        ]
        for name, item in given.items():
            where = "%s.%s" % (path, name)
            field, checker = self._keys.get(name, (None, None))
            if field is None or not field.is_given:
                reason = records.unknown_field(self.kind, name)
                found.append(mismatch(where, self._shown, item, reason))
            elif not (field.is_free or checker.accepts(item)):
                found += checker.explain(item, where)
        return found
