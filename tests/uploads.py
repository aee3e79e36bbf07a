"""Forms with a photo in them, as browsers and phones send them, and what became of them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from http_client import Answer, HttpClient
from servers import wait_until

if TYPE_CHECKING:  # folders of tests may have a conftest of their own
    from conftest import Database

BOUNDARY = "----WebKitFormBoundaryPerdura1"
NAME = re.compile(r"temp_[0-9a-f]{32}_(\d+)\.(\w+)")
ORIGINS = "mascotas=s3://pets servicios=s3://services/in/here chats=s3://chats legacy=https://images.example/x/"
WAIT_S = 60
Http = TypeVar("Http", bound=HttpClient)
_seeds = itertools.count()


def part(name: str, data: bytes, filename: str | None = None, type: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"'
    if type:
        head += f"\r\nContent-Type: {type}"
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def photo(data: bytes, filename: str = "IMG_0001.JPG") -> bytes:
    return form(part("photo", data, filename, "application/octet-stream"))


def post(
    http: HttpClient, path: str, body: bytes | Iterable[bytes], token: str | None = "", headers: dict | None = None
) -> Answer:
    fields = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **(headers or {})}
    return http.request("POST", path, body, fields, token)


def upload(http: HttpClient, data: bytes, path: str = "/upload-temp/mascotas") -> str:
    """The name that it got."""
    answer = post(http, path, photo(data))
    assert answer.status == 201, answer
    assert answer.json["sync_status"] == "pending"
    return answer.json["temp_filename"]


def calm(http: Http) -> Http:
    """The sync at its start is over; the next one comes when it is asked for."""
    told = 'perdura_jobs_total{kind="sync"} 0'
    wait_until(lambda: told not in http.get("/metrics").body.decode(), WAIT_S, "the first sync")
    return http


def state(http: HttpClient, name: str) -> dict[str, Any]:
    answer = http.get(f"/sync-status/{name}")
    assert answer.status == 200, answer
    return answer.json


def key(name: str, day: str) -> str:
    return f"temp_uploads/{day}/{name}"


def stored_bytes(database: Database, name: str) -> bytes | None:
    """What PostgreSQL holds of it, in its row or in parts; None: nothing any more."""
    rows = database.query("SELECT image_data, file_size, sha256 FROM upload WHERE temp_filename = %s", name)
    assert len(rows) == 1, f"{name}: {len(rows)} rows"
    text, size, sha256 = rows[0]
    parts = database.query("SELECT image_data FROM upload_part WHERE temp_filename = %s ORDER BY part", name)
    if text is None and not parts:
        return None
    data = base64.b64decode(text or "".join(row[0] for row in parts), validate=True)
    assert len(data) == size and hashlib.sha256(data).digest() == bytes(sha256)
    return data


def states(database: Database) -> dict[str, int]:
    return dict(database.query("SELECT sync_status, count(*)::int FROM upload GROUP BY 1"))
