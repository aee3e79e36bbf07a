"""Uploads through bad days: the bucket is down, stumbles or forgets to answer, the program is killed at random moments, the
disk is wiped. Whatever was acknowledged is in its bucket in the end, once, and is what was sent.

FAULT_ROUNDS and FAULT_SEED as in faults.py.
"""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
import pytest
from bucket import ObjectStorage
from bucket_proxy import BucketProxy, Request
from conftest import Perdura, Served
from faults import FEW_ROUNDS, rng, told
from servers import wait_until
from uploads import ORIGINS, states, upload

pytestmark = pytest.mark.skipif(bool(ObjectStorage.missing()), reason=str(ObjectStorage.missing()))

CLIENTS = 50
WAIT_S = 120
NEVER = "86400"
BUCKETS = {"mascotas": ("pets", ""), "servicios": ("services", "in/here/"), "chats": ("chats", "")}


class Stage:
    def __init__(self, perdura: Perdura, storage: ObjectStorage, proxy: BucketProxy) -> None:
        assert perdura.database
        self.perdura = perdura
        self.database = perdura.database
        self.storage = storage
        self.proxy = proxy
        self.contents: dict[str, bytes] = {}
        self.settings = {
            **storage.settings(endpoint=proxy.url),
            "PERDURA_ORIGINS": ORIGINS,
            "PERDURA_SYNC_INTERVAL": NEVER,
        }

    def serve(self, **env: str) -> Served:
        return Served(self.perdura, {**self.settings, **env})

    def upload(self, http: Served, count: int, seed: object) -> None:
        """From as many clients as that, all at once."""

        def send(i: int) -> tuple[str, bytes]:
            size = 6_000_000 if i == 7 else 4_000 + 7_919 * (i % 40)
            data = images.sized("jpeg" if i % 2 else "png", size, (seed, i))
            return upload(http, data, f"/upload-temp/{list(BUCKETS)[i % 3]}"), data

        with ThreadPoolExecutor(CLIENTS) as pool:
            self.contents.update(pool.map(send, range(count)))

    def place(self, name: str) -> tuple[str, str]:
        collection, key = self.database.query(
            "SELECT collection, object_key FROM upload WHERE temp_filename = %s", name
        )[0]
        bucket, prefix = BUCKETS[collection]
        return bucket, prefix + key

    def check(self) -> None:
        """All completed, each object as it was sent, and no other."""
        assert states(self.database) == {"completed": len(self.contents)}
        assert self.database.value("SELECT count(*) FROM upload WHERE image_data IS NOT NULL") == 0
        assert self.database.value("SELECT count(*) FROM upload_part") == 0
        found = {(bucket, key) for bucket, _ in BUCKETS.values() for key in self.storage.keys(bucket)}
        assert found == {self.place(name) for name in self.contents}
        for name, data in self.contents.items():
            assert self.storage.get(*self.place(name)) == data, name


@pytest.fixture
def stage(perdura: Perdura, folder: Path) -> Iterator[Stage]:
    storage = ObjectStorage(folder / "storage", [bucket for bucket, _ in BUCKETS.values()])
    with storage, BucketProxy(storage.port) as proxy:
        yield Stage(perdura, storage, proxy)


def wipe(perdura: Perdura) -> None:
    for entry in perdura.folder.iterdir():
        if entry.name != "storage":
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()


def every_third(request: Request) -> str | None:
    """Of the requests that carry something, in turn."""
    if request.number % 3:
        return None
    return ("503", "cut", "refuse")[request.number // 3 % 3]


def test_bucket_down_killed_wiped_and_all_is_there_after_one_round(stage: Stage) -> None:
    stage.storage.stop()
    http = stage.serve(PERDURA_SYNC_INTERVAL="1")
    stage.upload(http, CLIENTS, "down")
    assert states(stage.database) == {"pending": CLIENTS}
    http.process.kill()
    http.wait()
    wipe(stage.perdura)
    stage.storage.start()
    again = stage.serve()  # there is one round, at its start
    wait_until(lambda: states(stage.database) == {"completed": CLIENTS}, WAIT_S, "one round")
    wait_until(lambda: 'jobs_total{kind="sync"} 1' in again.get("/metrics").body.decode(), WAIT_S, "its end")
    stage.check()
    assert set(stage.proxy.stored.values()) == {1} and len(stage.proxy.stored) >= CLIENTS
    again.stop()


def test_a_server_that_stumbles_changes_nothing_but_the_time(stage: Stage) -> None:
    stage.proxy.fault = every_third
    http = stage.serve()
    stage.upload(http, CLIENTS, "stumbling")
    answer = http.request("POST", "/force-sync", timeout=WAIT_S)
    assert answer.status == 200 and answer.json["success"] is True, answer
    assert min(stage.proxy.faults[kind] for kind in ("503", "cut", "refuse")) >= 5
    stage.check()
    assert set(stage.proxy.stored.values()) == {1}
    http.stop()


def test_two_instances_through_a_server_that_stumbles(stage: Stage) -> None:
    stage.proxy.fault = every_third
    pair = [stage.serve(), stage.serve()]
    stage.upload(pair[0], CLIENTS, "two")
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda http: http.request("POST", "/force-sync", timeout=WAIT_S), pair))
    assert [answer.json["success"] for answer in answers] == [True, True], answers
    stage.check()
    assert set(stage.proxy.stored.values()) == {1}
    for http in pair:
        http.stop()


def test_answers_that_get_lost_make_no_second_object(stage: Stage) -> None:
    """What was carried out and never answered is asked for again: under the same name."""
    stage.proxy.fault = lambda request: "forget" if request.number % 4 == 0 else None
    http = stage.serve()
    stage.upload(http, CLIENTS // 2, "forgetful")
    assert http.request("POST", "/force-sync", timeout=WAIT_S).json["success"] is True
    stage.check()
    http.stop()


def kill_while(stage: Stage, http: Served, numbers: random.Random, act: Callable[[], object]) -> None:
    thread = threading.Thread(target=lambda: _ignore(act))
    thread.start()
    time.sleep(numbers.uniform(0.0, 0.4))
    http.process.kill()
    assert http.wait() == -9
    thread.join()


def _ignore(act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, AssertionError, ValueError):
        pass


def test_killed_at_random_moments(stage: Stage) -> None:
    """The last round is not killed; it waits for what the dead had claimed."""
    numbers = rng("sync")
    stage.proxy.fault = lambda request: ("cut", "503", "forget")[request.number % 3] if request.number % 7 == 0 else None
    with told("killed while uploads were moved"):
        for i in range(FEW_ROUNDS):
            http = stage.serve()
            stage.upload(http, 12, ("killed", i))
            kill_while(stage, http, numbers, lambda: http.request("POST", "/force-sync", timeout=WAIT_S))
            wipe(stage.perdura)
        http = stage.serve()
        answer = http.request("POST", "/force-sync", timeout=WAIT_S)
        assert answer.json["success"] is True, answer
        wait_until(lambda: states(stage.database) == {"completed": len(stage.contents)}, WAIT_S, "the last round")
        stage.check()
        http.stop()
