"""Apps that know nothing of Perdura, started by `perdura run`: everything is killed and the disk is wiped; after the next
start their pages show the images again."""

from __future__ import annotations

import http.client
import http.cookiejar
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import images
import pytest
from conftest import Perdura
from servers import free_port, wait_until

APPS = Path(__file__).resolve().parent.parent / "apps"
TIMEOUT_S = 60


@dataclass
class Site:
    """One app under `perdura run`, and a browser that keeps its cookies."""

    perdura: Perdura
    command: list[str]
    env: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def start(self) -> None:
        with open(self.perdura.folder / "output", "ab") as output:
            self.process = self.perdura.start(
                "run", "--", *self.command, env=self.env, stdout=output, stderr=subprocess.STDOUT
            )
        wait_until(self.is_up, TIMEOUT_S, f"the app\n{self.output()}")

    def output(self) -> str:
        return (self.perdura.folder / "output").read_text(errors="replace")

    def is_up(self) -> bool:
        assert self.process and self.process.poll() is None, self.output()
        try:
            self.get("/")
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False
        return True

    def get(self, path: str) -> bytes:
        with self.browser.open(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_S) as answer:
            return answer.read()

    def post(self, fields: dict[str, str], field: str, name: str, content: bytes) -> None:
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body)
        request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
        self.browser.open(request, timeout=TIMEOUT_S).close()

    def shown(self) -> list[bytes]:
        """The images of the page, as a browser gets them."""
        return [self.get(path) for path in re.findall(r'<img src="([^"]+)"', self.get("/").decode())]

    def processes(self) -> list[int]:
        """Perdura and all that came of it."""
        assert self.process
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def kill(self) -> None:
        assert self.process
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(TIMEOUT_S)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(TIMEOUT_S)


def survives(site: Site, upload: Callable[[bytes], None]) -> None:
    content = [images.sized("jpeg", 20_000 + number, number) for number in range(3)]
    try:
        site.start()
        for one in content:
            upload(one)
        assert sorted(site.shown()) == sorted(content)
        stored = "SELECT count(*) FROM image_cache"
        wait_until(lambda: site.perdura.database.value(stored) == len(content), TIMEOUT_S, "the commits")

        site.kill()
        shutil.rmtree(site.perdura.media)
        site.start()
        assert sorted(site.shown()) == sorted(content)
        site.process.terminate()
        assert site.process.wait(TIMEOUT_S) in (0, 143), site.output()
    finally:
        site.stop()


def test_django_under_gunicorn(perdura: Perdura) -> None:
    pytest.importorskip("django")
    shutil.copy(APPS / "django" / "gallery.py", perdura.folder)
    port = free_port()
    env = {
        "MEDIA_ROOT": str(perdura.media),
        "DATABASE_NAME": perdura.database.name,
        "DATABASE_SOCKETS": str(perdura.database.server.socket_folder),
        "PERDURA_PORT": "0",
        "HOME": str(perdura.folder),
    }
    command = ["/usr/bin/python3", "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "gallery:application"]
    site = Site(perdura, command, env, port)

    def upload(content: bytes) -> None:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', site.get("/").decode())
        assert token
        site.post({"title": "One", "csrfmiddlewaretoken": token[1]}, "image", "one.jpg", content)

    survives(site, upload)


def test_express_with_multer(perdura: Perdura) -> None:
    modules = Path(os.environ.get("PERDURA_NODE_MODULES", APPS.parent.parent / "build" / "express" / "node_modules"))
    if not (modules / "multer").is_dir():
        pytest.skip("`make express` fetches Express and multer, which needs npm")
    shutil.copy(APPS / "express" / "gallery.js", perdura.folder)
    (perdura.folder / "node_modules").symlink_to(modules)
    port = free_port()
    env = {"UPLOADS": str(perdura.media), "PORT": str(port), "PERDURA_PORT": "0"}
    site = Site(perdura, [shutil.which("node") or "node", "gallery.js"], env, port)
    survives(site, lambda content: site.post({}, "photo", "one.jpg", content))
