"""What the admin page asks for: lists in every order and by every condition, one image with its bytes and places, jobs
with their history and their end, many images at once, uploads, settings, reads by hour and minute.

ADMIN_ROWS=1000000 makes the list as long as it was meant to be; the figures are printed with -s.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import images
import pytest
import image_rows as rows
from conftest import Served
from files import names, picture, write
from http_client import TOKEN, Answer, url_of
from servers import Redis, wait_until
from uploads import ORIGINS, calm, photo, post

ROWS = int(os.environ.get("ADMIN_ROWS", "5000"))
WAIT_S = 60
IMAGES = "/image-cache/images"


def get(http: Served, path: str, **arguments: Any) -> dict[str, Any]:
    answer = http.get(path + ("?" + urlencode(arguments) if arguments else ""))
    assert answer.status == 200, answer
    return answer.json


def pages(http: Served, limit: int, most: int = 10**9, **arguments: Any) -> list[dict[str, Any]]:
    """All images of a list, or the first `most` of them, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = get(http, IMAGES, limit=limit, **arguments, **({"cursor": cursor} if cursor else {}))
        assert len(page["images"]) <= limit and page["examined"] <= 10000
        found += page["images"]
        cursor = page["cursor"]
        if not cursor or len(found) >= most:
            return found


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [image["id"] for image in found]


def iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def done(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    assert answer.json["state"] == "done", answer.json
    return answer.json


# Lists

ACCESSED = 1780272000 - 60 * 50000  # seconds; of rows.FILL: half of the rows
CREATED = 1767225600 + ROWS // 2

FILTERS: dict[str, tuple[dict[str, Any], Callable[[rows.Row], bool]]] = {
    "all": ({}, lambda row: True),
    "a folder": ({"q": "products/77/"}, lambda row: row.path.startswith("products/77/")),
    "a name": (
        {"q": "hoLIday-4"},
        lambda row: row.path.rpartition("/")[2].lower().startswith("holiday-4") or row.path.startswith("hoLIday-4"),
    ),
    "a path's begin": ({"q": "products"}, lambda row: row.path.startswith("products")),
    "a content type": ({"content_type": "artist"}, lambda row: row.content_type == "artist"),
    "a rare one": ({"content_type": "loyalty.product"}, lambda row: row.content_type == "loyalty.product"),
    "an object": (
        {"content_type": "artist", "object_id": "17"},
        lambda row: row.content_type == "artist" and row.object_id == "17",
    ),
    "a mime type": ({"mime": "image/gif"}, lambda row: row.mime == "image/gif"),
    "sizes": ({"min_size": 20, "max_size": 40}, lambda row: 20 <= row.size <= 40),
    "used before": ({"accessed_before": iso(ACCESSED)}, lambda row: row.accessed < ACCESSED),
    "used after": ({"accessed_after": iso(ACCESSED)}, lambda row: row.accessed >= ACCESSED),
    "created": (
        {"created_after": iso(CREATED), "created_before": iso(CREATED + 300)},
        lambda row: CREATED <= row.created < CREATED + 300,
    ),
    "several": (
        {"q": "photo", "mime": "image/svg+xml", "min_size": 5, "content_type": "artist"},
        lambda row: row.path.rpartition("/")[2].startswith("photo")
        and row.mime == "image/svg+xml"
        and row.size >= 5
        and row.content_type == "artist",
    ),
    "none": ({"mime": "image/none"}, lambda row: False),
}
STATES: dict[str, Callable[[rows.Row], bool]] = {
    "live": lambda row: row.deleted is None,
    "trash": lambda row: row.deleted is not None,
    "large": lambda row: row.deleted is None and row.linked,
}
ORDERS = {
    "live": ("path", "hottest", "newest", "largest"),
    "trash": ("path", "deleted", "newest", "largest"),
    "large": ("path", "hottest", "newest", "largest"),
}


@pytest.fixture
def many(http: Served) -> Served:
    rows.fill(http.perdura.database, 3000)
    return http


def test_every_order_and_condition(many: Served) -> None:
    """Page by page, each is what a look at all rows says."""
    table = rows.read(many.perdura.database)
    collections = itertools.cycle(("*", "media", "avatars", "*", "media"))
    for (name, (arguments, meant)), state in itertools.product(FILTERS.items(), STATES):
        for order, collection in zip(ORDERS[state], collections):
            right = rows.expected(
                table,
                order,
                lambda row: meant(row) and STATES[state](row) and collection in ("*", row.collection),
            )
            what = {"state": state, "order": order, "collection": collection, **arguments}
            limit = max(1, len(right) // 2)
            assert ids(pages(many, min(limit, 1000), **what)) == right, (name, what)


def test_what_is_rare_among_many(http: Served) -> None:
    """More rows than are examined for a page, in the trash and of a content type, too."""
    rows.fill(http.perdura.database, 45000)
    table = rows.read(http.perdura.database)
    for name, state in itertools.product(("several", "an object", "a rare one", "created", "none"), STATES):
        arguments, meant = FILTERS[name]
        for order in ORDERS[state]:
            right = rows.expected(table, order, lambda row: meant(row) and STATES[state](row))
            found = pages(http, 1000, state=state, order=order, collection="*", **arguments)
            assert ids(found) == right, (name, state, order)


def test_a_list_tells_how_many_there_are(many: Served) -> None:
    table = rows.read(many.perdura.database)
    for state, collection in itertools.product(STATES, ("*", "media", "avatars", "none")):
        page = get(many, IMAGES, state=state, collection=collection, limit=1)
        right = [row for row in table if collection in ("*", row.collection)]
        if state == "large":  # as the counter has it: those of live images
            right = [row for row in right if row.linked and row.deleted is None]
        else:
            right = [row for row in right if STATES[state](row)]
        assert page["total"] == len(right), (state, collection)
    for arguments, _ in list(FILTERS.values())[1:]:
        assert get(many, IMAGES, **arguments)["total"] is None


def test_few_rows_are_examined_at_a_time(http: Served) -> None:
    """What is rare is not looked for without end: the page says how to go on."""
    rows.fill(http.perdura.database, 25000)
    there = rows.insert(http.perdura.database, "zz/last.png", content_type_header="image/webp")
    http.perdura.database.query("UPDATE image_cache SET last_accessed = '2000-01-01', file_size = file_size"
                                " WHERE id = %s", there)
    cursor, asked = None, 0
    for asked in itertools.count(1):
        page = get(http, IMAGES, collection="*", order="hottest", mime="image/webp",
                   **({"cursor": cursor} if cursor else {}))
        cursor = page["cursor"]
        if page["images"]:
            break
        assert cursor and 2000 <= page["examined"] <= 10000
    assert asked >= 3 and ids(page["images"]) == [there] and cursor is None


@pytest.mark.parametrize("begin", ["m/e", "m/\u00e9", "\u00e9/", "\u5199/\u771f"])
def test_a_search_of_a_folder_examines_that_folder_alone(http: Served, begin: str) -> None:
    database = http.perdura.database
    inside = [rows.insert(database, f"{begin}{n}", collection="media") for n in range(3)]
    database.query(
        "INSERT INTO image_cache (collection, original_path, image_url, file_size, content_type_header, sha256)"
        " SELECT c, f || i, 'https://h/' || i, 1, 'image/png', sha256('x')"
        " FROM generate_series(1, 3000) i, unnest(ARRAY['media', 'other']) c, unnest(ARRAY['a/', 'z/', '\u9fff/']) f"
    )
    page = get(http, IMAGES, q=begin)
    assert (ids(page["images"]), page["examined"], page["cursor"]) == (inside, 3, None)


def test_paths_of_every_kind_are_paged_through(http: Served) -> None:
    database = http.perdura.database
    odd = ["a", "a/b", "a b", "ab", "a\u00e9.png", "\U0010fffd/x", "\U0010ffff", "z" * 2048, "a/\U0010ffff\U0010ffff.png",
           "آلبوم/تصویر.png", "%2F", "a?b=c", "<img src=x onerror=alert(1)>.png", "o'k", "100%"]
    for path, collection in itertools.product(odd, ("media", "a-b", "a_b", "elsewhere")):
        rows.insert(database, path, collection=collection)
    table = rows.read(database)
    assert ids(pages(http, 3, collection="*")) == rows.expected(table, "path", lambda row: True)
    for begin in ("a/", "آلبوم/", "\U0010fffd/"):
        right = rows.expected(table, "path", lambda row: row.collection == "media" and row.path.startswith(begin))
        assert right and ids(pages(http, 1, q=begin)) == right
    found = {image["original_path"]: image for image in pages(http, 100)}
    assert set(found) == set(odd)
    assert found["a b"]["url"] == "/media/a%20b"
    assert found["<img src=x onerror=alert(1)>.png"]["url"] == "/media/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.png"
    assert {image["url"] for image in pages(http, 100, collection="elsewhere")} == {None}
    for path, image in found.items():
        if len(path) <= 255:
            answer = http.get(image["url"])
            assert answer.status == 200 and answer.body == rows.PNG, path


def test_wrong_arguments(many: Served) -> None:
    for wrong in (
        "limit=0", "limit=1001", "limit=x", "order=size", "order=deleted", "state=dead", "min_size=-1", "min_size=1k",
        "max_size=99999999999999999999", "accessed_before=yesterday", "accessed_after=2026-02-30T00:00:00Z",
        "created_before=2026-01-01", "created_after=2026-01-01T00:00:00", "cursor=x&order=newest", "cursor=1.2&order=newest",
        "cursor=1.2.x&order=hottest", "cursor=-9223372036854775808.0.1&order=hottest", "cursor=9223372036854775807.0.1&order=hottest", "cursor=x&collection=*",
        "cursor=99:media&collection=*", "q=" + "x" * 2049, "collection=" + "x" * 65, "q=%ff", "q=a&q=b",
    ):
        detail = many.get(f"{IMAGES}?{wrong}").problem(400)
        assert detail, wrong
    many.request("GET", IMAGES, token=None).problem(401)
    for fine in ("accessed_before=2026-06-01T00:00:00.123456789%2B01:30", "q=", "order=hottest&state=trash", "mime=x"):
        assert many.get(f"{IMAGES}?{fine}").status == 200, fine


def test_the_list_at_size(http: Served) -> None:
    """Each order with each condition: pages go on until their end, and are in order. With ADMIN_ROWS, how long."""
    rows.fill(http.perdura.database, ROWS)
    http.perdura.database.query("VACUUM ANALYZE image_cache")
    slowest: list[tuple[float, str]] = []
    for (name, (arguments, _)), state in itertools.product(FILTERS.items(), STATES):
        for order in ORDERS[state]:
            what = {"collection": "*", "state": state, "order": order, **arguments}
            times, cursor, asked = [], None, 0
            while asked < 12:
                page = {**what, **({"cursor": cursor} if cursor else {})}
                answer = http.get(f"{IMAGES}?{urlencode(page)}")
                assert answer.status == 200 and answer.json["examined"] <= 10000
                times.append(answer.seconds)
                asked, cursor = asked + 1, answer.json["cursor"]
                if not cursor:
                    break
            slowest.append((max(times), f"{name}, {state}, {order}: {len(times)} pages,"
                            f" median {statistics.median(times) * 1000:.1f} ms, worst {max(times) * 1000:.1f} ms"))
    for _, line in sorted(slowest, reverse=True)[: len(slowest) if ROWS > 5000 else 3]:
        print(line)


# One image


def detail(http: Served, number: int) -> dict[str, Any]:
    return get(http, f"{IMAGES}/{number}")


def id_of(http: Served, path: str) -> int:
    return http.perdura.database.value("SELECT id FROM image_cache WHERE original_path = %s", path)


def test_one_image_and_where_it_is(http: Served) -> None:
    data = images.make("png", 1)
    assert http.put("/media/a/b.png?content_type=artist&object_id=42&variant=cover", data).status == 201
    number = id_of(http, "a/b.png")
    http.get("/media/a/b.png")
    one = detail(http, number)
    assert (one["url"], one["encoding"], one["content_type"]) == ("/media/a/b.png", "base64", "artist")
    assert one["tiers"] == {"memory": True, "disk": "current", "redis": None, "db": True, "object": False}
    assert "created" in [event["event"] for event in one["history"]]
    assert [event["at"] for event in one["history"]] == sorted(event["at"] for event in one["history"])
    file = http.perdura.media / "a/b.png"
    file.unlink()
    assert detail(http, number)["tiers"]["disk"] == "missing"
    write(file, b"something else, and no image")
    assert detail(http, number)["tiers"]["disk"] == "changed"
    file.unlink()
    assert http.request("DELETE", f"{IMAGES}/{number}").status == 204
    gone = detail(http, number)
    assert gone["url"] is None and gone["deleted_at"] and gone["history"][-1]["event"] == "deleted"
    assert gone["tiers"]["memory"] is False


def test_an_image_in_redis(serve: Callable[..., Served], folder: Path) -> None:
    with Redis(folder / "redis") as redis:
        http = serve(REDIS_URL=redis.url(), PERDURA_REDIS_TIMEOUT="2000")  # a busy machine is no outage
        http.put("/media/a.png", images.make("png", 1))
        number = id_of(http, "a.png")
        assert detail(http, number)["tiers"]["redis"] is False
        (http.perdura.media / "a.png").unlink()
        assert http.get("/media/a.png").status == 200
        wait_until(lambda: detail(http, number)["tiers"]["redis"], WAIT_S, "the image in Redis")
        redis.stop()
        assert detail(http, number)["tiers"]["redis"] is None


def test_the_content_of_an_image(http: Served) -> None:
    data = images.make("png", 1)
    http.put(url_of("á \"b\".png"), data)
    number = id_of(http, "á \"b\".png")
    path = f"{IMAGES}/{number}/content"

    def check() -> None:
        answer = http.get(path)
        assert answer.status == 200 and answer.body == data and answer["Content-Type"] == "image/png"
        assert answer["X-Content-Type-Options"] == "nosniff" and "private" in answer["Cache-Control"]
        assert "sandbox" in answer["Content-Security-Policy"] and answer["Content-Disposition"] is None
        assert http.get(path, If_None_Match=answer["ETag"]).status == 304
        head = http.head(path)
        assert head.status == 200 and head["Content-Length"] == str(len(data)) and not head.body
        saved = http.get(path + "?download=1")
        assert saved.body == data
        assert saved["Content-Disposition"] == (
            "attachment; filename=\"____b_.png\"; filename*=UTF-8''%C3%A1%20%22b%22.png"
        )
        part = http.get(path, Range="bytes=0-3")
        assert part.status == 206 and part.body == data[:4]

    check()
    http.request("DELETE", f"{IMAGES}/{number}")
    http.get(url_of("á \"b\".png")).problem(404)
    check()
    http.request("GET", path, token=None).problem(401)
    for wrong in ("999999", "0", "x", "-1"):
        http.get(f"{IMAGES}/{wrong}/content").problem(404)


def test_content_that_means_harm(http: Served) -> None:
    """Rows that somebody wrote by hand: nothing of them is shown as a page."""
    page = b"<html><script>alert(1)</script></html>"
    for mime in ("text/html", "application/xhtml+xml", "image/SVG+xml", "image/svg+xml;charset=utf-8", "", "image/"):
        number = rows.insert(http.perdura.database, f"{mime.replace('/', '-')}.x", page, content_type_header=mime)
        for url in (f"{IMAGES}/{number}/content", url_of(f"{mime.replace('/', '-')}.x")):
            answer = http.get(url)
            assert answer["X-Content-Type-Options"] == "nosniff", (mime, url)
            kind = answer["Content-Type"].lower()
            assert kind.startswith("image/") or kind == "application/octet-stream", (mime, url, answer)
            assert "svg" not in kind or "sandbox" in answer["Content-Security-Policy"], (mime, url)


def test_damaged_content_is_not_shown(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    number = id_of(http, "a.png")
    http.perdura.database.query("UPDATE image_cache SET sha256 = sha256('x')")
    http.get(f"{IMAGES}/{number}/content").problem(500)


def test_conditions_on_one_image(http: Served) -> None:
    """They are about its content, in the trash or not."""
    http.put("/media/a.png", images.make("png", 1))
    one = f"{IMAGES}/{id_of(http, 'a.png')}"
    etag, wrong = http.get(f"{one}/content")["ETag"], {"If-Match": '"other"'}
    http.request("PATCH", one, {"variant": "x"}, wrong).problem(412)
    http.request("PATCH", one, {"variant": "x"}, {"If-Match": "other"}).problem(400)
    assert get(http, one)["variant"] is None
    assert http.request("PATCH", one, {"variant": "x", "deleted": True}, {"If-Match": etag}).status == 200
    http.request("DELETE", f"{one}?purge=1", None, wrong).problem(412)
    assert http.get(f"{one}/content").status == 200
    assert http.request("DELETE", f"{one}?purge=1", None, {"If-Match": etag}).status == 204


def test_purging_one_image(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    number = id_of(http, "a.png")
    assert "trash" in http.request("DELETE", f"{IMAGES}/{number}?purge=1").problem(409)
    assert http.request("DELETE", f"{IMAGES}/{number}?purge=0").status == 204
    http.request("DELETE", f"{IMAGES}/{number}?purge=1", token=None).problem(401)
    assert http.request("DELETE", f"{IMAGES}/{number}?purge=1").status == 204
    http.get(f"{IMAGES}/{number}").problem(404)
    http.request("DELETE", f"{IMAGES}/{number}?purge=1").problem(404)
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 0


# Jobs


def wait_for_end(http: Served, number: int) -> dict[str, Any]:
    return wait_until(
        lambda: (job := get(http, f"/image-cache/jobs/{number}"))["state"] != "running" and job, WAIT_S, "the job's end"
    )


def test_the_history_of_jobs(http: Served) -> None:
    picture(http.perdura.media / "a.png")
    http.post("/image-cache/flush")
    for path, body in (
        ("cache-all", {}), ("restore", {"dry_run": True}), ("check", {}), ("fsck", {}), ("cleanup", {"days": 3}),
        ("check", {}),
    ):
        done(http.post(f"/image-cache/{path}", body))
    whole = get(http, "/image-cache/jobs")
    assert whole["running"] == [] and whole["cursor"] is None
    kinds = [job["kind"] for job in whole["recent"]]
    assert kinds == ["check", "cleanup", "fsck", "check", "restore", "cache-all"]
    assert [job["dry_run"] for job in whole["recent"]] == [False, False, False, False, True, False]
    for job in whole["recent"]:
        assert job["state"] == "done" and job["host"] and job["finished_at"] >= job["started_at"]
    assert whole["recent"][2]["result"] == {"sound": 1, "linked": 0, "damaged": 0, "unreachable": 0}
    assert whole["recent"][4]["result"] == {"restored": 0, "present": 1, "newer": 0, "failed": 0, "dry_run": True}
    assert [job["kind"] for job in get(http, "/image-cache/jobs", kind="check")["recent"]] == ["check", "check"]
    seen, cursor = [], None
    while True:
        page = get(http, "/image-cache/jobs", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["recent"]
        cursor = page["cursor"]
        if not cursor:
            break
    assert seen == whole["recent"]
    assert "restore" not in [job["kind"] for job in get(http, "/image-cache/status")["jobs"]]  # a preview is no run
    for wrong in ("limit=0", "cursor=x", "cursor=1", "cursor=1.x", "cursor=-1.1"):
        http.get(f"/image-cache/jobs?{wrong}").problem(400)


def test_check(http: Served) -> None:
    media = http.perdura.media
    for path in ("same.png", "gone.png", "other.png"):
        picture(media / path, path)
    http.post("/image-cache/flush")
    (media / "gone.png").unlink()
    write(media / "other.png", b"no image at all")
    write(media / "new.png", b"no image either")
    result = http.post("/image-cache/check").json
    assert result["state"] == "done_with_failures"  # a file that can't be stored
    assert (result["same"], result["disk_only"], result["store_only"], result["differs"]) == (1, 0, 1, 1)
    assert {(error["path"], error["kind"]) for error in result["errors"]} == {
        ("new.png", "error"), ("gone.png", "store_only"), ("other.png", "differs"),
    }
    assert all(error["collection"] == "media" and error["error"] for error in result["errors"])
    assert result["expected"] == 3 and result["dry_run"] is False
    http.post("/image-cache/check", {"collection": "none"}).problem(400)
    http.post("/image-cache/fsck", {"quick": True}).problem(400)
    http.request("POST", "/image-cache/check", token=None).problem(401)


def test_fsck_finds_what_is_damaged(http: Served) -> None:
    for path in ("a.png", "b.png"):
        http.put(url_of(path), images.make("png", path))
    http.perdura.database.query("UPDATE image_cache SET sha256 = sha256('x') WHERE original_path = 'b.png'")
    started = http.post("/image-cache/fsck?async")
    assert started.status == 202
    job = wait_for_end(http, started.json["id"])
    assert (job["sound"], job["damaged"], job["expected"]) == (1, 1, 2)
    assert [error["path"] for error in job["errors"]] == ["b.png"]


def test_a_job_is_cancelled(http: Served) -> None:
    database = http.perdura.database
    rows.fill(database, 2000)
    connection = database.connect()
    connection.cursor().execute("BEGIN; LOCK TABLE image_cache")  # so that it does not end before it is told to
    started = http.post("/image-cache/fsck?async")
    number = started.json["id"]
    listed = wait_until(lambda: jobs_running(http), WAIT_S, "the job in the list")
    assert [job["id"] for job in listed] == [number]
    answer = http.request("DELETE", f"/image-cache/jobs/{number}")
    assert answer.status == 202 and answer.json["id"] == number
    http.request("DELETE", f"/image-cache/jobs/{number}", token=None).problem(401)
    connection.close()
    job = wait_for_end(http, number)
    assert job["state"] == "cancelled" and "cancelled" in job["failure"]
    events = http.get(f"/image-cache/jobs/{number}/events").body.decode()
    assert re.findall(r"event: (\w+)", events)[-1] == "end" and '"state":"cancelled"' in events
    http.request("DELETE", f"/image-cache/jobs/{number}").problem(409)
    http.request("DELETE", "/image-cache/jobs/999").problem(404)
    assert [(job["kind"], job["state"]) for job in get(http, "/image-cache/jobs")["recent"]] == [("fsck", "cancelled")]


def jobs_running(http: Served) -> list[dict[str, Any]]:
    """The table of jobs is not locked."""
    return get(http, "/image-cache/jobs")["running"]


def test_sync_is_force_sync(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_ORIGINS=ORIGINS)
    assert http.post("/image-cache/sync", {"dry_run": True}).json["synced"] == 0
    started = http.post("/image-cache/sync?async", {"dry_run": True})
    assert started.status == 202 and wait_for_end(http, started.json["id"])["kind"] == "sync"


# Many images at once


def bulk(http: Served, **body: Any) -> dict[str, Any]:
    answer = http.post(f"{IMAGES}/bulk", body)
    assert answer.status == 200, answer
    assert answer.json["state"] == ("done_with_failures" if answer.json["failed"] else "done"), answer.json
    return answer.json


def test_many_images_by_number(http: Served) -> None:
    datas = {f"{n}.png": images.make("png", n) for n in range(6)}
    for path, data in datas.items():
        http.put(url_of(path), data)
    number = {path: id_of(http, path) for path in datas}
    some = [number["1.png"], number["2.png"]]

    preview = bulk(http, action="trash", ids=some, dry_run=True)
    assert (preview["matched"], preview["trashed"], preview["dry_run"]) == (2, 2, True)
    assert len(names(http.perdura.media)) >= 6 and http.get("/media/1.png").status == 200
    result = bulk(http, action="trash", ids=[*some, 999999])
    assert (result["matched"], result["trashed"], result["failed"], result["expected"]) == (2, 2, 0, 3)
    http.get("/media/1.png").problem(404)
    assert not (http.perdura.media / "2.png").exists()
    assert bulk(http, action="trash", ids=some)["matched"] == 0  # it is about live images

    assert bulk(http, action="undelete", ids=[number["1.png"]])["undeleted"] == 1
    assert http.get("/media/1.png").body == datas["1.png"]
    assert bulk(http, action="purge", ids=some)["purged"] == 1
    http.get(f"{IMAGES}/{number['2.png']}").problem(404)
    assert http.get("/media/1.png").status == 200

    wait_until((http.perdura.media / "1.png").exists, WAIT_S, "the file that was asked for")
    for path in ("3.png", "4.png"):
        (http.perdura.media / path).unlink()
    assert http.post("/image-cache/flush").status == 200  # no file is put back while the watch looks at one that went
    preview = bulk(http, action="restore", ids=list(number.values()), dry_run=True)
    assert (preview["restored"], preview["present"]) == (2, 3) and not (http.perdura.media / "3.png").exists()
    result = bulk(http, action="restore", ids=list(number.values()))
    assert (result["restored"], result["present"], result["matched"]) == (2, 3, 5)
    assert (http.perdura.media / "3.png").read_bytes() == datas["3.png"]
    assert bulk(http, action="invalidate", ids=some)["invalidated"] == 1


def test_a_changed_file_is_not_thrown_away(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    write(http.perdura.media / "a.png", b"newer, and no image")
    result = bulk(http, action="trash", ids=[id_of(http, "a.png")])
    assert (result["trashed"], result["failed"]) == (0, 1)
    assert result["errors"][0]["path"] == "a.png" and "changed on disk" in result["errors"][0]["error"]


def test_many_images_by_filter(many: Served) -> None:
    database = many.perdura.database
    live = "SELECT count(*) FROM image_cache WHERE deleted_at IS NULL AND collection = 'media'"
    gifs = database.value(live + " AND content_type_header = 'image/gif'")
    all_live, trash = database.value(live), "SELECT count(*) FROM image_cache WHERE deleted_at IS NOT NULL"
    preview = bulk(many, action="trash", filter={"mime": "image/gif"}, dry_run=True)
    assert preview["matched"] == preview["trashed"] == gifs
    assert database.value(live) == all_live
    assert bulk(many, action="trash", filter={"mime": "image/gif"})["trashed"] == gifs
    assert database.value(live) == all_live - gifs
    assert bulk(many, action="undelete", filter={"mime": "image/gif"})["undeleted"] >= gifs
    before = database.value(trash)
    small = database.value(trash + " AND file_size <= 50 AND collection = 'avatars'")
    result = bulk(many, action="purge", filter={"max_size": 50, "collection": "avatars", "state": "trash"})
    assert result["purged"] == small and database.value(trash) == before - small
    large = bulk(many, action="restore", filter={"collection": "*", "state": "large"}, dry_run=True)
    assert large["matched"] == many.perdura.database.value(
        "SELECT count(*) FROM image_cache WHERE deleted_at IS NULL AND image_url IS NOT NULL"
    )
    everything = bulk(many, action="invalidate", filter={"collection": "*"}, all=True)
    assert everything["invalidated"] == database.value("SELECT count(*) FROM image_cache WHERE deleted_at IS NULL")
    assert bulk(many, action="purge", filter={"collection": "*"}, all=True)["purged"] == before - small
    assert database.value(trash) == 0


def test_bulk_requests_that_are_refused(many: Served) -> None:
    before = many.perdura.database.query("SELECT count(*), count(deleted_at) FROM image_cache")
    for body in (
        {}, {"action": "trash"}, {"action": "burn", "ids": [1]}, {"action": "trash", "ids": []},
        {"action": "trash", "ids": ["1"]}, {"action": "trash", "ids": [0]}, {"action": "trash", "ids": [1] * 1001},
        {"action": "trash", "ids": [1], "filter": {"q": "a"}}, {"action": "trash", "filter": {}},
        {"action": "trash", "filter": {"collection": "*"}}, {"action": "trash", "filter": {}, "all": False},
        {"action": "trash", "filter": {"state": "live"}}, {"action": "purge", "filter": {"state": "trash"}},
        {"action": "trash", "filter": {"mim": "image/gif"}}, {"action": "trash", "filter": {"mime": 7}},
        {"action": "trash", "filter": {"mime": ""}}, {"action": "trash", "filter": {"state": "trash"}},
        {"action": "purge", "filter": {"state": "live", "q": "a"}}, {"action": "trash", "filter": {"min_size": "x"}},
        {"action": "trash", "filter": ["a"]}, {"action": "trash", "ids": [1], "dry": True},
    ):
        many.post(f"{IMAGES}/bulk", body).problem(400)
    many.request("POST", f"{IMAGES}/bulk", {"action": "trash", "ids": [1]}, token=None).problem(401)
    assert many.perdura.database.query("SELECT count(*), count(deleted_at) FROM image_cache") == before


def test_one_bulk_job_at_a_time(many: Served) -> None:
    connection = many.perdura.database.connect()
    connection.cursor().execute("BEGIN; LOCK TABLE image_cache")
    started = many.post(f"{IMAGES}/bulk?async", {"action": "trash", "filter": {}, "all": True})
    assert started.status == 202 and started.json["kind"] == "bulk-trash"
    assert "bulk" in many.post(f"{IMAGES}/bulk", {"action": "purge", "filter": {}, "all": True}).problem(409)
    assert many.request("DELETE", f"/image-cache/jobs/{started.json['id']}").status == 202
    connection.close()
    assert wait_for_end(many, started.json["id"])["state"] == "cancelled"


# What was, and what is set


def test_uploads_are_listed(serve: Callable[..., Served]) -> None:
    """Their buckets can't be reached."""
    http = serve(PERDURA_ORIGINS=ORIGINS, PERDURA_S3_ENDPOINT="http://127.0.0.1:1", AWS_ACCESS_KEY_ID="a",
                 AWS_SECRET_ACCESS_KEY="b", PERDURA_SYNC_INTERVAL="86400")
    calm(http)
    sent = [post(http, f"/upload-temp/{to}", photo(images.make("jpeg", n))).json["temp_filename"]
            for n, to in enumerate(("mascotas", "chats", "mascotas"))]
    http.perdura.database.query(
        "UPDATE upload SET sync_status = 'failed', last_error = 'no such bucket', attempts = 3 WHERE temp_filename = %s",
        sent[0],
    )
    http.perdura.database.query(
        "UPDATE upload SET sync_status = 'completed', image_data = NULL, completed_at = now(), object_key = 'k'"
        " WHERE temp_filename = %s", sent[1],
    )
    listed = get(http, "/image-cache/uploads")
    assert [upload["temp_filename"] for upload in listed["uploads"]] == sent[::-1] and listed["cursor"] is None
    failed = listed["uploads"][2]
    assert (failed["state"], failed["reason"], failed["attempts"]) == ("failed", "no such bucket", 3)
    assert failed["mime"] == "image/jpeg" and failed["size"] > 0 and "image_data" not in failed

    def names_of(**arguments: Any) -> list[str]:
        return [upload["temp_filename"] for upload in get(http, "/image-cache/uploads", **arguments)["uploads"]]

    assert names_of(state="failed") == [sent[0]] and names_of(state="pending") == [sent[2]]
    assert names_of(state="completed") == [sent[1]] == names_of(collection="chats")
    assert names_of(state="failed", collection="chats") == []
    first = get(http, "/image-cache/uploads", limit=2)
    rest = get(http, "/image-cache/uploads", limit=2, cursor=first["cursor"])
    assert first["uploads"] + rest["uploads"] == listed["uploads"] and rest["cursor"] is None
    http.get("/image-cache/uploads?state=lost").problem(400)
    http.request("GET", "/image-cache/uploads", token=None).problem(401)


def test_settings_tell_no_secret(serve: Callable[..., Served]) -> None:
    http = serve(AWS_SECRET_ACCESS_KEY="hush-hush-hush", REDIS_URL="redis://:hush-hush-hush@127.0.0.1:1/0")
    answer = http.get("/image-cache/settings")
    text = answer.body.decode()
    assert "hush" not in text and TOKEN not in text
    settings = {setting["name"]: setting for setting in answer.json}
    assert list(settings) == [setting["name"] for setting in http.perdura.run("config", "--json").json]
    assert settings["AWS_SECRET_ACCESS_KEY"]["secret"] and settings["AWS_SECRET_ACCESS_KEY"]["value"] == "***"
    port = settings["PERDURA_BIND"]
    assert (port["value"], port["source"]) == ("127.0.0.1", "environment") and port["help"]
    assert settings["PERDURA_CLEANUP_DAYS"]["unit"] == "days"
    http.request("GET", "/image-cache/settings", token=None).problem(401)


def test_requests_by_hour_and_minute(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    before = get(http, "/image-cache/history")["minutes"]
    for _ in range(5):
        http.get("/media/a.png")
    http.get("/media/none.png").problem(404)
    http.perdura.database.query(
        "INSERT INTO access_hour (hour, collection, requests) VALUES"
        " (date_trunc('hour', now() - interval '3 hours'), 'media', 7),"
        " (date_trunc('hour', now() - interval '3 hours'), 'avatars', 2),"
        " (date_trunc('hour', now() - interval '100 hours'), 'media', 1)"
    )
    history = get(http, "/image-cache/history")
    assert [(hour["collection"], hour["requests"]) for hour in history["hours"]][:3] == [
        ("media", 1), ("avatars", 2), ("media", 7)
    ]
    assert [hour["collection"] for hour in get(http, "/image-cache/history", hours=24)["hours"]][:2] == ["avatars", "media"]
    tiers = ("memory", "disk", "redis", "db", "origin", "missed", "errors")
    assert all(set(minute) == {"at", *tiers} for minute in history["minutes"])

    def total(minutes: list[dict[str, Any]], *columns: str) -> int:
        return sum(minute[column] for minute in minutes for column in columns)

    read = ("memory", "disk", "db")
    assert total(history["minutes"], *read) - total(before, *read) == 5
    assert total(history["minutes"], "missed") - total(before, "missed") == 1
    for wrong in ("hours=0", "hours=193", "hours=x"):
        http.get(f"/image-cache/history?{wrong}").problem(400)


def test_status_tells_of_tiers_and_of_this_instance(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    for _ in range(4):
        http.get("/media/a.png")
    status = get(http, "/image-cache/status")
    tiers = {tier["name"]: tier for tier in status["tiers"]}
    assert list(tiers) == ["memory", "disk", "redis", "db", "origin"]
    assert (tiers["memory"]["up"], tiers["redis"]["up"], tiers["db"]["up"], tiers["origin"]["up"]) == (True, None, True, None)
    assert tiers["db"]["items"] == 1 and tiers["memory"]["items"] == 1 and tiers["disk"]["items"] is None
    assert tiers["memory"]["reads"] + tiers["disk"]["reads"] == 4 and 0 <= tiers["memory"]["hit_rate"] <= 1
    assert tiers["redis"]["hit_rate"] is None
    assert status["version"] and status["host"] and status["uptime_seconds"] >= 0 and status["settings_warnings"] == []
