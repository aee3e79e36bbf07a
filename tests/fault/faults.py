"""What the fault tests share: a folder of known files, what may be found on disk and in the database after a fault, and
random moments at which to cause it.

FAULT_ROUNDS says how often each random fault is caused (8; the long form is 200), FAULT_SEED where the random numbers
begin; a failure prints both.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import images
import pytest
from conftest import Database, Perdura, Result, fresh_database, perdura_binary
from servers import Postgres

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "8"))
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
FEW_ROUNDS = max(2, ROUNDS // 6)  # of faults that need less luck to hit
LONG_FORM = ROUNDS >= 100
FILES = 800
END_TIMEOUT_S = 60
OWN_FOLDER = ".perdura"
COMMANDS = ("cache-all", "restore")
YEAR_2020_NS = 1_577_836_800 * 10**9


def rng(name: str) -> random.Random:
    return random.Random(f"{SEED} {name}")


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@dataclass(frozen=True)
class Version:
    """One content of a file and when it was modified."""

    sha256: bytes
    mtime_ns: int


class Files:
    """Known images: each path has an old and a new version. `new` and `old` are folders that hold them all."""

    def __init__(self, folder: Path, count: int = FILES) -> None:
        self.new = folder / "new"
        self.old = folder / "old"
        self.versions: dict[str, tuple[Version, Version]] = {}  # path: old, new
        numbers = random.Random("sizes")
        for i in range(count):
            kind = images.KINDS[i % len(images.KINDS)]
            path = f"{i % 5}/folder {i % 11}/image {i}.{images.ENDINGS[kind][0]}"
            size = numbers.randrange(3_000, 14_000) if i % 200 else numbers.randrange(500_000, 3_000_000)
            mtime_ns = YEAR_2020_NS + numbers.randrange(10**17)
            self.versions[path] = (
                self._write(self.old / path, images.sized(kind, size // 2 + 1000, (i, "old")), mtime_ns - 10**13 - 1),
                self._write(self.new / path, images.sized(kind, size, i), mtime_ns),
            )

    @staticmethod
    def _write(path: Path, content: bytes, mtime_ns: int) -> Version:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        return Version(sha256(content), mtime_ns)

    def __len__(self) -> int:
        return len(self.versions)

    def old_half(self) -> list[str]:
        return [path for i, path in enumerate(self.versions) if i % 2]

    def put(self, media: Path, which: str) -> None:
        """Makes `media` hold the files of `which` alone: new, none, or old_half (every second one, its old version)."""
        media.unlink() if media.is_file() else shutil.rmtree(media, ignore_errors=True)
        if which == "new":
            shutil.copytree(self.new, media)
            return
        media.mkdir()
        for path in self.old_half() if which == "old_half" else ():
            (media / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.old / path, media / path)


def visible(media: Path) -> Iterator[str]:
    """The files that anyone may see, as paths relative to `media`."""
    for folder, folders, names in os.walk(media):
        if OWN_FOLDER in folders:
            folders.remove(OWN_FOLDER)
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), media)


def count_new(files: Files, media: Path) -> int:
    """How many files have the new version's time, without reading them."""
    return sum((media / path).stat().st_mtime_ns == files.versions[path][1].mtime_ns for path in visible(media))


def check_files(files: Files, media: Path, complete: bool = False) -> int:
    """Every file that can be seen is whole, with its own time to the nanosecond. How many are new."""
    new = 0
    for path in visible(media):
        assert path in files.versions, f"{path!r} is a stranger in the media folder"
        with open(media / path, "rb") as file:
            found = Version(sha256(file.read()), os.fstat(file.fileno()).st_mtime_ns)
        assert found in files.versions[path], f"{path!r} is torn or has a wrong time: {found}"
        new += found == files.versions[path][1]
    if complete:
        assert new == len(files)
    return new


def check_rows(files: Files, database: Database, complete: bool = False) -> int:
    """Every row is whole and is one version of its file; the counters agree. How many are new.

    All of it in one snapshot: servers of a killed client may still be at work.
    """
    connection = database.connect()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
    cursor = connection.cursor()
    cursor.execute(
        "SELECT original_path, image_data, file_size, sha256, deleted_at IS NULL,"
        " round(extract(epoch FROM source_mtime)::numeric * 1000000)::bigint * 1000 + source_mtime_ns"
        " FROM image_cache"
    )
    rows = cursor.fetchall()
    cursor.execute("SELECT coalesce(sum(images), 0), coalesce(sum(bytes), 0) FROM image_count")
    counted = tuple(map(int, cursor.fetchone()))
    connection.close()
    new = 0
    seen = set()
    for path, data, size, digest, live, mtime_ns in rows:
        content = base64.b64decode(data, validate=True)
        assert path not in seen, f"{path!r} is stored twice"
        seen.add(path)
        assert live and len(content) == size and sha256(content) == bytes(digest), f"the row of {path!r} is torn"
        found = Version(bytes(digest), mtime_ns)
        assert found in files.versions[path], f"the row of {path!r} differs from its file: {found}"
        new += found == files.versions[path][1]
    if complete:
        assert new == len(files)
    assert counted == (len(rows), sum(row[2] for row in rows)), "the counters are wrong"
    return new


class Shop:
    """The files, the program, and its database: a stage on which to play each fault again and again."""

    def __init__(self, perdura: Perdura, files: Files) -> None:
        self.perdura = perdura
        self.files = files
        self.media = perdura.media
        self.database = perdura.database
        self.seconds: dict[tuple[str, str, str, str], float] = {}
        self._samples = list(files.versions)[::40]
        self._complete = False  # folder and table are known to hold the new versions of all files
        self._remember("old")
        self._remember("new")

    def _remember(self, which: str) -> None:
        """Keeps the rows that `cache-all` makes of these versions in a table of their own."""
        self.forget()
        self.perdura.run("cache-all", env={"PERDURA_MEDIA_ROOT": str(getattr(self.files, which))})
        self.database.query(f"CREATE TABLE {which}_rows AS TABLE image_cache")

    def forget(self) -> None:
        self.database.query("TRUNCATE image_cache")

    def store(self, which: str) -> None:
        """Makes the table hold new, old_half, or none."""
        self.forget()
        columns = (
            "collection, original_path, image_data, file_size, content_type_header, sha256, width, height,"
            " source_mtime, source_mtime_ns"
        )
        if which == "new":
            self.database.query(f"INSERT INTO image_cache ({columns}) SELECT {columns} FROM new_rows")
        elif which == "old_half":
            self.database.query(
                f"INSERT INTO image_cache ({columns}) SELECT {columns} FROM old_rows WHERE original_path = ANY (%s)",
                self.files.old_half(),
            )

    def prepare(self, command: str, start: str) -> None:
        """Before `cache-all`, the folder is complete and the table holds `start`; before `restore`, the reverse."""
        folder, rows = ("new", start) if command == "cache-all" else (start, "new")
        if not self._complete or folder != "new":
            self.files.put(self.media, folder)
        if not self._complete or rows != "new":
            self.store(rows)
        self._complete = False

    def arguments(self, command: str) -> list[str]:
        return [command, "--json"] + (["--all"] if command == "restore" else [])

    def run(self, command: str, check: bool = True, **options: Any) -> Result:
        return self.perdura.run(*self.arguments(command), check=check, **options)

    def start(self, command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        return start_into_files(self.perdura, *self.arguments(command), env=env)

    def check(self, command: str, complete: bool = False) -> int:
        """What the command writes is whole. How much of it is there."""
        if command == "cache-all":
            return check_rows(self.files, self.database, complete)
        return check_files(self.files, self.media, complete)

    def done(self, command: str) -> int:
        """As check(), without looking closely."""
        if command == "cache-all":
            return self.database.value(
                "SELECT count(*) FROM image_cache JOIN new_rows USING (collection, original_path, sha256)"
            )
        return count_new(self.files, self.media)

    def temporaries(self) -> int:
        """How many files are written and have no name yet."""
        # os.walk passes over folders that go while it looks.
        return sum(name != "lock" for _, _, names in os.walk(self.media / OWN_FOLDER) for name in names)

    def complete(self, command: str) -> None:
        """The next run does the rest and leaves nothing behind, and the one after that has nothing to do."""
        self.run(command)
        self.check(command, complete=True)
        again = self.run(command).json
        counter = "unchanged" if command == "cache-all" else "present"
        assert again[counter] == len(self.files) and again["bytes"] == 0, again
        assert not (self.media / OWN_FOLDER).exists(), "temporaries were left behind"
        self._complete = True

    def named_a_file(self) -> bool:
        """Whether restore has given some file its name: one that is missing at every start."""
        return any((self.media / path).exists() for path in self._samples)

    def expected_seconds(self, command: str, start: str, pool: str, phase: str) -> float:
        """How long an undisturbed run takes: measured at first, then corrected by whoever sees one."""
        key = (command, start, pool, phase)
        if key not in self.seconds:
            self.prepare(command, start)
            process = self.start(command, env={"PERDURA_DB_POOL": pool})
            began = time.monotonic()
            while phase != "from the start" and not self.named_a_file() and process.poll() is None:
                began = time.monotonic()
            assert finish(process).code == 0
            self.seconds[key] = time.monotonic() - began
        return self.seconds[key]


@cache
def _files(folder: Path) -> Files:
    return Files(folder)


@pytest.fixture(scope="module")
def files(session_folder: Path) -> Files:
    """The same for all modules: making them takes a while."""
    return _files(session_folder / "files")


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, session_folder: Path, postgres: Postgres, migrated_template: str, files: Files
) -> Iterator[Shop]:
    """One for all tests of a module: each prepares what it needs."""
    folder = session_folder / f"shop_{request.module.__name__}"
    folder.mkdir()
    for database in fresh_database(postgres, folder, migrated_template):
        perdura = Perdura(perdura_binary(), folder, database)
        yield Shop(perdura, files)
        perdura.end_started()


def start_into_files(perdura: Perdura, *args: str, **popen: Any) -> subprocess.Popen[bytes]:
    """Its output goes to files, for finish(): while the test does other things, a full pipe would stop the program."""
    files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
    process = perdura.start(*args, stdout=files[0], stderr=files[1], **popen)
    _outputs[process.pid] = files
    return process


_outputs: dict[int, list[Any]] = {}  # by process id: stdout, stderr


def finish(process: subprocess.Popen[bytes], timeout: float = END_TIMEOUT_S) -> Result:
    process.wait(timeout=timeout)
    texts = []
    for file in _outputs.pop(process.pid):
        file.seek(0)
        texts.append(file.read())
        file.close()
    return Result(process.returncode, texts[0], texts[1].decode(errors="replace"))


@dataclass
class Tally:
    """Where in the work the faults came. A round whose process had ended before does not count."""

    missed: int = 0
    before: int = 0  # nothing was done yet
    staged: int = 0  # there were temporaries and nothing else yet
    middle: int = 0  # something was done, and not all
    hits: list[tuple[float, int, int]] = field(default_factory=list)  # seconds from the start, images done, temporaries

    def hit(self, after_s: float, done: int, temporaries: int, total: int) -> None:
        self.hits.append((round(after_s, 4), done, temporaries))
        self.before += not done and not temporaries
        self.staged += not done and temporaries > 0
        self.middle += 0 < done < total

    def __str__(self) -> str:
        return (
            f"{len(self.hits)} times while it ran: {self.before} before it had done anything, {self.staged} with"
            f" nothing but temporaries, {self.middle} with some of the work done and not all;"
            f" {self.missed} more came too late"
        )


@contextmanager
def told(what: str) -> Iterator[None]:
    """Makes a failure say how to see it again."""
    try:
        yield
    except Exception:
        print(f"\n{what}: FAULT_SEED={SEED} FAULT_ROUNDS={ROUNDS}", file=sys.stderr)
        raise

