"""Fixtures of the tests that need servers: one real PostgreSQL for the session, one fresh database and folder a test.

    def test_it(perdura):
        (perdura.media / "a.jpg").write_bytes(...)
        assert perdura.run("cache-all", "--json").json["cached"] == 1

`make test` sets PERDURA_BIN (the binary, default build/release/perdura) and PERDURA_COUNTS (a file that gets
"passed failed skipped").
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

from http_client import TOKEN, HttpClient  # noqa: E402
from servers import KeptConnection, Postgres, dies_with_us, end_process, wait_until  # noqa: E402

pytest_plugins = ("time_limit",)

BUILD = TESTS.parent / "build"
RUN_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30
SERVE_START_S = 60
SERVE_STOP_S = 90
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")

# A shell without job control ignores it for what it starts with `&`, and all that we start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts_file = os.environ.get("PERDURA_COUNTS")
    if not counts_file:
        return

    def count(*kinds: str) -> int:
        return sum(len(terminalreporter.stats.get(kind, [])) for kind in kinds)

    passed, failed, skipped = count("passed"), count("failed", "error", "xpassed"), count("skipped", "xfailed")
    Path(counts_file).write_text(f"{passed} {failed} {skipped}\n")


def perdura_binary() -> Path:
    binary = Path(os.environ.get("PERDURA_BIN", BUILD / "release" / "perdura")).resolve()
    if not binary.exists():
        pytest.fail(f"{binary} is missing: run `make`, or set PERDURA_BIN")
    return binary


@dataclass
class Database:
    """A database of this test alone."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def connect(self) -> psycopg2.extensions.connection:
        return self.server.connect(self.name)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of one statement, committed."""
        return self._kept().query(statement, values or None)

    def _kept(self) -> KeptConnection:
        return self.server.kept_connection(self.name)

    def disconnect(self) -> None:
        """The next query has a connection that knows the database's settings as they are then."""
        self._kept().close()

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row."""
        return self.query(statement, *values)[0][0]

    def rows_written(self) -> dict[str, tuple[int, int, int]]:
        """Rows inserted, updated and deleted so far, of each of our tables and of their TOAST.

        A server process reports its numbers when it goes, so this waits until all others have gone.
        """
        self.disconnect()
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        wait_until(lambda: self.value(others, self.name) == 0, RUN_TIMEOUT_S, "the end of all connections")
        rows = self.query(
            "SELECT coalesce(o.relname || ' toast', s.relname), n_tup_ins, n_tup_upd, n_tup_del"
            " FROM pg_stat_all_tables s LEFT JOIN pg_class o ON o.reltoastrelid = s.relid"
            " WHERE s.relid >= 16384"  # what initdb made lies below
        )
        return {name: tuple(counts) for name, *counts in rows}


@dataclass
class Result:
    code: int  # negative: the signal that ended it
    stdout_bytes: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode(errors="surrogateescape")

    @property
    def json(self) -> Any:
        return json.loads(self.stdout_bytes)


def thread_names(pid: int) -> list[str]:
    names = []
    for comm in Path(f"/proc/{pid}/task").glob("*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            names.append(comm.read_text().strip())
    return names


def zone_of_noon() -> str:
    """The time zone (TZ) in which it is about noon: the daily cleaning, which is due at two o'clock, comes into no test
    but into those that set a clock of their own."""
    return f"<NOON>{time.gmtime().tm_hour - 12}"  # POSIX counts the hours to the west


@dataclass
class Perdura:
    """The real binary, with nothing in its environment but what stands in `env`."""

    binary: Path
    folder: Path  # the working directory; removed after the test
    database: Database | None  # None: DATABASE_URL names a server that is not there
    env: dict[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.media.mkdir(parents=True, exist_ok=True)
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "TZ": zone_of_noon(),
            "DATABASE_URL": self.database.url if self.database else f"postgresql:///none?host={self.folder}",
            "PERDURA_MEDIA_ROOT": str(self.media),
            **{name: os.environ[name] for name in SANITIZERS if name in os.environ},
            **self.env,
        }

    @property
    def media(self) -> Path:
        return self.folder / "media"

    def run(
        self,
        *args: str | Path,
        check: bool = True,
        input: bytes | str | None = None,
        env: dict[str, str] | None = None,
        timeout: float = RUN_TIMEOUT_S,
        **popen: Any,
    ) -> Result:
        """Runs it to its end. With `check`, any exit code but 0 fails the test and shows what it printed."""
        done = subprocess.run(
            dies_with_us([self.binary, *args]),
            input=(input.encode() if isinstance(input, str) else input) or b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**self.env, **(env or {})},
            timeout=timeout,
            **popen,
        )
        result = Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        if check and result.code != 0:
            command = " ".join(map(str, args))
            pytest.fail(f"perdura {command}: exit {result.code}\n{result.stdout}{result.stderr}", pytrace=False)
        return result

    def start(self, *args: str | Path, env: dict[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        """Starts it and leaves it running, in a process group of its own; ended with the test at the latest."""
        process = subprocess.Popen(
            dies_with_us([self.binary, *args]),
            **{"stdin": subprocess.DEVNULL, **popen},
            cwd=self.folder,
            env={**self.env, **(env or {})},
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end_started(self) -> None:
        for process in self._started:
            end_process(process, STOP_TIMEOUT_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()


class Served(HttpClient):
    """A `perdura serve` that runs, and a client of it."""

    # 0.1.0, which some tests run, has the address in the event.
    LISTENING = re.compile(r"listening (?:on |url=)http://(\[[^\]]+\]|[^\s:/\"]+):(\d+)")

    def __init__(self, perdura: Perdura, env: dict[str, str]) -> None:
        settings = {"PERDURA_PORT": "0", "PERDURA_BIND": "127.0.0.1", "PERDURA_API_TOKEN": TOKEN, **env}
        self.perdura = perdura
        self._log_file = tempfile.TemporaryFile()  # noqa: SIM115
        self._log_lines: list[str] = []
        self._log_rest = b""
        self._log_bytes = 0
        self._log_lock = threading.Lock()
        self.process = perdura.start("serve", env=settings, stderr=self._log_file)
        with suppress(TimeoutError):
            wait_until(lambda: self._listening() or self.process.poll() is not None, SERVE_START_S, "the service")
        found = self._listening()
        if not found:
            pytest.fail(f"perdura serve does not listen:\n{self.shown()}", pytrace=False)
        super().__init__(found[1].strip("[]"), int(found[2]))

    def _listening(self) -> re.Match[str] | None:
        return self.LISTENING.search(self.shown())

    @property
    def log(self) -> list[str]:
        """The lines so far. What it has logged before an answer is among them when the answer is here."""
        with self._log_lock:
            while data := os.pread(self._log_file.fileno(), 1 << 20, self._log_bytes):
                self._log_bytes += len(data)
                *lines, self._log_rest = (self._log_rest + data).split(b"\n")
                self._log_lines += [line.decode(errors="replace") + "\n" for line in lines]
            return [*self._log_lines, *([self._log_rest.decode(errors="replace")] if self._log_rest else [])]

    def shown(self) -> str:
        return "".join(self.log)

    def terminate(self) -> None:
        self.process.terminate()

    def wait(self, timeout: float = SERVE_STOP_S) -> int:
        """Its exit code. One that does not end in time fails the test."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"perdura serve does not end:\n{self.shown()}", pytrace=False)
        return code

    def stop(self) -> None:
        """A second call does nothing."""
        if self.process.poll() is None:
            self.terminate()
        code = self.wait()
        assert code == 0 or self.leaves_bad_files(code), f"perdura serve: exit {code}\n{self.shown()}"

    def leaves_bad_files(self, code: int) -> bool:
        """Whether all that was not persisted in the end are files that can't be stored: the test has left them there."""
        told = re.search(r'event="exiting with unpersisted files[^"]*" files=(\d+) failed=(\d+)', self.shown())
        return code == 75 and told is not None and told[1] == told[2]


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    parent = BUILD / "test"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)  # the server's user passes through
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Shared by all tests: whoever stops or freezes it puts it back."""
    parent = BUILD / "databases"  # in memory, if run-pytest could have it so
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    with Postgres(folder / "pg", fsync=False) as server:
        yield server
    folder.rmdir()


@pytest.fixture
def folder(session_folder: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=session_folder))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, session_folder: Path) -> str:
    """The name of a database with all migrations applied, to copy from."""
    name = "migrated"
    postgres.create_database(name)
    Perdura(perdura_binary(), session_folder / "template", Database(postgres, name)).run("migrate")
    return name


def fresh_database(server: Postgres, folder: Path, template: str) -> Iterator[Database]:
    name = f"{template}_{folder.name}"
    server.create_database(name, template)
    yield Database(server, name)
    server.sigcont()
    server.start()
    server.retire_database(name)


@pytest.fixture
def empty_database(postgres: Postgres, folder: Path) -> Iterator[Database]:
    """Without any table: for the tests of `migrate`."""
    yield from fresh_database(postgres, folder, "template1")


@pytest.fixture
def database(postgres: Postgres, folder: Path, migrated_template: str) -> Iterator[Database]:
    """Migrated, no rows."""
    yield from fresh_database(postgres, folder, migrated_template)


@pytest.fixture
def offline(folder: Path) -> Iterator[Perdura]:
    """As `perdura`, without a server: for what needs none, and for what must not do without."""
    program = Perdura(perdura_binary(), folder, None)
    yield program
    program.end_started()


@pytest.fixture
def perdura(database: Database, folder: Path) -> Iterator[Perdura]:
    program = Perdura(perdura_binary(), folder, database)
    yield program
    program.end_started()


@pytest.fixture
def unmigrated(empty_database: Database, folder: Path) -> Iterator[Perdura]:
    """As `perdura`, on an empty database."""
    program = Perdura(perdura_binary(), folder, empty_database)
    yield program
    program.end_started()


@pytest.fixture
def serve(perdura: Perdura) -> Iterator[Callable[..., Served]]:
    """serve(NAME=value, ...) starts the HTTP service with these settings, on a free port and with the token TOKEN. Each
    is told to end after the test, and has to do so with exit code 0."""
    running: list[Served] = []

    def start(**env: str) -> Served:
        running.append(Served(perdura, env))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.terminate()
    for server in running:
        server.stop()


def at_rest(served: Served) -> Served:
    """Once what it does at its start is over: it puts back no file that a test removes, and corrects nothing that a test
    sets."""
    wait_until(lambda: 'event="files restored"' in served.shown(), RUN_TIMEOUT_S, "the end of the restore")
    wait_until(lambda: "prepare" not in thread_names(served.process.pid), RUN_TIMEOUT_S, "the end of the start")
    return served


@pytest.fixture
def http(serve: Callable[..., Served]) -> Served:
    """The HTTP service with default settings, at_rest."""
    return at_rest(serve())
