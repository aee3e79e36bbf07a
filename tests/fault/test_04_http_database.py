"""The HTTP service while PostgreSQL hangs, is gone, or is cut off; thousands of clients for one image; the end of it.

COLD_CLIENTS says how many ask for a missing image (1,000; the long form is 10,000), a thousand of them at a time.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import images
import pytest
from conftest import SANITIZERS, Database, Perdura, Served, at_rest
from http_client import TOKEN, Answer, parse_head, read_answer, url_of
from network import Network
from servers import Postgres, free_port, wait_until

COLD_CLIENTS = int(os.environ.get("COLD_CLIENTS", "1000"))
AT_ONCE = 1000
SANITIZED = any(name in os.environ for name in SANITIZERS)
MARGIN_S = 5.0 if SANITIZED else 1.0  # a machine may be busy
BUSY = 3
READ_LIMIT_S = 2
WRITE_LIMIT_S = 5
RECOVERY_S = 60
CUT_EACH_S = 0.02
POOL = 4
KiB = 1 << 10
MiB = 1 << 20


# Servers: they log each statement, so that statements can be counted


def logging_server(folder: Path, **options: str | int) -> Postgres:
    settings = {"log_statement": "all", "log_parameter_max_length": "200"}
    return Postgres(folder, fsync=False, settings=settings, **options)


@pytest.fixture(scope="module")
def server(session_folder: Path) -> Iterator[Postgres]:
    with logging_server(session_folder / "logging", listen="127.0.0.1", port=free_port()) as server:
        yield server


@pytest.fixture
def database(server: Postgres, folder: Path) -> Iterator[Database]:
    """Instead of the session's: the service makes its tables itself."""
    server.create_database(folder.name)
    yield Database(server, folder.name)
    server.sigcont()
    server.start()
    server.drop_database(folder.name)


def tcp_url(database: Database, host: str) -> str:
    return f"postgresql://postgres@{host}:{database.server.port}/{database.name}"


def asked_about(server: Postgres, since: int, path: str) -> int:
    """How many queries named this image's key, from this position of the log on."""
    with open(server.log, "rb") as log:
        log.seek(since)
        # "parameters" until PostgreSQL 15, "Parameters" from 16 on.
        return log.read().decode(errors="replace").count(f"arameters: $1 = 'media', $2 = '{path}'")


# Images


def store(http: Served, prefix: str, count: int, size: int = 0) -> dict[str, bytes]:
    """Images that are stored and on disk."""

    def put(i: int) -> tuple[str, bytes]:
        data = images.sized("png", size, (prefix, i)) if size else images.make("png", (prefix, i))
        wait_until(lambda: http.put(url_of(f"{prefix}{i}.png"), data).status in (200, 201), RECOVERY_S, "an upload")
        return f"{prefix}{i}.png", data

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(put, range(count)))


def chill(http: Served, stored: dict[str, bytes]) -> dict[str, bytes]:
    """Takes their files away, once nothing is being done about them."""
    at_rest(http)
    assert http.post("/image-cache/flush").status == 200
    for path in stored:
        (http.perdura.media / path).unlink()
    return stored


def all_served(http: Served, stored: dict[str, bytes]) -> bool:
    return all((answer := http.get(url_of(path))).status == 200 and answer.body == data for path, data in stored.items())


# Outages


class Outage(NamedTuple):
    url: str
    begin: Callable[[], None]
    end: Callable[[], None]


@pytest.fixture
def cut_off(session_folder: Path, folder: Path) -> Iterator[tuple[Network, Database]]:
    missing = Network.missing()
    if missing:
        pytest.skip(missing)
    with Network() as network:
        server = logging_server(folder / "far", listen=network.address)
        with closing(server):
            with network.inside():
                server.start()
            trust = server.data / "pg_hba.conf"
            trust.write_text(trust.read_text() + "host all all 198.18.0.0/15 trust\n")
            server.reload()
            server.create_database("far")
            yield network, Database(server, "far")


@pytest.fixture(params=["frozen", "stopped", "refused", "cut off"])
def outage(request: pytest.FixtureRequest, perdura: Perdura) -> Outage:
    server, url = perdura.database.server, perdura.database.url
    if request.param == "cut off":
        network, perdura.database = request.getfixturevalue("cut_off")
        return Outage(tcp_url(perdura.database, network.address), network.cut, network.mend)
    if request.param == "frozen":
        return Outage(url, server.sigstop, server.sigcont)
    # On a unix socket nobody is there at all; on TCP the kernel says so.
    return Outage(url if request.param == "stopped" else tcp_url(perdura.database, "127.0.0.1"), server.stop, server.start)


def threads(http: Served) -> int:
    status = Path(f"/proc/{http.process.pid}/status").read_text()
    return int(re.search(r"^Threads:\s+(\d+)$", status, re.M)[1])


def connections(http: Served) -> Counter[str]:
    """How many connections the service has, by state."""
    rows = http.perdura.database.query(
        "SELECT state FROM pg_stat_activity WHERE application_name = 'perdura' AND datname = current_database()"
    )
    return Counter(state for state, in rows)


def rests(there: Counter[str]) -> bool:
    return there["idle"] == there.total() <= POOL


def unavailable(answer: Answer, limit_s: float) -> None:
    answer.problem(503)
    assert int(answer["Retry-After"]) > 0
    assert answer.seconds < limit_s + MARGIN_S, f"{answer.seconds:.2f} s: {answer}"


def test_an_outage(serve: Callable[..., Served], outage: Outage) -> None:
    http = serve(DATABASE_URL=outage.url, PERDURA_DB_POOL=str(POOL))
    wait_until(lambda: http.get("/ready").status == 200, RECOVERY_S, "the tables")
    on_disk = store(http, "here", 60)
    missing = chill(http, store(http, "gone", 30))
    entity = images.make("png", "entity")
    assert http.put("/api/images/artist/1/cover", entity).status == 201
    at_rest(http)
    wait_until(lambda: rests(connections(http)), RECOVERY_S, "quiet")
    quiet = threads(http)

    outage.begin()
    with ThreadPoolExecutor(80) as crowd:
        for _ in range(2):  # when nobody knows it yet, and when somebody does
            reads = [crowd.submit(http.get, url_of(path)) for path in missing]
            reads += [crowd.submit(http.request, "GET", path) for path in DATABASE_ROUTES * 6]
            writes = [crowd.submit(http.put, url_of(f"new{i}.png"), images.make("png", i)) for i in range(12)]
            writes += [crowd.submit(http.put, url_of(path), data) for path, data in list(on_disk.items())[:6]]
            writes += [crowd.submit(http.request, "DELETE", url_of(path)) for path in list(on_disk)[:12]]
            busy_s = all_of_the_disk(http, on_disk, (*reads, *writes))
            for answer in reads:
                unavailable(answer.result(), READ_LIMIT_S + busy_s)
            for answer in writes:
                unavailable(answer.result(), WRITE_LIMIT_S + busy_s)
        ready = http.get("/ready")
        assert ready.status == 503 and not ready.json["ready"] and ready.json["database"]["state"] == "unreachable"
        assert ready["Retry-After"] and ready.seconds < READ_LIMIT_S + MARGIN_S + busy_s
    written = images.make("png", "meanwhile")
    (http.perdura.media / "meanwhile.png").write_bytes(written)
    assert http.get("/media/meanwhile.png").body == written
    outage.end()

    def put() -> Answer | None:
        answer = http.put("/media/after.png", images.make("png", "after"))
        return answer if answer.status != 503 else None

    assert wait_until(put, RECOVERY_S, "an upload").status in (200, 201)
    wait_until(lambda: all_served(http, missing), RECOVERY_S, "the images that were missing")
    for path in DATABASE_ROUTES:
        assert http.get(path).status == 200
    assert http.put("/media/more.png", images.make("png", "more")).status == 201
    row = "SELECT count(*) FROM image_cache WHERE original_path = 'meanwhile.png' AND deleted_at IS NULL"
    wait_until(lambda: http.perdura.database.value(row) == 1, RECOVERY_S, "the file of meanwhile")
    wait_until(lambda: threads(http) == quiet, RECOVERY_S, "the end of threads that came meanwhile")
    wait_until(lambda: rests(connections(http)), RECOVERY_S, "the end of connections that were given up")
    http.stop()


DATABASE_ROUTES = ["/image-cache/status", "/image-cache/images", "/api/images/artist/1/cover", "/image-cache/images/1"]


def all_of_the_disk(http: Served, on_disk: dict[str, bytes], meanwhile: tuple[Future[Answer], ...]) -> float:
    """While others wait, and at least once: what is on disk is served, and the service is alive. How much longer than
    promised something may take on a machine that is so busy: some times what asks nobody took at most."""
    took: list[float] = []
    while True:
        waiting = not all(answer.done() for answer in meanwhile)
        for path, data in on_disk.items():
            answer = http.get(url_of(path))
            assert answer.status == 200 and answer.body == data
            assert http.head(url_of(path)).status == 200
            took.append(answer.seconds)
        health = http.get("/health")
        assert health.status == 200
        took.append(health.seconds)
        if not waiting:
            assert sorted(took)[len(took) // 2] < MARGIN_S
            return BUSY * max(took)


def test_connections_are_cut_in_the_middle_of_misses(serve: Callable[..., Served]) -> None:
    http = serve()
    missing = chill(http, store(http, "m", 400, 20 * KiB))
    cut = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s" \
          " AND application_name = 'perdura'"
    cuts = 0
    with ThreadPoolExecutor(16) as crowd, closing(http.perdura.database.server.connect()) as observer:
        reads = {path: crowd.submit(http.get, url_of(path)) for path in missing}
        cursor = observer.cursor()
        while wait(reads.values(), CUT_EACH_S).not_done:
            cursor.execute(cut, (http.perdura.database.name,))
            cuts += cursor.fetchone()[0]
        for path, future in reads.items():
            answer = future.result()
            if answer.status == 200:
                assert answer.body == missing[path]
            else:
                unavailable(answer, READ_LIMIT_S)
    assert cuts
    wait_until(lambda: all_served(http, missing), RECOVERY_S, "all images")


# Crowds


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Client:
    """One connection of many, and what came over it."""

    def __init__(self, http: Served, path: str) -> None:
        self.request = f"GET {url_of(path)} HTTP/1.1\r\nHost: {http.host}\r\nConnection: close\r\n\r\n".encode()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex((http.host, http.port))
        self.answer = bytearray()

    def split(self) -> tuple[int, bytes]:
        head, _, body = bytes(self.answer).partition(b"\r\n\r\n")
        return parse_head(head + b"\r\n\r\n")[0], body


def ask_all(http: Served, paths: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """Asks for all of them at the same time."""
    clients = {Client(http, path): path for path in paths}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        while selector.get_map():
            events = selector.select(RECOVERY_S)
            assert events, f"{len(selector.get_map())} of {len(paths)} got no answer"
            for key, event in events:
                client = key.data
                if event & selectors.EVENT_WRITE:
                    client.socket.sendall(client.request)
                    selector.modify(client.socket, selectors.EVENT_READ, client)
                elif part := client.socket.recv(256 * KiB):
                    client.answer += part
                else:
                    selector.unregister(client.socket)
                    client.socket.close()
    unanswered = sum(not client.answer for client in clients)
    assert not unanswered, f"{unanswered} of {len(paths)} were closed without an answer\n{http.shown()[-8000:]}"
    for client, path in clients.items():
        yield path, *client.split()


def test_many_clients_of_one_missing_image_cost_one_query(serve: Callable[..., Served], many_descriptors: None) -> None:
    http = serve(LOG_LEVEL="debug")
    server = http.perdura.database.server
    rounds = max(1, COLD_CLIENTS // AT_ONCE)
    at_once = min(AT_ONCE, COLD_CLIENTS)
    stored = chill(http, store(http, "cold", rounds, 50 * KiB))
    for path, data in stored.items():
        since = server.log.stat().st_size
        for _, status, body in ask_all(http, [path] * at_once):
            assert status == 200 and body == data
        assert asked_about(server, since, path) == 1
    for i in range(rounds):
        since = server.log.stat().st_size
        assert {status for _, status, _ in ask_all(http, [f"nowhere{i}.png"] * at_once)} == {404}
        assert asked_about(server, since, f"nowhere{i}.png") == 1


@pytest.mark.skipif(SANITIZED, reason="a sanitizer takes memory of its own")
def test_resident_memory(serve: Callable[..., Served], many_descriptors: None) -> None:
    """Images of 1 MB from the database, over 256 connections."""
    http = serve()
    stored = chill(http, store(http, "large", 64 if COLD_CLIENTS <= 1000 else 512, 1000 * KiB))
    wanted = [path for path in stored for _ in range(4)]
    for at in range(0, len(wanted), 256):
        for path, status, body in ask_all(http, wanted[at : at + 256]):
            assert status == 200 and body == stored[path]
    status = Path(f"/proc/{http.process.pid}/status").read_text()
    peak_kib = int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1])
    print(f"\n    {len(wanted)} answers of 1 MB: {peak_kib / 1024:.0f} MiB resident at most", flush=True)
    assert peak_kib * KiB < 128 * 1000 * 1000


# The end


@contextmanager
def ended_by_us(perdura: Perdura, **env: str) -> Iterator[Served]:
    """One whose exit code is the test's matter."""
    http = Served(perdura, {"PERDURA_API_TOKEN": TOKEN, **env})
    yield http
    if http.process.poll() is None:
        http.process.send_signal(signal.SIGKILL)
        http.process.wait()


def is_refused(http: Served) -> bool:
    try:
        http.socket().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was taken just before the end
    return False


def test_downloads_under_way_come_to_their_end(perdura: Perdura) -> None:
    with ended_by_us(perdura) as http:
        stored = store(http, "large", 8, 5 * MiB)
        downloads = {path: http.socket() for path in stored}
        for path, sock in downloads.items():
            sock.sendall(f"GET {url_of(path)} HTTP/1.1\r\nHost: {http.host}\r\n\r\n".encode())
            assert sock.recv(1, socket.MSG_PEEK)
        http.terminate()
        wait_until(lambda: is_refused(http), RECOVERY_S, "the end of listening")
        assert http.process.poll() is None
        for path, sock in downloads.items():
            with closing(sock):
                assert read_answer(sock).body == stored[path]
        assert http.wait() == 0, http.shown()


def test_it_ends_in_time_while_the_database_hangs(perdura: Perdura) -> None:
    timeout_s = 4
    with ended_by_us(perdura, PERDURA_SHUTDOWN_TIMEOUT=str(timeout_s)) as http:
        on_disk = store(http, "here", 10)
        missing = chill(http, store(http, "gone", 200))
        perdura.database.server.sigstop()
        assert http.post("/image-cache/cleanup?async=1", {"days": 90}).status == 202
        with ThreadPoolExecutor(300) as crowd:
            asked = [crowd.submit(http.get, url_of(path)) for path in missing]
            asked += [crowd.submit(http.put, url_of(f"new{i}.png"), images.make("png", i)) for i in range(20)]
            asked += [crowd.submit(http.request, "DELETE", url_of(path)) for path in on_disk]
            asked += [crowd.submit(http.post, f"/image-cache/{job}") for job in ("cache-all", "restore", "flush")]
            asked += [crowd.submit(http.get, path) for path in DATABASE_ROUTES * 10]
            wait_until(lambda: http.get("/ready").status == 503, RECOVERY_S, "somebody who waited in vain")
            busy_s = BUSY * max(http.get("/health").seconds for _ in range(10))
            began = time.monotonic()
            http.terminate()
            code = http.wait()
            took_s = time.monotonic() - began
            perdura.database.server.sigcont()
            for answer in asked:
                try:
                    assert answer.result().status == 503
                except (ConnectionError, OSError):
                    pass  # it was cut off at the end
        assert took_s < timeout_s + MARGIN_S + busy_s, http.shown()
        assert code in (0, 75), f"{code}: {http.shown()}"
