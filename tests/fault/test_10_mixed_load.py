"""Two instances under a mixed load: apps that write files, uploads, reads, deletes, jobs, and questions about the state,
all at once. The sanitizers find what is wrong between threads; without them the files are looked at.

MIXED_LOAD_S says for how long (4 s; the long form, for `make fault SAN=thread`, is 180).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path

import images
from conftest import Perdura, Served
from http_client import url_of
from servers import wait_until

MIXED_LOAD_S = float(os.environ.get("MIXED_LOAD_S", "4"))
SETTLE_S = 60.0
NAMES = 40  # of each writer: few, so that files change while they are stored
QUESTIONS = ("/image-cache/status", "/ready", "/metrics", "/cache-stats", "/image-cache/images?limit=5")
JOBS = ("cache-all", "restore", "warmup", "check", "fsck")


def picture(rng: random.Random) -> bytes:
    return images.make("png", rng.randrange(1 << 30), 16, 12)


class Load:
    """Workers of several kinds that run until the time is over; each has names of its own, and so knows what is there
    in the end."""

    def __init__(self, instances: list[Served], folders: list[Path]) -> None:
        self.instances = instances
        self.folders = folders
        self.over = threading.Event()
        self.last: dict[str, bytes] = {}
        self.rounds = 0

    def app(self, number: int) -> None:
        """Writes files as apps do: in place, by rename, twice in a row, so that a second look is due."""
        rng = random.Random(number)
        folder = self.folders[number % len(self.folders)]
        (folder / f"app{number}").mkdir()
        while not self.over.is_set():
            path = f"app{number}/{rng.randrange(NAMES)}.png"
            for content in [picture(rng) for _ in range(rng.choice((1, 1, 2, 3)))]:
                (folder / path).write_bytes(content)
                self.last[path] = content
            self.rounds += 1

    def client(self, number: int) -> None:
        """Uploads, replaces and deletes, by either instance in turn."""
        rng = random.Random(number)
        while not self.over.is_set():
            path = f"client{number}/{rng.randrange(NAMES)}.png"
            served = self.instances[number % len(self.instances)]
            if path in self.last and rng.random() < 0.2:
                assert served.request("DELETE", url_of(path)).status == 204
                del self.last[path]
            else:
                content = picture(rng)
                assert served.put(url_of(path), content).status in (200, 201)
                self.last[path] = content
            self.rounds += 1

    def reader(self, number: int) -> None:
        rng = random.Random(number)
        while not self.over.is_set():
            path = rng.choice(list(self.last) or ["none.png"])
            try:
                assert rng.choice(self.instances).get(url_of(path)).status in (200, 404)
            except (IncompleteRead, ConnectionError):
                assert path.startswith("app"), path  # its app cut the file off while it was being sent

    def operator(self, number: int) -> None:
        rng = random.Random(number)
        while not self.over.is_set():
            served = rng.choice(self.instances)
            assert served.get(rng.choice(QUESTIONS)).status == 200
            if rng.random() < 0.05:
                assert served.post(f"/image-cache/{rng.choice(JOBS)}?async=1", {}).status in (202, 409)
            if rng.random() < 0.05:
                assert served.post("/image-cache/flush", {}).status in (200, 409)  # a file may be empty at the moment

    def run(self) -> None:
        kinds = (self.app, self.app, self.client, self.client, self.reader, self.reader, self.operator, self.operator)
        with ThreadPoolExecutor(len(kinds)) as pool:
            running = [pool.submit(kind, number) for number, kind in enumerate(kinds)]
            until = time.monotonic() + MIXED_LOAD_S
            while time.monotonic() < until and not any(one.done() for one in running):
                time.sleep(0.05)
            self.over.set()
            for one in running:
                one.result()


def test_a_mixed_load_on_two_instances(serve: Callable[..., Served], perdura: Perdura) -> None:
    folders = [perdura.folder / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    instances = [serve(PERDURA_MEDIA_ROOT=str(folder)) for folder in folders]
    load = Load(instances, folders)
    load.run()
    assert load.rounds > 0
    for served in instances:
        persisted = lambda served=served: served.post("/image-cache/flush", {}).json["persisted"]  # noqa: E731
        wait_until(persisted, SETTLE_S, "all files persisted")

    def wrong() -> list[str]:
        return [
            path
            for path, content in load.last.items()
            if any(served.get(url_of(path)).body != content for served in instances)
        ]

    wait_until(lambda: not wrong(), SETTLE_S, "both instances serve what was written last")
