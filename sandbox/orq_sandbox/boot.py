"""The first things a guest process does, in the order that matters.

1. The guest's own modules and its private support layer: nobody else's code.
2. (The wall goes here: everything irrevocable before the first byte of third-party code.)
3. The environment's packages, their `.pth` files included; then, in a zygote, the preload.

`sys.argv` is `[.., mode, descriptors, support, site_packages, prefix, *preload]`.
"""

from __future__ import annotations

import os
import sys
import types
import typing

from orq_sandbox import child, support, zygote

__all__ = ["main"]


class _Orders(typing.NamedTuple):
    mode: str
    descriptors: typing.List[int]
    support: str
    site_packages: str
    prefix: str
    preload: typing.List[str]


def main() -> None:
    """Run the process in the mode its arguments name. Never returns."""
    orders = _read(sys.argv[1:])
    _hide()
    json = support.load_json(orders.support)
    if orders.mode == "zygote":
        support.load_typeguard()
        _silence()
        _add_environment(orders)
        zygote.serve(orders.descriptors[0], json, orders.preload)
    _silence()
    _add_environment(orders)
    child.run_pair(child.Channel(*orders.descriptors), json)


def _read(words: typing.List[str]) -> _Orders:
    mode, descriptors, support_folder, site_packages, prefix = words[:5]
    numbers = [int(word) for word in descriptors.split(",")]
    return _Orders(mode, numbers, support_folder, site_packages, prefix, words[5:])


def _hide() -> None:
    """Take the guest out of the step's sight: its folder, its modules, its command line."""
    sys.path.pop(0)
    ours = [name for name in sys.modules if name.partition(".")[0] == "orq_sandbox"]
    _kept.extend(sys.modules.pop(name) for name in [*ours, "__main__"])
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = [""]


def _silence() -> None:
    """Third-party code may print while it is imported: nobody reads it, so nothing may fill up."""
    empty = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(empty, number)
    os.close(empty)


_kept: list = []  # dropped from sys.modules, and alive


def _add_environment(orders: _Orders) -> None:
    """What `site` would do for an ordinary start of the environment's interpreter."""
    import site  # its import does nothing under -S

    sys.prefix = sys.exec_prefix = orders.prefix
    sys.executable = os.path.join(orders.prefix, "bin", "python")
    site.PREFIXES[:] = [orders.prefix]
    site.addsitedir(orders.site_packages)
    site.setquit()
    site.setcopyright()
    site.sethelper()
