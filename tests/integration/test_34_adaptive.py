"""Limits by the hour of the day: what the requests of the last seven days make of TTL and size."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import images
import pytest
from conftest import Database, Perdura, Served
from past import stay_in_the_hour
from servers import wait_until

LOOKS_S = 150  # the first look may fail where a machine is busy; the next one comes after a minute
ON = {"PERDURA_ADAPTIVE_TTL": "on", "PEAK_TTL": "600", "DEFAULT_TTL": "700", "PEAK_CACHE_SIZE": "8"}


def request(database: Database, requests: int, days: int, collection: str = "media") -> None:
    """So many requests at this hour on each of the last days, and at the next one: the test may run into it."""
    database.query(
        "INSERT INTO access_hour SELECT date_trunc('hour', now(), 'UTC') - make_interval(days => d, hours => -h), %s, %s"
        " FROM generate_series(1, %s) d, generate_series(0, 1) h",
        collection, requests, days,
    )


def adaptive(http: Served) -> dict[str, Any]:
    answer = http.get("/image-cache/status")
    assert answer.status == 200
    return answer.json["adaptive"]


def test_off_unless_asked_for(http: Served) -> None:
    off = {"on": False, "ttl": None, "items": None, "peak": None, "hour_requests": None}
    assert adaptive(http) == off


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        (51, {"on": True, "ttl": 600, "items": 8, "peak": True, "hour_requests": 51}),
        (50, {"on": True, "ttl": 700, "items": 1000, "peak": False, "hour_requests": 50}),
    ],
)
def test_the_history_decides(
    serve: Callable[..., Served], database: Database, requests: int, expected: dict[str, Any]
) -> None:
    request(database, requests, days=3)
    http = serve(**ON)
    wait_until(lambda: adaptive(http) == expected, LOOKS_S, f"{expected}")
    shown = http.get("/metrics").body.decode().splitlines()
    assert f"perdura_adaptive_ttl_seconds {expected['ttl']}.000000" in shown
    assert f"perdura_adaptive_items {expected['items']}" in shown
    assert f"perdura_adaptive_hour_requests {requests}" in shown


def test_collections_and_instances_share_one_history(serve: Callable[..., Served], database: Database) -> None:
    request(database, 30, days=2)
    request(database, 31, days=2, collection="avatars")
    first, second = serve(**ON), serve(**ON)
    for http in (first, second):
        wait_until(lambda: adaptive(http)["hour_requests"] == 61, LOOKS_S, "the sum")  # noqa: B023
        assert adaptive(http)["peak"] is True


def test_older_requests_do_not_count(serve: Callable[..., Served], database: Database) -> None:
    request(database, 2, days=1)
    database.query(
        "INSERT INTO access_hour VALUES (date_trunc('hour', now(), 'UTC') - interval '7 days', 'media', 1000)"
    )
    http = serve(**ON)
    wait_until(lambda: adaptive(http)["hour_requests"] == 2, LOOKS_S, "the requests of seven days")


def test_requests_of_this_hour_make_a_peak_of_it(perdura: Perdura, serve: Callable[..., Served]) -> None:
    stay_in_the_hour()
    http = serve(**ON, USAGE_THRESHOLD="5")
    for _ in range(6):
        http.get("/media/none.png").problem(404)
    http.stop()  # what was counted is written
    http = serve(**ON, USAGE_THRESHOLD="5")
    wait_until(lambda: adaptive(http)["hour_requests"] == 6, LOOKS_S, "the requests of this hour")
    assert adaptive(http)["peak"] is True


def test_without_a_database_there_are_limits_all_the_same(offline: Perdura) -> None:
    http = Served(offline, {**ON, "PERDURA_RESTORE": "none"})
    assert "limits of a" in http.shown()
    http.stop()


def test_a_database_that_hangs_does_not_hold_the_stop(serve: Callable[..., Served], database: Database) -> None:
    http = serve(**ON, PERDURA_SHUTDOWN_TIMEOUT="2")
    database.server.sigstop()
    http.terminate()
    http.wait(timeout=20)
    database.server.sigcont()


@pytest.mark.parametrize("setting", ["PEAK_TTL", "DEFAULT_TTL", "PEAK_CACHE_SIZE", "DEFAULT_CACHE_SIZE"])
def test_no_limit_is_zero(offline: Perdura, setting: str) -> None:
    refused = offline.run("config", check=False, env={setting: "0"})
    assert refused.code == 2 and setting in refused.stderr


def test_memory_holds_as_many_as_the_hour_says(serve: Callable[..., Served], database: Database) -> None:
    request(database, 51, days=3)

    def held(http: Served) -> float:
        """How many of forty images are in memory when each was asked for three times."""
        for n in range(40):
            http.put(f"/media/{n}.png", images.make("png", n))
        for _ in range(3):
            for n in range(40):
                assert http.get(f"/media/{n}.png").status == 200
        shown = re.search(r'^perdura_tier_items\{tier="memory"\} (\d+)$', http.get("/metrics").body.decode(), re.MULTILINE)
        assert shown
        return int(shown[1])

    off = serve()
    wait_until(lambda: held(off) == 40, LOOKS_S, "all of them in memory")  # a commit may drop one that was asked for early
    http = serve(**ON)
    wait_until(lambda: adaptive(http)["peak"], LOOKS_S, "the limits of a peak hour")
    assert 0 < held(http) < 40  # more than 8 where the memory is divided among many locks
