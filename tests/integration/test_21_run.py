"""`perdura run` and `perdura serve`: the app's life, its signals, its last files, and a database that comes and goes."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import images
import pytest
from conftest import Perdura
from files import fingerprint, picture, write
from proxy import DelayProxy
from servers import dies_with_us, free_port, wait_until

TIMEOUT_S = 60
ROOT = os.geteuid() == 0
IDLE = "while :; do sleep 0.05; done"  # without an end: nothing tells a shell that waits of a signal it has just missed


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class App:
    """`perdura run -- sh -c SCRIPT` (or `serve`) in the test's folder, which holds `fifo` and the image `new.png`."""

    perdura: Perdura
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        os.mkfifo(self.folder / "fifo")
        self.image = picture(self.folder / "new.png", "new")
        self.env = {"PERDURA_PORT": "0", **self.env}

    @property
    def folder(self) -> Path:
        return self.perdura.folder

    @property
    def media(self) -> Path:
        return self.perdura.media

    def start(self, *args: str | Path, **env: str) -> subprocess.Popen[bytes]:
        given = {**self.env, **env}
        with open(self.folder / "output", "wb") as output:
            self.process = self.perdura.start(
                *args, env={k: v for k, v in given.items() if v}, stdout=output, stderr=subprocess.STDOUT
            )
        return self.process

    def script(self, script: str, *flags: str, **env: str) -> subprocess.Popen[bytes]:
        return self.start("run", *flags, "--", "sh", "-c", script, **env)

    def code(self) -> int:
        assert self.process
        return self.process.wait(TIMEOUT_S)

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        assert self.process
        wait_until(lambda: condition() or self.process.poll() is not None, TIMEOUT_S, f"{what}\n{self.output()}")
        assert condition(), f"{what}\n{self.output()}"

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.output(), f"to hear {text!r}")

    def send(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def stored(self) -> set[str]:
        return {path for (path,) in self.perdura.database.query("SELECT original_path FROM image_cache")}

    def not_persisted(self) -> set[str]:
        return set(re.findall(r'event="file not persisted" collection=media path="?([^" ]+)', self.output()))


@pytest.fixture
def app(perdura: Perdura) -> Iterator[App]:
    yield App(perdura)


def stored_images(app: App, count: int = 30) -> dict[str, Any]:
    """Stores so many, wipes the disk, and returns what was on it."""
    for i in range(count):
        picture(app.media / f"{i % 3}" / f"{i}.png", i)
    app.perdura.run("cache-all")
    before = fingerprint(app.media)
    for path in before:
        (app.media / path).unlink()
    return before


def shows(app: App, before: dict[str, Any]) -> bool:
    """Whether all files are back; asked while they come. What the program keeps in .perdura does not count."""
    try:
        found = fingerprint(app.media)
        return {path: file for path, file in found.items() if not path.startswith(".perdura/")} == before
    except FileNotFoundError:  # a temporary that has got its name
        return False


# The app's code


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "exit 3"), 3, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("sh", "-c", "kill -TERM $$"), 143, ""),
        (("no-such-command",), 127, "no-such-command can't be run"),
        (("/etc/passwd",), 126, "/etc/passwd can't be run"),
    ],
)
def test_code_is_the_apps(app: App, command: tuple[str, ...], code: int, said: str) -> None:
    app.start("run", "--", *command)
    assert app.code() == code, app.output()
    assert said in app.output()


def test_script_that_cannot_be_executed(app: App) -> None:
    write(app.folder / "script", b"#!/nowhere/interpreter\n").chmod(0o755)
    app.start("run", "--", "./script")
    assert app.code() == 126
    assert "script can't start" in app.output()


def test_app_that_exits_at_once_with_3(app: App) -> None:
    app.script('cp new.png "$PERDURA_MEDIA_ROOT/a.png"; exit 3')
    assert app.code() == 3
    assert app.stored() == {"a.png"}


def test_app_finds_things_as_without_us(app: App) -> None:
    """Environment, ignored and blocked signals, open files."""
    script = 'env | sort; grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status; ls /proc/self/fd | wc -l'
    app.script(script, LOG_LEVEL="error", PORT="1234")
    assert app.code() == 0
    env = {**app.perdura.env, **app.env, "LOG_LEVEL": "error", "PORT": "1234"}
    without = subprocess.run(
        ["sh", "-c", script], env=env, cwd=app.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert app.output() == without.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run",), "needs a command"),
        (("run", "--json", "--", "true"), "takes no --json"),
        (("serve", "now"), "takes no arguments"),
        (("serve", "--dry-run"), "takes no --dry-run"),
        (("serve", "--restore", "sometimes"), "accepted: block, background, lazy or none"),
        (("serve", "--port", "65536"), "accepted: 0 to 65535"),
    ],
)
def test_wrong_usage(app: App, args: tuple[str, ...], said: str) -> None:
    app.start(*args)
    assert app.code() == 2
    assert said in app.output()


# Signals


def test_signals_are_handed_on_once_each(app: App) -> None:
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU]
    numbers += [signal.SIGINT, signal.SIGQUIT]
    traps = "".join(f"trap 'echo got {n.name}' {n.name[3:]};" for n in numbers)
    app.script(f"{traps} trap 'exit 5' TERM; echo ready; {IDLE}")
    app.until_said("ready")
    for number in numbers:
        app.send(number)
        app.until_said(f"got {number.name}")
    app.send(signal.SIGTERM)
    assert app.code() == 5
    assert app.output().count("got SIG") == len(numbers)


def test_two_sigterms(app: App) -> None:
    """The first one is not enough for this app, which writes when it hears the second."""
    app.script(
        "trap 'n=$((n + 1)); echo TERM $n; [ $n = 1 ] || { cp new.png media/last.png; exit 7; }' TERM;"
        f"n=0; echo ready; {IDLE}"
    )
    app.until_said("ready")
    app.send(signal.SIGTERM)
    app.until_said("TERM 1")
    app.send(signal.SIGTERM)
    assert app.code() == 7
    assert app.output().count("TERM") == 2
    assert app.stored() == {"last.png"}


def test_signals_do_not_end_the_flush(app: App) -> None:
    server = app.perdura.database.server
    app.script(f"trap 'exit 0' TERM; echo ready; {IDLE}")
    app.until_said("ready")
    server.sigstop()
    write(app.media / "a.png", app.image)
    app.send(signal.SIGTERM)
    app.until_said("app ended")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        app.send(number)
    server.sigcont()
    assert app.code() == 0, app.output()
    assert app.stored() == {"a.png"}


def test_app_that_writes_while_it_dies(app: App) -> None:
    copies = "for i in 1 2 3 4 5 6 7 8 9; do cp new.png media/$i.png; done"
    app.script(f"trap '{copies}; exit 0' TERM; echo ready; {IDLE}")
    app.until_said("ready")
    app.send(signal.SIGTERM)
    assert app.code() == 0
    assert app.stored() == {f"{i}.png" for i in range(1, 10)}


def test_sigterm_before_the_app_starts(app: App) -> None:
    app.perdura.database.server.sigstop()
    app.script("echo started", PERDURA_RESTORE_BUDGET="600", PERDURA_SHUTDOWN_TIMEOUT="1")
    assert app.process
    blocked = Path(f"/proc/{app.process.pid}/status")
    app.until(lambda: int(re.findall(r"SigBlk:\s*(\w+)", blocked.read_text())[0], 16), "signals to be waited for")
    app.send(signal.SIGTERM)
    assert app.code() == 143
    assert "started" not in app.output()


def test_interrupt_from_the_terminal_reaches_the_app_once(app: App) -> None:
    """The terminal sends it to the whole foreground group, so handing it on would double it."""
    ours, theirs = pty.openpty()
    script = "trap 'echo INT' INT; echo ready; until read -r line < fifo; do :; done"
    output = open(app.folder / "output", "wb")
    app.process = subprocess.Popen(
        dies_with_us(["setsid", "--ctty", app.perdura.binary, "run", "--", "sh", "-c", script]),
        **{"stdin": theirs, "stdout": output, "stderr": output, "cwd": app.folder},
        env={**app.perdura.env, **app.env},
    )
    output.close()
    os.close(theirs)
    app.until_said("ready")
    os.write(ours, b"\x03")
    app.until_said("INT")
    (app.folder / "fifo").write_text("go\n")
    assert app.code() == 0, app.output()
    assert app.output().count("INT") == 1
    os.close(ours)


def test_killed_takes_the_app_along(app: App) -> None:
    app.script("echo pid $$; exec sleep 1000")
    app.until_said("pid ")
    (pid,) = (int(n) for n in re.findall(r"pid (\d+)", app.output()))
    app.send(signal.SIGKILL)
    wait_until(lambda: not alive(pid), TIMEOUT_S, "the end of the app")


# What the app leaves


def test_orphans_are_reaped(app: App) -> None:
    app.script(f"for i in 1 2 3; do (sh -c 'echo orphan $$' &); done; trap 'exit 0' TERM; {IDLE}")
    app.until(lambda: app.output().count("orphan") == 3, "the orphans")
    pids = re.findall(r"orphan (\d+)", app.output())
    app.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the orphans' end")
    app.send(signal.SIGTERM)
    assert app.code() == 0


@pytest.mark.parametrize("told", [False, True])
def test_what_it_leaves_may_still_write(app: App, told: bool) -> None:
    script = (
        "trap '' TERM; (until [ -e gone ]; do sleep 0.01; done; cp new.png media/late.png) &"
        f"trap 'exit 0' TERM; echo ready; {IDLE if told else ''}"
    )
    app.script(script)
    app.until_said("ready")
    if told:
        app.send(signal.SIGTERM)
    app.until_said("app ended")
    (app.folder / "gone").touch()
    assert app.code() == 0
    assert app.stored() == {"late.png"}


def test_what_it_leaves_is_asked_then_killed(app: App) -> None:
    script = (
        "(trap '' TERM; echo pid; while :; do sleep 0.1; done) & echo pid $!;"
        # Only once its parent is gone does this one become ours.
        "sh -c 'sh -c \"trap \\\"echo asked; exit\\\" TERM; echo inner; while :; do sleep 0.1; done\" & wait' &"
        "(setsid sleep 1000 & echo pid $!); until grep -q inner output; do sleep 0.01; done"
    )
    app.script(script, PERDURA_SHUTDOWN_TIMEOUT="8")
    assert app.code() == 0
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", app.output())]
    assert len(pids) == 2 and not any(alive(pid) for pid in pids)
    assert "asked" in app.output()


@pytest.mark.skipif(not ROOT, reason="only root makes process namespaces here")
def test_as_process_1(app: App) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no process namespaces here")
    script = (
        "[ $PPID = 1 ] || exit 1; (sh -c 'echo orphan $$' &); until grep -q orphan output; do sleep 0.01; done;"
        "pid=$(sed -n 's/^orphan //p' output); while [ -e /proc/$pid ]; do sleep 0.01; done;"
        f"trap 'cp new.png media/a.png; exit 6' TERM; echo ready; {IDLE}"
    )
    with open(app.folder / "output", "wb") as output:
        app.process = subprocess.Popen(
            dies_with_us([*unshare, app.perdura.binary, "run", "--", "sh", "-c", script]),
            **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, "cwd": app.folder},
            env={**app.perdura.env, **app.env},
        )
    app.until_said("ready")
    pid = app.process.pid
    (inner,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(inner), signal.SIGTERM)
    assert app.code() == 6, app.output()
    assert app.stored() == {"a.png"}


# Restoring


def test_files_are_back_before_the_app_looks(app: App) -> None:
    before = stored_images(app)
    app.script("cd media && find . -name '*.png' | wc -l", LOG_LEVEL="error")
    assert app.code() == 0
    assert app.output().strip() == str(len(before))
    assert fingerprint(app.media) == before


def test_wiped_with_its_folder(app: App) -> None:
    app.script("mkdir -p media/a && cp new.png media/a/b.png")
    assert app.code() == 0
    before = fingerprint(app.media)
    subprocess.run(["rm", "-r", app.media], check=True)
    app.script("test -s media/a/b.png")
    assert app.code() == 0, app.output()
    assert fingerprint(app.media) == before


def test_in_the_background(app: App) -> None:
    before = stored_images(app)
    app.script(f"trap 'exit 0' TERM; {IDLE}", PERDURA_RESTORE="background")
    app.until(lambda: shows(app, before), "the files")
    app.send(signal.SIGTERM)
    assert app.code() == 0


@pytest.mark.parametrize("mode", ["lazy", "none"])
def test_not_by_itself(app: App, mode: str) -> None:
    stored_images(app)
    app.script("true", PERDURA_RESTORE=mode)
    assert app.code() == 0
    assert fingerprint(app.media) == {}


def test_budget_is_kept_and_the_rest_follows(app: App) -> None:
    before = stored_images(app)
    server = app.perdura.database.server
    server.sigstop()
    app.script(f"trap 'exit 0' TERM; echo started; {IDLE}", PERDURA_RESTORE_BUDGET="1")
    app.until_said("\nstarted\n")
    assert "restore continues in the background" in app.output()
    server.sigcont()
    app.until(lambda: shows(app, before), "the files")
    app.send(signal.SIGTERM)
    assert app.code() == 0


# The database


def test_postgres_down_at_start(app: App) -> None:
    before = stored_images(app)
    server = app.perdura.database.server
    server.stop()
    app.script(f"trap 'cp new.png media/own.png; exit 0' TERM; echo started; {IDLE}", PERDURA_RESTORE_BUDGET="1")
    app.until_said("\nstarted\n")
    assert "database unreachable" in app.output()
    server.start()
    app.until(lambda: shows(app, before), "the files")
    app.send(signal.SIGTERM)
    assert app.code() == 0, app.output()
    assert app.stored() == {*before, "own.png"}


def test_tables_are_made_when_postgres_comes(unmigrated: Perdura) -> None:
    app = App(unmigrated)
    server = unmigrated.database.server
    server.stop()
    app.start("serve", PERDURA_RESTORE="none")
    app.until_said("listening url=http://127.0.0.1:")
    server.start()
    app.until_said("migration applied")
    app.until_said("database reached")
    write(app.media / "a.png", app.image)
    app.send(signal.SIGTERM)
    assert app.code() == 0, app.output()
    assert app.stored() == {"a.png"}


def test_no_migrate(unmigrated: Perdura) -> None:
    app = App(unmigrated)
    app.script("true", "--no-migrate", PERDURA_SHUTDOWN_TIMEOUT="1")
    app.code()
    assert "migration applied" not in app.output()
    assert unmigrated.database.value("SELECT to_regclass('image_cache') IS NULL")


NEWER_TABLES = "INSERT INTO schema_migration (version, name, checksum) VALUES (9999, '9999_later', 'x')"
ALTERED_TABLES = "UPDATE schema_migration SET checksum = 'x' WHERE version = 1"


@pytest.mark.parametrize(
    ("change", "said"),
    [(NEWER_TABLES, "schema newer than this program"), (ALTERED_TABLES, "migration failed")],
    ids=["newer", "altered"],
)
def test_tables_of_another_release_do_not_stop_the_app(app: App, change: str, said: str) -> None:
    app.perdura.database.query(change)
    app.script("cp new.png media/a.png")
    assert app.code() == 0, app.output()
    assert said in app.output()
    assert app.stored() == {"a.png"}


@pytest.mark.parametrize("how", ["stopped", "frozen"])
@pytest.mark.parametrize(("code", "ours"), [(0, 75), (3, 3)])
def test_files_that_could_not_be_persisted_are_named(app: App, how: str, code: int, ours: int) -> None:
    server = app.perdura.database.server
    app.script(f"trap 'exit {code}' TERM; echo ready; {IDLE}", PERDURA_SHUTDOWN_TIMEOUT="5")
    app.until_said("ready")
    if how == "stopped":
        server.stop()
    else:
        server.sigstop()
    lost = {f"album/{i}.png" for i in range(20)}
    for path in lost:
        write(app.media / path, images.make("png", path))
    app.send(signal.SIGTERM)
    assert app.code() == ours, app.output()
    assert app.not_persisted() == lost, app.output()


def test_500_files_and_answers_that_take_100_ms(app: App) -> None:
    server = app.perdura.database.server
    count = 500
    with DelayProxy(server.socket_folder / f".s.PGSQL.{server.port}", 0.1) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{app.perdura.database.name}"
        app.script(f"trap 'exit 4' TERM; echo ready; {IDLE}", DATABASE_URL=url)
        app.until_said("ready")
        for i in range(count):
            picture(app.media / f"{i % 7}" / f"{i}.png", i)
        started = time.monotonic()
        app.send(signal.SIGTERM)
        app.send(signal.SIGTERM)
        assert app.code() == 4, app.output()
        assert time.monotonic() - started < 20
    assert app.stored() == set(fingerprint(app.media))
    assert len(app.stored()) == count


# The port


def port_of(app: App) -> tuple[str, int]:
    app.until_said("listening url=http://")
    host, port = re.findall(r"listening url=http://([\d.]+):(\d+)", app.output())[0]
    return host, int(port)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_port_is_the_apps(app: App) -> None:
    app.script("echo port=$PORT", PORT="1234")
    assert app.code() == 0
    assert "\nport=1234\n" in app.output()
    assert port_of(app)[1] != 1234


def test_port_that_is_none(app: App) -> None:
    """Some platforms put a socket's path there; it is for the app to understand."""
    app.script("echo port=$PORT", PORT="unix:/run/app.sock", PERDURA_PORT="")
    assert app.code() == 0
    assert "\nport=unix:/run/app.sock\n" in app.output()


def test_port_of_both_is_refused(app: App, taken: int) -> None:
    app.script("touch started", PORT=str(taken), PERDURA_PORT=str(taken))
    assert app.code() == 2
    assert "PORT is the app's" in app.output() and not (app.folder / "started").exists()


def test_own_port_that_is_taken_stops_it_before_the_app(app: App, taken: int) -> None:
    app.script("touch started", PERDURA_PORT=str(taken))
    assert app.code() == 1
    assert str(taken) in app.output() and not (app.folder / "started").exists()


@pytest.mark.parametrize(("port", "ours"), [("", 8080), ("8080", 8081), ("1234", 8080)])
def test_usual_port_that_is_taken_does_not_stop_the_app(app: App, port: str, ours: int) -> None:
    def hold() -> socket.socket | None:
        try:
            return socket.create_server(("127.0.0.1", ours))
        except OSError:
            return None

    try:
        holder = wait_until(hold, 5, f"port {ours}")  # another test's program lets it go soon
    except TimeoutError:
        holder = nullcontext()  # whoever holds it all the time does as well
    with holder:
        app.script("cp new.png media/a.png", PORT=port, PERDURA_PORT="")
        assert app.code() == 0
    assert re.search(rf'level=warn event="HTTP service not started.*\b{ours}\b', app.output()), app.output()
    assert app.stored() == {"a.png"}


# serve


def test_serve(app: App) -> None:
    before = stored_images(app)
    app.start("serve")
    host, port = port_of(app)
    assert host == "127.0.0.1"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=TIMEOUT_S) as answer:
        assert answer.status == 200
    app.until(lambda: shows(app, before), "the files")
    write(app.media / "a.png", app.image)
    app.send(signal.SIGTERM)
    app.send(signal.SIGTERM)
    assert app.code() == 0, app.output()
    assert app.stored() == {*before, "a.png"}


def test_serve_on_the_platforms_port(app: App) -> None:
    free = free_port()
    app.start("serve", PORT=str(free), PERDURA_PORT="")
    assert port_of(app) == ("0.0.0.0", free)
    app.send(signal.SIGTERM)
    assert app.code() == 0


def test_serve_binds_while_postgres_is_frozen(app: App) -> None:
    server = app.perdura.database.server
    server.sigstop()
    app.start("serve", PERDURA_SHUTDOWN_TIMEOUT="5")
    port_of(app)
    write(app.media / "a.png", app.image)
    app.send(signal.SIGTERM)
    assert app.code() == 75
    assert app.not_persisted() == {"a.png"}


def test_the_end_with_a_database_that_was_never_reached_has_its_reason(app: App) -> None:
    """No scan has come to its end, so nobody knows how many files are not stored."""
    write(app.media / "a.png", app.image)
    app.perdura.database.server.sigstop()
    app.start("serve", PERDURA_SHUTDOWN_TIMEOUT="1")
    port_of(app)
    app.send(signal.SIGTERM)
    assert app.code() == 75
    (end,) = [line for line in app.output().splitlines() if "exiting with unpersisted files" in line]
    assert "files=unknown" in end and "could not be found out in time: cannot reach the database" in end


@pytest.mark.parametrize(("env", "code"), [({"PERDURA_BIND": "nowhere"}, 2), ({"DATABASE_URL": ""}, 2)])
def test_serve_with_wrong_settings(app: App, env: dict[str, str], code: int) -> None:
    if "DATABASE_URL" in env:
        app.perdura.env.pop("DATABASE_URL")
    app.start("serve", **env)
    assert app.code() == code, app.output()
