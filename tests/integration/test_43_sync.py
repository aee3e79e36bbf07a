"""Uploads on their way to their buckets, with a real S3 server: by the schedule, by HTTP and by command; once each, whoever
else does so; and what becomes of those that can't get there."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import images
import pytest
from bucket import ObjectStorage
from bucket_proxy import BucketProxy, Request
from conftest import Perdura, Result, Served
from pooler import PgBouncer
from servers import wait_until
from uploads import ORIGINS, calm, photo, post, state, states, stored_bytes, upload

pytestmark = pytest.mark.skipif(bool(ObjectStorage.missing()), reason=str(ObjectStorage.missing()))

MB = 1 << 20
WAIT_S = 60
NEVER = "86400"
BUCKETS = ["pets", "services", "chats"]
PREFIX = {"mascotas": ("pets", ""), "servicios": ("services", "in/here/"), "chats": ("chats", "")}


@pytest.fixture(scope="module")
def storage(session_folder: Path) -> Iterator[ObjectStorage]:
    with ObjectStorage(session_folder / "storage", BUCKETS) as server:
        yield server


@pytest.fixture
def proxy(storage: ObjectStorage) -> Iterator[BucketProxy]:
    with BucketProxy(storage.port) as found:
        yield found


@pytest.fixture
def settings(storage: ObjectStorage, proxy: BucketProxy) -> dict[str, str]:
    """Uploads are moved when a test says so."""
    return {
        **storage.settings(),
        "PERDURA_S3_ENDPOINT": proxy.url,
        "PERDURA_ORIGINS": ORIGINS,
        "PERDURA_SYNC_INTERVAL": NEVER,
    }


@pytest.fixture
def http(serve: Callable[..., Served], settings: dict[str, str]) -> Served:
    return calm(serve(**settings))


@pytest.fixture
def command(perdura: Perdura, settings: dict[str, str]) -> Callable[..., Result]:
    def run(*args: str, **more: Any) -> Result:
        return perdura.run(*args, env={**settings, **more.pop("env", {})}, **more)

    return run


def path_of(http: Served, name: str) -> tuple[str, str]:
    """Bucket and key."""
    collection, key = http.perdura.database.query(
        "SELECT collection, object_key FROM upload WHERE temp_filename = %s", name
    )[0]
    bucket, prefix = PREFIX[collection]
    return bucket, prefix + key


def assert_there(http: Served, storage: ObjectStorage, contents: dict[str, bytes]) -> None:
    """Completed, in the bucket, identical, and no more in PostgreSQL."""
    for name, data in contents.items():
        assert state(http, name)["sync_status"] == "completed", state(http, name)
        assert storage.get(*path_of(http, name)) == data, name
        assert stored_bytes(http.perdura.database, name) is None
    assert http.perdura.database.value("SELECT count(*) FROM upload_part") == 0


def sync(http: Served, path: str = "/force-sync") -> dict[str, Any]:
    answer = http.request("POST", path)
    assert answer.status == 200, answer
    assert isinstance(answer.json["output"], str) and answer.json["output"]
    return answer.json


def many(http: Served, count: int, seed: object = 0) -> dict[str, bytes]:
    contents = {}
    for i in range(count):
        data = images.sized("png", 3_000 + 501 * i, (seed, i))
        contents[upload(http, data)] = data
    return contents


# The way there


def test_upload_gets_into_the_bucket_of_its_collection(http: Served, storage: ObjectStorage) -> None:
    contents = {}
    for collection in PREFIX:
        for kind in ("jpeg", "webp"):
            data = images.make(kind, collection)
            contents[upload(http, data, f"/upload-temp/{collection}")] = data
    assert sync(http)["success"] is True
    assert_there(http, storage, contents)
    for name in contents:
        bucket, key = path_of(http, name)
        assert storage.type(bucket, key) == ("image/jpeg" if name.endswith(".jpg") else "image/webp")
        moment = time.gmtime(int(re.search(r"_(\d+)\.", name)[1]))
        assert key == PREFIX[state(http, name)["type"]][1] + time.strftime("temp_uploads/%Y/%m/%d/", moment) + name
    assert sync(http, "/pet/force-sync") == {
        "success": True, "output": "nothing to sync", "synced": 0, "waiting": 0, "failed": 0,
    }


def test_large_ones_get_there_in_parts(http: Served, storage: ObjectStorage) -> None:
    contents = {}
    for size in (5 * MB + 1, 16 * MB, 20 * MB + 7):
        data = images.sized("jpeg", size, size)
        contents[upload(http, data)] = data
    assert sync(http)["success"] is True
    assert_there(http, storage, contents)


@pytest.mark.parametrize("setting", ["PERDURA_SYNC_INTERVAL", "REDIS_SYNC_INTERVAL"])
def test_uploads_get_there_by_themselves(
    serve: Callable[..., Served], settings: dict[str, str], storage: ObjectStorage, setting: str
) -> None:
    del settings["PERDURA_SYNC_INTERVAL"]
    http = serve(**settings, **{setting: "1"})
    for _ in range(2):
        contents = many(http, 3)
        wait_until(lambda: states(http.perdura.database).keys() == {"completed"}, WAIT_S, "the schedule")
        assert_there(http, storage, contents)
    # They are counted and told of behind the commit.
    synced = "perdura_uploads_synced_total 6\n"
    wait_until(lambda: synced in http.get("/metrics").body.decode(), WAIT_S, "six uploads that are counted")
    wait_until(lambda: "uploads synced" in http.shown(), WAIT_S, "the log")
    assert 'perdura_jobs_total{kind="sync"}' in http.get("/metrics").body.decode()


def test_through_a_pooler_in_transaction_mode(
    perdura: Perdura, serve: Callable[..., Served], settings: dict[str, str], storage: ObjectStorage
) -> None:
    with PgBouncer(perdura.folder / "pooler", perdura.database.server) as pooler:
        http = calm(serve(**settings, DATABASE_URL=pooler.url(perdura.database.name), PERDURA_DB_PREPARED="off"))
        contents = many(http, 5)
        assert sync(http)["success"] is True
        assert_there(http, storage, contents)


def test_no_transaction_is_open_while_bytes_travel(http: Served, storage: ObjectStorage, proxy: BucketProxy) -> None:
    """And the claim is seen by others meanwhile."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.method == "PUT":
            arrived.set()
            assert go_on.wait(WAIT_S)

    contents = many(http, 1)
    proxy.fault = hold
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(sync, http)
        try:
            assert arrived.wait(WAIT_S)
            open_ones = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
                " AND application_name LIKE 'perdura%' AND pid <> pg_backend_pid()"
            )
            # What is done beside it takes a moment; what held one for the transfer would do so until it goes on.
            wait_until(lambda: http.perdura.database.value(open_ones) == 0, WAIT_S, "no open transaction")
            assert http.perdura.database.value("SELECT claimed_until > now() FROM upload")
        finally:
            go_on.set()
        assert answer.result()["success"] is True
    assert_there(http, storage, contents)


# What is in the way


def test_while_the_bucket_is_down_all_stays_pending(http: Served, storage: ObjectStorage) -> None:
    contents = many(http, 6)
    storage.stop()
    try:
        told = sync(http)
        assert told["success"] is False and told["waiting"] == 6 and told["failed"] == 0
        assert "object storage at" in told["output"]
        contents |= many(http, 3)
        assert states(http.perdura.database) == {"pending": 9}
        assert all(stored_bytes(http.perdura.database, name) == data for name, data in contents.items())
        status = http.get("/image-cache/status").json["uploads"]
        assert status["pending"] == 9 and status["reason"]
    finally:
        storage.start()
    assert sync(http)["success"] is True
    assert_there(http, storage, contents)


def test_a_missing_bucket_fails_and_is_tried_again(http: Served, storage: ObjectStorage) -> None:
    other = http.perdura.folder.name.replace("_", "-").lower()
    http.stop()
    http = calm(Served(http.perdura, {**storage.settings(), "PERDURA_ORIGINS": f"mascotas=s3://x{other}", "PERDURA_SYNC_INTERVAL": NEVER}))
    try:
        data = images.make("png", 1)
        name = upload(http, data)
        told = sync(http)
        assert told["success"] is False and told["failed"] == 1 and f"x{other}" in told["output"]
        found = state(http, name)
        assert found["sync_status"] == "failed" and f"x{other}" in found["reason"] and "\n" not in found["reason"]
        assert stored_bytes(http.perdura.database, name) == data
        assert http.perdura.database.value("SELECT next_attempt_at > now() + interval '30 s' FROM upload")
        storage.put_bucket(f"x{other}")
        assert sync(http)["success"] is True
        assert state(http, name)["sync_status"] == "completed" and "reason" not in state(http, name)
        assert storage.get(f"x{other}", found["path"]) == data
    finally:
        http.stop()


def test_a_wrong_secret_is_told_in_a_line_and_not_shown(
    serve: Callable[..., Served], settings: dict[str, str], proxy: BucketProxy
) -> None:
    proxy.fault = lambda request: "403"
    http = calm(serve(**{**settings, "AWS_SECRET_ACCESS_KEY": "hush-hush-hush"}))
    name = upload(http, images.make("png", 1))
    told = sync(http)
    assert told["failed"] == 1 and "AWS_SECRET_ACCESS_KEY" in told["output"]
    assert "hush" not in json.dumps(told) + http.shown() + json.dumps(state(http, name))


def test_without_settings_of_the_storage(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_ORIGINS=ORIGINS)
    name = upload(http, images.make("png", 1))
    told = sync(http)
    assert told["success"] is False and "PERDURA_S3_ENDPOINT" in told["output"]
    assert state(http, name)["sync_status"] == "pending"
    result = http.perdura.run("sync-temp-images", check=False, env={"PERDURA_ORIGINS": ORIGINS})
    assert result.code == 2 and "PERDURA_S3_ENDPOINT" in result.stderr


def test_what_failed_waits_longer_each_time_and_is_asked_for_at_once(http: Served, proxy: BucketProxy) -> None:
    """By the schedule it is due later and later; who asks for a sync gets it now."""
    name = upload(http, images.make("png", 1))
    http.perdura.database.query("UPDATE upload SET image_data = repeat('A', octet_length(image_data))")
    waits = []
    for _ in range(4):
        assert sync(http)["failed"] == 1
        waits.append(http.perdura.database.value("SELECT extract(epoch FROM next_attempt_at - now())::int FROM upload"))
    assert state(http, name)["attempts"] == 4
    assert waits == sorted(waits) and waits[0] >= 30 and waits[3] > 4 * waits[0]


def test_one_that_is_damaged_holds_up_no_other(http: Served, storage: ObjectStorage, proxy: BucketProxy) -> None:
    contents = many(http, 6)
    names = list(contents)
    for name in names[:2]:
        del contents[name]
    http.perdura.database.query(
        "UPDATE upload SET image_data = overlay(image_data placing 'AAAA' from 401) WHERE temp_filename = %s", names[0]
    )
    http.perdura.database.query("UPDATE upload SET image_data = '***' WHERE temp_filename = %s", names[1])
    told = sync(http)
    assert (told["success"], told["synced"], told["failed"]) == (False, 4, 2)
    assert_there(http, storage, contents)
    for name in names[:2]:
        assert state(http, name)["sync_status"] == "failed"
        assert storage.get(*path_of(http, name)) is None


# What is there already


def test_an_object_with_the_same_content_is_not_written_again(
    http: Served, storage: ObjectStorage, proxy: BucketProxy
) -> None:
    """Somebody was killed between the object and the row."""
    data = images.make("png", 1)
    name = upload(http, data)
    storage.put(*path_of(http, name), data)
    assert sync(http)["success"] is True
    assert_there(http, storage, {name: data})
    assert not proxy.stored


@pytest.mark.parametrize(
    "conflict, later, replaced",
    [("disk", True, True), ("store", False, False), ("newest", True, False), ("newest", False, True)],
)
def test_an_object_with_other_content(
    serve: Callable[..., Served],
    settings: dict[str, str],
    storage: ObjectStorage,
    conflict: str,
    later: bool,
    replaced: bool,
) -> None:
    http = calm(serve(**settings, PERDURA_CONFLICT=conflict))
    data, other = images.make("png", 1), images.make("png", "another")
    name = upload(http, data)
    storage.put(*path_of(http, name), other)
    if not later:
        http.perdura.database.query("UPDATE upload SET created_at = created_at + interval '1 hour'")
    told = sync(http)
    assert told["success"] is replaced
    assert storage.get(*path_of(http, name)) == (data if replaced else other)
    if not replaced:
        assert state(http, name)["sync_status"] == "failed" and "PERDURA_CONFLICT" in state(http, name)["reason"]
        assert stored_bytes(http.perdura.database, name) == data


# Several at once


def test_two_share_the_work(
    serve: Callable[..., Served], settings: dict[str, str], storage: ObjectStorage, proxy: BucketProxy
) -> None:
    one, other = calm(serve(**settings)), calm(serve(**settings))
    contents = many(one, 60)
    process = [one.perdura.start("sync-temp-images", "--json", env=settings, stdout=-1) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(sync, (one, other)))
    told += [json.loads(each.communicate()[0]) for each in process]
    assert [each.wait() for each in process] == [0, 0]
    assert all(each["success"] for each in told[:2])
    assert sum(each["synced"] for each in told) == 60
    assert_there(one, storage, contents)
    assert len(proxy.stored) == 60 and set(proxy.stored.values()) == {1}


def test_what_somebody_dead_had_claimed_is_moved_all_the_same(http: Served, storage: ObjectStorage) -> None:
    contents = many(http, 3)
    http.perdura.database.query(
        "UPDATE upload SET claimed_by = 'somebody/1/0', claimed_until = now() + interval '3 s', attempted_at = now()"
        " WHERE temp_filename = %s",
        next(iter(contents)),
    )
    assert sync(http)["success"] is True
    assert_there(http, storage, contents)


def test_who_is_told_to_end_gives_back_what_it_had_claimed(
    perdura: Perdura, settings: dict[str, str], storage: ObjectStorage, proxy: BucketProxy
) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> str | None:
        if request.method != "PUT":
            return None
        arrived.set()
        go_on.wait(WAIT_S)
        return "refuse"

    http = calm(Served(perdura, settings))
    contents = many(http, 2)
    proxy.fault = hold
    answer = threading.Thread(target=lambda: _ignore(lambda: sync(http)))
    answer.start()
    try:
        assert arrived.wait(WAIT_S)
        http.stop()
        assert perdura.database.value("SELECT count(*) FROM upload WHERE claimed_until IS NOT NULL") == 0
    finally:
        go_on.set()
        answer.join()
    assert states(perdura.database) == {"pending": 2}
    proxy.fault = lambda request: None
    again = Served(perdura, settings)
    wait_until(lambda: states(perdura.database) == {"completed": 2}, WAIT_S, "the first sync")
    assert_there(again, storage, contents)
    again.stop()


def _ignore(act: Callable[[], Any]) -> None:
    try:
        act()
    except (OSError, AssertionError):
        pass


# Commands


def test_sync_temp_images(http: Served, command: Callable[..., Result], storage: ObjectStorage) -> None:
    contents = many(http, 3)
    assert "would sync 3 uploads" in command("sync-temp-images", "--dry-run").stdout
    assert states(http.perdura.database) == {"pending": 3}
    told = command("sync-temp-images").stdout
    assert_there(http, storage, contents)
    for name in contents:
        assert f"synced {name} -> mascotas: {state(http, name)['path']}" in told
    assert "synced 3 uploads" in told and "0 wait for their buckets, 0 failed" in told
    found = command("sync-temp-images", "--json").json
    assert (found["synced"], found["waiting"], found["failed"], found["errors"]) == (0, 0, 0, [])


def test_sync_temp_images_tells_by_its_exit_code(
    http: Served, command: Callable[..., Result], storage: ObjectStorage
) -> None:
    many(http, 1)
    storage.stop()
    try:
        assert command("sync-temp-images", check=False).code == 3
    finally:
        storage.start()
    http.perdura.database.query("UPDATE upload SET image_data = '***'")
    result = command("sync-temp-images", check=False)
    assert result.code == 1 and "damaged" in result.stderr


def copies(perdura: Perdura) -> tuple[list[Path], list[Path], list[Path]]:
    """Old copies, new ones, and what is none of ours."""
    folder = perdura.folder / "var/cache/images"
    found: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for i, collection in enumerate(("mascotas", "legacy", "elsewhere")):
        (folder / collection).mkdir(parents=True)
        for age, digits in ((10, "a"), (3, "b")):
            path = folder / collection / f"{digits * 32}.jpg"
            path.write_bytes(b"1234")
            os.utime(path, (time.time() - age * 86400,) * 2)
            found[2 if collection == "elsewhere" else age == 3].append(path)
        own = folder / collection / ".gitkeep"
        own.write_bytes(b"")
        os.utime(own, (0, 0))
        found[2].append(own)
    return found


def test_clean_cache(perdura: Perdura, command: Callable[..., Result]) -> None:
    old, new, others = copies(perdura)
    assert "would remove 2 cached copies (8 bytes)" in command("sync-temp-images", "--clean-cache", "--max-age=7", "--dry-run").stdout
    assert all(path.exists() for path in old + new + others)
    assert "removed 0 cached copies" in command("sync-temp-images", "--clean-cache").stdout
    found = command("sync-temp-images", "--clean-cache", "--max-age", "7", "--json").json
    assert found == {"copies_removed": 2, "copies_bytes": 8, "dry_run": False}
    assert not any(path.exists() for path in old) and all(path.exists() for path in new + others)
    assert "removed 2 cached copies (8 bytes) older than 0 days" in command("sync-temp-images", "--clean-cache", "--max-age=0").stdout
    assert not any(path.exists() for path in new) and all(path.exists() for path in others)


def test_full_sync(http: Served, command: Callable[..., Result], storage: ObjectStorage) -> None:
    old, new, _ = copies(http.perdura)
    contents = many(http, 2)
    gone = upload(http, images.make("png", 9))
    sync(http)
    http.perdura.database.query(
        "UPDATE upload SET completed_at = now() - interval '31 days' WHERE temp_filename = %s", gone
    )
    contents |= (more := many(http, 2, "more"))
    told = command("sync-temp-images", "--full-sync", "--max-age=7").stdout
    assert "synced 2 uploads" in told and "removed 2 cached copies" in told
    assert_there(http, storage, contents)
    assert more and http.get(f"/sync-status/{gone}").status == 404
    assert not any(path.exists() for path in old) and all(path.exists() for path in new)
    assert command("sync-temp-images", "--full-sync", "--max-age=1", "--json").json["copies_removed"] == 2


def test_stats(http: Served, command: Callable[..., Result]) -> None:
    many(http, 2)
    copies(http.perdura)
    told = command("sync-temp-images", "--stats").stdout
    assert re.search(r"mascotas +2 uploads pending, 0 failed .*; 2 cached copies", told)
    assert re.search(r"all +2 uploads pending, 0 failed .*; 4 cached copies", told)
    found = command("sync-temp-images", "--stats", "--json").json
    assert (found["total_temp_files"], found["total_cache_files"]) == (2, 4)
    assert found["by_type"]["mascotas"]["pending"] == 2
    assert states(http.perdura.database) == {"pending": 2}


@pytest.mark.parametrize(
    "args, told",
    [
        (("--full-sync", "--stats"), "one of"),
        (("--max-age", "7"), "--max-age"),
        (("--clean-cache", "--max-age", "-1"), "--max-age"),
        (("mascotas",), "no arguments"),
    ],
)
def test_wrong_usage(command: Callable[..., Result], args: tuple[str, ...], told: str) -> None:
    result = command("sync-temp-images", *args, check=False)
    assert result.code == 2 and told in result.stderr


def test_auto_sync_ends_after_so_many_syncs(
    http: Served, command: Callable[..., Result], storage: ObjectStorage
) -> None:
    contents = many(http, 2)
    result = command("auto-sync", "--max-iterations=3", "--interval=1")
    lines = [line for line in result.stdout.splitlines() if not line.startswith("synced ")]
    assert len(lines) == 3
    assert "synced 2 uploads" in lines[0] and "the next one in 1 s" in lines[0]
    assert "nothing to sync" in lines[2] and "next" not in lines[2]
    assert_there(http, storage, contents)


def test_auto_sync_as_a_daemon(http: Served, settings: dict[str, str], storage: ObjectStorage) -> None:
    """Says nothing but what is in the log, goes on until it is told to end, and ends at once."""
    process = http.perdura.start("auto-sync", "--daemon", "--interval", "1", env=settings, stdout=-1, stderr=-1)
    contents = {}
    for i in range(2):
        contents |= many(http, 2, i)
        wait_until(lambda: "pending" not in states(http.perdura.database), WAIT_S, "the daemon")
    assert_there(http, storage, contents)
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and out == b""
    assert b"event=\"uploads synced\"" in log


def test_parts_without_a_row_go_after_a_day(http: Served) -> None:
    """They are what broke off; those of an upload that waits stay."""
    data = images.sized("jpeg", 6 * MB, 1)
    name = upload(http, data)
    http.perdura.database.query("UPDATE upload_part SET created_at = now() - interval '2 days'")
    http.perdura.database.query(
        "INSERT INTO upload_part VALUES ('broken', 0, 'AAAA', now() - interval '2 days'), ('new', 0, 'AAAA', now())"
    )
    http.perdura.run("sync-temp-images", "--full-sync", env={"PERDURA_ORIGINS": ""})
    assert stored_bytes(http.perdura.database, name) == data
    rest = http.perdura.database.query("SELECT DISTINCT temp_filename FROM upload_part ORDER BY 1")
    assert rest == [("new",), (name,)]


def test_the_same_under_a_prefix(serve: Callable[..., Served], settings: dict[str, str]) -> None:
    http = calm(serve(**settings, PERDURA_API_PREFIX="/partners"))
    assert post(http, "/partners/upload-temp/chats", photo(images.make("png", 1))).status == 201
    assert sync(http, "/partners/force-sync")["synced"] == 1
    assert sync(http, "/partners/pet/force-sync")["success"] is True
