"""The wall itself, stood up in processes of their own, attacked by the probe's canaries."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import unittest

from orq_sandbox import confine
from orq_sandbox.confine import landlock, mounts, namespaces, root
from orq_sandbox.confine.probe import probe

_RUN_UID = 61299
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")


def in_child(work):
    """What `work` returns, as JSON, in a forked process or one that came from it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            try:
                said = work()
            except confine.WallError as error:
                said = {"stage": error.stage, "errno": error.errno, "message": str(error)}
            os.write(writer, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


class Wall(unittest.TestCase):
    """A policy with a scratch folder and a canary that lies beside it."""

    def setUp(self):
        # not below /tmp: a run's own /tmp would show the way to a grant there
        self.folder = tempfile.mkdtemp(prefix="orq-wall-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.scratch = os.path.join(self.folder, "scratch")
        os.mkdir(self.scratch)
        self.canary = os.path.join(self.folder, "canary")
        with open(self.canary, "w") as file:
            file.write("of the host")
        os.chmod(self.canary, 0o666)
        base = os.path.realpath(sys.base_prefix)
        grants = [path for path in (*_SYSTEM, base) if os.path.lexists(path)]
        self.policy = {
            "tier": "namespaces",
            "network": "none",
            "read_only": [[path, path] for path in grants],
            "scratch": self.scratch,
            "canary": self.canary,
            "rlimits": {"processes": 32, "open_files": 64, "cpu": 10},
        }
        if os.getuid() == 0:
            self.policy["run_uid"] = _RUN_UID

    def probe(self, **changed):
        """What the probe says of the policy with changes."""
        policy = {**self.policy, **changed}
        return in_child(lambda: probe(policy))

    def landlock(self, **changed):
        """The same in the landlock tier. Root's own interpreters cannot be read there: /usr's."""
        if os.getuid() == 0:
            os.chown(self.scratch, _RUN_UID, _RUN_UID)
            system = [grant for grant in self.policy["read_only"] if grant[0] in _SYSTEM]
            changed.setdefault("read_only", system)
        return self.probe(tier="landlock", **changed)


class Namespaces(Wall):
    """The strongest tier, where this machine has it."""

    def setUp(self):
        super().setUp()
        said = self.probe()
        if "stage" in said:
            self.skipTest(said["message"])

    def test_it_holds(self):
        """Every canary was refused, and what a run needs worked."""
        self.assertEqual("namespaces", self.probe()["tier"])

    def test_it_holds_with_the_network(self):
        """Only the network is other."""
        self.assertEqual("namespaces", self.probe(network="full")["tier"])

    def test_it_holds_on_older_kernels_landlock(self):
        """Before it could scope sockets each run has its own network; before 5.13 it is absent."""
        for version in (0, 1, 3, 5):
            self.assertEqual(version, self.probe(landlock_at_most=version)["landlock"])

    def test_nothing_is_left(self):
        """No mount, and nothing in the scratch."""
        self.probe()
        with open("/proc/self/mounts") as table:
            self.assertNotIn(self.scratch, table.read())
        self.assertEqual([], os.listdir(self.scratch))

    def test_what_is_below_tmp_is_shown_there(self):
        """A grant below a folder that the run has of its own is not covered by it."""
        inside = tempfile.mkdtemp(prefix="orq-grant-")
        self.addCleanup(shutil.rmtree, inside)
        os.chmod(inside, 0o755)
        with open(os.path.join(inside, "file"), "w") as file:
            file.write("granted")
        read_only = [*self.policy["read_only"], [inside, inside]]
        path = os.path.join(inside, "file")

        def work():
            wall = confine.enter({**self.policy, "read_only": read_only})
            reader, writer = os.pipe()
            if wall.fork_init() == 0:
                wall.settle_init({})
                wall.stages.program(wall.locking({}, [writer])).go()
                said = os.read(os.open(path, os.O_RDONLY), 100)
                try:
                    os.open(path, os.O_WRONLY)
                except OSError:
                    said += b", not writable"
                os.write(writer, said)
                os._exit(0)
            os.close(writer)
            return os.read(reader, 100).decode()

        self.assertEqual("granted, not writable", in_child(work))

    def test_the_root_is_read_only_without_mount_setattr(self):
        """On Linux before 5.12 each mount is remounted, with the flags it must keep."""

        def work():
            uid, gid = os.getuid(), os.getgid()
            namespaces.unshare(namespaces.NEW_USER | namespaces.NEW_NS)
            namespaces.map_ids(uid, gid)
            mounts.make_private()
            mounts.tmpfs(self.scratch, size=1 << 20, inodes=100, mode=0o755)
            target = os.path.join(self.scratch, "usr")
            os.mkdir(target)
            mounts.bind("/usr", target)
            mounts.protect_one_by_one(target, 1 | 2 | 4)
            return os.statvfs(target).f_flag & 7

        self.assertEqual(7, in_child(work))


class LandlockTier(Wall):
    """The tier without namespaces."""

    def setUp(self):
        super().setUp()
        if landlock.version() < 1:
            self.skipTest("this kernel has no Landlock")

    def test_it_holds(self):
        """Every canary was refused, and what a run needs worked."""
        self.assertEqual({"tier": "landlock"}, {"tier": self.landlock().get("tier")})

    def test_it_holds_on_older_kernels(self):
        """Filters do what Landlock could not do yet."""
        for version in (1, 2, 3, 4, 5, 6):
            said = self.landlock(landlock_at_most=version)
            self.assertEqual(version, said.get("landlock"), said)

    def test_without_landlock_there_is_none(self):
        """An error, and nothing weaker."""
        self.assertEqual("landlock", self.landlock(landlock_at_most=0)["stage"])

    @unittest.skipUnless(os.getuid() == 0, "only root becomes somebody else")
    def test_what_the_run_cannot_read_is_named(self):
        """A grant that only root can read is an error before anything runs."""
        secret = os.path.join(self.folder, "secret")
        os.mkdir(secret, 0o700)
        said = self.landlock(read_only=[[secret, secret]])
        self.assertEqual("identity", said["stage"])
        self.assertIn(secret, said["message"])


class Refusals(Wall):
    """What is wrong is an error, at its stage."""

    def test_unknown_words(self):
        """A tier or a network that there is not."""
        self.assertEqual("policy", self.probe(tier="strong")["stage"])
        self.assertEqual("policy", self.probe(network="some")["stage"])

    @unittest.skipUnless(os.getuid() == 0, "about root")
    def test_root_is_nobodys_user(self):
        """Root must name the user id to become, and it is not 0."""
        self.assertEqual("identity", self.probe(run_uid=None)["stage"])
        self.assertIn("stage", self.probe(run_uid=0))

    def test_a_grant_that_is_not_there(self):
        """Nothing is left out in silence."""
        missing = os.path.join(self.folder, "missing")
        self.assertIn("stage", self.probe(read_only=[[missing, missing]]))

    def test_a_process_is_no_wall(self):
        """The probe of the tier `process` attacks nothing and says so by its name."""
        self.assertEqual("process", self.probe(tier="process")["tier"])

    def test_devices_are_whole(self):
        """The nodes of every root are there on this machine."""
        self.assertEqual([], [path for path in root.DEVICES if not os.path.exists(path)])


if __name__ == "__main__":
    unittest.main()
