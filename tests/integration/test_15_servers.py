"""Databases that are not as usual: another encoding, other rights, a server that is down or busy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import images
import pytest
from conftest import Database, Perdura, Served, perdura_binary
from files import fingerprint, names, picture
from http_client import url_of
from servers import wait_until

ENCODABLE = {"a.png", "caf\u00e9/b.png", "z.png"}
NOT_IN_LATIN1 = "\u5199\u771f.png"


def of_encoding(perdura: Perdura, encoding: str) -> Perdura:
    """The same program on a migrated database of that encoding."""
    server, name = perdura.database.server, f"{perdura.database.name}_{encoding.lower()}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    database = Database(server, name)
    program = Perdura(perdura_binary(), perdura.folder, database)
    program.run("migrate")
    return program


@pytest.fixture
def latin1(perdura: Perdura) -> Iterator[Perdura]:
    program = of_encoding(perdura, "LATIN1")
    yield program
    program.database.server.drop_database(program.database.name)


@pytest.fixture
def sql_ascii(perdura: Perdura) -> Iterator[Perdura]:
    program = of_encoding(perdura, "SQL_ASCII")
    yield program
    program.database.server.drop_database(program.database.name)


def paths(perdura: Perdura) -> set[str]:
    return {image["original_path"] for image in perdura.run("list", "--json").json}


def test_database_in_latin1(latin1: Perdura) -> None:
    for path in ENCODABLE:
        picture(latin1.media / path, seed=path)
    before = fingerprint(latin1.media)
    latin1.run("cache-all")
    assert paths(latin1) == ENCODABLE
    assert latin1.run("cache-all", "--json").json["unchanged"] == 3
    for path in before:
        (latin1.media / path).unlink()
    latin1.run("restore", "--all")
    assert fingerprint(latin1.media) == before


def test_the_watcher_needs_one_connection_alone(latin1: Perdura) -> None:
    """Of two, another job holds one. A name that the encoding can't hold has each file looked up by itself, while those
    before it are on their way."""
    picture(latin1.media / "held.png")
    latin1.run("cache-all")
    served = Served(latin1, {"PERDURA_DB_POOL": "2"})
    with closing(latin1.database.connect()) as other:
        holder = other.cursor()
        holder.execute("BEGIN")
        holder.execute("SELECT id FROM image_cache FOR UPDATE")
        body = {"action": "trash", "ids": [holder.fetchone()[0]]}
        assert served.post("/image-cache/images/bulk?async", body).status == 202
        waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%deleted_at%'"
        wait_until(lambda: latin1.database.value(waiting), 60, "the job to wait")
        for name in (NOT_IN_LATIN1, "1.png", "2.png", "3.png", "4.png"):
            picture(latin1.folder / "together" / name, seed=name)
        (latin1.folder / "together").rename(latin1.media / "together")
        count = "SELECT count(*) = 4 FROM image_cache WHERE original_path LIKE 'together/%'"
        wait_until(lambda: latin1.database.value(count), 60, "the other files' rows")
        holder.execute("ROLLBACK")
    served.stop()


def test_path_that_latin1_can_not_hold_fails_alone(latin1: Perdura) -> None:
    for path in (*ENCODABLE, NOT_IN_LATIN1, NOT_IN_LATIN1 + ".gif"):
        picture(latin1.media / path, seed=path)
    for _ in range(2):
        result = latin1.run("cache-all", check=False)
        assert result.code == 1
        lines = sorted(result.stderr.splitlines())
        assert [line.split(" ")[1] for line in lines] == [NOT_IN_LATIN1, NOT_IN_LATIN1 + ".gif"]
        assert all("LATIN1" in line and "use a database in UTF8" in line for line in lines)
        assert paths(latin1) == ENCODABLE
    result = latin1.run("check", check=False)
    assert result.code == 1 and sorted(result.stdout.split()) == ["+", "+", NOT_IN_LATIN1, NOT_IN_LATIN1 + ".gif"]
    for args in (("put", latin1.media / NOT_IN_LATIN1), ("info", NOT_IN_LATIN1), ("restore", NOT_IN_LATIN1)):
        result = latin1.run(*args, check=False)
        assert result.code == 1 and "LATIN1" in result.stderr


def found(http: Served, query: str) -> list[str]:
    answer = http.get("/image-cache/images" + query)
    assert answer.status == 200, (query, answer)
    return [image["original_path"] for image in answer.json["images"]]


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii"])
def test_images_are_listed_and_searched_in_any_encoding(request: pytest.FixtureRequest, encoding: str) -> None:
    perdura = request.getfixturevalue(encoding)
    for path in (*ENCODABLE, "caf\u00e9/c.png", "caf\u00ea/a.png", "cafe/d.png"):
        picture(perdura.media / path, seed=path)
    perdura.run("cache-all")
    http = Served(perdura, {})
    in_order = sorted((*ENCODABLE, "caf\u00e9/c.png", "caf\u00ea/a.png", "cafe/d.png"))
    assert found(http, "") == found(http, "?collection=*") == in_order
    for order in ("hottest", "newest", "largest"):
        assert set(found(http, f"?order={order}")) == set(in_order)
    for state in ("trash", "large"):
        assert found(http, f"?state={state}") == found(http, f"?state={state}&order=path") == []
    assert found(http, "?q=caf%C3%A9/") == ["caf\u00e9/b.png", "caf\u00e9/c.png"]
    assert found(http, "?q=caf%C3%A9/b") == ["caf\u00e9/b.png"]
    assert found(http, "?q=cafe/") == ["cafe/d.png"]
    assert found(http, "?q=z") == ["z.png"]
    pages, cursor = [], ""
    while cursor is not None:
        page = http.get(f"/image-cache/images?collection=*&limit=2{cursor}").json
        pages += [image["original_path"] for image in page["images"]]
        cursor = page["cursor"] and "&cursor=" + quote(page["cursor"])
    assert pages == in_order
    http.stop()


def test_a_name_that_the_encoding_can_not_hold_is_not_stored(latin1: Perdura) -> None:
    http = Served(latin1, {})
    path = url_of(NOT_IN_LATIN1)
    for _ in range(2):  # the second time it is remembered
        http.get(path).problem(404)
        assert http.request("HEAD", path).status == 404
    assert "encoding cannot hold it" in http.put(path, images.make("png", 1)).problem(400)
    http.get(path).problem(404)
    for names in ("%E5%86%99/1/cover", "artist/%E5%86%99/cover", "artist/1/%E5%86%99"):
        http.get(f"/api/images/{names}").problem(404)
    assert latin1.database.value("SELECT count(*) FROM image_cache") == 0
    http.stop()


def test_database_without_encoding(sql_ascii: Perdura) -> None:
    for path in (*ENCODABLE, NOT_IN_LATIN1):
        picture(sql_ascii.media / path, seed=path)
    before = fingerprint(sql_ascii.media)
    sql_ascii.run("cache-all")
    for path in before:
        (sql_ascii.media / path).unlink()
    sql_ascii.run("restore", "--all")
    assert fingerprint(sql_ascii.media) == before
    assert paths(sql_ascii) == set(before)


@pytest.fixture
def three(perdura: Perdura) -> Perdura:
    for n in range(3):
        picture(perdura.media / f"{n}.png", seed=n)
    return perdura


@pytest.mark.parametrize("pool, prepared", itertools.product(["2", "3", "20"], ["on", "off"]))
def test_every_command_works_with_each_pool(three: Perdura, pool: str, prepared: str) -> None:
    three.env |= {"PERDURA_DB_POOL": pool, "PERDURA_DB_PREPARED": prepared}
    before = fingerprint(three.media)
    three.run("cache-all")
    three.run("put", "media/0.png", "copy.png")
    three.run("rm", "copy.png")
    three.run("restore", "copy.png")
    assert three.run("get", "copy.png").stdout_bytes == (three.media / "0.png").read_bytes()
    three.run("rm", "copy.png", "1.png")
    three.run("cleanup", "--days", "90")
    three.run("restore", "--all", "--force")
    three.run("check")
    three.run("fsck")
    three.run("migrate", "status")
    del before["1.png"]
    assert fingerprint(three.media) == before
    assert three.run("status", "--json").json["images"] == 2


def test_never_more_connections_than_the_pool_allows(three: Perdura) -> None:
    """A small plan allows few: the server refuses the third."""
    server, name = three.database.server, three.database.name
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"

    def run_alone(*arguments: str) -> Any:
        """A connection that was closed counts until its backend has ended."""
        wait_until(lambda: server.kept_connection("postgres").query(others, (name,)) == [(0,)], 60, "the others' end")
        return three.run(*arguments)

    server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 2")
    server.execute("DROP ROLE IF EXISTS app")
    server.execute("CREATE ROLE app LOGIN")
    try:
        server.execute(f"ALTER DATABASE {name} OWNER TO app")
        three.database.query("GRANT ALL ON ALL TABLES IN SCHEMA public TO app")
        three.database.disconnect()
        three.env["DATABASE_URL"] = three.env["DATABASE_URL"].replace("postgres@", "app@")
        three.env["PERDURA_DB_POOL"] = "2"
        for n in range(200):
            picture(three.media / f"more/{n}.png", seed=n)
        run_alone("cache-all")
        for path in names(three.media):
            (three.media / path).unlink()
        assert run_alone("restore", "--all", "--parallelism", "100", "--json").json["restored"] == 203
        run_alone("migrate", "status")
    finally:
        server.drop_database(name)
        server.create_database(name)  # for whoever drops it next
        server.execute("DROP ROLE app")


def test_server_that_refuses_connections_exits_3(three: Perdura) -> None:
    three.env["DATABASE_URL"] = re.sub("/[^/?]*[?]", "/no_such_database?", three.env["DATABASE_URL"])
    result = three.run("cache-all", check=False)
    assert result.code == 3
    assert 'database "no_such_database" does not exist' in result.stderr


def test_stopped_server_exits_3_and_get_serves_from_disk(three: Perdura) -> None:
    three.run("cache-all")
    three.database.server.stop()
    try:
        for args in (("status",), ("list",), ("info", "0.png"), ("migrate", "status")):
            result = three.run(*args, check=False)
            assert result.code == 3 and "cannot reach the database" in result.stderr
        assert three.run("get", "0.png").stdout_bytes == (three.media / "0.png").read_bytes()
        (three.media / "0.png").unlink()
        assert three.run("get", "0.png", check=False).code == 3
    finally:
        three.database.server.start()
    assert three.run("check", check=False).stdout == "- 0.png\n"


def test_role_without_rights_is_told(three: Perdura) -> None:
    three.env["DATABASE_URL"] += "&options=-crole%3Dpg_read_all_data"
    result = three.run("cache-all", check=False)
    assert result.code == 1
    assert "lacks a privilege: GRANT INSERT, UPDATE, DELETE ON " in result.stderr
    assert three.run("status", "--json").json["images"] == 0


def test_read_only_server_is_told(three: Perdura) -> None:
    """A standby, or a primary after a failover."""
    three.env["DATABASE_URL"] += "&options=-cdefault_transaction_read_only%3Don"
    result = three.run("cache-all", check=False)
    assert result.code == 1
    assert "read-only" in result.stderr and "primary" in result.stderr
    assert three.run("list", "--json").json == []


def test_session_settings_of_the_database_do_not_matter(three: Perdura) -> None:
    """Others set them for their own app."""
    before = fingerprint(three.media)
    for setting in (
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
        "default_transaction_isolation = 'serializable'",
        "lc_messages = 'C'",
        "extra_float_digits = 0",
        "enable_seqscan = off",
        "plan_cache_mode = 'force_generic_plan'",
    ):
        three.database.server.execute(f"ALTER DATABASE {three.database.name} SET {setting}")
    three.run("cache-all")
    for path in before:
        (three.media / path).unlink()
    three.run("restore", "--all")
    assert fingerprint(three.media) == before
    assert three.run("cache-all", "--json").json["unchanged"] == 3
    three.run("rm", "0.png")
    assert three.run("status", "--json").json["trash_images"] == 1
    assert three.run("cleanup", "--days", "90", "--json", "--dry-run").json["trashed"] == 0
