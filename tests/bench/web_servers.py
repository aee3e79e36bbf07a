"""What the benches of the HTTP service run side by side: ours, nginx, Varnish and Redis, and their clients.

Each server is private: a folder of its own beneath build/bench, a free port of 127.0.0.1, our own user. It is ended by
the pid that we started, whatever ends us.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import images  # noqa: E402
from http_client import Answer, HttpClient  # noqa: E402
from servers import Postgres, dies_with_us, free_port, wait_until  # noqa: E402

BUILD = TESTS.parent / "build"
TOOLS = BUILD / "bench"
PERDURA = Path(os.environ.get("PERDURA_BIN", BUILD / "release" / "perdura")).resolve()
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"  # where servers are
LONG = bool(os.environ.get("BENCH_LONG"))
START_S = 60
STOP_S = 90
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FILES_A_FOLDER = 1000


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def verdict(kept: bool) -> str:
    return "ok" if kept else "**MISS**"


def spread(values: list[float], digits: int = 2) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def in_turns(sides: list[Callable[[], Any]], rounds: int) -> list[list[Any]]:
    """Each side once a round, the first one changing; what they returned, in the order of the sides."""
    results: list[list[Any]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides)):
            side = (number + place) % len(sides)
            results[side].append(sides[side]())
    return results


@contextmanager
def workplace(part: str) -> Iterator[tuple[Path, Postgres]]:
    """A folder and a PostgreSQL, both gone at the end, also after Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    TOOLS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{part}-", dir=TOOLS))
    folder.chmod(0o755)  # PostgreSQL's user passes through
    try:
        with Postgres(folder / "pg", settings=Postgres.BENCH_SETTINGS) as server:
            yield folder, server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(part: str, text: str) -> None:
    (TOOLS / f"{part}.md").write_text(text)
    print(text, end="")


# Images


def name_of(number: int) -> str:
    """The same as in wrk's script below."""
    return f"{number // FILES_A_FOLDER:04}/{number:07}.jpg"


def make_files(media: Path, count: int, nbytes: int) -> None:
    say(f"making {count:,} images of {nbytes:,} bytes")
    image = bytearray(images.sized("jpeg", nbytes, 1))
    for number in range(count):
        path = media / name_of(number)
        if number % FILES_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        image[-12:-4] = number.to_bytes(8, "big")
        path.write_bytes(image)


# Servers


def process_tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


class Server:
    """A program that listens on `port`, with all the processes that it starts."""

    ENDS_WITH_US = signal.SIGTERM  # what the kernel sends when we are killed: one that has children ends them, too

    def __init__(self, folder: Path, argv: list[Any], port: int, env: dict[str, str] | None = None) -> None:
        self.port = port
        self.log = folder / "log"
        self.name = argv[0]
        program = shutil.which(self.name, path=PATH)
        if not program:
            sys.exit(f"{self.name} is missing: src/tools/install-deps bench installs it")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                dies_with_us([program, *map(str, argv[1:])], self.ENDS_WITH_US),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"PATH": PATH, "LC_ALL": "C.UTF-8", **(env or {})},
                start_new_session=True,
            )
        atexit.register(self.close)
        wait_until(self._listens, START_S, f"{self.name}'s start")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        atexit.unregister(self.close)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                for pid in process_tree(self.process.pid):
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            sys.exit(f"{self.name} does not start:\n{self.log.read_text(errors='replace')}")
        if self.port:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        return False

    def cpu_s(self) -> float:
        """User and system time of all its processes and their threads, from the start on."""
        ticks = 0
        for pid in process_tree(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_S

    def get(self, path: str) -> Answer:
        answer = HttpClient("127.0.0.1", self.port, token=None).get(path)
        if answer.status != 200:
            sys.exit(f"{self.name}: GET {path}: {answer.status}")
        return answer

    def says(self, path: str) -> str:
        """Where it says that its answer comes from; empty: it does not say."""
        return ""


class Nginx(Server):
    def __init__(self, folder: Path, root: Path) -> None:
        folder.mkdir()
        port = free_port()
        files = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
        (folder / "nginx.conf").write_text(f"""
            {"user root root;" if os.geteuid() == 0 else ""}
            worker_processes 2; daemon off; pid {folder}/pid; error_log stderr;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; {temporary}
                open_file_cache max={files} inactive=1h; open_file_cache_valid 1h;
                keepalive_requests 1000000000; keepalive_timeout 1h;
                types {{ image/jpeg jpg; }}
                server {{ listen 127.0.0.1:{port}; root {root}; }}
            }}""")
        super().__init__(folder, ["nginx", "-p", folder, "-c", folder / "nginx.conf"], port)


class Varnish(Server):
    def __init__(self, folder: Path, backend: Server) -> None:
        folder.mkdir()
        port = free_port()
        (folder / "vcl").write_text(f"""vcl 4.1;
            backend default {{ .host = "127.0.0.1"; .port = "{backend.port}"; }}
            sub vcl_backend_response {{ set beresp.ttl = 1d; }}""")
        argv = ["varnishd", "-j", "none"] if os.geteuid() == 0 else ["varnishd"]
        argv += ["-F", "-n", folder / "n", "-a", f"127.0.0.1:{port}", "-f", folder / "vcl", "-s", "malloc,256m"]
        super().__init__(folder, [*argv, "-T", "none"], port)

    def says(self, path: str) -> str:
        """X-Varnish has two numbers on a hit: this request's and that of the one which fetched."""
        return "hit" if len((self.get(path)["X-Varnish"] or "").split()) == 2 else "miss"


class Redis(Server):
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        port = free_port()
        super().__init__(folder, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly",
                                  "no", "--dir", folder], port)  # fmt: skip

    def ask(self, *args: str) -> str:
        argv = ["redis-cli", "-p", str(self.port), *args]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


class Perdura(Server):
    """`perdura serve`. Quiet when it is there: what it does by itself at its start is done."""

    ENDS_WITH_US = signal.SIGKILL
    LISTENING = re.compile(r"listening (?:on |url=)http://127\.0\.0\.1:(\d+)")

    def __init__(self, folder: Path, database_url: str, media: Path, **settings: Any) -> None:
        folder.mkdir()
        self.env = {"HOME": str(folder), "DATABASE_URL": database_url, "PERDURA_MEDIA_ROOT": str(media),
                    "PERDURA_CACHE_DIR": str(folder / "cache"), "PERDURA_BIND": "127.0.0.1", "PERDURA_PORT": "0",
                    **{name: str(value) for name, value in settings.items()}}  # fmt: skip
        super().__init__(folder, [PERDURA, "serve"], 0, self.env)
        wait_until_quiet(self)

    def _listens(self) -> bool:
        found = self.LISTENING.search(self.log.read_text(errors="replace"))
        self.port = int(found[1]) if found else 0
        return super()._listens()

    def says(self, path: str) -> str:
        return self.get(path)["X-Cache-Tier"] or "nothing"


def run_perdura(database_url: str, media: Path, *args: str) -> None:
    env = {"PATH": PATH, "LC_ALL": "C.UTF-8", "DATABASE_URL": database_url, "PERDURA_MEDIA_ROOT": str(media)}
    subprocess.run(dies_with_us([PERDURA, *args]), env=env, check=True, stdout=subprocess.DEVNULL)


def stored(server: Postgres, name: str, media: Path) -> str:
    """The url of a new database that has all images of `media`."""
    url = server.create_database(name)
    run_perdura(url, media, "migrate")
    run_perdura(url, media, "cache-all")
    return url


def wait_until_quiet(server: Server) -> None:
    def quiet() -> bool:
        before = server.cpu_s()
        time.sleep(0.5)
        return server.cpu_s() - before < 0.02

    wait_until(quiet, 600, "a server at rest")


# Clients


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    cpu_s: float  # the server's

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.requests * 1e6


# Arguments: how many images there are, and whether in turns or at random.
ANY_OF = """
local count, in_turns, n = 1, false, -1
function init(args)
    count, in_turns = tonumber(args[1]), args[2] == "in_turns"
end
function request()
    n = in_turns and (n + 1) % count or math.random(0, count - 1)
    return wrk.format("GET", string.format("/media/%04d/%07d.jpg", math.floor(n / 1000), n))
end
"""


def wrk(server: Server, path: str, connections: int, seconds: int, script: Path | None = None, *args: str) -> Load:
    """One thread that asks as fast as it can. An answer that is no success ends the bench."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    argv += ["-s", str(script)] if script else []
    before = server.cpu_s()
    command = dies_with_us([*argv, f"http://127.0.0.1:{server.port}{path}", *args])
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    cpu_s = server.cpu_s() - before
    took = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", done.stdout)
    if not took or not int(took[1]) or re.search("Non-2xx|Socket errors", done.stdout):
        sys.exit(f"wrk {path}: exit {done.returncode}\n{done.stdout}")
    return Load(int(took[1]), float(took[2]) * {"ms": 0.001, "s": 1, "m": 60}[took[3]], cpu_s)


def ask_all(folder: Path, server: Server, paths: list[str], connections: int) -> tuple[float, list[str]]:
    """GETs each path once, in order: images a second, and for each path the tier that it came from."""
    wanted, tiers = folder / "paths", folder / "tiers"
    wanted.write_text("".join(path + "\n" for path in paths))
    rate = run_tool("ask_all", "-c", connections, "http", server.port, wanted, tiers)
    return rate, tiers.read_text().splitlines()


def run_tool(name: str, *args: Any) -> float:
    """Images a second."""
    done = subprocess.run(dies_with_us([TOOLS / name, *map(str, args)]), stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{name}: exit {done.returncode}")
    return float(json.loads(done.stdout)["images_per_s"])
