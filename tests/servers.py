"""Private servers for tests and benches: each lives in a folder of its own and dies with whoever started it.

Nothing here listens on TCP unless asked to, and nothing outlives us: a server is ended by the pid that we started, at
close(), at exit, and by the kernel (PR_SET_PDEATHSIG) when we are killed. The kernel means the *thread* that started
it, so start servers from one that lives as long as they shall: the main thread.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from redis_client import RedisClient, RedisError

RETIRED_MAX = 20  # databases, of 8 MB each
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
PATIENT_QUESTIONS = 40
SOCKET_PATH_MAX_BYTES = 100  # sun_path holds 108, PostgreSQL's lock file wants a few more
SETPRIV = shutil.which("setpriv") or "/usr/bin/setpriv"  # where a test's PATH may not lead


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Asks `condition` until its answer is true and returns that; TimeoutError names `what` we waited for. Asking
    takes at most half of the time: the other half is left to what we wait for."""
    deadline = time.monotonic() + timeout_s
    while True:
        asked = time.monotonic()
        answer = condition()
        if answer:
            return answer
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(max(0.01, now - asked))


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """This child of ours stands still for as long as the block lasts, and sees what happens there at one moment."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # until all of its threads do
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def within(condition: Callable[[], Any], limit_s: float, what: str) -> Any:
    """As wait_until, for what is promised within limit_s. Where a machine is busy with others each question takes
    longer, and so may that: it has the time that PATIENT_QUESTIONS a second take."""
    deadline = time.monotonic() + limit_s
    questions = 0
    while True:
        answer = condition()
        questions += 1
        if answer:
            return answer
        if time.monotonic() >= deadline and questions >= PATIENT_QUESTIONS * limit_s:
            raise TimeoutError(f"{what}: not within {limit_s} s, asked {questions} times")
        time.sleep(0.01)


def end_process(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """SIGTERM; and when it takes longer, SIGKILL for its whole group, which it leads. One that has ended is left alone."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def dies_with_us(argv: Sequence[str | Path], signum: int = signal.SIGKILL) -> list[str | Path]:
    """The command, with a prefix: the kernel sends it `signum` when the thread that starts it ends.

    Not by a preexec_fn, for which subprocess would copy all page tables of ours, and we would copy each page that we
    write to after that (fork(2) instead of vfork(2)): up to 0.1 s of processor time for a program that ends at once.
    """
    return [SETPRIV, "--pdeathsig", signal.Signals(signum).name.removeprefix("SIG"), *argv]


class User:
    """Whom a server runs as: ourselves, or someone unprivileged when we are root (PostgreSQL refuses root)."""

    def __init__(self) -> None:
        self.entry: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            self.entry = names.get("postgres") or names["nobody"]

    def popen_args(self) -> dict[str, Any]:
        if not self.entry:
            return {}
        return {"user": self.entry.pw_uid, "group": self.entry.pw_gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        if self.entry:
            os.chown(folder, self.entry.pw_uid, self.entry.pw_gid)

    def reaches(self, folder: Path) -> bool:
        """Whether this user can get at `folder`: not so when a folder above is closed to others, as /root is."""
        return subprocess.run(["test", "-w", folder, "-a", "-x", folder], cwd="/", **self.popen_args()).returncode == 0


    def passes(self, folder: Path) -> bool:
        return subprocess.run(["test", "-x", folder], cwd="/", **self.popen_args()).returncode == 0


class KeptConnection:
    """For one statement after the other, each committed: a new connection is a new process of the server's, and tests
    ask often. One that was cut meanwhile is replaced."""

    def __init__(self, connect: Callable[[], psycopg2.extensions.connection]) -> None:
        self._connect = connect
        self._connection: psycopg2.extensions.connection | None = None

    def query(self, statement: str | sql.Composable, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows."""
        if self._connection and not self._connection.closed:
            try:
                return self._execute(self._connection, statement, values)
            except psycopg2.Error as error:
                if error.pgcode and not error.pgcode.startswith("57P"):  # the server lives, and didn't end it
                    raise
        self._connection = self._connect()
        return self._execute(self._connection, statement, values)

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    @staticmethod
    def _execute(
        connection: psycopg2.extensions.connection, statement: str | sql.Composable, values: Sequence[Any] | None
    ) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


class Postgres:
    """One private PostgreSQL on a unix socket, superuser `postgres`, no password.

        with Postgres(folder) as server:
            url = server.create_database("shop")

    start() and stop() may follow each other at will, urls stay valid; close() ends it and removes all its files.
    """

    TEST_SETTINGS = {"shared_buffers": "32MB", "max_connections": "100", "max_wal_size": "128MB"}
    BENCH_SETTINGS = {
        "shared_buffers": "256MB",
        "max_connections": "100",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
    }
    SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool = True,
        settings: dict[str, str] | None = None,
        listen: str = "",
        port: int = 5432,
    ) -> None:
        """`settings` come on top of TEST_SETTINGS; `listen` is listen_addresses, empty for no TCP at all."""
        self.port = port
        self._user = User()
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._freezer: subprocess.Popen[bytes] | None = None
        self._temporary: list[Path] = []
        self._retired: list[str] = []
        self._kept = threading.local()
        self._bin = self._find_binaries()
        self.folder = self._make_folder(folder)
        self.socket_folder = self._make_socket_folder()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self._settings = {
            "listen_addresses": listen,
            "port": str(port),
            "unix_socket_directories": str(self.socket_folder),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            **self.TEST_SETTINGS,
            **(settings or {}),
        }
        atexit.register(self.close)

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Life

    @property
    def pid(self) -> int:
        """The postmaster's."""
        if not self._process:
            raise RuntimeError("this PostgreSQL is not running")
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when it accepts connections. The first start makes the cluster."""
        if self.running():
            return
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        # PDEATHSIG of the postmaster: an immediate shutdown, for it takes its children with it; SIGKILL would not.
        self._process = self._spawn([self._bin / "postgres", "-D", self.data, *options], signal.SIGQUIT)
        try:
            wait_until(self._accepts, START_TIMEOUT_S, "PostgreSQL's start")
        except Exception:
            self.stop("immediate")
            raise

    def stop(self, mode: str = "fast") -> None:
        """`smart`, `fast` or `immediate`, as pg_ctl has them. The cluster stays and can be started again."""
        self.sigcont()
        if not self._process:
            return
        if self._process.poll() is None:
            self._process.send_signal(self.SIGNALS[mode])
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                for pid in [self.pid, *self._children()]:
                    os.kill(pid, signal.SIGKILL)
                self._process.wait()
        self._process = None

    def kill_immediate(self) -> None:
        """A crash: no checkpoint, connections cut. The next start recovers from the WAL."""
        self.stop("immediate")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Ends the server and removes everything that it wrote. May be called again."""
        if os.getpid() != self._owner_pid:  # a fork of ours that exits
            return
        atexit.unregister(self.close)
        self.stop("immediate")
        for folder in [self.folder, *self._temporary]:
            shutil.rmtree(folder, ignore_errors=True)

    def sigstop(self) -> None:
        """Freezes the postmaster and all its children: connections stay open, nobody answers."""
        if self._freezer:
            return
        postmaster = self.pid
        os.kill(postmaster, signal.SIGSTOP)  # first, so that no child comes while we count them
        frozen = [postmaster, *self._children()]
        for pid in frozen[1:]:
            os.kill(pid, signal.SIGSTOP)
        # A stopped process obeys no death signal. The pipe's end wakes them all, be it ours in sigcont() or the
        # kernel's when we are killed.
        script = 'read -r _; kill -CONT "$@" 2>/dev/null; exit 0'
        argv = ["/bin/sh", "-c", script, "sh", *map(str, frozen)]
        self._freezer = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)

    def sigcont(self) -> None:
        if self._freezer:
            self._freezer.communicate()
            self._freezer = None

    # Databases

    def url(self, dbname: str = "postgres") -> str:
        return f"postgresql://postgres@/{quote(dbname)}?host={quote(str(self.socket_folder))}&port={self.port}"

    def connect(self, dbname: str = "postgres", autocommit: bool = True) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(self.url(dbname), connect_timeout=10)
        connection.autocommit = autocommit
        return connection

    def execute(self, statement: str | sql.Composable, dbname: str = "postgres") -> None:
        """One statement outside a transaction."""
        self.kept_connection(dbname).query(statement)

    def reload(self) -> None:
        """Reads the configuration again. On return it counts for every session's next statement: the server has told
        them all before it accepts another connection."""
        before = self._configured()
        self.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self._configured() > before, 60, "the configuration")

    def _configured(self) -> datetime:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_conf_load_time()")
            return cursor.fetchone()[0]

    def kept_connection(self, dbname: str) -> KeptConnection:
        """This thread's."""
        kept: dict[str, KeptConnection] = self._kept.__dict__
        return kept.setdefault(dbname, KeptConnection(lambda: self.connect(dbname)))

    def create_database(self, name: str, template: str = "template1") -> str:
        """Returns the new database's url. Nobody may be connected to the template."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        if int((self.data / "PG_VERSION").read_text()) >= 15:  # all before copy files, and know no strategy
            statement += sql.SQL(" STRATEGY file_copy")  # each page by the WAL takes five times the processor time
        self.execute(statement)
        return self.url(name)

    def retire_database(self, name: str) -> None:
        """Cuts whoever is connected. It is dropped later, with others: files are slow to create where some were just
        deleted (ext4 without a journal looks at each of these)."""
        self.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        self.execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(sql.Literal(name))
        )
        self._kept.__dict__.pop(name, None)
        self._retired.append(name)
        if len(self._retired) == RETIRED_MAX:
            for each in self._retired:
                self.drop_database(each)
            self._retired = []

    def drop_database(self, name: str) -> None:
        """Cuts whoever is connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    # Inside

    @staticmethod
    def _find_binaries() -> Path:
        versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
        if versions:
            return max(versions, key=lambda path: float(path.parent.name))
        found = shutil.which("postgres")
        if not found:
            raise RuntimeError("no PostgreSQL server found: install the package `postgresql`")
        return Path(found).resolve().parent

    def _make_folder(self, folder: Path) -> Path:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._user.own(folder)
        if self._user.reaches(folder):
            return folder
        self._temporary.append(folder)  # made by us, stays empty
        return self._make_temporary()

    def _make_socket_folder(self) -> Path:
        if len(os.fsencode(self.folder / f".s.PGSQL.{self.port}")) <= SOCKET_PATH_MAX_BYTES:
            return self.folder
        folder = self._make_temporary()
        self._temporary.append(folder)
        return folder

    def _make_temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._user.own(folder)
        folder.chmod(0o755)
        return folder

    def _spawn(self, argv: Sequence[str | Path], death_signal: int) -> subprocess.Popen[bytes]:
        log: IO[bytes]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                dies_with_us(argv, death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
                **self._user.popen_args(),
            )

    def _initdb(self) -> None:
        argv = [self._bin / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        process = self._spawn([*argv, "-A", "trust", "--no-sync", "--no-instructions"], signal.SIGTERM)
        if process.wait(START_TIMEOUT_S) != 0:
            raise RuntimeError(f"initdb failed:\n{self._log_tail()}")

    def _accepts(self) -> bool:
        if not self.running():
            raise RuntimeError(f"PostgreSQL did not start:\n{self._log_tail()}")
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def _children(self) -> list[int]:
        """Every backend leads a session of its own, so a process group would not find them."""
        children = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self.pid:
                children.append(int(stat.parent.name))
        return children


class Redis:
    """One private Redis on a port of 127.0.0.1 that nothing else has.

        with Redis(folder) as redis:
            env = {"REDIS_URL": redis.url()}
            redis("SET", "a", "b")

    start(), stop() and kill() may follow each other at will, the port stays; close() ends it and removes its files.
    """

    def __init__(
        self, folder: Path, *, password: str = "", tls: bool = False, sentinel: str = "", **settings: str
    ) -> None:
        """`sentinel`: lines of its configuration; it is a Sentinel then. `settings`: maxmemory_policy="noeviction"."""
        self.folder = folder
        self.password = password
        self.port = free_port()
        self.tls = tls
        self._sentinel = sentinel
        self._settings = {name.replace("_", "-"): value for name, value in settings.items()}
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "redis.crt"
        if tls:
            self._make_certificate()
        atexit.register(self.close)

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: int = 0, password: str | None = None) -> str:
        secret = self.password if password is None else password
        user = f":{quote(secret, safe='')}@" if secret else ""
        return f"{'rediss' if self.tls else 'redis'}://{user}127.0.0.1:{self.port}/{database}"

    def client(self) -> RedisClient:
        return RedisClient(self.port, self.password, self._trust() if self.tls else None)

    def __call__(self, *command: str | bytes | int) -> Any:
        """One command on a connection of its own."""
        with self.client() as client:
            return client(*command)

    # Life

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.running():
            return
        config = self.folder / "redis.conf"
        lines = [f"{'tls-port' if self.tls else 'port'} {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        if self._sentinel:
            lines += self._sentinel.splitlines()
        else:
            lines += ['save ""', "appendonly no", *(f"{name} {value}" for name, value in self._settings.items())]
        if self.tls:
            lines += ["port 0", "tls-auth-clients no", f"tls-cert-file {self.certificate}"]
            lines += [f"tls-key-file {self.folder}/redis.key", f"tls-ca-cert-file {self.certificate}"]
        if self.password:
            lines.append(f'requirepass "{self.password}"')
        config.write_text("\n".join(lines) + "\n")
        with open(self.folder / "redis.log", "ab") as log:
            self._process = subprocess.Popen(
                dies_with_us([self._binary(), config, *(["--sentinel"] if self._sentinel else [])]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, START_TIMEOUT_S, "Redis' start")

    def kill(self) -> None:
        """No goodbye: nothing is written to disk."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """As SHUTDOWN does: with `save` it leaves a dump.rdb, which the next start reads."""
        if self._process:
            self.sigcont()
            self._process.terminate()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def sigstop(self) -> None:
        """Connections stay open, nobody answers. A stopped process obeys no death signal but SIGKILL, which is ours."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if os.getpid() != self._owner_pid:
            return
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Inside

    @staticmethod
    def _binary() -> str:
        found = shutil.which("redis-server")
        if not found:
            raise RuntimeError("no Redis server found: install the package `redis-server`")
        return found

    def _answers(self) -> bool:
        if not self.running():
            raise RuntimeError(f"Redis did not start:\n{(self.folder / 'redis.log').read_text(errors='replace')}")
        try:
            return bool(self("PING") == "PONG")
        except (OSError, RedisError):
            return False

    def _make_certificate(self) -> None:
        """Its own authority, for 127.0.0.1."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-keyout", self.folder / "redis.key", "-out", self.certificate, "-days", "2", "-subj", "/CN=redis"]
            + ["-addext", "subjectAltName=IP:127.0.0.1"],
            check=True,
            capture_output=True,
        )

    def fingerprint(self) -> str:
        """As `openssl x509 -fingerprint -sha256` shows it."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest())

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, for a program that can't be told to take any. It lies below those
    that the kernel gives to whoever asks for any: nobody's connection takes it before the program does."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10000, first // 2), first)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
