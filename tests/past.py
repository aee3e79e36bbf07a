"""Days that pass in a moment: what a store, the daily cleaning and the files' access times hold is moved into the past."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from servers import wait_until

if TYPE_CHECKING:
    from conftest import Perdura, Served

DAY_S = 86400
WAIT_S = 120
COLUMNS = {
    "image_cache": ("last_accessed", "created_at", "updated_at"),
    "schedule": ("taken_at",),
    "cleanup_day": ("at", "checked_at", "use_since", "announced"),
    "instance": ("first_seen", "seen_at", "ended_at", "use_at"),
}


def stay_in_the_hour() -> None:
    """Does not return in the last minute of an hour: it does not end during what a test counts by the hour."""
    wait_until(lambda: time.time() % 3600 < 3540, WAIT_S, "an hour that does not end meanwhile")


def _set_atime(file: Path, at_s: float) -> None:
    os.utime(file, ns=(int(at_s * 1e9), file.stat().st_mtime_ns))


def read_by_app(perdura: Perdura, path: str, days: float) -> None:
    """Sets the access time as Linux does when a program reads the file so many days ago."""
    _set_atime(perdura.media / path, time.time() - days * DAY_S)


def age(perdura: Perdura, days: float, *paths: str) -> None:
    """The app and clients used these images so long ago, and not since; no path: all of them."""
    at_s = time.time() - days * DAY_S
    for path in paths or [path for (path,) in perdura.database.query("SELECT original_path FROM image_cache")]:
        perdura.database.query(
            "UPDATE image_cache SET last_accessed = to_timestamp(%s) WHERE original_path = %s", at_s, path
        )
        if (perdura.media / path).exists():
            _set_atime(perdura.media / path, at_s)


def pass_days(perdura: Perdura, days: float) -> None:
    """What has happened so far happened so many days earlier."""
    seconds = days * DAY_S
    for table, columns in COLUMNS.items():
        moved = ", ".join(f"{column} = {column} - {seconds} * interval '1 second'" for column in columns)
        perdura.database.query(f"UPDATE {table} SET {moved}")
    perdura.database.query(
        f"UPDATE image_cache SET deleted_at = deleted_at - {seconds} * interval '1 second' WHERE deleted_at IS NOT NULL"
    )
    perdura.database.query("UPDATE schedule SET day = day - 1")
    for path in perdura.media.rglob("*.png"):
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns - int(seconds * 1e9), stat.st_mtime_ns))


def cleaning_is_due(perdura: Perdura) -> None:
    """There was one before, so that the next instance makes up for today's."""
    perdura.database.query("INSERT INTO schedule VALUES ('cleanup', current_date - 2, 'somebody')")


def wait_for_cleaning(http: Served) -> None:
    wait_until(
        lambda: any(text in http.shown() for text in ('event="daily cleaning"', "daily cleaning failed")),
        WAIT_S,
        "the daily cleaning",
    )


def in_trash(perdura: Perdura) -> list[str]:
    rows = "SELECT original_path FROM image_cache WHERE deleted_at IS NOT NULL ORDER BY original_path"
    return [path for (path,) in perdura.database.query(rows)]
