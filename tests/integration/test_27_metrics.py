"""What /metrics tells: each number moves with what it counts."""

from __future__ import annotations

import threading
import time

import images
from conftest import Served
from files import picture, write
from http_client import Answer, metric
from servers import wait_until


def until(http: Served, name: str, value: float) -> None:
    wait_until(lambda: metric(http, name) == value, 60, f"{name} {value}")


def up_after_a_request(http: Served) -> bool:
    http.get("/media/asked-in-vain.png").problem(503)
    return metric(http, 'perdura_tier_up{tier="db"}') == 1


def test_files_that_are_persisted(http: Served) -> None:
    sizes = [len(picture(http.perdura.media / f"{n}.png", seed=n)) for n in range(5)]
    assert http.post("/image-cache/flush").status == 200
    assert metric(http, "perdura_persisted_total") == 5
    assert metric(http, "perdura_persisted_bytes_total") == sum(sizes)
    assert metric(http, "perdura_persist_seconds_count") == 5
    assert metric(http, "perdura_pending_files") == 0
    assert metric(http, "perdura_oldest_pending_seconds") == 0
    data = images.make("jpeg", 1)
    http.put("/media/put.jpg", data)
    http.put("/media/put.jpg", data)  # is stored already
    assert metric(http, "perdura_persisted_total") == 6
    assert metric(http, "perdura_persisted_bytes_total") == sum(sizes) + len(data)
    assert metric(http, "perdura_persist_seconds_count") == 6


def test_files_that_are_not(http: Served) -> None:
    write(http.perdura.media / "text.png", b"only text")
    until(http, "perdura_failed_files", 1)
    assert metric(http, "perdura_persist_failures_total") == 1
    http.perdura.database.server.stop()
    picture(http.perdura.media / "waits.png", seed=1)
    until(http, "perdura_pending_files", 1)
    wait_until(lambda: metric(http, "perdura_oldest_pending_seconds") > 0, 60, "an age")
    http.perdura.database.server.start()
    until(http, "perdura_pending_files", 0)
    until(http, "perdura_oldest_pending_seconds", 0)


def test_files_that_come_back(http: Served) -> None:
    for n in range(3):
        http.put(f"/media/{n}.png", images.make("png", n))
        (http.perdura.media / f"{n}.png").unlink()
    assert http.post("/image-cache/flush").status == 200  # no file is put back while the watch looks at one that went
    assert http.get("/media/0.png").status == 200
    until(http, "perdura_heals_total", 1)
    assert http.post("/image-cache/restore").status == 200
    assert metric(http, "perdura_restored_total") == 2
    assert metric(http, "perdura_restored_bytes_total") == sum(len(images.make("png", n)) for n in (1, 2))
    assert metric(http, 'perdura_reads_total{tier="db"}') == 1
    assert http.get("/media/1.png").status == 200
    assert metric(http, 'perdura_reads_total{tier="disk"}') == 1
    assert metric(http, 'perdura_read_seconds_count{tier="db"}') == 1
    assert metric(http, 'perdura_read_seconds_count{tier="disk"}') == 1
    assert 0 < metric(http, 'perdura_read_seconds_sum{tier="disk"}') < 60
    http.get("/media/none.png").problem(404)
    assert metric(http, "perdura_reads_absent_total") == 1


def test_the_database(http: Served) -> None:
    before = metric(http, "perdura_db_queries_total")
    assert before > 0 and 1 <= metric(http, "perdura_db_connections") <= 4
    http.put("/media/a.png", images.make("png", 1))
    assert metric(http, "perdura_db_queries_total") > before
    http.get("/media/none.png").problem(404)
    http.post("/image-cache/invalidate", {"pattern": "*"})
    assert metric(http, "perdura_invalidations_total") == 1
    assert metric(http, 'perdura_tier_up{tier="db"}') == 1
    http.perdura.database.server.stop()
    http.get("/media/another.png").problem(503)
    wait_until(
        lambda: not up_after_a_request(http) and metric(http, "perdura_db_unreachable_total") > 0, 60,
        "a database that is not reached and left alone",
    )
    http.perdura.database.server.start()
    wait_until(lambda: metric(http, 'perdura_tier_up{tier="db"}') == 1, 60, "the end of that")
    errors = metric(http, "perdura_db_errors_total")
    http.perdura.database.query("ALTER TABLE image_count RENAME TO gone")
    http.get("/image-cache/status").problem(503)
    assert metric(http, "perdura_db_errors_total") > errors


def test_its_connections(http: Served) -> None:
    def rests() -> bool:
        return (
            metric(http, "perdura_db_connections_idle") == metric(http, "perdura_db_connections") >= 1
            and metric(http, "perdura_db_connections_in_use") == 0
        )

    wait_until(rests, 60, "the end of what is done at the start")
    assert metric(http, "perdura_db_wait_seconds_count") >= 1  # the first one had to be opened
    other = http.perdura.database.connect()
    try:
        other.cursor().execute("BEGIN; LOCK TABLE image_cache")
        reader = threading.Thread(target=http.get, args=("/image-cache/images",))
        reader.start()
        until(http, "perdura_db_connections_in_use", 1)
    finally:
        other.close()
    reader.join()
    until(http, "perdura_db_connections_in_use", 0)


def test_requests_that_wait_for_one_image(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    (http.perdura.media / "a.png").unlink()
    answers: list[Answer] = []
    other = http.perdura.database.connect()
    try:
        other.cursor().execute("BEGIN; LOCK TABLE image_cache")
        readers = [threading.Thread(target=lambda: answers.append(http.get("/media/a.png"))) for _ in range(5)]
        for reader in readers:
            reader.start()
        until(http, "perdura_reads_joined_total", 4)
    finally:
        other.close()
    for reader in readers:
        reader.join()
    until(http, 'perdura_reads_total{tier="db"}', 1)
    served = sum(answer.status == 200 for answer in answers)  # a slow machine may run out of patience
    assert metric(http, 'perdura_read_seconds_count{tier="db"}') == served


def test_jobs(http: Served) -> None:
    for n in range(3):
        picture(http.perdura.media / f"{n}.png", seed=n)
    assert http.post("/image-cache/cache-all").status == 200
    assert metric(http, 'perdura_jobs_total{kind="cache_all"}') == 1
    assert 0 < metric(http, 'perdura_job_seconds_total{kind="cache_all"}') < 60
    assert metric(http, 'perdura_jobs_failed_total{kind="cache_all"}') == 0
    http.perdura.database.query("ALTER TABLE image_count RENAME TO gone")
    assert http.post("/image-cache/cleanup", {"days": 90}).status >= 500
    assert metric(http, 'perdura_jobs_failed_total{kind="cleanup"}') == 1


def test_the_start(http: Served) -> None:
    assert 0 <= time.time() - metric(http, "perdura_start_time_seconds") < 600
