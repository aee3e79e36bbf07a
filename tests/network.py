"""A network of our own that can be cut: packets vanish, and nobody is told.

    with Network() as network:
        with network.inside():
            server.start()          listens on network.address; we reach it from outside
        network.cut()
        network.mend()

Needs root and iproute2: Network.missing() says what is not there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """A network namespace and a pair of virtual cards, one end in there and one here."""

    def __init__(self) -> None:
        unique = uuid.uuid4()
        self.name = f"t{unique.hex[:10]}"
        self._here, self._there = f"{self.name}h", f"{self.name}t"
        # Of the range for tests of networks (RFC 2544): four addresses, of which two are for use.
        first = unique.int % (1 << 15) * 4
        self._gateway, self.address = (f"198.{18 + (first >> 16)}.{first >> 8 & 255}.{(first & 255) + i}" for i in (1, 2))

    @staticmethod
    def missing() -> str | None:
        if os.geteuid() != 0 or not shutil.which("ip"):
            return "cutting a network needs root and iproute2"
        probe = f"p{uuid.uuid4().hex[:10]}"
        done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
        if done.returncode != 0:
            return f"no network namespaces: {done.stderr.strip()}"
        subprocess.run(["ip", "netns", "del", probe], check=True)
        return None

    def __enter__(self) -> Network:
        try:
            self._ip("netns", "add", self.name)
            self._ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
            for end, address, netns in ((self._here, self._gateway, []), (self._there, self.address, ["-n", self.name])):
                self._ip(*netns, "address", "add", f"{address}/30", "dev", end)
                self._ip(*netns, "link", "set", end, "up")
            # Asking for it fails while the network is cut, and who gets no answer is told that the host is gone.
            there = self._ip("-n", self.name, "-brief", "link", "show", self._there).split()[2]
            self._ip("neighbour", "replace", self.address, "lladdr", there, "dev", self._here, "nud", "permanent")
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "link", "del", self._here], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread starts meanwhile lives in there."""
        with open("/proc/thread-self/ns/net") as ours, open(Path("/run/netns") / self.name) as theirs:
            self._enter(theirs.fileno())
            try:
                yield
            finally:
                self._enter(ours.fileno())

    def cut(self) -> None:
        self._ip("-n", self.name, "link", "set", self._there, "down")

    def mend(self) -> None:
        self._ip("-n", self.name, "link", "set", self._there, "up")

    @staticmethod
    def _ip(*args: str) -> str:
        return subprocess.run(["ip", *args], check=True, capture_output=True, text=True).stdout

    @staticmethod
    def _enter(fd: int) -> None:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
