"""The first things a guest process does, in the order that matters.

1. Go behind the wall: everything irrevocable comes before the first byte of third-party code.
2. The private support layer, and the environment's packages, their `.pth` files included.
3. In a zygote the preload; then it serves.

`sys.argv[1]` is the number of a socket. On it come the orders, a JSON object up to the end of the
stream, with the descriptors they are about: `mode` (`zygote`, `exec`, `command` or `probe`), `wall`
(the policy), `run` (for `exec` and `command`) and, but for a command, `support`, `site_packages`,
`prefix` and `preload`. A guest may wait for them long, with all its imports behind it.
"""

from __future__ import annotations

import _socket
import importlib
import json as standard_json
import os
import site
import sys
import types
import typing

from orq_sandbox import child, confine, forks, init, kernel, support, zygote

__all__ = ["main"]

WALL_STATUS = 77
"""The exit status of a guest that could not be confined; the host knows it."""

_WANTED_BY_ORJSON = ("datetime",)
_CHUNK = 1 << 16
_MOST = 16


def main() -> None:
    """Run the process in the mode its orders name. Never returns."""
    orders, descriptors = _hear(int(sys.argv[1]))
    become = _command_server() if orders["mode"] == "command" else None
    probe = _prober() if orders["mode"] == "probe" else None
    _hide()
    try:
        if probe is not None:
            found = probe(orders["wall"], orders["run"])
            os.write(descriptors[0], standard_json.dumps(found).encode())
            os._exit(0)
        if orders["mode"] == "zygote":
            _join_group(descriptors[1:])
        wall = confine.enter(orders["wall"])
    except confine.WallError as error:
        os.write(2, str(error).encode("utf-8", "backslashreplace"))
        os._exit(WALL_STATUS)
    if become is not None:
        _silence()
        _run_alone(orders, descriptors, wall, None, become)
    json = support.load_json(orders["support"])
    _silence()
    if orders["mode"] == "exec" and wall.tier != "namespaces":
        # no import is to find a door: where process ids are the host's it leads anybody in
        _join_group(descriptors[5:])
        del descriptors[5:]
    if orders["mode"] == "zygote":
        forks.listen()
    _add_environment(orders)
    if orders["mode"] == "zygote":
        zygote.serve(descriptors[0], json, orders["preload"], wall)
    _run_alone(orders, descriptors, wall, json)


def _run_alone(
    orders: typing.Mapping[str, typing.Any],
    descriptors: typing.Sequence[int],
    wall: confine.Wall,
    json: typing.Any,
    become: typing.Optional[typing.Callable[..., None]] = None,
) -> None:
    channel, doors = child.Channel(*descriptors[:5]), descriptors[5:]
    init.run_alone(child.Place(wall, orders["run"], doors, become=become), channel, json)


def _join_group(doors: typing.Sequence[int]) -> None:
    """Be in the zygote's own group before anything of anybody's is imported; runs leave it."""
    for door in doors:
        os.write(door, b"0")
        os.close(door)


def _command_server() -> typing.Callable[..., None]:
    from orq_sandbox import command  # start-up budget: functions never need it

    return command.serve


def _prober() -> typing.Callable[..., typing.Dict[str, typing.Any]]:
    from orq_sandbox.confine.probe import probe  # start-up budget: runs never need it

    return probe


def _hear(number: int) -> typing.Tuple[typing.Dict[str, typing.Any], typing.List[int]]:
    """The orders and their descriptors. Ends the process when nobody has any."""
    for name in _WANTED_BY_ORJSON:
        importlib.import_module(name)
    text, descriptors = b"", []
    line = _socket.socket(fileno=number)
    while True:
        chunk, found = kernel.receive_with_descriptors(line, _CHUNK, _MOST)
        if not chunk:
            break
        text += chunk
        descriptors += found
    line.close()
    if not text:
        os._exit(0)
    return standard_json.loads(text), descriptors


def _hide() -> None:
    """Take the guest out of the step's sight: its folder, its modules, its command line."""
    sys.path.pop(0)
    ours = [name for name in sys.modules if name.partition(".")[0] == "orq_sandbox"]
    _kept.extend(sys.modules.pop(name) for name in [*ours, "__main__"])
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = [""]


def _silence() -> None:
    """Third-party code may print while it is imported: nobody reads it, so nothing may fill up."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        empty = os.open(os.devnull, flags)
        os.dup2(empty, number)
        os.close(empty)


_kept: list = []  # dropped from sys.modules, and alive


def _add_environment(orders: typing.Dict[str, typing.Any]) -> None:
    """What `site` would do for an ordinary start of the environment's interpreter."""
    prefix = orders["prefix"]
    sys.prefix = sys.exec_prefix = prefix
    sys.executable = os.path.join(prefix, "bin", "python")
    site.PREFIXES[:] = [prefix]
    site.addsitedir(orders["site_packages"])
    site.setquit()
    site.setcopyright()
    site.sethelper()
