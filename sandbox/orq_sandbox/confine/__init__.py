"""How the guest confines itself, before anybody else's code runs in it."""

from orq_sandbox.confine.stages import Program, Stage, WallError
from orq_sandbox.confine.syscalls import make
from orq_sandbox.confine.wall import Wall, enter

__all__ = ["Program", "Stage", "Wall", "WallError", "enter", "make"]
