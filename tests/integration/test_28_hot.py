"""Images at hand: in memory or as open files, and never other than what the file of that name holds."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import images
import pytest
from conftest import Perdura, Served
from files import sha256
from http_client import url_of
from servers import wait_until

KIB = 1024


def tier(http: Served, path: str) -> str:
    answer = http.get(url_of(path))
    assert answer.status == 200
    return answer["X-Cache-Tier"]


def metric(http: Served, name: str) -> int:
    """Of the tier."""
    return int(re.search(rf'^{name}{{tier="memory"}} (\d+)$', http.get("/metrics").body.decode(), re.M)[1])


def total(http: Served, name: str) -> int:
    return int(re.search(rf"^{name} (\d+)$", http.get("/metrics").body.decode(), re.M)[1])


def put(http: Served, path: str, data: bytes) -> bytes:
    assert http.put(url_of(path), data).status in (200, 201)
    return data


def test_the_second_who_asks_is_served_from_memory(http: Served) -> None:
    for size in (500, 4 * KIB, 16 * KIB, 100 * KIB, 900 * KIB):
        path = f"{size}.png"
        data = put(http, path, images.sized("png", size, size))
        first, *others = (http.get(url_of(path)) for _ in range(4))
        assert first["X-Cache-Tier"] == "disk"
        for answer in others:
            assert (answer.status, answer.body) == (200, data)
            assert (answer["X-Cache-Status"], answer["X-Cache-Tier"]) == ("HIT", "memory")
            changing = ("date", "x-cache-tier")
            assert [one for one in answer.headers if one[0].lower() not in changing] == [
                one for one in first.headers if one[0].lower() not in changing
            ]
        head = http.request("HEAD", url_of(path))
        assert head.status == 200 and head["Content-Length"] == str(len(data)) and not head.body


def test_large_images_are_open_files(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_MEMORY_BYTES="1 MiB")
    data = put(http, "large.png", images.sized("png", 200 * KIB, 1))
    for _ in range(3):
        answer = http.get(url_of("large.png"))
        assert (answer.body, answer["X-Cache-Tier"], answer["X-Cache-Status"]) == (data, "disk", "HIT")


def test_files_are_held_open_while_there_are_descriptors(perdura: Perdura, serve: Callable[..., Served]) -> None:
    limited = perdura.folder / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n 1024\nexec "{perdura.binary}" "$@"\n')
    limited.chmod(0o755)
    perdura.binary = limited
    http = serve(PERDURA_MEMORY_BYTES="0", PERDURA_MEMORY_ITEMS="10000")
    connections = [http.connect() for _ in range(8)]
    paths = [f"{i}.png" for i in range(600)]
    for path in paths:
        assert http.on(connections[0], "PUT", url_of(path), images.make("png", path)).status == 201
    for i in range(3 * len(paths)):
        path = paths[i % len(paths)]
        answer = http.on(connections[i % len(connections)], "GET", url_of(path))
        assert (answer.status, answer.body) == (200, images.make("png", path))
    assert len(os.listdir(f"/proc/{http.process.pid}/fd")) < 512
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("setting", ["PERDURA_MEMORY_BYTES", "PERDURA_MEMORY_ITEMS"])
def test_without_memory(serve: Callable[..., Served], setting: str) -> None:
    http = serve(**{setting: "0"})
    data = put(http, "a.png", images.make("png", 1))
    for _ in range(3):
        answer = http.get(url_of("a.png"))
        assert (answer.body, answer["X-Cache-Tier"]) == (data, "disk")


def test_versions_conditions_and_ranges_of_what_is_in_memory(http: Served) -> None:
    data = put(http, "a.png", images.sized("png", 20 * KIB, 1))
    url = url_of("a.png")
    etag = f'"{sha256(data)}"'
    for _ in range(3):
        plain, versioned = http.get(url), http.get(url + "?v=3")
        assert plain["Cache-Control"] == "public, max-age=0, must-revalidate"
        assert versioned["Cache-Control"] == "public, max-age=31536000, immutable"
        assert plain.body == versioned.body == data and plain["ETag"] == etag
        assert http.get(url, If_None_Match=etag).status == 304
        assert http.get(url, If_Modified_Since=plain["Last-Modified"]).status == 304
        assert http.get(url, If_Match='"other"').status == 412
        part = http.get(url, Range="bytes=100-199")
        assert (part.status, part.body, part["X-Cache-Tier"]) == (206, data[100:200], "memory")
        assert http.get(url, Range=f"bytes={len(data)}-").status == 416


def test_a_file_that_changes_is_seen_at_once(http: Served) -> None:
    """Written in place or renamed over, of the same size, with the same time."""
    file = http.perdura.media / "a.png"
    old, new = (images.sized("png", 20 * KIB, i) for i in (1, 2))
    assert len(old) == len(new)
    put(http, "a.png", old)
    for i in range(20):
        wait_until(lambda: tier(http, "a.png") == "memory", 60, "a copy in memory")  # a commit drops it once more
        before = file.stat()
        if i % 2:
            file.write_bytes(new)
        else:
            (file.parent / "next").write_bytes(new)
            os.utime(file.parent / "next", ns=(before.st_atime_ns, before.st_mtime_ns))
            os.rename(file.parent / "next", file)
        assert http.get(url_of("a.png")).body == new
        assert http.get(url_of("a.png")).body == new
        old, new = new, old


def test_a_file_written_while_it_is_served_is_never_torn(http: Served) -> None:
    file = http.perdura.media / "a.png"
    contents = [images.sized("png", 64 * KIB, i) for i in range(2)]
    put(http, "a.png", contents[0])
    until = time.monotonic() + 2
    with ThreadPoolExecutor(4) as pool:

        def read() -> set[bytes]:
            seen = set()
            while time.monotonic() < until:
                seen.add(http.get(url_of("a.png")).body)
            return seen

        readers = [pool.submit(read) for _ in range(4)]
        i = 0
        while time.monotonic() < until:
            i += 1
            (file.parent / "next").write_bytes(contents[i % 2])
            os.rename(file.parent / "next", file)
        assert set.union(*(reader.result() for reader in readers)) <= set(contents)


def purge_one_at_hand(http: Served, path: str) -> bool:
    """The watch, too, drops what is at hand when it has looked at a file that was put: then there is nothing to purge."""
    tier(http, path)
    return http.request("PURGE", url_of(path)).json["invalidated"] >= 1


def test_put_delete_and_purge_are_seen_at_once(http: Served) -> None:
    old, new = (images.make("png", i) for i in (1, 2))
    for _ in range(10):
        put(http, "a.png", old)
        assert [http.get(url_of("a.png")).body for _ in range(3)] == [old] * 3
        put(http, "a.png", new)
        assert [http.get(url_of("a.png")).body for _ in range(3)] == [new] * 3
        wait_until(lambda: purge_one_at_hand(http, "a.png"), 60, "something to purge")
        assert tier(http, "a.png") == "disk"
        assert http.request("DELETE", url_of("a.png")).status == 204
        assert http.get(url_of("a.png")).status == 404


def test_it_lasts_as_long_as_it_is_said(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_MEMORY_TTL="1")
    put(http, "a.png", images.make("png", 1))
    assert tier(http, "a.png") == "disk"
    for other in ("memory", "disk", "memory"):  # a machine that is busy may take longer than a second between two looks
        wait_until(lambda: tier(http, "a.png") == other, 60, f"the copy in {other}")  # noqa: B023


def test_wiped_and_without_a_database_memory_serves(http: Served) -> None:
    stored = {f"{i}.png": put(http, f"{i}.png", images.sized("png", 3 * KIB * (i + 1), i)) for i in range(20)}
    for path in stored:
        assert (tier(http, path), tier(http, path)) == ("disk", "memory")
    http.perdura.database.server.stop()
    try:
        for path, data in stored.items():
            (http.perdura.media / path).unlink()
            answer = http.get(url_of(path))
            assert (answer.status, answer.body, answer["X-Cache-Tier"]) == (200, data, "memory")
    finally:
        http.perdura.database.server.start()


def test_what_is_used_stays(serve: Callable[..., Served]) -> None:
    """Images that are asked for once do not push out those that are asked for all the time."""
    http = serve(PERDURA_MEMORY_ITEMS="50", PERDURA_MEMORY_TTL="3600")
    hot = [f"hot{i}.png" for i in range(30)]
    for i, path in enumerate(hot):
        put(http, path, images.make("png", i))
    for _ in range(5):
        for path in hot:
            tier(http, path)
    for i in range(300):
        put(http, f"scan{i}.png", images.make("png", (1, i)))
        tier(http, f"scan{i}.png")
    assert {tier(http, path) for path in hot} == {"memory"}
    assert 0 < metric(http, "perdura_tier_items") <= 50
    assert metric(http, "perdura_evictions_total") > 200


def test_an_entity_is_known_without_a_database(http: Served) -> None:
    url = "/api/images/artist/42/background"
    data = images.make("png", 1)
    wait_until(lambda: total(http, "perdura_feed_listening") == 1, 60, "the feed")
    assert http.put(url, data).status == 201
    wait_until(lambda: total(http, "perdura_feed_changes_total") >= 1, 60, "the feed's word of it")
    assert [http.get(url).body for _ in range(3)] == [data] * 3
    http.perdura.database.server.stop()
    try:
        answer = http.get(url)
        assert (answer.status, answer.body, answer["X-Cache-Tier"]) == (200, data, "memory")
        assert http.get("/api/images/artist/43/background").status == 503
    finally:
        http.perdura.database.server.start()


def test_an_entity_s_next_image_is_seen_at_once(http: Served) -> None:
    """Given to it by its own URL, under another name, by assignment, by deletion and by coming back from the trash."""
    url = "/api/images/artist/42/background"
    first, second, third = (images.make(kind, kind) for kind in ("png", "gif", "bmp"))
    wait_until(lambda: http.put(url, first).status in (200, 201), 60, "the database")
    assert http.get(url).body == http.get(url).body == first
    assert http.put(url, second).status == 201  # a GIF: another path
    assert http.get(url).body == http.get(url).body == second
    assert http.put("/media/other.bmp?content_type=artist&object_id=42&variant=background", third).status == 201
    assert http.get(url).body == http.get(url).body == third
    assert http.request("DELETE", "/media/other.bmp").status == 204
    assert http.get(url).body == http.get(url).body == second
    assert http.request("DELETE", "/media/artist/42/background.gif").status == 204
    assert http.get(url).body == http.get(url).body == first
    found = http.get("/image-cache/images?state=trash").json["images"]
    number = next(one["id"] for one in found if one["original_path"] == "other.bmp")
    assert http.request("PATCH", f"/image-cache/images/{number}", {"deleted": False}).status == 200
    assert http.get(url).body == third
