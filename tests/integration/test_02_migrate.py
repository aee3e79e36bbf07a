"""`migrate`: up, down, status, many at once, and databases that something else has been at."""

from __future__ import annotations

import subprocess

import pytest
from conftest import TESTS, Database, Perdura
from test_01_config import NEEDS_DATABASE

NAMES = sorted(path.name.removesuffix(".up.sql") for path in (TESTS.parent / "migrations").glob("*.up.sql"))


def schema(database: Database) -> str:
    """What pg_dump -s says, without the lines that differ from run to run."""
    dump = subprocess.run(
        [database.server._bin / "pg_dump", "-s", "-d", database.url], check=True, capture_output=True, text=True
    ).stdout
    return "\n".join(line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def states(perdura: Perdura) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in perdura.run("migrate", "status", "--json").json}


def test_up_makes_the_tables_and_says_so(unmigrated: Perdura) -> None:
    assert states(unmigrated) == dict.fromkeys(NAMES, "pending")
    assert unmigrated.run("migrate").stdout.splitlines() == [f"applied {name}" for name in NAMES]
    assert states(unmigrated) == dict.fromkeys(NAMES, "applied")
    assert unmigrated.run("status", "--json").json["images"] == 0


def test_up_again_does_nothing(perdura: Perdura) -> None:
    before = perdura.database.query("SELECT * FROM schema_migration ORDER BY version")
    assert perdura.run("migrate", "up").stdout == "the database is up to date\n"
    assert perdura.database.query("SELECT * FROM schema_migration ORDER BY version") == before


def test_dry_run_changes_nothing(unmigrated: Perdura) -> None:
    empty = schema(unmigrated.database)
    assert unmigrated.run("migrate", "--dry-run").stdout.splitlines() == [f"would apply {name}" for name in NAMES]
    assert schema(unmigrated.database) == empty

    unmigrated.run("migrate")
    full = schema(unmigrated.database)
    told = unmigrated.run("migrate", "down", "all", "--dry-run").stdout.splitlines()
    assert told == [f"would take back {name}" for name in reversed(NAMES)]
    assert schema(unmigrated.database) == full


def test_down_all_and_up_again_leaves_the_same_schema(unmigrated: Perdura) -> None:
    unmigrated.run("migrate")
    full = schema(unmigrated.database)
    told = unmigrated.run("migrate", "down", "all").stdout.splitlines()
    assert told == [f"took back {name}" for name in reversed(NAMES)]
    assert unmigrated.database.query("SELECT relname FROM pg_stat_user_tables") == [("schema_migration",)]
    assert unmigrated.database.value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == 0
    unmigrated.run("migrate")
    assert schema(unmigrated.database) == full


def test_each_down_takes_back_just_what_its_up_made(empty_database: Database) -> None:
    folder = TESTS.parent / "migrations"
    before = []
    for name in NAMES:
        before.append(schema(empty_database))
        empty_database.query((folder / f"{name}.up.sql").read_text())
    for name in reversed(NAMES):
        empty_database.query((folder / f"{name}.down.sql").read_text())
        assert schema(empty_database) == before.pop(), name


def test_down_takes_back_the_newest(perdura: Perdura) -> None:
    assert perdura.run("migrate", "down", "2").stdout.splitlines() == [
        f"took back {NAMES[-1]}",
        f"took back {NAMES[-2]}",
    ]
    assert list(states(perdura).values()) == ["applied"] * (len(NAMES) - 2) + ["pending"] * 2


def test_eight_at_once(unmigrated: Perdura) -> None:
    """Exactly one of them applies each migration, and none fails."""
    running = [
        unmigrated.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    outputs = [process.communicate(timeout=60) for process in running]
    assert [(process.returncode, err) for process, (_, err) in zip(running, outputs)] == [(0, "")] * 8
    told = sorted(out for out, _ in outputs)
    assert told == sorted(["".join(f"applied {name}\n" for name in NAMES)] + ["the database is up to date\n"] * 7)
    assert unmigrated.database.value("SELECT count(*) FROM schema_migration") == len(NAMES)


@pytest.mark.parametrize("args", [("up",), ("up", "--dry-run"), ("down", "1")])
def test_edited_migration_is_refused_by_name(perdura: Perdura, args: tuple[str, ...]) -> None:
    perdura.run("migrate", "down", "1")
    perdura.database.query("UPDATE schema_migration SET checksum = repeat('0', 64) WHERE name = %s", NAMES[1])
    before = schema(perdura.database)
    result = perdura.run("migrate", *args, check=False)
    assert result.code == 1
    assert NAMES[1] in result.stderr and "changed" in result.stderr
    assert schema(perdura.database) == before
    assert perdura.database.value("SELECT count(*) FROM schema_migration") == len(NAMES) - 1
    assert states(perdura)[NAMES[1]] == "changed"


@pytest.mark.parametrize("args", [("up",), ("up", "--dry-run"), ("down", "all")])
def test_unknown_newer_migration_is_refused_by_name(perdura: Perdura, args: tuple[str, ...]) -> None:
    perdura.run("migrate", "down", "1")
    perdura.database.query("INSERT INTO schema_migration VALUES (9001, '9001_from_the_future', repeat('0', 64))")
    before = schema(perdura.database)
    result = perdura.run("migrate", *args, check=False)
    assert result.code == 1
    assert "9001_from_the_future" in result.stderr
    assert schema(perdura.database) == before
    assert states(perdura)["9001_from_the_future"] == "unknown"


def test_migration_that_fails_leaves_nothing_of_itself(unmigrated: Perdura) -> None:
    """A function of the app's has the name of one of ours: those before it stay applied, its own is rolled back whole."""
    unmigrated.database.query("CREATE FUNCTION image_listen() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    result = unmigrated.run("migrate", check=False)
    assert result.code == 1
    failed = NAMES.index("0006_image_notify")
    assert NAMES[failed] in result.stderr and '"image_listen" already exists' in result.stderr
    assert list(states(unmigrated).values()) == ["applied"] * failed + ["pending"] * (len(NAMES) - failed)
    assert unmigrated.database.value("SELECT to_regclass('cache_invalidation')") is None

    unmigrated.database.query("DROP FUNCTION image_listen()")
    assert unmigrated.run("migrate").stdout.splitlines() == [f"applied {name}" for name in NAMES[failed:]]


def test_app_tables_are_left_alone(unmigrated: Perdura) -> None:
    unmigrated.database.query("CREATE TABLE product (id int)")
    unmigrated.run("migrate")
    unmigrated.run("migrate", "down", "all")
    assert unmigrated.database.value("SELECT to_regclass('product')") == "product"


@pytest.mark.parametrize("args", [a for a in NEEDS_DATABASE if a[0] != "migrate"], ids=lambda args: args[0])
def test_other_commands_say_to_migrate_first(unmigrated: Perdura, args: tuple[str, ...]) -> None:
    (unmigrated.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    (unmigrated.media / "b.png").write_bytes((unmigrated.folder / "a.png").read_bytes())
    result = unmigrated.run(*args, check=False)
    assert result.code == 1
    assert "run `perdura migrate`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_tables_may_lie_in_a_schema_of_their_own(unmigrated: Perdura) -> None:
    unmigrated.database.query("CREATE SCHEMA perdura")
    unmigrated.env["DATABASE_URL"] += "&options=-csearch_path%3Dperdura"
    unmigrated.run("migrate")
    (unmigrated.media / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    unmigrated.run("cache-all")
    assert unmigrated.database.value("SELECT count(*) FROM perdura.image_cache") == 1
    # Whoever writes by hand has another search path; the counters must find their table all the same.
    unmigrated.database.query("DELETE FROM perdura.image_cache")
    assert unmigrated.run("status", "--json").json["images"] == 0
