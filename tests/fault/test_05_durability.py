"""Acknowledged means durable, through all faults at once: writers change a few dozen images through the API and as
files while the program is killed, PostgreSQL crashes and the disk is wiped. After each round what is found must be what
was acknowledged (oracle.py says what else it may be).

FAULT_ROUNDS (15) and FAULT_SEED as in faults.py.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import os
import random
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path as FilePath

import images
import pytest
from conftest import Perdura, Served
from faults import OWN_FOLDER, SEED, rng, told
from http_client import Answer, url_of
from oracle import By, Found, Path, Write, digest
from servers import wait_until

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "15"))
WRITERS = 6
READERS = 2
PATHS_A_WRITER = 6
KINDS = ("png", "jpeg", "gif", "webp", "bmp", "svg")
COMMON_BYTES = 12_000  # a size shared by many, for what takes an equal size for an equal content
SETTLE_TIMEOUT_S = 60
UNKNOWN = (503, 504)
NO_CONNECTION = (ConnectionRefusedError,)
CUT_OFF = (ConnectionError, http.client.HTTPException)


@cache
def plain_image(kind: str) -> bytes:
    return images.make(kind, "durability")


_numbers = itertools.count()


def new_image(kind: str, numbers: random.Random) -> bytes:
    """A content that no other write has."""
    luck = numbers.random()
    size = COMMON_BYTES if luck < 0.6 else numbers.randrange(COMMON_BYTES, 80_000) if luck < 0.95 else 400_000
    image = plain_image(kind)
    return images.PADDERS[kind](image, size - len(image), random.Random(f"{SEED} {next(_numbers)}"))


class Stage:
    """The program, its folder and its database, and the faults that can be caused."""

    def __init__(self, perdura: Perdura) -> None:
        assert perdura.database
        self.perdura = perdura
        self.media = perdura.media
        self.database = perdura.database
        self.postgres = perdura.database.server
        self.http = Served(perdura, {})
        self.wipes = 0  # odd while one is under way
        self.caused: Counter[str] = Counter()

    def kill(self) -> None:
        self.http.process.kill()
        assert self.http.wait() == -9, f"it had ended by itself:\n{self.http.shown()}"
        self.caused["kill -9"] += 1

    def start(self) -> None:
        self.http = Served(self.perdura, {})

    def wipe(self) -> None:
        self.wipes += 1
        for child in self.media.iterdir():
            if child.is_dir():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)
        self.wipes += 1

    def crash_postgres(self) -> None:
        self.postgres.kill_immediate()
        self.caused["crash of PostgreSQL"] += 1


class Writer:
    """Changes its own paths, one write after the other, until it is paused."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage = stage
        self.number = number
        self.paths: list[Path] = []
        self.kinds: dict[str, str] = {}
        self.entities: dict[str, str] = {}
        self.files: dict[str, tuple[Write, int]] = {}  # by path: written and closed, and how many wipes there were
        self.acknowledged: Counter[str] = Counter()
        self.failures: list[str] = []
        self.current: Path
        for i in range(PATHS_A_WRITER):
            kind = KINDS[(number + i) % len(KINDS)]
            ending = images.ENDINGS[kind][0]
            name = f"folder {i % 3}/of {number}/image {i}.{ending}"
            if i == 0:
                name = f"artist/{number}/cover.{ending}"
                self.entities[name] = f"/api/images/artist/{number}/cover"
            self.paths.append(Path(name))
            self.kinds[name] = kind
        self.current = self.paths[0]

    def run(self, numbers: random.Random, paused: threading.Event) -> None:
        acts = (self.put, self.delete, self.file, self.file_renamed, self.file_in_place, self.get, self.put_again)
        while not paused.is_set() and not self.failures:
            path = self.current = numbers.choice(self.paths)
            act = numbers.choices(acts, (4, 3, 2, 3, 3, 3, 1))[0]
            try:
                act(path, numbers)
                if self.files and numbers.random() < 0.3:
                    self.flush()
            except Exception:
                self.fail(path, traceback.format_exc())

    def fail(self, path: Path, what: str) -> None:
        self.failures.append(f"{what}\n{path.told()}")

    def ask(self, path: Path, method: str, url: str, body: bytes | None = None) -> Answer | Exception:
        path.note(f"{time.time():.6f} {method}")
        try:
            answer = self.stage.http.request(method, url, body)
        except CUT_OFF as error:
            path.note(f"{time.time():.6f} {error!r}")
            return error
        path.note(f"{time.time():.6f} {answer.status}")
        return answer

    def conclude(self, path: Path, write: Write, answer: Answer | Exception, acknowledging: tuple[int, ...]) -> None:
        if isinstance(answer, NO_CONNECTION):
            path.refuse(write, answer)
        elif isinstance(answer, Exception) or answer.status in UNKNOWN:
            pass
        elif answer.status in acknowledging:
            path.acknowledge(write)
            self.acknowledged[write.by.value] += 1
        else:
            self.fail(path, f"{write.by.value} was answered {answer.status}: {answer.body[:300]!r}")

    def put_content(self, path: Path, content: bytes, numbers: random.Random) -> None:
        entity = self.entities.get(path.name)
        url = entity if entity and numbers.random() < 0.5 else url_of(path.name)
        write = path.begin(By.PUT, content)
        self.conclude(path, write, self.ask(path, "PUT", url, content), (200, 201))

    def put(self, path: Path, numbers: random.Random) -> None:
        self.put_content(path, new_image(self.kinds[path.name], numbers), numbers)

    def put_again(self, path: Path, numbers: random.Random) -> None:
        """What is there, or may be: to one that is stored already."""
        content = numbers.choice(path.possible).content
        if content is not None:
            self.put_content(path, content, numbers)

    def delete(self, path: Path, numbers: random.Random) -> None:
        last = path.possible[-1]
        certain = path.certain
        write = path.begin(By.DELETE, None)
        answer = self.ask(path, "DELETE", url_of(path.name))
        if isinstance(answer, Answer) and answer.status in (404, 409):
            path.refuse(write, answer.status)
            if certain and (answer.status == 409 or last.content is not None):
                self.fail(path, f"DELETE was answered {answer.status}: {answer.body[:300]!r}")
        else:
            self.conclude(path, write, answer, (204,))

    def get(self, path: Path, numbers: random.Random) -> None:
        answer = self.ask(path, "GET", url_of(path.name))
        if isinstance(answer, Exception) or answer.status in UNKNOWN:
            return
        if answer.status not in (200, 404):
            self.fail(path, f"GET was answered {answer.status}: {answer.body[:300]!r}")
            return
        fault = path.fault_of(answer.body if answer.status == 200 else None, f"GET of {time.time():.6f}")
        if fault:
            self.fail(path, fault)

    def write_file(self, path: Path, by: By, write_it: Callable[[FilePath, bytes], None], kind: str) -> None:
        content = new_image(kind, random.Random(next(_numbers)))
        wipes = self.stage.wipes
        target = self.stage.media / path.name
        write = path.begin(by, content)
        path.note(f"{time.time():.6f} write")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_it(target, content)
        except (FileNotFoundError, FileExistsError) as error:  # a wipe took the folder
            path.refuse(write, error)
            return
        path.note(f"{time.time():.6f} closed")
        self.files[path.name] = (write, wipes)

    def file(self, path: Path, numbers: random.Random) -> None:
        self.write_file(path, By.IN_PLACE, FilePath.write_bytes, self.kinds[path.name])

    def file_renamed(self, path: Path, numbers: random.Random) -> None:
        def write_it(target: FilePath, content: bytes) -> None:
            temporary = target.with_name(f".{target.stem}.{next(_numbers)}.tmp")
            temporary.write_bytes(content)
            temporary.rename(target)

        self.write_file(path, By.FILE, write_it, self.kinds[path.name])

    def file_in_place(self, path: Path, numbers: random.Random) -> None:
        """Slowly."""
        pause_s = numbers.uniform(0, 0.005)

        def write_it(target: FilePath, content: bytes) -> None:
            with open(target, "wb", buffering=0) as file:
                for at in range(0, len(content), len(content) // 3 + 1):
                    file.write(content[at : at + len(content) // 3 + 1])
                    time.sleep(pause_s)

        self.write_file(path, By.IN_PLACE, write_it, self.kinds[path.name])

    def flush(self) -> bool:
        """Acknowledges all files that were closed before it began and are still there."""
        files, self.files = self.files, {}
        try:
            answer = self.stage.http.request("POST", "/image-cache/flush")
        except CUT_OFF:
            answer = None
        if answer is None or answer.status in UNKNOWN:
            self.files = {**files, **self.files}
            return False
        # 409 names what is not persisted: what another writer is just writing, or, on a busy machine, a file of ours that
        # was last looked at when it was opened and empty. That one is not acknowledged; a later flush has to do it.
        unpersisted = answer.json["unpersisted"] if answer.status == 409 else []
        ours = [file for file in unpersisted if file["path"] in files]
        if ours and all(file.get("reason") == "is empty" for file in ours):
            self.files = {**files, **self.files}
            return False
        if answer.status not in (200, 409) or ours:
            self.failures.append(f"flush was answered {answer.status}: {answer.body!r}")
            return False
        for path in self.paths:
            write, wipes = files.get(path.name, (None, None))
            if write is None or wipes % 2 or wipes != self.stage.wipes or write not in path.possible:
                continue
            path.acknowledge(write)
            self.acknowledged[write.by.value] += 1
        return True


class Reader:
    """Asks for what is being written, so that copies are made of what is about to change."""

    def __init__(self, stage: Stage, writers: list[Writer]) -> None:
        self.stage = stage
        self.writers = writers
        self.failures: list[str] = []

    def run(self, numbers: random.Random, paused: threading.Event) -> None:
        while not paused.is_set() and not self.failures:
            path = numbers.choice(self.writers).current
            try:
                answer = self.stage.http.get(url_of(path.name))
            except CUT_OFF:
                continue
            if answer.status not in (200, 404, *UNKNOWN):
                self.failures.append(f"GET of {path.name} was answered {answer.status}: {answer.body[:300]!r}")


class Loop:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.writers = [Writer(stage, number) for number in range(WRITERS)]
        self.readers = [Reader(stage, self.writers) for _ in range(READERS)]
        self.paths = {path.name: path for writer in self.writers for path in writer.paths}
        self.checks: Counter[str] = Counter()

    def play(self, number: int) -> None:
        """One round: faults while all write, then a look at what is left."""
        numbers = rng(f"round {number}")
        paused = threading.Event()
        threads = [
            threading.Thread(target=writer.run, args=(rng(f"round {number}, writer {writer.number}"), paused))
            for writer in self.writers
        ] + [
            threading.Thread(target=reader.run, args=(rng(f"round {number}, reader {i}"), paused))
            for i, reader in enumerate(self.readers)
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(numbers.uniform(0.2, 0.8))
            for fault in self.faults(numbers):
                fault()
                time.sleep(numbers.uniform(0, 0.3))
        finally:
            paused.set()
            for thread in threads:
                thread.join()
        self.check(numbers)

    def faults(self, numbers: random.Random) -> Iterator[Callable[[], None]]:
        """Each step that is yielded may be followed by a short while of writing."""
        stage = self.stage
        kind = numbers.choice(("kill", "kill, wipe", "kill, wipe", "crash", "wipe", "all", "all", "twice"))
        stage.caused[f"rounds with {kind}"] += 1
        if kind == "wipe":
            yield self.wipe_while_it_runs
        elif kind == "crash":
            yield stage.crash_postgres
            yield stage.postgres.start
        elif kind in ("kill", "kill, wipe"):
            yield from self.restart(wipe=kind != "kill")
        elif kind == "twice":
            yield from self.restart(wipe=True)
            yield from self.restart(wipe=numbers.random() < 0.5)
        elif numbers.random() < 0.5:
            yield stage.crash_postgres
            yield from self.restart(wipe=True, before_start=stage.postgres.start)
        else:
            yield stage.kill
            yield stage.crash_postgres
            yield self.wipe_while_it_is_dead
            steps = [stage.postgres.start, stage.start]
            if numbers.random() < 0.25:
                steps.reverse()  # it waits for the database for a few seconds, then it listens
            yield from steps

    def restart(self, wipe: bool, before_start: Callable[[], None] | None = None) -> Iterator[Callable[[], None]]:
        yield self.stage.kill
        if wipe:
            yield self.wipe_while_it_is_dead
        if before_start:
            yield before_start
        yield self.stage.start

    def wipe_while_it_is_dead(self) -> None:
        self.stage.wipe()
        self.stage.caused["wipe and restart"] += 1

    def wipe_while_it_runs(self) -> None:
        self.stage.wipe()
        self.stage.caused["wipe while it runs"] += 1

    # Afterwards

    def check(self, numbers: random.Random) -> None:
        failures = [failure for one in [*self.writers, *self.readers] for failure in one.failures]
        assert not failures, "\n".join([*failures, self.stage.http.shown()[-4000:]])
        for writer in self.writers:
            wait_until(writer.flush, SETTLE_TIMEOUT_S, "a flush with the database up")
        found = self.look()
        faults = self.judge(found, Path.judge)
        if not faults and numbers.random() < 0.5:
            answer = self.stage.http.post("/image-cache/restore")
            assert answer.status == 200 and answer.json["failed"] == 0, answer
            for name, state in self.files().items():
                found[name].file = state
            faults = self.judge(found, Path.judge_restored)
            self.checks["files after a restore"] += len(found)
        assert not faults, "\n".join([*faults, self.stage.http.shown()[-4000:]])
        for name, state in found.items():
            path = self.paths[name]
            self.checks["half-written files that were stored and wiped"] += path.is_half(state.row) and not any(
                write.content == state.row for write in path.possible
            )
            path.settle(state)

    def judge(self, found: dict[str, Found], judge: Callable[[Path, Found], list[str]]) -> list[str]:
        faults = []
        for name, state in found.items():
            complaints = judge(self.paths[name], state)
            if complaints:
                faults.append("\n  ".join([*complaints, self.paths[name].told()]))
        return faults

    def look(self) -> dict[str, Found]:
        rows = self.rows()
        files = self.files()
        found = {name: Found(rows.get(name), files.get(name), self.got(name)) for name in self.paths}
        self.checks["rows"] += len(found)
        self.checks["files"] += sum(state.file is not None for state in found.values())
        self.checks["GETs"] += len(found)
        return found

    def rows(self) -> dict[str, bytes]:
        """The live ones. What stands in each must be what it says."""
        rows = {}
        for name, data, sha256 in self.stage.database.query(
            "SELECT original_path, image_data, sha256 FROM image_cache WHERE deleted_at IS NULL"
        ):
            content = base64.b64decode(data, validate=True)
            assert hashlib.sha256(content).digest() == bytes(sha256), f"the row of {name!r} is torn"
            assert name in self.paths or is_temporary(name), f"{name!r} was never written"
            rows[name] = content
        return rows

    def files(self) -> dict[str, bytes | None]:
        """None for those that are not there."""
        files: dict[str, bytes | None] = dict.fromkeys(self.paths)
        for folder, folders, names in os.walk(self.stage.media):
            if OWN_FOLDER in folders:
                folders.remove(OWN_FOLDER)
            for one in names:
                name = os.path.relpath(os.path.join(folder, one), self.stage.media)
                if is_temporary(name):
                    continue
                assert name in files, f"{name!r} is a stranger in the media folder"
                files[name] = FilePath(folder, one).read_bytes()
        return files

    def got(self, name: str) -> bytes | None:
        def ask() -> Answer | None:
            answer = self.stage.http.get(url_of(name))
            return None if answer.status in UNKNOWN else answer

        answer = wait_until(ask, SETTLE_TIMEOUT_S, f"an answer about {name}")
        assert answer.status in (200, 404), answer
        if answer.status == 404:
            return None
        assert answer["ETag"] == f'"{digest(answer.body)}"', f"the ETag of {name} is another image's"
        return answer.body

    def told(self) -> str:
        acknowledged: Counter[str] = Counter()
        for writer in self.writers:
            acknowledged += writer.acknowledged
        parts = []
        for what, counter in (
            ("acknowledged", acknowledged),
            ("caused", self.stage.caused),
            ("checked", self.checks),
        ):
            parts.append(f"    {what}: " + ", ".join(f"{n} x {name}" for name, n in sorted(counter.items())))
        return "\n".join(parts)


def is_temporary(name: str) -> bool:
    """An app's own temporary that lay there when a flush asked for everything."""
    return os.path.basename(name).startswith(".")


@pytest.fixture
def stage(perdura: Perdura) -> Iterator[Stage]:
    stage = Stage(perdura)
    yield stage
    stage.postgres.start()


def test_what_is_acknowledged_outlives_kills_crashes_and_wipes(stage: Stage) -> None:
    loop = Loop(stage)
    for number in range(ROUNDS):
        with told(f"round {number}"):
            loop.play(number)
    stage.http.stop()
    print(f"\n    {ROUNDS} rounds, FAULT_SEED={SEED}\n{loop.told()}", file=sys.stderr)


# The races that the loop meets by luck alone


def test_no_copy_brings_back_what_is_deleted_right_after_it_was_read(serve: Callable[..., Served]) -> None:
    http = serve()
    names = [f"{i}.png" for i in range(60)]
    for i, name in enumerate(names):
        size = 400_000 if i % 3 == 0 else COMMON_BYTES
        assert http.put(url_of(name), images.sized("png", size, i)).status == 201
        (http.perdura.media / name).unlink()
        assert http.get(url_of(name)).status == 200
        assert http.request("DELETE", url_of(name)).status == 204
    http.stop()  # copies that wait are written first
    assert [name for name in names if (http.perdura.media / name).exists()] == []


def test_no_restore_brings_back_what_is_deleted_meanwhile(serve: Callable[..., Served]) -> None:
    http = serve()
    names = [f"{i}.png" for i in range(60)]
    for i, name in enumerate(names):
        assert http.put(url_of(name), images.sized("png", COMMON_BYTES, i)).status == 201
    http.stop()
    shutil.rmtree(http.perdura.media)
    http = serve()
    rng("deletes").shuffle(names)
    for name in names:
        assert http.request("DELETE", url_of(name)).status == 204
    wait_until(lambda: 'event="files restored"' in http.shown(), SETTLE_TIMEOUT_S, "the end of the restore")
    http.stop()
    assert [name for name in names if (http.perdura.media / name).exists()] == []


def test_who_asks_after_a_write_hears_of_it_however_many_asked_before(serve: Callable[..., Served]) -> None:
    http = serve()
    asked = ["0.png"]
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            http.get(url_of(asked[0]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(60):
            url = url_of(f"{i}.png")
            assert http.put(url, images.sized("png", COMMON_BYTES, i)).status == 201
            asked[0] = f"{i}.png"
            (http.perdura.media / asked[0]).unlink(missing_ok=True)
            new = images.sized("png", COMMON_BYTES, (i, "new"))
            assert http.put(url, new).status == 200
            assert http.get(url).body == new
            (http.perdura.media / asked[0]).unlink(missing_ok=True)
            assert http.request("DELETE", url).status == 204
            assert http.get(url).status == 404
    finally:
        done.set()
        for thread in threads:
            thread.join()


# Whether the oracle sees anything at all

A, B, C = (new_image("png", random.Random(seed)) for seed in "abc")


def path_with(*writes: tuple[By, bytes | None, bool]) -> Path:
    path = Path("a.png")
    for by, content, acknowledged in writes:
        write = path.begin(by, content)
        if acknowledged:
            path.acknowledge(write)
    return path


PUT_A = (By.PUT, A, True)
DELETED = (By.DELETE, None, True)
CASES = [
    # what was written, the row, the file, GET, a word of the complaint (None: all is well)
    ("acknowledged and there", [PUT_A], A, A, A, None),
    ("its file is not back yet", [PUT_A], A, None, A, None),
    ("lost", [PUT_A], None, None, None, "lost"),
    ("lost from the table", [PUT_A], None, A, A, "lost"),
    ("not served", [PUT_A], A, A, None, "lost"),
    ("torn on disk", [PUT_A], A, A[:-1], A, "torn"),
    ("torn in the table", [PUT_A], A[:-1], A, A, "torn"),
    ("another's content", [PUT_A], B, B, B, "torn"),
    ("an old state", [PUT_A, (By.FILE, B, True)], A, A, A, "old"),
    ("an old file", [PUT_A, (By.FILE, B, True)], B, A, B, "old"),
    ("deleted", [PUT_A, DELETED], None, None, None, None),
    ("resurrected", [PUT_A, DELETED], A, A, A, "deleted"),
    ("resurrected on disk", [PUT_A, DELETED], None, A, None, "deleted"),
    ("resurrected by GET", [PUT_A, DELETED], None, None, A, "deleted"),
    ("PUT without an answer, done", [PUT_A, (By.PUT, B, False)], B, B, B, None),
    ("PUT without an answer, not done", [PUT_A, (By.PUT, B, False)], A, A, A, None),
    ("PUT without an answer, half done", [PUT_A, (By.PUT, B, False)], B, A, A, None),
    ("PUT without an answer is no leave to lose", [PUT_A, (By.PUT, B, False)], None, None, None, "lost"),
    ("DELETE without an answer, half done", [PUT_A, (By.DELETE, None, False)], None, A, A, None),
    ("a file not flushed, wiped", [PUT_A, (By.FILE, B, False)], A, A, A, None),
    ("a file not flushed, stored", [PUT_A, (By.FILE, B, False)], B, B, B, None),
    ("a file that a flush did not store", [PUT_A, (By.FILE, B, False)], A, B, B, "differs"),
    ("half a file that was moved in", [PUT_A, (By.FILE, B, False)], B[:5000], None, B[:5000], "torn"),
    ("half a file, stored and wiped", [PUT_A, (By.IN_PLACE, B, False)], B[:5000], None, B[:5000], None),
    ("half a file that was flushed", [PUT_A, (By.IN_PLACE, B, True)], B[:5000], None, B[:5000], "torn"),
    ("an acknowledged write ends doubt", [PUT_A, (By.PUT, B, False), (By.PUT, C, True)], B, B, B, "old"),
]


@pytest.mark.parametrize(("writes", "row", "file", "got", "complaint"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_the_oracle_complains(writes: list, row: bytes, file: bytes, got: bytes, complaint: str | None) -> None:
    faults = path_with(*writes).judge(Found(row, file, got))
    assert bool(faults) == (complaint is not None), faults
    assert complaint is None or any(complaint in fault for fault in faults), faults


SABOTAGES = {
    "lost": "DELETE FROM image_cache",
    "lost from the table": "UPDATE image_cache SET deleted_at = now()",
    "an old state": "UPDATE image_cache SET (image_data, file_size, sha256) ="
    " (SELECT image_data, file_size, sha256 FROM old)",
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_loop_sees_sabotage_of_the_table(stage: Stage, sabotage: str) -> None:
    loop = Loop(stage)
    writer, numbers = loop.writers[0], random.Random(1)
    path = writer.paths[1]
    writer.put_content(path, A, numbers)
    stage.database.query("CREATE TABLE old AS TABLE image_cache")
    writer.put_content(path, B, numbers)
    loop.check(numbers)
    if sabotage == "lost":
        stage.wipe()
    stage.database.query(SABOTAGES[sabotage])
    with pytest.raises(AssertionError, match="lost|old state"):
        loop.check(numbers)


def test_the_loop_sees_torn_and_resurrected_files(stage: Stage) -> None:
    loop = Loop(stage)
    writer, numbers = loop.writers[0], random.Random(1)
    torn, deleted = writer.paths[1:3]
    writer.put_content(torn, A, numbers)
    writer.put_content(deleted, B, numbers)
    writer.delete(deleted, numbers)
    loop.check(numbers)
    (stage.media / torn.name).write_bytes(A[:-1])
    (stage.media / deleted.name).write_bytes(B)
    with pytest.raises(AssertionError) as complaint:
        loop.check(numbers)
    assert "torn" in str(complaint.value) and "deleted" in str(complaint.value)
