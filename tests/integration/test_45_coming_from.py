"""What docs/coming-from.md says that one can do here as there: each line of its tables is done as it stands."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import images
import pytest
from bucket import ObjectStorage
from conftest import TESTS, Perdura, Served
from http_client import TOKEN
from servers import wait_until
from uploads import calm, states, upload

pytestmark = pytest.mark.skipif(bool(ObjectStorage.missing()), reason=str(ObjectStorage.missing()))

WAIT_S = 60
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (TESTS.parent / "docs" / "coming-from.md").read_text().splitlines()
    if line.startswith("| `")
]
URLS = [row for row in ROWS if len(row) == 3 and re.match(r"`(GET|POST) /", row[1])]
COMMANDS = [row for row in ROWS if len(row) == 3 and row[1].startswith("`perdura ")]


@pytest.fixture(scope="module")
def storage(session_folder: Path) -> Iterator[ObjectStorage]:
    with ObjectStorage(session_folder / "petmatch", [f"petmatch-{name}" for name in ("mascotas", "servicios", "chats")]) as found:
        yield found


@pytest.fixture
def settings(storage: ObjectStorage) -> dict[str, str]:
    origins = " ".join(f"{name}=s3://petmatch-{name}" for name in ("mascotas", "servicios", "chats"))
    return {**storage.settings(), "PERDURA_ORIGINS": origins}


def curl(*args: str | Path) -> str:
    command = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {TOKEN}", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_S).stdout


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_urls(
    serve: Callable[..., Served], settings: dict[str, str], folder: Path, storage: ObjectStorage
) -> None:
    """By curl, which asks before it sends."""
    assert len(URLS) == 9
    storage.put("petmatch-mascotas", "user_1/a.jpg", images.make("jpeg", 1))
    http = calm(serve(**settings))
    base = f"http://{http.host}:{http.port}"
    photo = folder / "me.jpg"
    photo.write_bytes(images.sized("jpeg", 2_000_000, 1))
    name = upload(http, images.make("png", 1))
    for _, here, answers in URLS:
        method, path = words(here)[0].replace("{temp_filename}", name).split(" ")
        if "/proxy-image/" in path:
            said = curl("--head", base + path)
            assert all(f"{name}: " in said for name in words(answers)), (path, said)
            continue
        form = ["-F", f"photo=@{photo}"] if path.endswith("upload-temp") or "/upload-temp/" in path else []
        said = curl("-X", method, *form, base + path)
        for member in words(answers):
            assert f'"{member}":' in said, (path, said)
    assert '"success":true' in said and states(http.perdura.database) == {"completed": 4}


def test_the_commands(perdura: Perdura, serve: Callable[..., Served], settings: dict[str, str]) -> None:
    assert len(COMMANDS) == 8
    http = calm(serve(**settings))
    for _, here, prints in COMMANDS:
        name = upload(http, images.make("png", here))
        program, *args = shlex.split(words(here)[0])
        assert program == "perdura"
        process = perdura.start(*args, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout
        expected = (words(prints) or [""])[0]
        if args[0] == "auto-sync":  # they go on for a long time
            wait_until(lambda: states(perdura.database).keys() == {"completed"}, WAIT_S, here)
            seen = ""
            while expected not in seen:
                line = process.stdout.readline().decode()
                assert line, f"{here} ended: {seen}"
                seen += line
            process.send_signal(signal.SIGTERM)
        out = process.communicate(timeout=WAIT_S)[0].decode()
        assert process.returncode == 0, here
        assert expected in (seen if args[0] == "auto-sync" else out), here
        moved = "--clean-cache" not in args and "--stats" not in args
        assert http.get(f"/sync-status/{name}").json["sync_status"] == ("completed" if moved else "pending")
        perdura.run("sync-temp-images", env=settings)
