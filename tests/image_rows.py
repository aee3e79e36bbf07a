"""Rows of images without files, made in SQL, for tests of lists: many, small and all different.

A row's properties follow from its number alone, so that what a list has to show can be said beforehand.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from conftest import Database

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

# The triggers count all rows of a statement at once, so one statement makes them.
FILL = """
INSERT INTO image_cache (collection, original_path, content_type, object_id, variant, image_data, image_url, file_size,
                         content_type_header, sha256, width, height, created_at, last_accessed, access_count,
                         source_mtime, deleted_at)
SELECT CASE WHEN i %% 10 = 0 THEN 'avatars' ELSE 'media' END,
       'products/' || i %% 1000 || '/' || CASE WHEN i %% 7 = 0 THEN 'Holiday' ELSE 'photo' END || '-' || i || '.png',
       CASE WHEN i %% 4 = 0 THEN 'artist' WHEN i %% 1000 = 1 THEN 'loyalty.product' END,
       CASE WHEN i %% 4 = 0 OR i %% 1000 = 1 THEN (i / 8)::text END,
       CASE WHEN i %% 4 = 0 OR i %% 1000 = 1 THEN 'cover' END,
       CASE WHEN i %% 500 = 3 THEN NULL ELSE rpad('', ((1 + i %% 97 + 2) / 3 * 4)::int, 'QUJD') END,
       CASE WHEN i %% 500 = 3 THEN 'https://bucket.example/' || i END,
       1 + i %% 97,
       CASE i %% 50 WHEN 0 THEN 'image/svg+xml' WHEN 1 THEN 'image/gif' ELSE 'image/png' END,
       sha256(i::text::bytea), 1, 1,
       '2026-01-01'::timestamptz + i * interval '1 second',
       '2026-06-01'::timestamptz - (i * 7919 %% 100003) * interval '1 minute', i %% 11,
       '2026-01-01'::timestamptz,
       CASE WHEN i %% 20 = 5 THEN '2026-07-01'::timestamptz + (i * 31 %% 1009) * interval '1 minute' END
FROM generate_series(%s::bigint, %s::bigint) AS i
ORDER BY i
"""


def fill(database: Database, count: int, first: int = 1) -> None:
    """That many rows; `image_data` is right in length alone."""
    database.query(FILL, first, first + count - 1)
    database.query("ANALYZE image_cache")


def insert(database: Database, path: str, data: bytes = PNG, collection: str = "media", **columns: Any) -> int:
    """One image's row, as somebody's psql would make it. Its id."""
    row = {
        "collection": collection,
        "original_path": path,
        "image_data": base64.b64encode(data).decode(),
        "file_size": len(data),
        "content_type_header": "image/png",
        "sha256": hashlib.sha256(data).digest(),
        **columns,
    }
    places = ", ".join(["%s"] * len(row))
    return database.value(
        f"INSERT INTO image_cache ({', '.join(row)}) VALUES ({places}) RETURNING id", *row.values()
    )


@dataclass(frozen=True)
class Row:
    """What a list can filter and sort by."""

    id: int
    collection: str
    path: str
    content_type: str | None
    object_id: str | None
    mime: str
    size: int
    linked: bool
    accessed: float
    uses: int
    created: float
    deleted: float | None


def read(database: Database) -> list[Row]:
    columns = (
        "id, collection, original_path, content_type, object_id, content_type_header, file_size,"
        " image_url IS NOT NULL, extract(epoch FROM last_accessed)::float8, access_count,"
        " extract(epoch FROM created_at)::float8, extract(epoch FROM deleted_at)::float8"
    )
    return [Row(*row) for row in database.query(f"SELECT {columns} FROM image_cache")]


SORTS = {
    "path": lambda row: (row.collection.encode(), row.path.encode()),
    "hottest": lambda row: (-row.accessed, -row.uses, -row.id),
    "newest": lambda row: -row.id,
    "largest": lambda row: (-row.size, -row.id),
    "deleted": lambda row: (-(row.deleted or 0), -row.id),
}


def expected(rows: Iterable[Row], order: str, meant: Any) -> list[int]:
    """The ids of those that `meant` is true for, in that order."""
    return [row.id for row in sorted(filter(meant, rows), key=SORTS[order])]
