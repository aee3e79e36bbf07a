"""Images above PERDURA_INLINE_MAX: in, wiped, back, by two S3 servers that have nothing in common.

PERDURA_LARGE_IMAGES=200 makes the test of many as long as it was meant to be: 200 images from 5 MiB + 1 byte to 50 MiB.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from bucket_proxy import BucketProxy, Request
from conftest import SANITIZERS, Perdura, Result, Served
from files import MIB, fingerprint, names, sha256, write
from http_client import url_of
from proxy import FlakyProxy
from servers import free_port, wait_until
from storage_servers import SERVERS, Storage

INLINE_MAX = 5 * MIB
MANY = int(os.environ.get("PERDURA_LARGE_IMAGES", "0"))
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
GONE_FOR_LONG = "now() - interval '3 days'"


def running(name: str, folder: Path) -> Iterator[Storage]:
    server = SERVERS[name]
    if server.missing():
        pytest.skip(server.missing())
    with server(folder / name) as storage:
        yield storage


@pytest.fixture(scope="session")
def s3rver(session_folder: Path) -> Iterator[Storage]:
    yield from running("s3rver", session_folder)


@pytest.fixture(scope="session")
def swift(session_folder: Path) -> Iterator[Storage]:
    yield from running("swift", session_folder)


@pytest.fixture(params=sorted(SERVERS))
def storage(request: pytest.FixtureRequest) -> Storage:
    """Each server in turn."""
    return request.getfixturevalue(request.param)


def bucket_for(storage: Storage, perdura: Perdura) -> str:
    return storage.make_bucket(f"b{random.randrange(1 << 60):x}")


def use(perdura: Perdura, storage: Storage, prefix: str = "", **env: str) -> str:
    """A bucket of this test's own, in Perdura's settings; its name."""
    bucket = bucket_for(storage, perdura)
    perdura.env.update(storage.settings(bucket + prefix), **env)
    return bucket


@pytest.fixture
def bucket(perdura: Perdura, s3rver: Storage) -> str:
    """For what one server is enough for. Small images do there, too."""
    return use(perdura, s3rver, PERDURA_INLINE_MAX="64 KiB")


def wipe(perdura: Perdura) -> None:
    shutil.rmtree(perdura.media)
    perdura.media.mkdir()


def large(perdura: Perdura, path: str, seed: object = 1, nbytes: int = 100_000) -> bytes:
    data = images.sized("jpeg", nbytes, seed)
    write(perdura.media / path, data, 1_600_000_000_123_456_789)
    return data


def peak_bytes(pid: int) -> int:
    """What it held at most so far, 0 once it has ended. (wait4's maxrss counts what it was forked from, too.)"""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def one_line(result: Result) -> str:
    assert result.code != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("perdura: ")]  # and no word of progress
    assert len(lines) == 1, result.stderr
    return lines[0]


def rows(perdura: Perdura) -> dict[str, tuple[bool, str | None]]:
    found = perdura.database.query("SELECT original_path, image_data IS NOT NULL, image_url FROM image_cache")
    return {path: (inline, url) for path, inline, url in found}


# In and back


def test_in_wiped_and_back(perdura: Perdura, serve: Callable[..., Served], storage: Storage) -> None:
    """By every way that images come in: HTTP, the command line, cache-all, the watcher. One byte more than what a row
    takes, and more than what is uploaded in one piece."""
    bucket = use(perdura, storage, "/some/prefix")
    pictures = {
        "http.jpg": images.sized("jpeg", INLINE_MAX + 1, "http"),
        "put.png": images.sized("png", 17 * MIB, "put"),
        "cached.jpg": images.sized("jpeg", INLINE_MAX + 3, "cached"),
        "inline.jpg": images.sized("jpeg", INLINE_MAX, "inline"),
    }
    write(perdura.media / "cached.jpg", pictures["cached.jpg"])
    write(perdura.media / "inline.jpg", pictures["inline.jpg"])
    write(perdura.folder / "put.png", pictures["put.png"])
    perdura.run("cache-all")
    perdura.run("put", perdura.folder / "put.png")
    http = serve()
    assert http.put(url_of("http.jpg"), pictures["http.jpg"]).status == 201
    pictures["watched.jpg"] = images.sized("jpeg", INLINE_MAX + 2, "watched")
    write(perdura.media / "watched.jpg", pictures["watched.jpg"])
    assert http.post("/image-cache/flush").status == 200
    http.stop()

    before = fingerprint(perdura.media)
    assert {path: one.sha256 for path, one in before.items()} == {p: sha256(data) for p, data in pictures.items()}
    url = {path: f"s3://{bucket}/some/prefix/{sha256(data)}" for path, data in pictures.items()}
    assert rows(perdura) == {
        path: (True, None) if path == "inline.jpg" else (False, url[path]) for path in pictures
    }
    outside = {path: data for path, data in pictures.items() if path != "inline.jpg"}
    assert storage.objects(bucket) == {f"some/prefix/{sha256(data)}": len(data) for data in outside.values()}
    for data in outside.values():
        assert storage.read(bucket, f"some/prefix/{sha256(data)}") == data

    wipe(perdura)
    perdura.run("restore", "--all")
    assert fingerprint(perdura.media) == before
    assert perdura.run("fsck").stdout == "5 sound, 0 kept elsewhere, 0 damaged\n"
    assert perdura.run("check").code == 0


def test_what_others_wrote_is_served(perdura: Perdura, serve: Callable[..., Served], storage: Storage) -> None:
    """awscli puts the objects, SQL the rows: once as s3://, once as the URL beneath the endpoint."""
    bucket = use(perdura, storage)
    http = serve()
    for key, url in (("a b/é.jpg", f"s3://{bucket}/a b/é.jpg"), ("x+y.jpg", f"{storage.endpoint}/{bucket}/x%2By.jpg")):
        data = images.sized("jpeg", 100_000, key)
        storage.write(bucket, key, data)
        perdura.database.query(
            "INSERT INTO image_cache (original_path, image_url, file_size, content_type_header, sha256)"
            " VALUES (%s, %s, %s, 'image/jpeg', %s)",
            key, url, len(data), bytes.fromhex(sha256(data)),
        )  # fmt: skip
        answer = http.get(url_of(key))
        assert (answer.status, answer.body, answer["X-Cache-Tier"]) == (200, data, "db")
        assert http.get(url_of(key), Range="bytes=99990-").body == data[-10:]
        assert (perdura.media / key).read_bytes() == data


def test_transfers_that_break(perdura: Perdura, storage: Storage) -> None:
    """A 503 or a connection cut in the middle changes nothing but the time."""
    bucket = use(perdura, storage)
    before = {}
    for i in range(4):
        large(perdura, f"{i}.jpg", i, INLINE_MAX + 1 + i)
    before = fingerprint(perdura.media)
    with FlakyProxy(storage.port, 2 * MIB) as proxy:
        perdura.env["PERDURA_S3_ENDPOINT"] = f"http://127.0.0.1:{proxy.port}"
        assert perdura.run("cache-all", "--json").json["cached"] == 4
        cut, refused = proxy.cut, proxy.refused
        assert cut and refused
        wipe(perdura)
        perdura.run("restore", "--all")
        assert proxy.cut > cut and proxy.refused > refused
    assert fingerprint(perdura.media) == before
    assert sorted(storage.objects(bucket).values()) == [one.size for _, one in sorted(before.items())]


IN_ONE_AND_IN_PARTS = pytest.mark.parametrize("size", [6 * MIB, 17 * MIB])


@IN_ONE_AND_IN_PARTS
def test_storage_that_keeps_something_else_is_found_out(perdura: Perdura, s3rver: Storage, size: int) -> None:
    bucket = use(perdura, s3rver)
    data = large(perdura, "a.jpg", 1, size)
    with BucketProxy(s3rver.port) as proxy:
        proxy.fault = lambda request: "damage" if request.method == "PUT" else None
        perdura.env["PERDURA_S3_ENDPOINT"] = proxy.url
        failed = perdura.run("cache-all", check=False)
        assert re.fullmatch("perdura: a.jpg was not uploaded: .* has something else than what was sent", one_line(failed))
        assert failed.code == 1
        assert rows(perdura) == {} and proxy.faults["damage"]
        proxy.fault = lambda request: None
        perdura.run("cache-all")
    assert s3rver.read(bucket, sha256(data)) == data


def test_one_image_that_storage_does_not_keep_stops_no_other(
    perdura: Perdura, s3rver: Storage, serve: Callable[..., Served]
) -> None:
    """It is named, wherever it comes from, and the others are stored."""
    use(perdura, s3rver, PERDURA_COLLECTIONS=f"more={perdura.folder / 'more'}", PERDURA_INLINE_MAX="64 KiB")
    (perdura.folder / "more").mkdir()
    bad = images.sized("jpeg", 100_000, "bad")
    for number in range(4):
        write(perdura.folder / "more" / f"{number}.jpg", images.sized("jpeg", 100_000, number))
    with BucketProxy(s3rver.port) as proxy:

        def damage(request: Request) -> str | None:
            return "damage" if request.method == "PUT" and sha256(bad) in request.path else None

        proxy.fault = damage
        perdura.env["PERDURA_S3_ENDPOINT"] = proxy.url
        write(perdura.folder / "more" / "bad.jpg", bad)
        assert "perdura: more: bad.jpg was not uploaded: " in one_line(perdura.run("cache-all", check=False))
        assert set(rows(perdura)) == {f"{number}.jpg" for number in range(4)}

        http = serve()
        told = 'event="file cannot be stored" collection=more path=bad.jpg error="was not uploaded: '
        wait_until(lambda: told in http.shown(), 60, "the image in the log")
        assert "was not uploaded" in http.put(url_of("b.jpg"), bad).problem(503)
        proxy.fault = lambda request: None
        wait_until(lambda: http.post("/image-cache/flush").status == 200 and "bad.jpg" in rows(perdura), 60, "the rest")
        http.stop()

        perdura.run("migrate-storage", "--to", "db", "--inline-max", "1 MiB")
        proxy.fault = damage
        moved = perdura.run("migrate-storage", "--to", "s3", check=False)
        assert "perdura: more: bad.jpg was not uploaded: " in one_line(moved)
    assert {path for path, (inline, _) in rows(perdura).items() if inline} == {"bad.jpg"}


@IN_ONE_AND_IN_PARTS
def test_storage_whose_etags_tell_nothing_is_read_back(perdura: Perdura, s3rver: Storage, size: int) -> None:
    use(perdura, s3rver)
    large(perdura, "a.jpg", 1, size)
    with BucketProxy(s3rver.port) as proxy:
        gets = []

        def veil(request: Request) -> str | None:
            if request.method == "GET" and "?" not in request.path:
                gets.append(request.path)
            return "veil" if request.method == "PUT" else None

        proxy.fault = veil
        perdura.env["PERDURA_S3_ENDPOINT"] = proxy.url
        assert perdura.run("cache-all", "--json").json["cached"] == 1
        assert len(gets) == 1 and len(rows(perdura)) == 1


@pytest.mark.skipif(any(name in os.environ for name in SANITIZERS), reason="sanitizers take memory of their own")
@pytest.mark.parametrize("name", sorted(SERVERS) if MANY else ["s3rver"])
def test_memory_stays_small(perdura: Perdura, request: pytest.FixtureRequest, name: str) -> None:
    """Eight transfers at once hold none of their images."""
    use(perdura, request.getfixturevalue(name))
    count = MANY or 8
    rng = random.Random(5)
    sizes = [INLINE_MAX + 1, 50 * MIB] + [rng.randint(INLINE_MAX + 1, 50 * MIB) for _ in range(count - 2)]
    if not MANY:
        sizes = [20 * MIB] * count
    for i, size in enumerate(sizes):
        large(perdura, f"{i % 7}/{i}.jpg", i, size)
    before = fingerprint(perdura.media)
    peaks = {}
    for command in (["cache-all"], ["restore", "--all"]):
        if command[0] == "restore":
            wipe(perdura)
        process = perdura.start(*command)
        while process.poll() is None:
            peaks[command[0]] = peak_bytes(process.pid) or peaks.get(command[0], 0)
            time.sleep(0.01)  # it only grows: the last look tells
        assert process.returncode == 0 and peaks[command[0]] > 1_000_000
    assert fingerprint(perdura.media) == before
    assert all(peak < 128_000_000 for peak in peaks.values()), peaks


# Over HTTP


def test_missing_file_is_healed(perdura: Perdura, bucket: str, serve: Callable[..., Served]) -> None:
    data = large(perdura, "a/b.jpg")
    perdura.run("cache-all")
    before = fingerprint(perdura.media)
    wipe(perdura)
    http = serve(PERDURA_RESTORE="none")
    answers: list[Any] = []
    ask = [threading.Thread(target=lambda: answers.append(http.get(url_of("a/b.jpg")))) for _ in range(8)]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert [(answer.status, answer.body) for answer in answers] == [(200, data)] * 8
    assert answers[0]["ETag"] == f'"{sha256(data)}"'
    part = http.get(url_of("a/b.jpg"), Range="bytes=50000-50009")
    assert (part.status, part.body) == (206, data[50000:50010])
    assert "perdura_object_gets_total 1\n" in http.get("/metrics").body.decode()
    http.stop()
    assert fingerprint(perdura.media) == before


def test_get_writes_it_out_and_heals(perdura: Perdura, bucket: str) -> None:
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    wipe(perdura)
    assert perdura.run("get", "a.jpg").stdout_bytes == data
    assert (perdura.media / "a.jpg").read_bytes() == data
    assert perdura.run("get", "a.jpg").stdout_bytes == data


def test_folder_that_can_not_be_written_to(perdura: Perdura, bucket: str, serve: Callable[..., Served]) -> None:
    """Its images are served all the same, from files without a name."""
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    http = serve(PERDURA_RESTORE="none", PERDURA_MEDIA_ROOT="/proc/nowhere", PERDURA_MEMORY_ITEMS="0")
    answer = http.get(url_of("a.jpg"))
    assert (answer.status, answer.body) == (200, data)
    assert http.get(url_of("a.jpg"), Range="bytes=5-9").body == data[5:10]


def test_limits_of_an_upload(perdura: Perdura, bucket: str, serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_MAX_UPLOAD="200 KiB")
    data = images.sized("jpeg", 200 * 1024, 1)
    chunks = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
    assert http.put(url_of("a.jpg"), iter(chunks)).status == 201  # chunked, and spilled on its way
    assert http.put(url_of("a.jpg"), data).json["unchanged"] is True
    assert "PERDURA_MAX_UPLOAD" in http.put(url_of("b.jpg"), data + b"\0").problem(413)
    assert http.put(url_of("b.jpg"), b"no image" * 10_000).problem(400)
    other = images.sized("jpeg", 150 * 1024, 2)
    assert http.put(url_of("a.jpg"), other, **{"If-None-Match": "*"}).problem(412)
    assert http.get(url_of("a.jpg")).body == data
    http.stop()
    assert names(perdura.media) == {"a.jpg"}
    assert rows(perdura).keys() == {"a.jpg"}


def test_by_entity(perdura: Perdura, bucket: str, serve: Callable[..., Served]) -> None:
    http = serve()
    data = images.sized("png", 100_000, 1)
    assert http.put("/api/images/artist/42/cover", data).status == 201
    assert http.get("/api/images/artist/42/cover").body == data


# What the storage has is not trusted


@pytest.mark.parametrize("size", [100_000, 99_999, 100_001])
def test_object_of_other_content_never_becomes_a_file(
    perdura: Perdura, s3rver: Storage, bucket: str, serve: Callable[..., Served], size: int
) -> None:
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    wipe(perdura)
    s3rver.write(bucket, sha256(data), images.sized("jpeg", size, "other"))
    result = perdura.run("restore", "--all", check=False)
    assert result.code == 1 and one_line(result).startswith("perdura: a.jpg is damaged: ")
    assert perdura.run("get", "a.jpg", check=False).code == 1
    fsck = perdura.run("fsck", check=False)
    assert fsck.code == 1 and fsck.stdout == "0 sound, 0 kept elsewhere, 1 damaged\n"
    http = serve(PERDURA_RESTORE="none")
    assert http.get(url_of("a.jpg")).problem(500)
    http.stop()
    assert names(perdura.media) == set()


def test_lost_object_is_told_and_mended(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    wipe(perdura)
    s3rver.remove(bucket, sha256(data))
    assert "is damaged" in one_line(perdura.run("restore", "a.jpg", check=False))
    write(perdura.folder / "copy.jpg", data)
    perdura.run("put", perdura.folder / "copy.jpg", "a.jpg")
    assert s3rver.objects(bucket) == {sha256(data): len(data)}
    wipe(perdura)
    assert perdura.run("get", "a.jpg").stdout_bytes == data


def test_file_that_grows_during_its_upload(perdura: Perdura, bucket: str) -> None:
    """What is stored is what some file was, and never a mixture."""
    versions = [images.sized("jpeg", 3 * MIB, seed) for seed in range(2)]
    path = write(perdura.media / "a.jpg", versions[0])
    stop = threading.Event()

    def rewrite() -> None:
        with open(path, "r+b") as file:
            while not stop.is_set():
                for version in versions:
                    file.seek(0)
                    file.write(version)
                    file.flush()

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        perdura.run("cache-all", check=False)
    finally:
        stop.set()
        writer.join()
    stored = perdura.database.query("SELECT encode(sha256, 'hex') FROM image_cache")
    wipe(perdura)
    if stored:
        assert sha256(perdura.run("get", "a.jpg").stdout_bytes) == stored[0][0]


# When it is not there


def test_wrong_settings_are_one_line_each(perdura: Perdura, storage: Storage) -> None:
    use(perdura, storage, PERDURA_INLINE_MAX="64 KiB")
    large(perdura, "../a.jpg")

    def line(**env: str) -> str:
        result = perdura.run("put", perdura.folder / "a.jpg", env=env, check=False)
        assert result.code == 3
        return one_line(result)

    assert "AWS_ACCESS_KEY_ID" in line(AWS_ACCESS_KEY_ID="nobody") or "AWS_SECRET" in line(AWS_ACCESS_KEY_ID="nobody")
    assert "no bucket nowhere" in line(PERDURA_LARGE_BUCKET="nowhere")
    if storage is not None and storage.key == "test:tester":  # s3rver looks at neither
        told = line(AWS_SECRET_ACCESS_KEY="not-the-secret")
        assert "AWS_SECRET_ACCESS_KEY" in told and "not-the-secret" not in told
        assert "AWS_REGION" in line(AWS_REGION="eu-west-7")
    assert "Could" in line(PERDURA_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert rows(perdura) == {}


@pytest.mark.skipif(not FAKETIME, reason="no libfaketime")
@pytest.mark.skipif(any(name in os.environ for name in SANITIZERS), reason="sanitizers and libfaketime do not mix")
@pytest.mark.parametrize("by", ["+20m", "-20m"])
def test_clock_that_is_wrong_is_told(perdura: Perdura, storage: Storage, by: str) -> None:
    use(perdura, storage, PERDURA_INLINE_MAX="64 KiB")
    large(perdura, "../a.jpg")
    clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    clock["FAKETIME_FORCE_MONOTONIC_FIX"] = "0"  # or timed waits end at once
    told = one_line(perdura.run("put", perdura.folder / "a.jpg", env=clock, check=False))
    assert f"clock is 20 minutes {'ahead of' if by[0] == '+' else 'behind'}" in told


def test_storage_that_is_away_holds_up_nothing_else(
    perdura: Perdura, s3rver: Storage, bucket: str, serve: Callable[..., Served]
) -> None:
    """Small images are stored, what is on disk is served, large ones wait; then it is back."""
    http = serve()
    s3rver.stop()
    try:
        data = large(perdura, "large.jpg")
        small = images.make("png", 1)
        write(perdura.media / "small.png", small)
        wait_until(lambda: "small.png" in rows(perdura), 60, "the small image's row")
        assert http.get(url_of("large.jpg")).body == data
        http.put(url_of("other.jpg"), images.sized("jpeg", 100_000, 2)).problem(503)

        def down() -> bool:
            ready = http.get("/ready")
            assert ready.status == 200 and ready.json["ready"] is True
            return ready.json["object_storage"]["state"] == "down"

        wait_until(down, 60, "the word that object storage is down")
        assert http.get("/image-cache/status").json["object_storage"]["detail"]
        assert "objects    down: " in perdura.run("status").stdout
    finally:
        s3rver.start()
    wait_until(lambda: "large.jpg" in rows(perdura), 60, "the large image's row")
    wait_until(lambda: http.get("/ready").json["object_storage"]["state"] == "up", 60, "object storage being up")


def test_storage_that_hangs_keeps_nobody_waiting(
    perdura: Perdura, s3rver: Storage, bucket: str, serve: Callable[..., Served]
) -> None:
    """More large files than there are threads for them wait for it, and uploads; small ones pass."""
    http = serve()
    s3rver.sigstop()
    try:
        for i in range(6):
            large(perdura, f"{i}.jpg", i)
        clients = [
            threading.Thread(target=http.put, args=(url_of(f"http{i}.jpg"), images.sized("jpeg", 100_000, 10 + i)))
            for i in range(5)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: http.get("/image-cache/status").json["watch"]["pending"] == 6, 60, "files that wait")
        write(perdura.media / "small.png", images.make("png", 1))
        wait_until(lambda: "small.png" in rows(perdura), 60, "the small image's row")
        assert http.put(url_of("other.png"), images.make("png", 2)).status == 201
        assert rows(perdura).keys() == {"small.png", "other.png"}
    finally:
        s3rver.sigcont()
    for client in clients:
        client.join()
    assert http.post("/image-cache/flush").status == 200
    assert len(rows(perdura)) == 13


def test_restore_without_it_restores_the_rest(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    large(perdura, "large.jpg")
    write(perdura.media / "small.png", images.make("png", 1))
    perdura.run("cache-all")
    wipe(perdura)
    s3rver.stop()
    try:
        result = perdura.run("restore", "--all", check=False)
        assert result.code == 1 and one_line(result).startswith("perdura: large.jpg ")
        assert names(perdura.media) == {"small.png"}
    finally:
        s3rver.start()
    perdura.run("restore", "--all")
    assert names(perdura.media) == {"small.png", "large.jpg"}


def test_settings_that_lack_something(perdura: Perdura) -> None:
    result = perdura.run("status", env={"PERDURA_LARGE_BUCKET": "photos"}, check=False)
    assert result.code == 2 and "needs PERDURA_S3_ENDPOINT" in one_line(result)
    for name, value in (
        ("PERDURA_LARGE_BUCKET", "Photos"),
        ("PERDURA_LARGE_BUCKET", "photos/../other"),
        ("PERDURA_S3_ENDPOINT", "s3.example.com"),
        ("PERDURA_S3_ENDPOINT", "https://user:password@s3.example.com"),
        ("PERDURA_S3_ENDPOINT", "https://s3.example.com/bucket"),
        ("PERDURA_ALLOWED_SOURCES", "https://example.com"),
    ):
        result = perdura.run("status", env={name: value}, check=False)
        assert result.code == 2 and one_line(result).startswith(f"perdura: {name}: ")


# What nobody needs goes


def age(perdura: Perdura) -> None:
    """As if days had passed."""
    perdura.database.query(
        f"UPDATE image_object SET claimed_at = {GONE_FOR_LONG}, unneeded_at = unneeded_at - interval '3 days'"
    )


def test_object_goes_when_no_row_needs_it(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    data = large(perdura, "one.jpg")
    large(perdura, "two.jpg")  # the same content
    perdura.run("cache-all")
    assert s3rver.objects(bucket) == {sha256(data): len(data)}

    def clean() -> int:
        age(perdura)
        return int(perdura.run("cleanup", "--days", "90", "--json").json["objects"])

    perdura.database.query("DELETE FROM image_cache WHERE original_path = 'one.jpg'")
    perdura.run("rm", "two.jpg")
    assert (clean(), clean()) == (0, 0)  # a row in the trash needs it
    assert s3rver.objects(bucket)
    perdura.database.query("DELETE FROM image_cache")
    assert clean() == 0  # that nobody needs it is noticed, and its grace begins
    assert s3rver.objects(bucket)
    assert perdura.run("cleanup", "--days", "90", "--json").json["objects"] == 0
    age(perdura)
    assert perdura.run("cleanup", "--days", "90", "--dry-run", "--json").json["objects"] == 1
    assert clean() == 1
    assert s3rver.objects(bucket) == {}
    assert perdura.database.value("SELECT count(*) FROM image_object") == 0


def test_object_that_is_needed_again_stays(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    perdura.database.query("DELETE FROM image_cache")
    age(perdura)
    perdura.run("cleanup", "--days", "90")
    age(perdura)
    perdura.run("cache-all")  # claims it in the last moment
    assert perdura.run("cleanup", "--days", "90", "--json").json["objects"] == 0
    assert s3rver.objects(bucket) == {sha256(data): len(data)}


def test_object_that_is_being_removed_is_put_anew(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    """Whoever removes it has taken it, and has not come to it yet: who puts it waits, and puts it then."""
    data = large(perdura, "a.jpg")
    perdura.run("cache-all")
    perdura.database.query("DELETE FROM image_cache")
    perdura.database.query("UPDATE image_object SET removing_at = now()")
    process = perdura.start("cache-all")
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE %s"
    claim = (perdura.database.name, "%INSERT INTO image_object%")
    wait_until(lambda: perdura.database.query(asked + " AND pid <> pg_backend_pid()", *claim)[0][0], 60, "its claim")
    assert process.poll() is None and rows(perdura) == {}
    s3rver.remove(bucket, sha256(data))
    perdura.database.query("DELETE FROM image_object WHERE removing_at IS NOT NULL")
    assert process.wait(60) == 0
    assert s3rver.objects(bucket) == {sha256(data): len(data)}
    assert rows(perdura) == {"a.jpg": (False, f"s3://{bucket}/{sha256(data)}")}


def test_objects_of_others_stay(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    s3rver.write(bucket, "0" * 64, b"somebody's")
    age(perdura)
    perdura.run("cleanup", "--days", "90")
    assert s3rver.objects(bucket) == {"0" * 64: 10}


# migrate-storage


def test_images_move_both_ways(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    contents = {f"{i}.jpg": large(perdura, f"{i}.jpg", i) for i in range(5)}
    write(perdura.media / "small.png", images.make("png", 1))
    perdura.run("cache-all")
    before = fingerprint(perdura.media)

    to_db = ["migrate-storage", "--to", "db"]
    would = perdura.run(*to_db, "--json").json
    assert (would["moved"], would["in_place"]) == (0, 6)  # above the limit they belong there
    perdura.env["PERDURA_INLINE_MAX"] = "1 MiB"
    assert perdura.run(*to_db, "--dry-run", "--json").json["moved"] == 5
    assert perdura.run("list", "--json").code == 0 and all(url for inline, url in rows(perdura).values() if not inline)
    assert perdura.run(*to_db, "--json").json["moved"] == 5
    assert perdura.run(*to_db, "--json").json["moved"] == 0
    assert all(inline for inline, _ in rows(perdura).values())
    wipe(perdura)
    perdura.run("restore", "--all")
    assert fingerprint(perdura.media) == before

    for key in s3rver.objects(bucket):
        s3rver.remove(bucket, key)
    perdura.env["PERDURA_INLINE_MAX"] = "64 KiB"
    to_s3 = ["migrate-storage", "--to", "s3"]
    assert perdura.run(*to_s3, "--dry-run", "--json").json["moved"] == 5
    assert s3rver.objects(bucket) == {}
    assert perdura.run(*to_s3, "--json").json["moved"] == 5
    assert s3rver.objects(bucket) == {sha256(data): len(data) for data in contents.values()}
    assert rows(perdura)["small.png"] == (True, None)
    wipe(perdura)
    perdura.run("restore", "--all")
    assert fingerprint(perdura.media) == before
    assert perdura.run("fsck").stdout == "6 sound, 0 kept elsewhere, 0 damaged\n"


def test_move_goes_on_where_it_ended(perdura: Perdura, s3rver: Storage, bucket: str) -> None:
    for i in range(6):
        large(perdura, f"{i}.jpg", i)
    perdura.env["PERDURA_INLINE_MAX"] = "1 MiB"
    perdura.run("cache-all")
    perdura.env["PERDURA_INLINE_MAX"] = "64 KiB"
    process = perdura.start("migrate-storage", "--to", "s3")
    wait_until(lambda: process.poll() is not None or any(url for _, url in rows(perdura).values()), 60, "a first move")
    process.kill()
    process.wait()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'perdura'"
    wait_until(lambda: perdura.database.value(sessions) == 0, 60, "the end of what its sessions were doing")
    done = sum(url is not None for _, url in rows(perdura).values())
    assert perdura.run("migrate-storage", "--to", "s3", "--json").json["moved"] == 6 - done
    assert len(s3rver.objects(bucket)) == 6
    assert perdura.run("fsck").code == 0


def test_move_needs_a_place(perdura: Perdura) -> None:
    assert "PERDURA_LARGE_BUCKET" in one_line(perdura.run("migrate-storage", "--to", "s3", check=False))
    assert perdura.run("migrate-storage", check=False).code == 2
