"""The promise: two thousand images of every kind, under every name, come back as they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import images
import pytest
from conftest import Perdura
from files import Print, fingerprint

COUNT = 2000


@pytest.fixture(scope="module")
def originals(session_folder: Path) -> Path:
    images.tree(session_folder / "originals", COUNT)
    return session_folder / "originals"


@pytest.fixture
def tree(perdura: Perdura, originals: Path) -> dict[str, Print]:
    shutil.copytree(originals, perdura.media, dirs_exist_ok=True)
    before = fingerprint(perdura.media)
    assert len(before) == COUNT and before == fingerprint(originals)
    return before


def test_round_trip(perdura: Perdura, tree: dict[str, Print]) -> None:
    report = perdura.run("cache-all", "--json").json
    assert (report["cached"], report["failed"], report["ignored"]) == (COUNT, 0, 0)

    # A second run says so and writes no row, of any table.
    rows = perdura.database.rows_written()
    assert rows["image_cache"] == (COUNT, 0, 0)
    report = perdura.run("cache-all", "--json").json
    assert (report["cached"], report["unchanged"], report["failed"]) == (0, COUNT, 0)
    assert perdura.database.rows_written() == rows

    # PostgreSQL's own decoder finds the very bytes.
    stored = perdura.database.query(
        "SELECT original_path, encode(sha256(decode(image_data, 'base64')), 'hex'), encode(sha256, 'hex'), file_size"
        " FROM image_cache"
    )
    assert {path: (decoded, named, size) for path, decoded, named, size in stored} == {
        path: (file.sha256, file.sha256, file.size) for path, file in tree.items()
    }
    by_type = perdura.database.query("SELECT content_type_header, count(*) FROM image_cache GROUP BY 1")
    assert {kind for kind, _ in by_type} == set(images.MIMES.values())

    shutil.rmtree(perdura.media)
    report = perdura.run("restore", "--all", "--json").json
    assert (report["restored"], report["present"], report["failed"]) == (COUNT, 0, 0)
    assert fingerprint(perdura.media) == tree
    assert perdura.run("check", "--json").json["same"] == COUNT


def test_half_of_it_is_missing(perdura: Perdura, tree: dict[str, Print]) -> None:
    perdura.run("cache-all")
    for path in sorted(tree)[::2]:
        (perdura.media / path).unlink()
    report = perdura.run("restore", "--all", "--json").json
    assert (report["restored"], report["present"], report["failed"]) == (COUNT // 2, COUNT // 2, 0)
    assert fingerprint(perdura.media) == tree


def test_without_prepared_statements_and_with_the_smallest_pool(perdura: Perdura, tree: dict[str, Print]) -> None:
    """As behind a pooler in transaction mode."""
    perdura.env |= {"PERDURA_DB_PREPARED": "off", "PERDURA_DB_POOL": "2"}
    assert perdura.run("cache-all", "--json").json["cached"] == COUNT
    assert perdura.run("cache-all", "--json").json["unchanged"] == COUNT
    shutil.rmtree(perdura.media)
    assert perdura.run("restore", "--all", "--json").json["restored"] == COUNT
    assert fingerprint(perdura.media) == tree
    assert perdura.run("fsck", "--json").json["sound"] == COUNT
