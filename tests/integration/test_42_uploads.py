"""Temporary uploads: what is taken, what is committed when the answer comes, and what is told of it. Nothing here needs a
bucket; that uploads get there is test_43_sync.py's."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from http_client import read_answer
from uploads import BOUNDARY, NAME, ORIGINS, form, part, photo, post, state, states, stored_bytes, upload

MB = 1 << 20
ROUTES = [
    ("/upload-temp/mascotas", "mascotas"),
    ("/upload-temp/servicios", "servicios"),
    ("/upload-temp/chats", "chats"),
    ("/upload-temp/mascotas/", "mascotas"),
    ("/pet/upload-temp", "mascotas"),
    ("/chats/upload-temp", "chats"),
    ("/partners/pet/upload-temp", "mascotas"),
    ("/partners/upload-temp/chats", "chats"),
]


@pytest.fixture
def http(serve: Callable[..., Served]) -> Served:
    return serve(PERDURA_ORIGINS=ORIGINS, PERDURA_API_PREFIX="/partners")


# What is taken


def check_upload(http: Served, path: str, collection: str) -> None:
    data = images.make("jpeg", path)
    before = int(time.time())
    answer = post(http, path, photo(data))
    assert answer.status == 201 and answer["Cache-Control"] == "no-store", path
    assert set(answer.json) == {"temp_filename", "type", "sync_status"}
    assert (answer.json["type"], answer.json["sync_status"]) == (collection, "pending"), path
    name = answer.json["temp_filename"]
    found = NAME.fullmatch(name)
    assert found and before <= int(found[1]) <= time.time() and found[2] == "jpg"
    assert stored_bytes(http.perdura.database, name) == data
    row = http.perdura.database.query(
        "SELECT collection, content_type_header, object_key FROM upload WHERE temp_filename = %s", name
    )
    day = time.strftime("%Y/%m/%d", time.gmtime(int(found[1])))
    assert row == [(collection, "image/jpeg", f"temp_uploads/{day}/{name}")]
    assert answer["Location"] == f"/sync-status/{name}"
    assert http.get(answer["Location"]).json["sync_status"] == "pending"


def test_upload_is_committed_when_it_is_answered(http: Served) -> None:
    for path, collection in ROUTES:
        check_upload(http, path, collection)


def test_every_kind_gets_its_ending_whatever_it_was_called(http: Served) -> None:
    for kind in images.KINDS:
        data = images.make(kind, "kind")
        answer = post(http, "/pet/upload-temp", photo(data, "holiday.exe"))
        assert answer.status == 201, answer
        assert NAME.fullmatch(answer.json["temp_filename"])[2] in images.ENDINGS[kind]
        assert stored_bytes(http.perdura.database, answer.json["temp_filename"]) == data


def test_names_are_never_the_same(http: Served) -> None:
    data = images.make("png", 1)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: upload(http, data), range(40)))
    assert len(set(names)) == 40
    assert states(http.perdura.database) == {"pending": 40}


def test_other_fields_are_passed_over(http: Served) -> None:
    data = images.make("png", 1)
    body = form(
        part("title", "Ñandú".encode()),
        part("thumbnail", images.make("png", 2), "small.png", "image/png"),
        part("photo", data, "C:\\photos\\me.png", "image/jpeg"),
        part("photos", b"no"),
    )
    answer = post(http, "/pet/upload-temp", body)
    assert answer.status == 201 and stored_bytes(http.perdura.database, answer.json["temp_filename"]) == data


def test_a_form_that_is_a_part_of_a_body_is_not_taken(http: Served) -> None:
    """RFC 9110, section 14.5: a Content-Range says so."""
    for path, _ in ROUTES:
        answer = post(http, path, photo(images.make("png", 1)), headers={"Content-Range": "bytes 0-99/*"})
        assert "Content-Range" in answer.problem(400), path
    assert states(http.perdura.database) == {}


def test_large_ones_come_in_parts_and_are_whole(http: Served) -> None:
    for size, parts in ((3 * MB, 0), (5 * MB, 0), (5 * MB + 1, 2), (6 * MB, 2), (9 * MB + 1, 4)):
        data = images.sized("jpeg", size, size)
        name = upload(http, data)
        assert stored_bytes(http.perdura.database, name) == data
        assert http.perdura.database.value("SELECT parts FROM upload WHERE temp_filename = %s", name) == parts


def test_a_body_of_unknown_length(http: Served) -> None:
    data = images.sized("png", 700_000, 1)
    body = photo(data)
    pieces = (body[i : i + 9_973] for i in range(0, len(body), 9_973))
    answer = post(http, "/pet/upload-temp", pieces)
    assert answer.status == 201 and stored_bytes(http.perdura.database, answer.json["temp_filename"]) == data


def test_the_limit_is_that_of_the_photo(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_ORIGINS=ORIGINS, PERDURA_MAX_UPLOAD="100 KiB")
    data = images.sized("png", 100 << 10, 1)
    assert stored_bytes(http.perdura.database, upload(http, data)) == data
    more = images.sized("png", (100 << 10) + 1, 1)
    assert "PERDURA_MAX_UPLOAD" in post(http, "/pet/upload-temp", photo(more)).problem(413)
    pieces = (photo(more)[i : i + 5_000] for i in range(0, len(photo(more)), 5_000))
    assert "PERDURA_MAX_UPLOAD" in post(http, "/pet/upload-temp", pieces).problem(413)
    assert states(http.perdura.database) == {"pending": 1}


# What is not


TEXT = b"This is no image. " * 10
REFUSED = [
    (form(), 400, "no field photo"),
    (form(part("image", images.make("png", 1), "a.png")), 400, "no field photo"),
    (form(part("photo", b"", "a.png")), 400, "is empty"),
    (form(part("photo", images.make("png", 1)), part("photo", images.make("png", 2))), 400, "more than one"),
    (photo(TEXT, "me.jpg"), 415, "no image"),
    (photo(TEXT * 3000, "me.jpg"), 415, "no image"),
    (photo(images.make("png", 1))[:-8], 400, "the form"),
    (photo(images.make("png", 1))[:-40], 400, "the form"),
    (b"not a form at all", 400, "the form"),
    (b"", 400, "form"),
]


def test_what_is_of_no_use_is_refused_with_a_reason(http: Served) -> None:
    for body, status, told in REFUSED:
        assert told in post(http, "/pet/upload-temp", body).problem(status)
    assert states(http.perdura.database) == {}
    assert http.perdura.database.value("SELECT count(*) FROM upload_part") == 0


def test_a_body_that_is_no_form(http: Served) -> None:
    data = images.make("png", 1)
    for type, status in ((None, 400), ("image/png", 415), ("multipart/form-data", 415), ("multipart/mixed; boundary=b", 415)):
        answer = http.request("POST", "/pet/upload-temp", data, {"Content-Type": type} if type else {})
        assert "photo" in answer.problem(status)


def test_a_collection_without_a_bucket(http: Served) -> None:
    for collection in ("media", "legacy", "nowhere", "..", "%2e%2e", "Mascotas"):
        told = post(http, f"/upload-temp/{collection}", photo(images.make("png", 1))).problem(404)
        assert "PERDURA_ORIGINS" in told, collection
    assert states(http.perdura.database) == {}


def test_without_origins_nothing_is_taken(serve: Callable[..., Served]) -> None:
    http = serve()
    for path in ("/pet/upload-temp", "/chats/upload-temp", "/upload-temp/mascotas"):
        assert "PERDURA_ORIGINS" in post(http, path, photo(images.make("png", 1))).problem(404)


def test_refused_before_the_body_is_sent(http: Served) -> None:
    """No byte of a body that is not wanted needs to be sent."""
    head = (
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n{{}}\r\n"
    )
    bearer = f"Authorization: Bearer {http.token}\r\n"
    for path, length, auth, status in (
        ("/pet/upload-temp", 40 * MB, "", 401),
        ("/upload-temp/nowhere", 40 * MB, bearer, 404),
        ("/pet/upload-temp", 51 * MB, bearer, 413),
    ):
        with http.socket() as sock:
            sock.sendall(head.format(path, length, auth).encode())
            assert read_answer(sock, "POST").status == status


def test_methods(http: Served) -> None:
    for path, allow in (
        ("/upload-temp/mascotas", "POST"),
        ("/pet/upload-temp", "POST"),
        ("/force-sync", "POST"),
        ("/sync-status/x", "GET, HEAD"),
        ("/cache-stats", "GET, HEAD"),
        ("/pet/cache-stats", "GET, HEAD"),
    ):
        answer = http.request("DELETE", path)
        answer.problem(405)
        assert answer["Allow"] == allow


# Who may


def test_what_needs_a_token_and_what_opens_it(serve: Callable[..., Served]) -> None:
    closed, opened = serve(PERDURA_ORIGINS=ORIGINS), serve(PERDURA_ORIGINS=ORIGINS, PERDURA_OPEN="upload,stats")
    body = photo(images.make("png", 1))
    name = upload(closed, images.make("png", 2))
    for http, status in ((closed, 401), (opened, 200)):
        answer = post(http, "/pet/upload-temp", body, token=None)
        assert answer.status == (201 if status == 200 else 401)
        for path in (f"/sync-status/{name}", f"/pet/sync-status/{name}", "/cache-stats", "/pet/cache-stats"):
            assert http.request("GET", path, token=None).status == status, path
        for path in ("/force-sync", "/pet/force-sync"):
            assert http.request("POST", path, token=None).status == 401


# How far they are


def test_status_of_an_upload(http: Served) -> None:
    name = upload(http, images.make("png", 1))
    for path in (f"/sync-status/{name}", f"/pet/sync-status/{name}", f"/partners/pet/sync-status/{name}/"):
        answer = http.get(path)
        assert answer.status == 200 and answer.json["sync_status"] == "pending"
    assert http.head(f"/sync-status/{name}").status == 200
    for other in ("temp_0_1.jpg", name + "x", name[:-1], "%00", "%ff", "a%2fb"):
        assert http.get(f"/sync-status/{other}").status in (400, 404)
    http.get(f"/sync-status/temp_{'0' * 32}_1.jpg").problem(404)


def test_uploads_survive_a_kill_and_a_wiped_disk(
    perdura: Perdura, serve: Callable[..., Served], folder: Path
) -> None:
    http = Served(perdura, {"PERDURA_ORIGINS": ORIGINS})
    contents = {upload(http, data): data for data in (images.sized("png", 5_000 * i + 5_000, i) for i in range(10))}
    big = images.sized("jpeg", 7 * MB, 1)
    contents[upload(http, big)] = big
    http.process.kill()
    assert http.wait() == -9
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    again = serve(PERDURA_ORIGINS=ORIGINS)
    for name, data in contents.items():
        assert state(again, name)["sync_status"] == "pending"
        assert stored_bytes(again.perdura.database, name) == data


def test_without_a_database_the_client_is_told_to_come_again(http: Served) -> None:
    http.perdura.database.server.stop("immediate")
    answer = post(http, "/pet/upload-temp", photo(images.make("png", 1)))
    answer.problem(503)
    assert answer["Retry-After"]
    http.perdura.database.server.start()
    upload(http, images.make("png", 1))


def test_numbers(http: Served) -> None:
    assert http.get("/cache-stats").json["by_type"]["chats"]["temp_files"] == 0
    small, large = images.make("png", 1), images.sized("png", 40_000, 1)
    upload(http, small)
    upload(http, large)
    upload(http, small, "/upload-temp/chats")
    folder = http.perdura.folder / "var/cache/images/mascotas"
    folder.mkdir(parents=True)
    (folder / ("0" * 32 + ".jpg")).write_bytes(large)
    (folder / ".gitkeep").write_bytes(b"")
    found = http.get("/cache-stats").json
    assert (found["total_temp_files"], found["total_cache_files"]) == (3, 1)
    assert set(found["by_type"]) == {"mascotas", "servicios", "chats", "legacy"}
    pets = found["by_type"]["mascotas"]
    assert (pets["temp_files"], pets["temp_bytes"], pets["cache_files"]) == (2, len(small) + 40_000, 1)
    assert http.get("/partners/cache-stats").status == 200
    old = http.get("/pet/cache-stats").json
    assert set(old) == {"cache", "temp_uploads", "system"}
    assert (old["cache"]["total_files"], old["cache"]["bytes"]) == (1, 40_000)
    assert (old["temp_uploads"]["total_files"], old["temp_uploads"]["pending"]) == (2, 2)
    for path in ("/image-cache/status", "/ready"):
        told = http.get(path).json["uploads"]
        assert (told["pending"], told["failed"], told["bytes"]) == (3, 0, 2 * len(small) + 40_000)
    assert "perdura_uploads_total 3" in http.get("/metrics").body.decode()
    assert "3 wait for their buckets, 0 failed" in http.perdura.run("status").stdout


# Bounds


def peak_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ, reason="a sanitizer takes more")
def test_memory_does_not_grow_with_what_is_sent(http: Served) -> None:
    data = images.sized("jpeg", 24 * MB, 1)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: upload(http, data), range(8)))
    assert peak_kb(http.process.pid) < 128 << 10
    assert all(stored_bytes(http.perdura.database, name) == data for name in names[:2])


def test_nothing_is_left_of_uploads_that_break_off(http: Served, folder: Path) -> None:
    body = photo(images.sized("png", 2 * MB, 1))
    head = (
        f"POST /pet/upload-temp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {http.token}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        with http.socket() as sock:
            sock.sendall(head.encode() + body[: len(body) // 2])
    upload(http, images.make("png", 1))
    assert states(http.perdura.database) == {"pending": 1}
    assert not [entry.name for entry in folder.iterdir() if entry.name.startswith("perdura.")]


def test_going_back_a_migration_puts_parts_together(http: Served) -> None:
    data = images.sized("jpeg", 7 * MB + 1, 1)
    name = upload(http, data)
    http.stop()
    behind = http.perdura.database.value("SELECT count(*) FROM schema_migration WHERE version >= 8")  # 0008_sync
    http.perdura.run("migrate", "down", str(behind))
    row = http.perdura.database.value("SELECT image_data FROM upload WHERE temp_filename = %s", name)
    assert base64.b64decode(row, validate=True) == data
    http.perdura.run("migrate")
    assert stored_bytes(http.perdura.database, name) == data
