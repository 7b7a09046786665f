"""Runs a command where user namespaces are forbidden, as in a container of the usual profile.

`python -I -S -B forbid.py SANDBOX COMMAND...`: a filter of our own refuses what makes or mounts
them; no setting of the machine is touched. Python 3.8.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys

_REFUSED = ["unshare", "setns", "mount", "umount2", "pivot_root", "mount_setattr"]


def main(sandbox: str, *command: str) -> None:
    """Put the filter on and become the command."""
    sys.path.insert(0, sandbox)
    bpf = importlib.import_module("orq_sandbox.confine.bpf")
    capabilities = importlib.import_module("orq_sandbox.confine.capabilities")
    namespaces = importlib.import_module("orq_sandbox.confine.namespaces")
    seccomp = importlib.import_module("orq_sandbox.confine.seccomp")
    numbers = importlib.import_module("orq_sandbox.confine.syscalls").NUMBERS
    refused = bpf.error(errno.EPERM)
    verdicts = dict.fromkeys([numbers[name] for name in _REFUSED], refused)
    verdicts[numbers["clone"]] = bpf.when_bits(0, namespaces.CLONE_NEW, refused)
    verdicts[numbers["clone3"]] = bpf.error(errno.ENOSYS)
    capabilities.forbid_new_privileges()
    seccomp.install(bpf.assemble(verdicts, bpf.ALLOW))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
