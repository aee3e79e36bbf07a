"""`perdura-dev`: its own PostgreSQL and Redis, its story, its advice, and that nothing of it stays behind."""

from __future__ import annotations

import os
import pty
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from admin_client import AdminClient  # noqa: E402
from conftest import SANITIZERS, perdura_binary  # noqa: E402
from http_client import HttpClient  # noqa: E402
from servers import User, dies_with_us, wait_until  # noqa: E402

TIMEOUT_S = 90
READY = "Ctrl-C here"
ROOT = os.geteuid() == 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_in(folder: Path) -> list[int]:
    """Those whose working directory lies beneath `folder`, removed or not: the servers work in theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cwd = os.readlink(process / "cwd")
        except OSError:
            continue
        if cwd.startswith(f"{folder}/") and alive(int(process.name)):
            found.append(int(process.name))
    return found


def redis_of(dev: Dev) -> int:
    (pid,) = [pid for pid in processes_in(dev.dev) if os.readlink(f"/proc/{pid}/cwd") == str(dev.dev / "redis")]
    return pid


@dataclass
class Dev:
    """The binary in a folder of its own (`work`), as ourselves or as a plain user."""

    folder: Path
    user: pwd.struct_passwd | None = None
    env: dict[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.mkdir()
        self.tmp.mkdir()
        self.tmp.chmod(0o1777)
        self.binary = perdura_binary()
        self.dev_binary = self.binary.with_name("perdura-dev")
        if self.user:
            self.binary = Path(shutil.copy(self.binary, self.folder / "perdura"))
            self.dev_binary = Path(shutil.copy(self.dev_binary, self.folder / "perdura-dev"))
            os.chown(self.work, self.user.pw_uid, self.user.pw_gid)
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.work),
            "TMPDIR": str(self.tmp),
            "LC_ALL": "C.UTF-8",
            **{name: os.environ[name] for name in SANITIZERS if name in os.environ},
        }

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def dev(self) -> Path:
        return self.work / ".perdura-dev"

    def start(self, *args: str | Path, env: dict[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        output = open(self.folder / "output", "wb")  # not a pipe: nobody has to read it meanwhile
        if self.user:
            popen |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        process = subprocess.Popen(
            dies_with_us([*popen.pop("prefix", []), self.dev_binary, *args]),
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": subprocess.STDOUT,
                "start_new_session": True,
                **popen,
            },
            cwd=self.work,
            env={**self.env, **(env or {})},
        )
        output.close()
        self._started.append(process)
        return process

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def run(self, *args: str | Path, **start: Any) -> int:
        return self.start(*args, **start).wait(TIMEOUT_S)

    def until_ready(self, process: subprocess.Popen[bytes]) -> None:
        wait_until(lambda: READY in self.output() or process.poll() is not None, TIMEOUT_S, "the story")
        assert READY in self.output(), self.output()

    def assert_nothing_left(self, *but: str) -> None:
        assert processes_in(self.folder) == []
        assert sorted(os.listdir(self.work)) == sorted(but)
        assert os.listdir(self.tmp) == []

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        wait_until(lambda: not processes_in(self.folder), TIMEOUT_S, "the end of what was started")


@pytest.fixture
def folder(folder: Path) -> Iterator[Path]:
    """One that the server's user gets into: not so beneath a folder closed to others, as /root is."""
    if User().passes(folder):
        yield folder
        return
    elsewhere = Path(tempfile.mkdtemp(prefix="perdura-test-", dir="/tmp"))
    elsewhere.chmod(0o755)
    yield elsewhere
    shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.fixture
def dev(folder: Path) -> Iterator[Dev]:
    program = Dev(folder)
    yield program
    program.end()


@pytest.fixture(params=["ourselves", "plain user"])
def anyone(request: pytest.FixtureRequest, folder: Path) -> Iterator[Dev]:
    """As `dev`, and when we are root, as a plain user as well."""
    user = None
    if request.param == "plain user":
        if not ROOT:
            pytest.skip("we are a plain user ourselves")
        user = pwd.getpwnam("nobody")
        reach = ["test", "-x", folder]
        if subprocess.run(reach, user=user.pw_uid, group=user.pw_gid, extra_groups=[]).returncode != 0:
            pytest.skip("a plain user can't reach this checkout")
    program = Dev(folder, user)
    yield program
    program.end()


def test_story_is_told_to_its_end(anyone: Dev) -> None:
    process = anyone.start()
    anyone.until_ready(process)
    story = anyone.output()
    for step in (
        r"perdura-dev: .* \.perdura-dev$",
        r"1\. PostgreSQL \d+ and Redis are up",
        r"2\. migrate: \d+ migrations applied",
        r"3\. (\d+) images written to \.perdura-dev/media, as an app would \([\d.]+ MiB\)",
        r"4\. cache-all: (\d+) images committed to PostgreSQL in [\d.]+ s",
        r"5\. rm -rf \.perdura-dev/media: .*, 0 files are left",
        r"6\. restore --all: (\d+) files back in [\d.]+ s",
        r"7\. compared: .* all (\d+) files are as before",
        r"8\. check and fsck: ",
    ):
        assert re.search(step, story, re.MULTILINE), f"{step} is not in\n{story}"
    counts = {int(n) for n in re.findall(r"(\d+) (?:images|files) ", story) if n != "0"}
    assert len(counts) == 1 and counts.pop() >= 24

    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, anyone.output()
    anyone.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_as_well(dev: Dev, number: signal.Signals) -> None:
    process = dev.start()
    dev.until_ready(process)
    process.send_signal(number)
    assert process.wait(TIMEOUT_S) == 0, dev.output()
    dev.assert_nothing_left()


@pytest.mark.parametrize(
    "moment",
    [".", "postgres", "postgres/data/PG_VERSION", "postgres/data/postmaster.pid", "redis.log", "media/products"],
)
def test_interrupt_at_any_moment(anyone: Dev, moment: str) -> None:
    process = anyone.start()
    seen = anyone.dev / moment
    wait_until(lambda: seen.exists() or process.poll() is not None, TIMEOUT_S, moment)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, anyone.output()
    anyone.assert_nothing_left()


@pytest.mark.parametrize("moment", ["postgres/data", "ready"])
def test_killed_leaves_no_process_and_the_next_one_cleans_up(anyone: Dev, moment: str) -> None:
    process = anyone.start()
    if moment == "ready":
        anyone.until_ready(process)
    else:
        wait_until((anyone.dev / moment).exists, TIMEOUT_S, moment)
    process.kill()
    process.wait()
    wait_until(lambda: not processes_in(anyone.folder), TIMEOUT_S, "the end of its servers")
    assert anyone.run("--", "true") == 0, anyone.output()
    anyone.assert_nothing_left()


def test_killed_and_started_again_at_once(dev: Dev) -> None:
    """The old PostgreSQL may still be writing into the folder, and the old dev is still in the list of processes."""
    process = dev.start()
    dev.until_ready(process)
    process.kill()
    assert dev.run("--", "true") == 0, dev.output()
    dev.assert_nothing_left()


def test_postgres_that_ends_by_itself_is_told(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    pid = int((dev.dev / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 3
    assert "PostgreSQL has ended by itself" in dev.output()
    assert "database system is shut down" in dev.output()
    dev.assert_nothing_left()


def test_redis_that_ends_by_itself_is_no_condition(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    pid = redis_of(dev)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "Redis has ended by itself" in dev.output(), TIMEOUT_S, "the warning")
    url = re.search(r"http://\S+/avatars/7/me\.png", dev.output())
    assert url and urllib.request.urlopen(url[0], timeout=TIMEOUT_S).status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, dev.output()
    assert dev.output().count("Redis has ended by itself") == 1
    dev.assert_nothing_left()


def test_a_redis_that_hangs_is_ended_all_the_same(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    os.kill(redis_of(dev), signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, dev.output()
    dev.assert_nothing_left()


@pytest.fixture
def without_redis(dev: Dev) -> Dev:
    """PATH has everything but redis-server."""
    programs = dev.folder / "programs"
    programs.mkdir()
    for folder in reversed(dev.env["PATH"].split(":")):
        for program in Path(folder).glob("*"):
            link = programs / program.name
            link.unlink(missing_ok=True)
            if program.name != "redis-server":
                link.symlink_to(program)
    dev.env["PATH"] = str(programs)
    return dev


def test_without_redis_installed(without_redis: Dev) -> None:
    dev = without_redis
    process = dev.start()
    dev.until_ready(process)
    assert dev.output().count("no redis-server is installed: dev goes on without Redis") == 1
    assert re.search(r"^1\. PostgreSQL \d+ is up", dev.output(), re.MULTILINE)
    assert "REDIS_URL" not in dev.output() and "redis-cli" not in dev.output()
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0, dev.output()
    dev.assert_nothing_left()
    script = 'echo "url=$REDIS_URL" && "$0" status'
    elsewhere = {"REDIS_URL": "redis://127.0.0.1:1", "CACHE_DRIVER": "redis"}
    assert dev.run("--", "sh", "-c", script, dev.binary, env=elsewhere) == 0, dev.output()
    assert "url=\n" in dev.output() and "redis " not in dev.output().partition("url=")[2]
    dev.assert_nothing_left()


def test_a_redis_that_does_not_start_is_no_condition(without_redis: Dev) -> None:
    broken = Path(without_redis.env["PATH"]) / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no memory for it'\nexit 1\n")
    broken.chmod(0o755)
    assert without_redis.run("--", "true") == 0
    said = without_redis.output()
    assert "no memory for it" in said and "Redis did not start" in said and "dev goes on without Redis" in said
    without_redis.assert_nothing_left()


def test_images_are_real(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    media = dev.dev / "media"
    files = [path for path in media.rglob("*") if path.is_file() and path.relative_to(media).parts[0] != ".perdura"]
    kinds = set()
    for path in files:
        assert 2000 < path.stat().st_size < 1 << 20
        mime = subprocess.check_output(["file", "-b", "--mime-type", path], text=True).strip()
        assert mime.startswith("image/"), path
        kinds.add(mime)
        if path.suffix != ".svg":
            with Image.open(path) as image:
                image.load()
    assert len(files) >= 24 and len(kinds) >= 6
    assert any(" " in path.name for path in files) and any(not path.name.isascii() for path in files)


def test_what_it_advises_works(anyone: Dev) -> None:
    process = anyone.start()
    anyone.until_ready(process)
    lines = anyone.output().partition("In another terminal")[2].splitlines()
    given = [line.strip() for line in lines if line.startswith("  ")]
    exports = [line for line in given if line.startswith("export ")]
    (alias,) = [line for line in given if line.startswith("alias perdura=")]
    commands = [re.split(r"  +", line)[0] for line in given if line not in (*exports, alias)]
    assert len(exports) == 3 and len(commands) >= 12
    script = [*exports, f"perdura() {{ {alias.removeprefix('alias perdura=')} \"$@\"; }}"]
    for command in commands:
        failing = command == "perdura check"  # it stands behind the loss of all files
        command = command.replace("curl -s", "curl -fs")  # to end with a code of its own
        script.append(f"{'! ' if failing else ''}{command} || {{ echo {command.split()[1]} failed; exit 1; }}")
    user = anyone.user
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    done = subprocess.run(
        ["sh", "-c", "\n".join(script)], cwd=anyone.work, env=anyone.env, capture_output=True, text=True, **who
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "avatars/7/me.png" in done.stdout
    assert (anyone.work / "me.png").read_bytes() == (anyone.dev / "media/avatars/8/me.png").read_bytes()

    # It comes into Redis behind the answer, maybe later than the command that looks there.
    fields, ttl = [command.split() for command in commands if command.startswith("redis-cli")]
    wait_until(lambda: int(subprocess.check_output(ttl, env=anyone.env)) > 0, TIMEOUT_S, "the image in Redis")
    assert subprocess.check_output(fields, env=anyone.env, text=True).startswith("image/png\n")


def test_its_link_logs_in_once(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    (link,) = re.findall(r"http://([^:/\s]+):(\d+)/admin/#login=(\S+)", dev.output())
    admin = AdminClient(HttpClient(link[0], int(link[1]), token=None))
    assert "PERDURA_ADMIN_PASSWORD" in admin.post_login({"password": "x"}).problem(503)
    other = ("y" if link[2][0] == "x" else "x") + link[2][1:]
    assert admin.post_login({"link": other}).problem(401)
    assert admin.login(link=link[2]).get("/image-cache/status").status == 200
    assert "used already" in AdminClient(admin.http).post_login({"link": link[2]}).problem(401)
    assert admin.get("/admin/session").status == 200


def test_keep_leaves_the_folder_and_the_next_one_removes_it(dev: Dev) -> None:
    assert dev.run("--keep", "--", "true") == 0
    assert processes_in(dev.folder) == []
    assert (dev.dev / "postgres.log").exists()
    assert dev.run("--", "true") == 0
    dev.assert_nothing_left()


def test_nobody_listens(dev: Dev) -> None:
    process = dev.start(stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline().startswith(b"perdura-dev")
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 1
    dev.assert_nothing_left()


# With a command


def test_command_gets_a_migrated_database_and_its_code_is_ours(anyone: Dev) -> None:
    script = 'test -d "$PERDURA_MEDIA_ROOT" && "$0" status --json && psql -Atc "SELECT count(*) FROM image_cache"; exit 7'
    assert anyone.run("--", "sh", "-c", script, anyone.binary) == 7
    assert '"images": 0' in anyone.output() and anyone.output().endswith("\n0\n")
    anyone.assert_nothing_left()


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("no-such-command",), 127, "no-such-command can't be run"),
        (("/etc/passwd",), 126, "/etc/passwd can't be run"),
    ],
)
def test_code_of_command(dev: Dev, command: tuple[str, ...], code: int, said: str) -> None:
    assert dev.run("--", *command) == code
    assert said in dev.output()
    dev.assert_nothing_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 5)])
def test_signals_are_handed_on_to_the_command(dev: Dev, number: signal.Signals, code: int) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do read -r line < fifo; done"
    os.mkfifo(dev.work / "fifo")
    process = dev.start("--", "sh", "-c", script)
    wait_until(lambda: "ready" in dev.output() or process.poll() is not None, TIMEOUT_S, "the command")
    process.send_signal(number)
    assert process.wait(TIMEOUT_S) == code, dev.output()
    dev.assert_nothing_left("fifo")


def test_interrupt_from_the_terminal_reaches_the_command_once(dev: Dev) -> None:
    """The terminal sends it to the whole foreground group, so handing it on would double it."""
    os.mkfifo(dev.work / "fifo")
    ours, theirs = pty.openpty()
    process = dev.start(
        *("--", "sh", "-c", "trap 'echo INT' INT; echo ready; until read -r line < fifo; do :; done"),
        stdin=theirs,
        prefix=["setsid", "--ctty"],
        start_new_session=False,  # setsid does it, and would fork if it led a group already
    )
    os.close(theirs)
    wait_until(lambda: "ready" in dev.output() or process.poll() is not None, TIMEOUT_S, "the command")
    os.write(ours, b"\x03")
    wait_until(lambda: "INT" in dev.output() or process.poll() is not None, TIMEOUT_S, "the signal")
    (dev.work / "fifo").write_text("go\n")
    assert process.wait(TIMEOUT_S) == 0, dev.output()
    assert dev.output().count("INT") == 1
    os.close(ours)
    dev.assert_nothing_left("fifo")


def test_what_a_command_leaves_running_is_ended(dev: Dev) -> None:
    assert dev.run("--", "sh", "-c", "sleep 1000 & echo $!; (setsid sleep 1000 & echo $!)") == 0
    first, second = (int(line) for line in dev.output().split())
    assert not alive(first) and not alive(second)
    dev.assert_nothing_left()


def test_killed_takes_its_command_along(dev: Dev) -> None:
    process = dev.start("--", "sh", "-c", "echo $$; exec sleep 1000")
    wait_until(lambda: "\n" in dev.output(), TIMEOUT_S, "the command")
    pid = int(dev.output())
    process.kill()
    process.wait()
    wait_until(lambda: not alive(pid), TIMEOUT_S, "the end of the command")


def test_system_servers_stay_out_of_it(dev: Dev) -> None:
    elsewhere = {
        "DATABASE_URL": "postgresql://someone@127.0.0.1:1/none",
        "SCALINGO_POSTGRESQL_URL": "postgresql://someone@127.0.0.1:1/none",
        "PGHOST": "/nonexistent",
        "PGPORT": "1",
        "PGSERVICE": "none",
        "PGOPTIONS": "-c no_such_setting=1",
        "PERDURA_COLLECTIONS": f"other={dev.work}",
        "PERDURA_INLINE_MAX": "1024",
        "REDIS_URL": "redis://:secret@127.0.0.1:1/7",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PASSWORD": "secret",
        "REDIS_CACHE_DB": "7",
        "REDIS_TLS_CA": "/nonexistent",
        "SENTINEL_HOST": "127.0.0.1",
        "SCALINGO_REDIS_URL": "redis://127.0.0.1:1",
        "CACHE_DRIVER": "memory",
    }
    assert dev.run("--", "sh", "-c", 'psql -Atc "SELECT 1" && psql -Atc "SELECT 2" "$DATABASE_URL"', env=elsewhere) == 0
    assert dev.output() == "1\n2\n"
    script = 'env | grep -iE "^(redis|sentinel|scalingo|cache_)"; "$0" status'
    assert dev.run("--", "sh", "-c", script, dev.binary, env=elsewhere) == 0, dev.output()
    path = dev.output().split("\n")[0].removeprefix("REDIS_URL=unix://").removesuffix("?db=0")
    assert path.endswith("/redis.sock") and "127.0.0.1" not in dev.output()
    assert f"up, {path}," in dev.output()
    process = dev.start(env=elsewhere)
    dev.until_ready(process)


# Where it lives


def shown_socket_folder(dev: Dev, *args: str | Path, env: dict[str, str] | None = None) -> Path:
    """Where the sockets were, while a command ran."""
    code = dev.run(*args, "--", "sh", "-c", 'test -S "$PGHOST/.s.PGSQL.5432" && echo "$PGHOST"', env=env)
    assert code == 0, dev.output()
    return Path(dev.output().strip())


def test_sockets_lie_in_the_folder(anyone: Dev) -> None:
    where = shown_socket_folder(anyone)
    if len(str(anyone.dev)) < 80:
        assert where == anyone.dev / "postgres"
    assert not where.exists()


@pytest.mark.skipif(not ROOT, reason="a plain user's own PostgreSQL can reach what he can")
@pytest.mark.parametrize("tmp", ["tmp", "closed", "missing", "../relative"])
def test_folder_that_the_server_cannot_reach(dev: Dev, tmp: str) -> None:
    closed = dev.work / "closed"
    closed.mkdir()
    closed.chmod(0o700)
    tmpdir = {"tmp": str(dev.tmp), "closed": str(closed), "missing": str(dev.work / "none")}.get(tmp, tmp)
    where = shown_socket_folder(dev, "--dir", closed / "dev", env={"TMPDIR": tmpdir})
    assert closed not in where.parents
    assert not where.exists() and not where.parent.samefile(closed)
    assert os.listdir(closed) == []
    dev.assert_nothing_left("closed")


@pytest.mark.skipif(not ROOT, reason="only then files lie elsewhere")
def test_files_elsewhere_are_removed_after_a_kill(dev: Dev) -> None:
    closed = dev.work / "closed"
    closed.mkdir()
    closed.chmod(0o700)
    process = dev.start("--dir", closed / "dev")
    dev.until_ready(process)
    assert len(os.listdir(dev.tmp)) == 2  # PostgreSQL's and Redis'
    process.kill()
    process.wait()
    assert dev.run("--dir", closed / "dev", "--", "true") == 0, dev.output()
    assert os.listdir(closed) == []
    dev.assert_nothing_left("closed")


@pytest.mark.parametrize("name", ["a b,c'd\"e", "größe", "-dash"])
def test_awkward_folders(dev: Dev, name: str) -> None:
    process = dev.start("--dir", name)
    dev.until_ready(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0
    dev.assert_nothing_left()


def test_long_path_has_its_sockets_elsewhere(dev: Dev) -> None:
    where = shown_socket_folder(dev, "--dir", dev.work / ("x" * 120))
    assert dev.work not in where.parents and not where.exists()
    dev.assert_nothing_left()


def test_two_in_one_folder(dev: Dev) -> None:
    process = dev.start()
    dev.until_ready(process)
    story = dev.output()
    assert dev.run() == 1
    assert f"another `perdura-dev` (process {process.pid}) is at work" in dev.output()
    assert dev.run("--dir", "second", "--", "true") == 0
    assert process.poll() is None and (dev.dev / "media/avatars/7/me.png").exists(), story


def make_foreign(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_text("precious")
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        real = path.parent / "real" if kind == "link" else path
        real.mkdir()
        (real / "precious.txt").write_text("precious")
        if kind == "link":
            path.symlink_to("real")
        if kind == "lock of someone else":
            (real / "dev.lock").write_text("something else\n")


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link", "lock of someone else"])
def test_what_is_not_ours_is_refused(dev: Dev, kind: str) -> None:
    make_foreign(dev.work / "foreign", kind)
    before = sorted(str(path) for path in dev.work.rglob("*"))
    for given in ("foreign", "foreign/"):
        assert dev.run("--dir", given) == 1
        assert "is not a folder of `perdura-dev`" in dev.output()
    assert sorted(str(path) for path in dev.work.rglob("*")) == before


def test_an_empty_folder_will_do(dev: Dev) -> None:
    (dev.work / "empty").mkdir()
    assert dev.run("--dir", "empty/", "--", "true") == 0, dev.output()
    dev.assert_nothing_left()


@pytest.mark.skipif(not ROOT, reason="takes two users")
def test_folder_of_another_user_is_refused(dev: Dev) -> None:
    theirs = dev.work / "theirs"
    theirs.mkdir()
    os.chown(theirs, pwd.getpwnam("nobody").pw_uid, -1)
    assert dev.run("--dir", "theirs") == 1
    assert "belongs to another user" in dev.output() and theirs.exists()


@pytest.mark.parametrize("given", ["missing/dev", "", "/proc/dev", "new\nline"])
def test_folder_that_cannot_be_made(dev: Dev, given: str) -> None:
    assert dev.run("--dir", given) == 1
    assert dev.output().startswith("perdura: ") and dev.output().count("\n") == 1
    dev.assert_nothing_left()


@pytest.mark.parametrize("args", [["--json"], ["--dry-run"], ["--collection", "media"], ["--media-root", "x"]])
def test_what_it_does_not_take(dev: Dev, args: list[str]) -> None:
    assert dev.run(*args) == 2
    dev.assert_nothing_left()


# Finding PostgreSQL


def hidden(dev: Dev, *args: str, path: Path | None = None) -> int:
    """Runs it where no PostgreSQL is in its usual place, but perhaps in `path`, which leads PATH."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    if not programs:
        pytest.skip("PostgreSQL is not there to be hidden")
    script = "for bin in /usr/lib/postgresql/*/bin; do mount -t tmpfs none $bin; done; exec \"$@\""
    if path:
        path.mkdir()
        script = f"mount --bind {programs[0]} {path}; {script}"
    prefix = ["unshare", "--mount", "--propagation=private", "sh", "-ec", script, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    search = f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin"
    return dev.run(*args, prefix=prefix, env={"PATH": search})


@pytest.mark.skipif(not ROOT, reason="hides /usr/lib/postgresql in a mount namespace")
def test_postgresql_missing(dev: Dev) -> None:
    assert hidden(dev) == 3
    assert "install it: apt-get install postgresql" in dev.output()
    assert dev.output().splitlines()[-1].startswith("perdura: ")
    dev.assert_nothing_left()


@pytest.mark.skipif(not ROOT, reason="hides /usr/lib/postgresql in a mount namespace")
def test_postgresql_in_path(dev: Dev) -> None:
    assert hidden(dev, "--", "true", path=dev.folder / "programs") == 0, dev.output()
    dev.assert_nothing_left()
