"""Preloading: which images come back, and how many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Perdura, Served
from files import picture
from past import stay_in_the_hour

PATHS = [f"{n}.png" for n in range(6)]  # the most recently used first


@pytest.fixture
def wiped(perdura: Perdura) -> Perdura:
    """Six images in each of the collections media and avatars, all stored, none on disk."""
    perdura.env["PERDURA_COLLECTIONS"] = "avatars=./avatars@/avatars"
    (perdura.folder / "avatars").mkdir()
    for folder in (perdura.media, perdura.folder / "avatars"):
        for path in PATHS:
            picture(folder / path, seed=f"{folder.name}{path}")
    assert perdura.run("cache-all", "--json").json["cached"] == 12
    for n, path in enumerate(PATHS):
        perdura.database.query(
            "UPDATE image_cache SET last_accessed = now() - make_interval(days => %s) WHERE original_path = %s", n, path
        )
    for folder in (perdura.media, perdura.folder / "avatars"):
        for path in PATHS:
            (folder / path).unlink()
    stay_in_the_hour()
    return perdura


def request(perdura: Perdura, collection: str, requests: int, hours_ago: int = 24) -> None:
    perdura.database.query(
        "INSERT INTO access_hour VALUES (date_trunc('hour', now(), 'UTC') - make_interval(hours => %s), %s, %s)",
        hours_ago, collection, requests,
    )


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".png")


def test_collections_share_by_the_requests_of_this_hour_and_the_next(wiped: Perdura) -> None:
    request(wiped, "media", 199, hours_ago=48)
    request(wiped, "avatars", 200, hours_ago=24)
    request(wiped, "avatars", 199, hours_ago=23)
    request(wiped, "media", 100000, hours_ago=30)  # at another time of the day
    done = wiped.run("warmup", "--limit", "6", "--json").json
    assert (done["restored"], done["failed"]) == (6, 0)
    assert there(wiped.media) == PATHS[:2]
    assert there(wiped.folder / "avatars") == PATHS[:4]


def test_without_a_history_each_collection_has_its_share(wiped: Perdura) -> None:
    shown = wiped.run("warmup", "--limit", "4").stdout
    assert "preloaded 4 of the most used images" in shown
    assert there(wiped.media) == there(wiped.folder / "avatars") == PATHS[:2]


def test_one_collection(wiped: Perdura) -> None:
    request(wiped, "media", 1000)
    assert wiped.run("warmup", "--collection", "avatars", "--limit", "3", "--json").json["restored"] == 3
    assert there(wiped.media) == [] and there(wiped.folder / "avatars") == PATHS[:3]


def test_what_is_there_counts(wiped: Perdura) -> None:
    wiped.run("restore", "--collection", "media", PATHS[0])
    done = wiped.run("warmup", "--collection", "media", "--limit", "2", "--json").json
    assert (done["present"], done["restored"]) == (1, 1)
    assert there(wiped.media) == PATHS[:2]


def test_a_dry_run_writes_nothing(wiped: Perdura) -> None:
    assert wiped.run("warmup", "--dry-run", "--json").json["restored"] == 12
    assert there(wiped.media) == there(wiped.folder / "avatars") == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"DEFAULT_CACHE_SIZE": "3", "PEAK_CACHE_SIZE": "4"}, 3),
        ({"DEFAULT_CACHE_SIZE": "3", "PEAK_CACHE_SIZE": "4", "PERDURA_ADAPTIVE_TTL": "on"}, 3),
        ({"DEFAULT_CACHE_SIZE": "3", "PEAK_CACHE_SIZE": "4", "PERDURA_ADAPTIVE_TTL": "on", "USAGE_THRESHOLD": "9"}, 4),
    ],
)
def test_never_more_than_the_limit_in_force(wiped: Perdura, settings: dict[str, str], expected: int) -> None:
    request(wiped, "media", 10, hours_ago=24)
    request(wiped, "media", 10, hours_ago=23)
    assert wiped.run("warmup", "--limit", "12", "--json", env=settings).json["restored"] == expected


def test_over_http(wiped: Perdura, serve: Callable[..., Served]) -> None:
    request(wiped, "avatars", 1000)
    http = serve(PERDURA_RESTORE="none", DEFAULT_CACHE_SIZE="5", PERDURA_COLLECTIONS="avatars=./avatars@/avatars")
    assert http.post("/image-cache/warmup", {"images": 2}).json["restored"] == 2
    assert there(wiped.folder / "avatars") == PATHS[:2]
    assert http.post("/image-cache/warmup", {"images": 12}).json["present"] == 2
    assert there(wiped.folder / "avatars") == PATHS[:5]
    assert http.post("/image-cache/warmup", {"images": 1, "collection": "media"}).json["restored"] == 1
    http.post("/image-cache/warmup", {"collection": "none"}).problem(400)


def test_without_a_database(wiped: Perdura) -> None:
    wiped.database.server.stop()
    refused = wiped.run("warmup", check=False)
    assert refused.code == 3 and refused.stderr
