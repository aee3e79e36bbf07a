"""What /metrics tells: each number moves with what it counts."""

from __future__ import annotations

import images
from conftest import Served
from files import picture, write
from servers import wait_until


def metric(http: Served, name: str) -> float:
    for line in http.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"{name} is not told")


def until(http: Served, name: str, value: float) -> None:
    wait_until(lambda: metric(http, name) == value, 30, f"{name} {value}")


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


def test_files_that_are_not(http: Served) -> None:
    write(http.perdura.media / "text.png", b"only text")
    until(http, "perdura_failed_files", 1)
    assert metric(http, "perdura_persist_failures_total") == 1
    http.perdura.database.server.stop()
    picture(http.perdura.media / "waits.png", seed=1)
    until(http, "perdura_pending_files", 1)
    wait_until(lambda: metric(http, "perdura_oldest_pending_seconds") > 0, 30, "an age")
    http.perdura.database.server.start()
    until(http, "perdura_pending_files", 0)
    assert metric(http, "perdura_oldest_pending_seconds") == 0


def test_files_that_come_back(http: Served) -> None:
    for n in range(3):
        http.put(f"/media/{n}.png", images.make("png", n))
        (http.perdura.media / f"{n}.png").unlink()
    assert http.get("/media/0.png").status == 200
    until(http, "perdura_heals_total", 1)
    assert http.post("/image-cache/restore").status == 200
    assert metric(http, "perdura_restored_total") == 2
    assert metric(http, 'perdura_reads_total{tier="db"}') == 1
    assert http.get("/media/1.png").status == 200
    assert metric(http, 'perdura_reads_total{tier="disk"}') == 1
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
    errors = metric(http, "perdura_db_errors_total")
    http.perdura.database.server.stop()
    http.get("/media/another.png").problem(503)
    wait_until(lambda: metric(http, "perdura_db_errors_total") > errors, 30, "an error that is counted")
    http.perdura.database.server.start()
