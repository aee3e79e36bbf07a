"""What operators ask and order over HTTP: health, metrics, status, jobs, lists; and how wrong requests are answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

import images
import pytest
from conftest import Perdura, Served
from files import picture, write
from http_client import Answer, parse_answers, read_answer, url_of
from past import age
from servers import wait_until

WAIT_S = 60
MB = 1 << 20

GETS = [
    "/health",
    "/ready",
    "/metrics",
    "/image-cache/status",
    "/image-cache/images",
    "/image-cache/images/1",
    "/image-cache/images/999",
    "/image-cache/jobs/1",
    "/image-cache/jobs/999",
    "/api/images/artist/1/cover",
    "/media/a.png",
]
POSTS = ["/image-cache/cache-all", "/image-cache/cleanup", "/image-cache/restore", "/image-cache/flush"]


def fill(http: Served, count: int, folder: str = "") -> list[str]:
    """That many images, as files and rows; their paths in the order of the list."""
    paths = sorted(f"{folder}{i:03}.png" for i in range(count))
    for path in paths:
        picture(http.perdura.media / path, path)
    assert http.post("/image-cache/flush").json["persisted"] is True
    return paths


def done(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    assert answer.json["state"] == ("done_with_failures" if answer.json.get("failed") else "done")
    assert answer["Cache-Control"] == "no-store"
    return answer.json


# Health


def test_health_asks_nobody(http: Served) -> None:
    version = http.perdura.run("version").stdout
    server = http.perdura.database.server
    for act in (lambda: None, server.stop, server.start):
        act()
        answer = http.request("GET", "/health", token=None)
        assert answer.status == 200 and answer["Cache-Control"] == "no-store"
        assert set(answer.json) == {"status", "redis", "database"} and answer.json["status"] == "ok"
        assert answer.json["redis"] == "off" and isinstance(answer.json["database"], str)
        assert http.get("/health").json["version"] in version


# What identifies software, hosts or files, or quotes an error
SECRET_KEYS = {"version", "detail", "why", "reason", "server", "where", "unpersisted", "not_kept_files"}


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for member in value.values() for key in keys_of(member)}
    return {key for member in value for key in keys_of(member)} if isinstance(value, list) else set()


def test_without_a_token_only_states_are_told(http: Served) -> None:
    server = http.perdura.database.server
    write(http.perdura.media / "no.png", b"<html>")
    assert http.post("/image-cache/flush").status == 409
    for act in (lambda: None, server.stop):
        act()
        for path in ("/health", "/ready"):
            for token in (None, "wrong"):
                answer = http.request("GET", path, token=token)
                assert answer.status in (200, 503), answer
                assert not keys_of(answer.json) & SECRET_KEYS, answer.json
                text = answer.body.decode()
                assert "no.png" not in text and str(server.socket_folder) not in text and "PostgreSQL" not in text
        detailed = http.get("/ready").json
        assert detailed["database"]["detail"] and detailed["unpersisted"][0]["path"] == "no.png"
    told = http.request("GET", "/ready", token=None).json
    assert told["failed"] == 1 and set(told["database"]) == {"state"} and told["database"]["state"] != "up"
    assert set(told["feed"]) == {"mode", "lag_seconds", "stale_files"} and told["redis"] is None
    (http.perdura.media / "no.png").unlink()
    server.start()


def test_ready_follows_the_database(http: Served) -> None:
    server = http.perdura.database.server

    def ready() -> Answer:
        answer = http.request("GET", "/ready", token=None)
        assert answer["Cache-Control"] == "no-store"
        assert answer.json["ready"] == (answer.status == 200)
        assert answer.json["database"]["state"] == ("up" if answer.status == 200 else "unreachable")
        return answer

    first = ready()
    assert first.status == 200 and first["Retry-After"] is None
    assert (first.json["pending"], first.json["failed"], first.json["oldest_pending_seconds"]) == (0, 0, 0)
    server.stop()
    down = ready()
    assert down.status == 503 and down["Retry-After"]

    picture(http.perdura.media / "waits.png")
    waits = wait_until(lambda: (a := ready()).json["pending"] and a, WAIT_S, "the file that waits")
    age = wait_until(lambda: ready().json["oldest_pending_seconds"], WAIT_S, "its age")
    wait_until(lambda: ready().json["oldest_pending_seconds"] > age, WAIT_S, "a greater age")
    assert waits.status == 503 and waits.json["pending"] == 1
    server.start()
    # The database is asked first: what waited may be stored between that and the count.
    wait_until(lambda: ready().json["pending"] == 0, WAIT_S, "the file in the database")
    back = wait_until(lambda: (a := ready()).status == 200 and a, WAIT_S, "the database")
    assert (back.json["pending"], back.json["oldest_pending_seconds"]) == (0, 0)
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 1


# Metrics


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf|NaN))")


def exposition(text: str) -> dict[str, float]:
    """Prometheus's text format 0.0.4, read as strictly as its own linter does; the value of each series."""
    assert text.endswith("\n") and "\r" not in text and "\n\n" not in text
    series: dict[str, float] = {}
    types: dict[str, str] = {}
    helped: set[str] = set()
    family = ""
    for text_line in text.splitlines():
        if found := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", text_line):
            family = found[1]
            assert family not in helped, text_line
            helped.add(family)
        elif found := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", text_line):
            assert found[1] == family and family not in types, text_line
            types[family] = found[2]
        else:
            found = SAMPLE.fullmatch(text_line)
            assert found, text_line
            kind = types[family]
            ending = found[1].removeprefix(family)
            assert found[1].startswith(family), text_line
            assert ending in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",)), text_line
            key = text_line.rpartition(" ")[0]
            assert key not in series, text_line
            series[key] = float(found[3])
            assert kind == "gauge" or series[key] >= 0, text_line
            assert (kind == "counter") == family.endswith("_total"), text_line
    assert helped == set(types)
    for family in (name for name, kind in types.items() if kind == "histogram"):
        histograms: dict[str, list[tuple[float, float]]] = {}
        for key, value in series.items():
            if found := re.fullmatch(rf'{family}_bucket\{{(.*?),?le="([^"]+)"\}}', key):
                histograms.setdefault(f"{{{found[1]}}}" if found[1] else "", []).append((float(found[2]), value))
        assert histograms, family
        for labels, buckets in histograms.items():
            assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), family
            assert [value for _, value in buckets] == sorted(value for _, value in buckets), family
            assert buckets[-1][1] == series[f"{family}_count{labels}"], family
    return series


def metrics(http: Served) -> dict[str, float]:
    answer = http.get("/metrics")
    assert answer.status == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return exposition(answer.body.decode())


def test_metrics_are_what_prometheus_reads(http: Served) -> None:
    metrics(http)
    fill(http, 3)
    for path in ("/media/000.png", "/media/none.png", "/none"):
        http.get(path)
    assert len(metrics(http)) > 40


def test_metrics_move(http: Served) -> None:
    data = images.make("png", 1)
    http.put("/media/a.png", data)
    http.get("/media/a.png")
    media = 'perdura_http_requests_total{route="media",code="2xx"}'
    before = wait_until(lambda: (m := metrics(http)).get(media) == 2 and m, WAIT_S, "two requests that are counted")
    for _ in range(3):
        assert http.get("/media/a.png").body == data
    http.get("/media/none.png").problem(404)
    http.get("/none").problem(404)
    http.put("/media/b.png", data)

    def moved() -> dict[str, float]:
        """A request is counted when it has ended, which is a moment behind its answer."""
        after = metrics(http)
        return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}

    expected = {
        'perdura_http_requests_total{route="media",code="2xx"}': 4,
        'perdura_http_requests_total{route="media",code="4xx"}': 1,
        'perdura_http_requests_total{route="unknown",code="4xx"}': 1,
        "perdura_reads_absent_total": 1,
    }
    wait_until(lambda: expected.items() <= moved().items(), WAIT_S, f"{expected}")
    seen = moved()
    assert sum(n for key, n in seen.items() if key.startswith("perdura_reads_total")) == 3
    assert seen['perdura_http_sent_bytes_total{route="media"}'] >= 3 * len(data)
    assert seen["perdura_http_request_seconds_count"] >= 6
    wait_until(lambda: metrics(http)["perdura_connections"] == 1, WAIT_S, "the end of all other connections")


def test_metrics_count_what_is_sent(http: Served) -> None:
    put, got = http.put("/media/a.png", images.sized("png", 10_000, 1)), http.get("/media/a.png")
    bodies, etag = len(put.body) + len(got.body), got["ETag"]
    sent, gets = 'perdura_http_sent_bytes_total{route="media"}', 'perdura_http_requests_total{route="media",code="3xx"}'
    before = wait_until(lambda: (m := metrics(http)).get(sent, 0) >= bodies and m, WAIT_S, "what was sent")
    for _ in range(3):
        assert http.get("/media/a.png", If_None_Match=etag).status == 304
    after = wait_until(lambda: (m := metrics(http)).get(gets) == 3 and m, WAIT_S, "three requests that are counted")
    assert after[sent] == before[sent] == bodies


# Status, flush


def test_status(http: Served) -> None:
    paths = fill(http, 5)
    http.request("DELETE", url_of(paths[0]))
    write(http.perdura.media / "no.png", b"<html></html>")
    done(http.post("/image-cache/cache-all"))

    def told() -> dict[str, Any] | None:
        answer = http.get("/image-cache/status")
        assert answer.status == 200 and answer["Cache-Control"] == "no-store"
        return answer.json if any(file["state"] == "failed" for file in answer.json["unpersisted"]) else None

    status = wait_until(told, WAIT_S, "the file that is no image")
    assert (status["images"], status["trash_images"]) == (4, 1)
    assert status["bytes"] == sum((http.perdura.media / path).stat().st_size for path in paths[1:])
    (media,) = status["collections"]
    assert (media["name"], media["images"], media["trash_images"]) == ("media", 4, 1)
    assert status["jobs"][0]["kind"] == "cache-all" and status["jobs"][0]["state"] == "done_with_failures"
    assert status["watch"]["mode"] in ("events", "rescanning", "polling")
    (unpersisted,) = status["unpersisted"]
    assert (unpersisted["collection"], unpersisted["path"], unpersisted["state"]) == ("media", "no.png", "failed")
    assert "HTML" in unpersisted["reason"]
    (http.perdura.media / "no.png").unlink()


def test_flush_is_a_barrier(http: Served) -> None:
    """Round by round, as tests behind it take its word."""
    for round_ in range(10):
        for i in range(20):
            picture(http.perdura.media / f"{round_}" / f"{i}.png", (round_, i))
        assert http.post("/image-cache/flush").json["persisted"] is True
        assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 20 * (round_ + 1)


# Jobs


def test_cache_all(http: Served) -> None:
    paths = fill(http, 4)
    first = done(http.post("/image-cache/cache-all"))
    assert (first["cached"] + first["unchanged"], first["failed"], first["errors"]) == (4, 0, [])
    assert done(http.post("/image-cache/cache-all", {}))["unchanged"] == 4
    assert done(http.post("/image-cache/cache-all", {"checksum": True}))["unchanged"] == 4
    dry = done(http.post("/image-cache/cache-all", {"dry_run": True}))
    assert dry["dry_run"] and dry["unchanged"] == 4
    write(http.perdura.media / "no.png", b"<html></html>")
    failed = done(http.post("/image-cache/cache-all"))
    assert (failed["unchanged"], failed["failed"]) == (len(paths), 1)
    (problem,) = failed["errors"]
    assert problem["path"] == "no.png" and "HTML" in problem["error"]
    (http.perdura.media / "no.png").unlink()


def live(http: Served) -> list[str]:
    rows = "SELECT original_path FROM image_cache WHERE deleted_at IS NULL ORDER BY original_path COLLATE \"C\""
    return [path for (path,) in http.perdura.database.query(rows)]


def test_cleanup(http: Served) -> None:
    paths = fill(http, 4)
    for path, days in zip(paths, (10, 50, 100, 0)):
        age(http.perdura, days, path)
    refused = http.post("/image-cache/cleanup", {"dry_run": True})
    assert (refused.status, "PERDURA_CLEANUP_DAYS is off" in refused.json["detail"]) == (400, True)
    for body, count, left in (
        ({"dry_run": True, "days": 90}, 1, paths),
        ({"dry_run": True, "days": 5}, 3, paths),
        ({"days": 90}, 1, [paths[0], paths[1], paths[3]]),
        ({"days": 90}, 0, [paths[0], paths[1], paths[3]]),
        ({"days": 49, "dry_run": False}, 1, [paths[0], paths[3]]),
        ({"days": 11}, 0, [paths[0], paths[3]]),
        ({"days": 1}, 1, [paths[3]]),
    ):
        result = done(http.post("/image-cache/cleanup", body))
        assert result["trashed"] == count and result["dry_run"] == body.get("dry_run", False), body
        assert live(http) == left, body


def test_restore(http: Served) -> None:
    paths = fill(http, 6)
    media = http.perdura.media
    before = {path: (media / path).read_bytes() for path in paths}

    def wipe(*gone: str) -> None:
        for path in gone:
            (media / path).unlink()

    def there() -> list[str]:
        return [path for path in paths if (media / path).exists()]

    wipe(*paths)
    some = done(http.post("/image-cache/restore", {"paths": paths[:2], "collection": "media"}))
    assert some["restored"] == 2 and there() == paths[:2]
    dry = done(http.post("/image-cache/restore", {"dry_run": True}))
    assert dry["restored"] == 4 and there() == paths[:2]
    whole = done(http.post("/image-cache/restore"))
    assert (whole["restored"], whole["present"]) == (4, 2) and there() == paths
    assert {path: (media / path).read_bytes() for path in paths} == before

    wipe(paths[0])
    lost = done(http.post("/image-cache/restore", {"paths": [paths[0], "never/was.png"]}))
    assert (lost["restored"], lost["failed"]) == (1, 1) and lost["errors"][0]["path"] == "never/was.png"

    write(media / paths[1], b"not an image, and newer")  # so that the watcher does not store it
    assert done(http.post("/image-cache/restore", {"paths": [paths[1]]}))["newer"] == 1
    assert (media / paths[1]).read_bytes() == b"not an image, and newer"
    assert done(http.post("/image-cache/restore", {"paths": [paths[1]], "force": True}))["restored"] == 1
    assert (media / paths[1]).read_bytes() == before[paths[1]]


def test_restore_stays_in_its_root(http: Served) -> None:
    fill(http, 1)
    for path in ("../x.png", "/etc/x.png", "a/../../x.png", "", ".", "a\0b", "x" * 5000):
        answer = http.post("/image-cache/restore", {"paths": [path], "force": True})
        assert answer.status in (200, 400), (path, answer)
        if answer.status == 200:
            assert answer.json["restored"] == 0 and answer.json["failed"] == 1, path
    assert sorted(p.name for p in http.perdura.folder.iterdir()) == ["media"]


def test_a_job_in_the_background(http: Served) -> None:
    fill(http, 2)
    for kind in ("cache-all", "restore", "cleanup"):
        started = http.post(f"/image-cache/{kind}?async", {"days": 90} if kind == "cleanup" else {})
        assert started.status == 202 and started.json["kind"] == kind and started.json["state"] == "running"
        assert started["Location"] == f"/image-cache/jobs/{started.json['id']}"
        location = started["Location"]
        job = wait_until(lambda: (a := http.get(location).json)["state"] != "running" and a, WAIT_S, kind)
        assert job["state"] == "done" and job["id"] == started.json["id"] and job["kind"] == kind
        assert job["finished_at"] >= job["started_at"] and job["seconds"] >= 0
        assert http.get(location).json == job  # it does not change any more
    done(http.post("/image-cache/cache-all?async=0"))


def events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Server-sent events: each a name and JSON in one line."""
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    found = [re.fullmatch(r"event: (\w+)\ndata: (\{.*\})", part) for part in parts]
    assert all(found), body
    return [(event[1], json.loads(event[2])) for event in found if event]


@contextmanager
def frozen(http: Served) -> Iterator[None]:
    http.perdura.database.server.sigstop()
    try:
        yield
    finally:
        http.perdura.database.server.sigcont()


def test_events_of_a_job(http: Served) -> None:
    fill(http, 2)
    done(http.post("/image-cache/cache-all"))
    answer = http.get("/image-cache/jobs/1/events")
    assert answer.status == 200 and answer["Content-Type"] == "text/event-stream"
    assert answer["Cache-Control"] == "no-store"
    ((name, job),) = events(answer.body)
    assert name == "end" and (job["id"], job["state"], job["unchanged"]) == (1, "done", 2)

    with closing(http.connect()) as stays, closing(http.connect()) as goes:
        with frozen(http):
            assert http.post("/image-cache/cache-all?async=1").json["id"] == 2
            heads = []
            for listener in (stays, goes):
                listener.request("GET", "/image-cache/jobs/2/events", headers={"Authorization": f"Bearer {http.token}"})
                response = listener.getresponse()
                heads.append((response, response.readline() + response.readline()))
            goes.close()  # in the middle
        response, head = heads[0]
        *progress, (last, job) = events(head + response.read())
    assert head.startswith(b"event: progress\n")
    assert all(name == "progress" and event["state"] == "running" for name, event in progress)
    assert last == "end" and job["id"] == 2 and job["state"] in ("done", "failed")


def test_the_head_of_a_jobs_events(http: Served) -> None:
    """Comes at once, whether the job has ended or not, and nothing behind it that would be taken for another answer."""
    fill(http, 2)
    done(http.post("/image-cache/cache-all"))
    with frozen(http):
        assert http.post("/image-cache/cache-all?async=1").json["id"] == 2
        for job in (1, 2):
            start = f"HEAD /image-cache/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {http.token}"
            (head,) = parse_answers(http.raw(f"{start}\r\n\r\n".encode()), ["HEAD"])
            assert (head.status, head["Content-Type"]) == (200, "text/event-stream")
            assert (head["Cache-Control"], head["Content-Length"]) == ("no-store", None)
    assert http.head("/image-cache/jobs/3/events").status == 404


def test_one_job_of_a_kind_at_a_time(http: Served) -> None:
    fill(http, 2)
    with frozen(http):
        location = http.post("/image-cache/cache-all?async=1")["Location"]
        for path in ("/image-cache/cache-all", "/image-cache/cache-all?async=1"):
            assert "running" in http.post(path).problem(409)
        assert http.get(location).json["state"] == "running"
    wait_until(lambda: http.get(location).json["state"] != "running", WAIT_S, "the first job's end")
    assert done(http.post("/image-cache/cache-all"))["unchanged"] == 2


@pytest.mark.parametrize("pool", [2, 4])
def test_jobs_share_a_small_pool(perdura: Perdura, serve: Callable[..., Served], pool: int) -> None:
    """Three that keep connections, and each asks for page after page meanwhile."""
    count = 1500
    data = picture(perdura.media / "there/0.png")
    for n in range(1, count):
        write(perdura.media / f"there/{n}.png", data)
    perdura.run("cache-all")
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
        " SELECT replace(original_path, 'there', 'gone'), image_data, file_size, content_type_header, sha256"
        " FROM image_cache"
    )
    http = serve(PERDURA_DB_POOL=str(pool), PERDURA_RESTORE="none")
    assert http.post("/image-cache/flush").status == 200
    perdura.database.query("UPDATE image_cache SET source_mtime = '2001-01-01'")  # cache-all writes them again
    jobs = [http.post(f"/image-cache/{kind}?async=1")["Location"] for kind in ("fsck", "cache-all", "restore")]
    for job in jobs:
        wait_until(lambda job=job: http.get(job).json["state"] != "running", 60, "the end of all three")
    fsck, cache_all, restore = (http.get(job).json for job in jobs)
    assert {job["state"] for job in (fsck, cache_all, restore)} == {"done"}, (fsck, cache_all, restore)
    assert fsck["sound"] == 2 * count and cache_all["unchanged"] >= count and restore["restored"] == count


def test_a_job_without_a_database(http: Served) -> None:
    fill(http, 1)
    http.perdura.database.server.stop()
    answer = http.post("/image-cache/cleanup", {"days": 90})
    assert answer.problem(503) == http.get("/image-cache/jobs/1").json["failure"] and answer["Retry-After"]
    assert http.get("/image-cache/jobs/1").json["state"] == "failed"
    http.perdura.database.server.start()
    wait_until(lambda: http.post("/image-cache/cleanup", {"days": 90}).status == 200, WAIT_S, "the database")


def test_jobs_that_never_were(http: Served) -> None:
    done(http.post("/image-cache/cleanup", {"days": 90}))
    for job in ("2", "0", "-1", "x", "1x", "99999999999999999999", "%31"):
        assert "job" in http.get(f"/image-cache/jobs/{job}").problem(404), job
        http.get(f"/image-cache/jobs/{job}/events").problem(404)


# Lists


def pages(http: Served, **query: Any) -> list[dict[str, Any]]:
    """All images of a list, page by page; no page but the last is short."""
    found: list[dict[str, Any]] = []
    while True:
        answer = http.get("/image-cache/images?" + urlencode(query))
        assert answer.status == 200, answer
        page = answer.json["images"]
        found += page
        assert len(page) <= query.get("limit", 100)
        if answer.json["cursor"] is None:
            return found
        assert page and query.get("cursor") != answer.json["cursor"]
        query["cursor"] = answer.json["cursor"]


def listed(http: Served, **query: Any) -> list[str]:
    return [image["original_path"] for image in pages(http, **query)]


def test_a_list_page_by_page(http: Served) -> None:
    paths = sorted(fill(http, 20) + fill(http, 10, "50%_off/é + &/"), key=str.encode)
    for limit in (1, 7, 10, 29, 30, 31, 1000):
        assert listed(http, limit=limit) == paths, limit
    assert listed(http) == paths == listed(http, collection="media", state="live", order="path")
    inside = [path for path in paths if path.startswith("50%_off/")]
    for prefix in ("50%_off/", "50%", "50%_off/é + &/0"):
        assert listed(http, q=prefix, limit=3) == inside, prefix
    assert listed(http, q="00", limit=3) == [path for path in paths if path.rpartition("/")[2].startswith("00")]
    for nothing in ({"q": "zzz"}, {"q": "%"}, {"q": "_"}, {"collection": "other"}, {"cursor": "zzz"}):
        assert listed(http, **nothing) == [], nothing


def test_the_trash_page_by_page(http: Served) -> None:
    paths = fill(http, 9)
    for path in paths:  # one by one, and some at the same moment
        assert http.request("DELETE", url_of(path)).status == 204
    http.perdura.database.query(
        "UPDATE image_cache SET deleted_at = (SELECT max(deleted_at) FROM image_cache) WHERE original_path > '004'"
    )
    assert listed(http) == []
    for limit in (1, 2, 4, 9, 10):
        trash = pages(http, state="trash", limit=limit)
        assert sorted(image["original_path"] for image in trash) == paths, limit
        times = [image["deleted_at"] for image in trash]
        assert times == sorted(times, reverse=True) and all(times), limit


def test_the_hottest_page_by_page(http: Served) -> None:
    """Also where many were asked for at the same moment."""
    paths = fill(http, 12)
    http.perdura.database.query("UPDATE image_cache SET last_accessed = '2030-01-01', access_count = id % 4")
    for path, days in ((paths[5], -9000), (paths[3], 500)):
        age(http.perdura, days, path)
    whole = listed(http, order="hottest")
    assert whole[0] == paths[5] and whole[-1] == paths[3] and sorted(whole) == paths
    for limit in (1, 2, 5, 11, 12, 13):
        assert listed(http, order="hottest", limit=limit) == whole, limit


def test_lists_that_cannot_be(http: Served) -> None:
    for query, said in (
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=5x", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("order=coldest", "order"),
        ("order=", "order"),
        ("state=gone", "state"),
        ("state=", "state"),
        ("order=hottest&cursor=x", "cursor"),
        ("order=hottest&cursor=1", "cursor"),
        ("order=hottest&cursor=1.2x", "cursor"),
        ("state=trash&cursor=abc", "cursor"),
        ("q=%zz", ""),
        ("q=%00", ""),
        ("q=%ff", ""),
        ("&".join(f"a{i}=1" for i in range(100)), ""),
    ):
        assert said in http.get(f"/image-cache/images?{query}").problem(400), query


def test_one_image_by_its_number(http: Served) -> None:
    fill(http, 2)
    first, second = pages(http)
    answer = http.get(f"/image-cache/images/{first['id']}")
    assert answer.status == 200 and first.items() <= answer.json.items() and answer["Cache-Control"] == "no-store"
    assert second.items() <= http.get(f"/image-cache/images/{second['id']}/").json.items()
    deleted = http.request("DELETE", f"/image-cache/images/{first['id']}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert listed(http) == [second["original_path"]]
    assert listed(http, state="trash") == [first["original_path"]]
    http.get(url_of(first["original_path"])).problem(404)
    http.request("DELETE", f"/image-cache/images/{first['id']}").problem(404)
    for number in ("0", "-1", "x", "1x", "", "99999999999999999999", "9223372036854775807", "999", "+1", "%31"):
        if number:
            http.get(f"/image-cache/images/{number}").problem(404)
            http.request("DELETE", f"/image-cache/images/{number}").problem(404)
    assert listed(http) == [second["original_path"]]


# What is wrong


def test_bodies_that_are_wrong(http: Served) -> None:
    cases = [
        (b"{", 400, "JSON"),
        (b"nonsense", 400, "JSON"),
        (b"[]", 400, "object"),
        (b'"x"', 400, "JSON"),
        (b"null", 400, "JSON"),
        (b"{} {}", 400, "JSON"),
        (b"{}x", 400, "JSON"),
        (b"\xff{}", 400, "JSON"),
        (b'{"x": "\xff"}', 400, "JSON"),
        (b'{"dry_run": "\\u0000"}', 400, ""),
        (b'{"dry_run": true, "dry_run": false}', 400, "dup"),
        (b'{"unknown": 1}', 400, "unknown"),
        (b'{"": 1}', 400, "unknown"),
        (b'{"dry_run": 1}', 400, "dry_run"),
        (b'{"dry_run": "true"}', 400, "dry_run"),
        (b'{"dry_run": null}', 400, "dry_run"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"a":' * 100_000, 400, "JSON"),
    ]
    for kind in ("cache-all", "cleanup", "restore"):
        for body, status, said in cases:
            assert said in http.post(f"/image-cache/{kind}", body).problem(status), (kind, body[:50])
        with http.socket() as sock:  # no more is sent, and no more is asked for
            head = f"POST /image-cache/{kind} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {http.token}\r\n"
            sock.sendall(f"{head}Content-Length: {MB + 1}\r\n\r\n".encode())
            assert str(MB + 1) in read_answer(sock).problem(413)
    for kind, body, said in (
        ("cache-all", {"days": 1}, "days"),
        ("cache-all", {"checksum": "yes"}, "checksum"),
        ("cleanup", {"force": True}, "force"),
        ("cleanup", {}, "days"),
        ("cleanup", {"days": 0}, "days"),
        ("cleanup", {"days": -1}, "days"),
        ("cleanup", {"days": 1.5}, "days"),
        ("cleanup", {"days": "90"}, "days"),
        ("cleanup", {"days": 36501}, "days"),
        ("cleanup", {"days": True}, "days"),
        ("restore", {"paths": "a.png"}, "paths"),
        ("restore", {"paths": []}, "paths"),
        ("restore", {"paths": [1]}, "paths"),
        ("restore", {"paths": ["a.png", None]}, "paths"),
        ("restore", {"paths": {"a": 1}}, "paths"),
        ("restore", {"collection": 1}, "collection"),
        ("restore", {"force": 1}, "force"),
    ):
        assert said in http.post(f"/image-cache/{kind}", body).problem(400), (kind, body)
    http.get("/image-cache/jobs/1").problem(404)  # none was started


def test_a_restore_of_a_collection_that_is_none(http: Served) -> None:
    answer = http.post("/image-cache/restore", {"paths": ["a.png"], "collection": "none"})
    assert answer.status == 400 or (answer.json["restored"], answer.json["failed"]) == (0, 1), answer


def test_prefixes_and_slashes(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_API_PREFIX="/partners /deep/er")
    fill(http, 1)
    http.put("/api/images/artist/1/cover", images.make("png", 1))
    done(http.post("/image-cache/cleanup", {"days": 90}))
    for path in GETS:
        if path.startswith("/media"):
            continue
        plain = http.get(path)
        for prefix in ("", "/partners", "/deep/er"):
            for slash in ("", "/", "//"):
                answer = http.get(prefix + path + slash)
                assert answer.status == plain.status, (prefix, path, slash)
                assert answer["Content-Type"] == plain["Content-Type"], (prefix, path, slash)
        for wrong in ("/partner", "/partnersx", "/deep", "/er", "/partners/partners"):
            http.get(wrong + path).problem(404)
    for path in POSTS:
        for prefix in ("", "/partners", "/deep/er"):
            for slash in ("", "/"):
                body = {"days": 90} if path.endswith("cleanup") else {}
                assert http.post(prefix + path + slash, body).status == 200, (prefix, path, slash)
    http.request("POST", "/partners/image-cache/flush", token=None).problem(401)
    assert http.get("/media/000.png").status == 200
    http.get("/partners/media/none.png").problem(404)


def test_methods_that_a_url_does_not_know(http: Served) -> None:
    for paths, known in ((GETS[:6] + GETS[7:8], {"GET", "HEAD"}), (POSTS, {"POST"}),
                         (["/image-cache/images/1"], {"GET", "HEAD", "DELETE"}),
                         (["/image-cache/jobs/1/events"], {"GET", "HEAD"}), (["/api/images/a/1/c"], {"GET", "HEAD", "PUT"})):
        for path in paths:
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
                if method in known or path.endswith("/1") and method == "DELETE":
                    continue
                answer = http.request(method, path)
                assert answer.status == 405 and known <= set(answer["Allow"].split(", ")), (method, path, answer)
                assert method not in answer["Allow"].split(", "), (method, path)
                if method != "HEAD":
                    assert "GET" in answer.problem(405) or "POST" in answer.problem(405)


def test_head_is_get_without_its_body(http: Served) -> None:
    fill(http, 1)
    http.put("/media/a.png", images.make("png", 1))
    http.put("/api/images/artist/1/cover", images.make("png", 1))
    done(http.post("/image-cache/cleanup", {"days": 90}))
    changing = {"date", "content-length", "x-cache-tier"}  # numbers grow while we look
    for path in GETS:
        get, head = http.get(path), http.head(path)
        assert head.body == b"" and head.status == get.status, path
        assert get["Content-Length"] == str(len(get.body)) and head["Content-Length"], path
        assert [(name, value) for name, value in head.headers if name.lower() not in changing] == [
            (name, value) for name, value in get.headers if name.lower() not in changing
        ], path
        if path not in ("/metrics", "/image-cache/status", "/ready"):
            assert head["Content-Length"] == get["Content-Length"], path


def test_without_a_database_each_route_says_so(http: Served) -> None:
    fill(http, 1)
    http.perdura.database.server.stop()
    for path in ("/image-cache/status", "/image-cache/images", "/image-cache/images?order=hottest",
                 "/image-cache/images/1", "/api/images/artist/1/cover", "/media/none.png"):
        answer = http.get(path)
        assert answer.problem(503) and answer["Retry-After"], path
    metrics(http)
    assert http.get("/media/000.png").status == 200
    http.perdura.database.server.start()


def test_a_job_that_failed_in_part_is_not_simply_done(http: Served) -> None:
    """Done, done with failures and failed are three states: in the answer, the history, the status and the metrics."""
    fill(http, 2)
    (http.perdura.media / "text.png").write_bytes(b"this is no image")
    http.perdura.database.query("UPDATE image_cache SET sha256 = decode(repeat('ab', 32), 'hex') WHERE original_path = '001.png'")

    def counted(metric: str, kind: str) -> int:
        found = re.search(rf'^perdura_{metric}{{kind="{kind}"}} (\d+)$', http.get("/metrics").body.decode(), re.M)
        assert found, metric
        return int(found[1])

    for kind, label in (("cache-all", "cache_all"), ("fsck", "fsck")):
        answer = http.post(f"/image-cache/{kind}").json
        assert answer["state"] == "done_with_failures" and answer["errors"], answer
        (last,) = http.get(f"/image-cache/jobs?kind={kind}&limit=1").json["recent"]
        assert last["state"] == "done_with_failures" and last["result"]["failures"] == 1, last
        assert {job["kind"]: job["state"] for job in http.get("/image-cache/status").json["jobs"]}[kind] == last["state"]
        assert counted("jobs_incomplete_total", label) == 1 and counted("jobs_failed_total", label) == 0
    assert http.post("/image-cache/check").json["state"] == "done_with_failures"
    (http.perdura.media / "text.png").unlink()
    assert http.post("/image-cache/check").json["state"] == "done"  # a difference is what it looks for
    assert http.post("/image-cache/cache-all").json["state"] == "done"
    assert counted("jobs_incomplete_total", "cache_all") == 1
