"""Images of collections that live elsewhere: where they are read from, how long, and what is served when their origin
can't be asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import images
import pytest
from bucket import ObjectStorage
from bucket_proxy import BucketProxy
from conftest import Perdura, Served
from http_client import Answer, metric, read_answer
from origin import MODIFIED_S, Origin, make_certificate
from servers import Redis, wait_until
from uploads import calm, upload

CLIENTS = int(os.environ.get("COLD_CLIENTS", "1000"))
FORGOTTEN_ROUNDS = 60
WAIT_S = 60
DAY_S = 86400
PATIENT = {"PERDURA_REDIS_TIMEOUT": "2000"}  # a busy machine is no outage
PNG = images.make("png", 1)
OTHER = images.make("png", 2)
LARGE = images.sized("jpeg", 5_000_000, 3)
PATH = "user_1/pet 5/größe.png"
URL = "/proxy-image/legacy/user_1/pet%205/gr%C3%B6%C3%9Fe.png"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put(PATH, PNG)
        yield server


@pytest.fixture
def start(origin: Origin, serve: Callable[..., Served]) -> Callable[..., Served]:
    """Serves the collection `legacy`."""
    return lambda **env: serve(**{**origin.settings("legacy"), **env})


@pytest.fixture
def proxy(start: Callable[..., Served]) -> Served:
    return start()


def folder_of(perdura: Perdura, collection: str = "legacy") -> Path:
    return perdura.folder / "var" / "cache" / "images" / collection


def file_of(perdura: Perdura, path: str = PATH, collection: str = "legacy") -> Path:
    ending = path.rpartition(".")[2]
    return folder_of(perdura, collection) / f"{hashlib.md5(path.encode()).hexdigest()}.{ending}"


def wait_for(file: Path, content: bytes = PNG) -> None:
    wait_until(lambda: file.exists() and file.read_bytes() == content, WAIT_S, f"the copy {file}")


def age(file: Path, seconds: float = 2 * DAY_S) -> None:
    """A copy's modification time is when its origin was last asked about it."""
    then = time.time() - seconds
    os.utime(file, (then, then))


def is_answer(answer: Answer, status: str, tier: str, content: bytes = PNG) -> Answer:
    assert answer.status == 200, (answer.status, answer.body[:300])
    assert answer.body == content
    assert (answer["X-Cache-Status"], answer["X-Cache-Tier"]) == (status, tier)
    assert answer["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    return answer


def settle(http: Served, url: str = URL) -> None:
    """The copy is where it is kept, and nobody is at it any more: it is read from there."""

    def is_kept() -> bool:
        before = kept()
        assert http.get(url).status == 200
        return kept() > before

    def kept() -> float:
        return sum(metric(http, f'perdura_reads_total{{tier="{tier}"}}') for tier in ("memory", "disk"))

    wait_until(is_kept, WAIT_S, "the copy")


def get_fresh(http: Served, content: bytes = PNG) -> None:
    """The image has come, and its copy is on disk."""
    is_answer(http.get(URL), "MISS", "origin", content)
    wait_for(file_of(http.perdura), content)
    settle(http)


# What is served


def test_a_miss_then_hits(proxy: Served, origin: Origin) -> None:
    answer = is_answer(proxy.get(URL), "MISS", "origin")
    assert answer["Content-Type"] == "image/png" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Image-Type"] == "legacy"
    assert answer["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT" and MODIFIED_S == 1700000000
    wait_for(file_of(proxy.perdura))
    settle(proxy)
    for _ in range(3):
        again = is_answer(proxy.get(URL), "HIT", "memory")
        assert again["X-Image-Type"] == "legacy" and again["Last-Modified"] == answer["Last-Modified"]
    assert origin.count(PATH) == 1
    assert origin.asked[0].path == "/user_1/pet%205/gr%C3%B6%C3%9Fe.png"


def test_conditions_ranges_and_head_work_as_for_media(proxy: Served) -> None:
    head = proxy.head(URL)
    assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(PNG)))
    for _ in range(2):  # by way of a thread, and at once
        etag, modified = head["ETag"] or "", head["Last-Modified"] or ""
        assert proxy.get(URL, If_None_Match=etag).status == 304
        assert proxy.get(URL, If_Modified_Since=modified).status == 304
        assert proxy.get(URL, If_Match='"other"').status == 412
        part = proxy.get(URL, Range="bytes=4-9", If_Range=etag)
        assert (part.status, part.body) == (206, PNG[4:10])
        assert part["Content-Range"] == f"bytes 4-9/{len(PNG)}"
        assert proxy.get(URL, Range=f"bytes={len(PNG)}-").status == 416
        assert "immutable" in (proxy.get(URL + "?v=3")["Cache-Control"] or "")
        assert proxy.get(URL)["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert proxy.request("PUT", URL, PNG).status == 405


def test_the_url_of_pets_and_prefixes(origin: Origin, serve: Callable[..., Served]) -> None:
    origin.put("base/a.png", PNG)
    http = serve(**origin.settings("mascotas", "/base"), PERDURA_API_PREFIX="/partners")
    assert is_answer(http.get("/pet/proxy-image/a.png"), "MISS", "origin")["X-Image-Type"] == "mascotas"
    wait_for(file_of(http.perdura, "a.png", "mascotas"))
    settle(http, "/proxy-image/mascotas/a.png")
    is_answer(http.get("/proxy-image/mascotas/a.png"), "HIT", "memory")
    is_answer(http.get("/partners/proxy-image/mascotas/a.png"), "HIT", "memory")
    is_answer(http.get("/partners/pet/proxy-image/a.png"), "HIT", "memory")
    http.get("/proxy-image/media/a.png").problem(404)
    http.get("/proxy-image/Mascotas/a.png").problem(404)
    http.get("/proxy-image/mascotas").problem(404)
    assert [asked.path for asked in origin.asked] == ["/base/a.png"]


def test_paths_stay_in_their_place(proxy: Served, origin: Origin) -> None:
    for path in ("../secret.png", "a/../../b.png", "%2e%2e/b.png", "a%2Fb.png", "a%00.png", "./a.png", "a.png/"):
        assert proxy.raw(f"GET /proxy-image/legacy/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())[
            9:12
        ] == (b"400"), path
    assert not origin.asked
    odd = "q?x=1#y&z %25.png"
    origin.put(odd, PNG)
    assert proxy.get("/proxy-image/legacy/q%3Fx=1%23y&z%20%2525.png").status == 200
    assert origin.count(odd) == 1
    proxy.get("/proxy-image/legacy/@evil.test/a.png").problem(404)
    proxy.get("/proxy-image/legacy/http:%5C%5Cevil.test").problem(404)


def test_what_it_is_is_told_by_its_content(proxy: Served, origin: Origin) -> None:
    for kind in images.KINDS:
        content = images.make(kind, 7)
        origin.put(f"{kind}.bin", content, "text/html")
        answer = is_answer(proxy.get(f"/proxy-image/legacy/{kind}.bin"), "MISS", "origin", content)
        assert answer["Content-Type"] == images.MIMES[kind]
        assert bool(answer["Content-Security-Policy"]) == (kind == "svg")


# How long a copy is good


def test_a_copy_that_is_still_right_begins_anew(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    file = file_of(proxy.perdura)
    age(file)
    is_answer(proxy.get(URL), "REVALIDATED", "disk")
    assert origin.asked[-1].status == 304 and origin.asked[-1].if_none_match
    assert time.time() - file.stat().st_mtime < 1000
    is_answer(proxy.get(URL), "HIT", "memory")
    assert origin.count(PATH) == 2
    assert metric(proxy, "perdura_revalidations_total") == 1


def test_a_copy_without_an_etag_is_asked_for_by_its_date(proxy: Served, origin: Origin) -> None:
    origin.put(PATH, PNG, etag=False)
    get_fresh(proxy)
    age(file_of(proxy.perdura))
    is_answer(proxy.get(URL), "REVALIDATED", "disk")
    assert origin.asked[-1].if_modified_since and not origin.asked[-1].if_none_match


def test_a_copy_that_is_another_now_is_replaced(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    origin.put(PATH, OTHER, modified_s=MODIFIED_S + 60)
    is_answer(proxy.get(URL), "HIT", "memory")
    age(file_of(proxy.perdura))
    is_answer(proxy.get(URL), "EXPIRED", "origin", OTHER)
    wait_for(file_of(proxy.perdura), OTHER)
    settle(proxy)
    is_answer(proxy.get(URL), "HIT", "memory", OTHER)
    assert origin.count(PATH) == 2


def test_the_setting_says_how_long(start: Callable[..., Served], origin: Origin) -> None:
    http = start(PERDURA_ORIGIN_TTL="1")
    get_fresh(http)
    wait_until(lambda: http.get(URL)["X-Cache-Status"] == "REVALIDATED", WAIT_S, "the copy's end")


def test_an_image_that_is_gone_goes_here(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    origin.delete(PATH)
    age(file_of(proxy.perdura))
    proxy.get(URL).problem(404)
    assert not file_of(proxy.perdura).exists()
    asked = origin.count(PATH)
    proxy.get(URL).problem(404)
    assert origin.count(PATH) == asked, "remembered for a moment"
    origin.put(PATH, OTHER)
    wait_until(lambda: proxy.get(URL).status == 200, WAIT_S, "the image")


def test_a_purge_asks_anew_and_keeps_the_copy_meanwhile(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    origin.put(PATH, OTHER)
    assert proxy.request("PURGE", URL, token=None).status == 401
    assert proxy.request("PURGE", URL).status == 200
    is_answer(proxy.get(URL), "EXPIRED", "origin", OTHER)
    settle(proxy)
    origin.stop()
    pattern = {"pattern": "image:path:legacy:user_1/*"}
    assert proxy.post("/image-cache/invalidate", pattern).status == 200
    is_answer(proxy.get(URL), "STALE", "disk", OTHER)


@pytest.mark.parametrize(
    "what",
    [
        {"pattern": "*/größe.png"},
        {"pattern": "image:*:legacy:user_1/*"},
        {"pattern": f"image:path:legacy:{PATH}"},
        {"pattern": "*"},
        {"path": PATH, "collection": "legacy"},
    ],
)
def test_whatever_names_a_copy_makes_it_too_old(proxy: Served, origin: Origin, what: dict[str, str]) -> None:
    get_fresh(proxy)
    settle(proxy)
    origin.put(PATH, OTHER)
    assert proxy.post("/image-cache/invalidate", what).json["invalidated"] > 0
    is_answer(proxy.get(URL), "EXPIRED", "origin", OTHER)


def test_the_program_names_a_copy_by_its_path(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    settle(proxy)
    origin.put(PATH, OTHER)
    program, env = proxy.perdura, origin.settings("legacy")
    program.run("invalidate", PATH, "--collection", "legacy", env=env)
    wait_until(lambda: proxy.get(URL).body == OTHER, WAIT_S, "the new image")
    unknown = program.run("invalidate", PATH, "--collection", "other", env=env, check=False)
    assert unknown.code == 2 and "PERDURA_ORIGINS" in unknown.stderr


@pytest.mark.parametrize("way", ["purge", "pattern"])
def test_nobody_is_given_what_was_asked_before_a_purge(
    start: Callable[..., Served], origin: Origin, folder: Path, way: str
) -> None:
    """Also not while the copy that was on its way is being kept."""
    with Redis(folder / "redis") as redis:
        ask_while_it_changes(start(REDIS_URL=redis.url(), **PATIENT), origin, way)


def ask_while_it_changes(proxy: Served, origin: Origin, way: str) -> None:
    versions = [images.sized("png", 300_000, seed) for seed in (1, 2)]

    def forget(name: str) -> None:
        if way == "purge":
            assert proxy.request("PURGE", f"/proxy-image/legacy/{name}").status == 200
        else:
            pattern = {"pattern": f"image:path:legacy:{name}"}
            assert proxy.post("/image-cache/invalidate", pattern).status == 200

    def rounds(name: str) -> int:
        late = 0
        for n in range(FORGOTTEN_ROUNDS):
            old, new = versions[n % 2], versions[1 - n % 2]
            origin.put(name, old)
            forget(name)
            with ThreadPoolExecutor(1) as before:
                on_its_way = before.submit(proxy.get, f"/proxy-image/legacy/{name}")
                time.sleep(n % 16 / 1000)  # the change comes at any moment of it
                origin.put(name, new)
                forget(name)
                late += sum(proxy.get(f"/proxy-image/legacy/{name}").body != new for _ in range(4))
                assert on_its_way.result().status == 200
        return late

    with ThreadPoolExecutor(3) as clients:
        assert sum(clients.map(rounds, ["1.png", "2.png", "3.png"])) == 0


def test_an_entity_that_is_forgotten_leaves_copies_alone(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    assert proxy.post("/image-cache/invalidate", {"pattern": "image:artist:*"}).status == 200
    assert proxy.get(URL)["X-Cache-Status"] == "HIT"
    assert origin.count(PATH) == 1


# While the origin can't be asked


def test_an_origin_that_is_down_and_comes_back(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    origin.put("cold.png", PNG)
    origin.stop()
    file = file_of(proxy.perdura)
    for seconds in (2 * DAY_S, 3650 * DAY_S):
        age(file, seconds)
        for _ in range(4):
            is_answer(proxy.get(URL), "STALE", "disk")
    assert proxy.get(URL, If_None_Match=f'"{hashlib.sha256(PNG).hexdigest()}"').status == 304
    for _ in range(3):
        answer = proxy.get("/proxy-image/legacy/cold.png")
        answer.problem(503)
        assert answer["Retry-After"]
    assert metric(proxy, "perdura_stale_total") >= 8

    def is_left_alone() -> bool:
        proxy.get("/proxy-image/legacy/cold.png").problem(503)
        return metric(proxy, 'perdura_tier_up{tier="origin"}') == 0

    wait_until(is_left_alone, WAIT_S, "the origin to be marked as down")
    origin.start()
    wait_until(lambda: proxy.get(URL)["X-Cache-Status"] == "REVALIDATED", WAIT_S, "the origin")
    is_answer(proxy.get("/proxy-image/legacy/cold.png"), "MISS", "origin")
    assert metric(proxy, 'perdura_tier_up{tier="origin"}') == 1
    wait_until(lambda: "origin unavailable" in proxy.shown() and "origin available again" in proxy.shown(), WAIT_S, "the log")


def test_an_origin_that_fails(proxy: Served, origin: Origin) -> None:
    for number, fault in enumerate(["500", "429", "403", "cut", "stall", "html"]):
        path = f"{fault}.png"
        url, old, new = f"/proxy-image/legacy/{path}", images.make("png", (number, 1)), images.make("png", (number, 2))
        origin.put(path, old)
        wait_until(lambda: proxy.get(url).status == 200, WAIT_S, "the origin")
        settle(proxy, url)
        origin.put(path, new)
        origin.faults["/" + path] = fault
        age(file_of(proxy.perdura, path))
        is_answer(proxy.get(url), "STALE", "disk", old)
        del origin.faults["/" + path]
        if fault == "500":
            wait_until(lambda: proxy.get(url)["X-Cache-Status"] != "STALE", WAIT_S, "the origin")
            settle(proxy, url)
            is_answer(proxy.get(url), "HIT", "memory", new)


def test_an_origin_that_is_down_is_left_alone(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    age(file_of(proxy.perdura))
    origin.fault = "500"
    origin.headers = {"Retry-After": "3600"}
    for _ in range(50):
        is_answer(proxy.get(URL), "STALE", "disk")
    assert origin.count(PATH) == 2, "one that came, and one that failed"


def test_what_a_broken_transfer_left_is_asked_for_again(proxy: Served, origin: Origin) -> None:
    origin.put("large.jpg", LARGE, "image/jpeg")
    origin.faults["/large.jpg"] = "cut once"
    is_answer(proxy.get("/proxy-image/legacy/large.jpg"), "MISS", "origin", LARGE)
    assert origin.count("large.jpg") == 2


def test_one_bad_image_does_not_stop_the_others(proxy: Served, origin: Origin) -> None:
    origin.faults["/bad.png"] = "403"
    for number in range(5):
        origin.put(f"{number}.png", PNG)
        proxy.get("/proxy-image/legacy/bad.png").problem(502)
        is_answer(proxy.get(f"/proxy-image/legacy/{number}.png"), "MISS", "origin")
    assert origin.count("bad.png") == 1


# One question


def ask_together(http: Served, origin: Origin, count: int) -> list[Answer]:
    """From so many clients, which are all connected before the first one asks: an origin that says nothing is not waited
    for long. It answers when all of them wait."""
    joined = "perdura_reads_joined_total"
    before = metric(http, joined)
    origin.gate.clear()
    with ExitStack() as stack:
        clients = [stack.enter_context(http.socket()) for _ in range(count)]
        for client in clients:
            client.sendall(f"GET {URL} HTTP/1.1\r\nHost: {http.host}\r\nConnection: close\r\n\r\n".encode())
        wait_until(lambda: metric(http, joined) >= before + count - 1, WAIT_S, "all clients")
        origin.gate.set()
        return [read_answer(client) for client in clients]


def test_all_who_wait_for_an_image_cause_one_question(proxy: Served, origin: Origin) -> None:
    for answer in ask_together(proxy, origin, min(CLIENTS, 1000)):
        assert (answer.status, answer.body) == (200, PNG)
    with ThreadPoolExecutor(50) as clients:
        for answer in clients.map(lambda _: proxy.get(URL), range(CLIENTS - 1000)):
            assert answer.body == PNG
    assert origin.count(PATH) == 1


def test_many_who_revalidate_cause_one_question(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    age(file_of(proxy.perdura))
    assert {answer["X-Cache-Status"] for answer in ask_together(proxy, origin, 50)} == {"REVALIDATED"}
    assert origin.count(PATH) == 2


def test_an_image_that_is_changed_while_it_is_fetched_is_fetched_again(proxy: Served, origin: Origin) -> None:
    origin.gate.clear()
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(proxy.get, URL)
        wait_until(lambda: origin.waiting == 1, WAIT_S, "the first question")
        assert proxy.request("PURGE", URL).status == 200
        second = clients.submit(proxy.get, URL)
        wait_until(lambda: origin.waiting == 2, WAIT_S, "the second question")
        origin.gate.set()
        assert first.result().body == second.result().body == PNG


# Large ones, and what is none


def test_a_large_one_goes_to_disk_and_comes_from_there(start: Callable[..., Served], origin: Origin) -> None:
    large = images.sized("png", 40_000_000, 4)
    origin.put("large.png", large)
    http = start()
    url = "/proxy-image/legacy/large.png"
    is_answer(http.get(url), "MISS", "origin", large)
    wait_for(file_of(http.perdura, "large.png"), large)
    with ThreadPoolExecutor(8) as clients:
        for answer in clients.map(lambda _: http.get(url), range(8)):
            assert answer.body == large
    assert http.get(url)["X-Cache-Status"] == "HIT"
    assert http.get(url, Range="bytes=39999990-").body == large[-10:]
    assert peak_bytes(http) < 128 << 20
    assert origin.count("large.png") == 1


def peak_bytes(http: Served) -> int:
    for line in Path(f"/proc/{http.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def test_what_is_too_large_is_not_taken(start: Callable[..., Served], origin: Origin) -> None:
    limit = 2_000_000
    http = start(PERDURA_MAX_UPLOAD=str(limit))
    for how in ("told", "chunked"):
        fits, more = f"fits {how}.jpg", f"more {how}.jpg"
        origin.put(fits, images.sized("jpeg", limit, 5), "image/jpeg")
        origin.put(more, images.sized("jpeg", limit + 1, 5), "image/jpeg")
        origin.fault = how if how == "chunked" else None
        assert http.get(f"/proxy-image/legacy/fits%20{how}.jpg").status == 200
        wait_for(file_of(http.perdura, fits), origin.objects["/" + fits].content)
        for _ in range(2):
            assert "PERDURA_MAX_UPLOAD" in http.get(f"/proxy-image/legacy/more%20{how}.jpg").problem(502)
        assert not file_of(http.perdura, more).exists()
        assert origin.count(more) == 1, "remembered for a moment"


def test_what_is_no_image_is_not_kept(proxy: Served, origin: Origin) -> None:
    contents = [b"", b"hello", b"<!DOCTYPE html><p>no</p>", b"%PDF-1.4 x", b"no image" * 500_000]
    for number, content in enumerate(contents):
        origin.put(f"{number}.jpg", content, "image/jpeg")
        assert "no image" in proxy.get(f"/proxy-image/legacy/{number}.jpg").problem(502)
        wait_until(lambda: f"path={number}.jpg" in proxy.shown(), WAIT_S, "the log")
    assert [file for file in folder_of(proxy.perdura).glob("**/*") if file.is_file() and file.name != "lock"] == []


# Where it may be fetched from


def test_redirects_are_checked_hop_by_hop(proxy: Served, origin: Origin) -> None:
    with Origin() as elsewhere:
        elsewhere.put("a.png", PNG)
        origin.redirects = {
            "/moved.png": origin.url + "/" + "user_1/pet%205/gr%C3%B6%C3%9Fe.png",
            "/out.png": elsewhere.url + "/a.png",
            "/two.png": origin.url + "/out.png",
            "/file.png": "file:///etc/passwd",
            "/loop.png": origin.url + "/loop.png",
        }
        is_answer(proxy.get("/proxy-image/legacy/moved.png"), "MISS", "origin")
        for name in ("out", "two", "file", "loop"):
            detail = proxy.get(f"/proxy-image/legacy/{name}.png").problem(502)
            assert elsewhere.host not in detail and "passwd" not in detail
        assert not elsewhere.asked
        assert origin.count("loop.png") <= 6


@pytest.mark.parametrize(
    "without", ["PERDURA_ALLOWED_SOURCES", "PERDURA_ALLOW_PRIVATE_SOURCES"], ids=["not named", "private"]
)
def test_an_origin_that_is_not_allowed_is_not_asked(
    start: Callable[..., Served], origin: Origin, without: str
) -> None:
    http = start(**{without: ""})
    http.get(URL).problem(502)
    assert not origin.asked


def test_https(folder: Path, serve: Callable[..., Served]) -> None:
    certificate = make_certificate(folder)
    with Origin(certificate) as origin:
        origin.put(PATH, PNG)
        http = serve(**origin.settings("legacy"), PERDURA_HTTPS_CA=str(certificate))
        get_fresh(http)
        distrustful = serve(**origin.settings("legacy"), PERDURA_CACHE_DIR=str(folder / "other"))
        distrustful.get(URL).problem(503)
        assert origin.count(PATH) == 1


# The copies


def test_copies_live_as_long_as_the_disk(proxy: Served, origin: Origin, serve: Callable[..., Served]) -> None:
    get_fresh(proxy)
    proxy.process.send_signal(signal.SIGKILL)
    proxy.process.wait()
    origin.stop()
    again = serve(**origin.settings("legacy"))
    answer = is_answer(again.get(URL), "HIT", "disk")
    assert answer["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    origin.start()
    age(file_of(again.perdura))
    wait_until(lambda: again.get(URL)["X-Cache-Status"] == "REVALIDATED", WAIT_S, "the origin")
    assert origin.asked[-1].if_none_match == origin.objects["/" + PATH].etag, "known from before"
    again.stop()
    proxy.process = again.process


def test_a_folder_that_is_wiped_heals(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    for what in (file_of(proxy.perdura), folder_of(proxy.perdura), proxy.perdura.folder / "var"):
        if what.is_file():
            what.unlink()
        else:
            shutil.rmtree(what)
        get_fresh(proxy)
    assert origin.count(PATH) == 4
    file_of(proxy.perdura).unlink()
    origin.stop()
    is_answer(proxy.get(URL), "STALE", "memory")


def test_a_copy_that_is_damaged_is_fetched_again(start: Callable[..., Served], origin: Origin) -> None:
    http = start(PERDURA_MEMORY_ITEMS="0")
    get_fresh(http)
    for damage in (PNG[:-1], PNG[:40] + b"!" + PNG[41:], b"no image"):
        file_of(http.perdura).write_bytes(damage)
        get_fresh(http)
    note = folder_of(http.perdura) / ".perdura" / "notes" / file_of(http.perdura).name
    note.write_text("no note\n")
    get_fresh(http)


def test_a_copy_that_somebody_else_made_is_taken(proxy: Served, origin: Origin) -> None:
    file = file_of(proxy.perdura)
    file.parent.mkdir(parents=True)
    file.write_bytes(OTHER)
    is_answer(proxy.get(URL), "HIT", "disk", OTHER)
    age(file)
    is_answer(proxy.get(URL), "EXPIRED", "origin")
    assert origin.count(PATH) == 1


@pytest.mark.parametrize("round", range(int(os.environ.get("FAULT_ROUNDS", "3"))))
def test_a_crash_leaves_one_copy_or_the_other(
    start: Callable[..., Served], origin: Origin, round: int, perdura: Perdura
) -> None:
    """Killed while a large copy is being replaced."""
    first, second = images.sized("jpeg", 2_000_000, (round, 1)), images.sized("jpeg", 2_000_000, (round, 2))
    url, file = "/proxy-image/legacy/large.jpg", file_of(perdura, "large.jpg")
    origin.put("large.jpg", first, "image/jpeg")
    http = start()
    is_answer(http.get(url), "MISS", "origin", first)
    settle(http, url)
    origin.put("large.jpg", second, "image/jpeg")
    age(file)
    asker = threading.Thread(target=lambda: quietly(lambda: http.get(url)))
    asker.start()
    wait_until(lambda: origin.count("large.jpg") == 2, WAIT_S, "the second question")
    time.sleep(round * 0.004)  # the random moment of a kill
    http.process.kill()
    http.process.wait()
    asker.join()
    assert file.read_bytes() in (first, second)
    origin.stop()
    again = start()
    answer = again.get(url)
    assert answer.status == 200 and answer.body in (first, second)
    again.stop()
    http.process = again.process


def quietly(call: Callable[[], Any]) -> None:
    try:
        call()
    except (OSError, HTTPException):
        pass  # it was killed meanwhile


def test_old_copies_are_cleaned_away(proxy: Served, origin: Origin) -> None:
    get_fresh(proxy)
    origin.put("new.png", PNG)
    settle(proxy, "/proxy-image/legacy/new.png")
    age(file_of(proxy.perdura), 8 * DAY_S)
    stats = proxy.get("/cache-stats").json
    assert stats["total_cache_files"] == stats["by_type"]["legacy"]["cache_files"] == 2
    proxy.perdura.run("sync-temp-images", "--clean-cache", "--max-age", "7", env=origin.settings("legacy"))
    files = {path.name for path in folder_of(proxy.perdura).glob("*") if path.is_file()}
    notes = {path.name for path in (folder_of(proxy.perdura) / ".perdura" / "notes").iterdir()}
    assert files == notes == {file_of(proxy.perdura, "new.png").name}
    assert proxy.get("/cache-stats").json["total_cache_files"] == 1
    is_answer(proxy.get(URL), "MISS", "origin")


def test_a_disk_that_takes_nothing_is_no_failure(
    start: Callable[..., Served], origin: Origin, perdura: Perdura
) -> None:
    """A file stands where the folder of copies should be."""
    (perdura.folder / "var").write_text("no folder")
    origin.put("large.jpg", LARGE, "image/jpeg")
    http = start()
    is_answer(http.get(URL), "MISS", "origin")
    is_answer(http.get("/proxy-image/legacy/large.jpg"), "MISS", "origin", LARGE)
    is_answer(http.get("/proxy-image/legacy/large.jpg"), "MISS", "origin", LARGE)
    wait_until(lambda: http.get(URL)["X-Cache-Status"] == "HIT", WAIT_S, "the image in memory")


def test_a_disk_that_is_full_is_no_failure(start: Callable[..., Served], origin: Origin, perdura: Perdura) -> None:
    folder = perdura.folder / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", folder]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"no filesystem can be mounted here: {mount.stderr.splitlines()[0]}")
    try:
        contents = [images.sized("jpeg", size, size) for size in (5_000_000, 900_000, 2_000_000, 900_000, 900_000)]
        http = start(PERDURA_CACHE_DIR=str(folder))
        for number, content in enumerate(contents):
            origin.put(f"{number}.jpg", content, "image/jpeg")
            is_answer(http.get(f"/proxy-image/legacy/{number}.jpg"), "MISS", "origin", content)
        http.stop()
        left = [path for path in folder.glob("**/*") if path.is_file()]
        assert all(path.read_bytes() in contents for path in left if path.parent.name == "legacy")
        assert sum(path.stat().st_size for path in left) < 3 << 20
        assert not [path for path in left if "tmp." in str(path)], "what could not be written whole is gone"
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# Redis


@pytest.fixture(scope="module")
def shared(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis45") as redis:
        yield redis


def test_instances_share_what_one_has_fetched(
    start: Callable[..., Served], origin: Origin, shared: Redis, folder: Path
) -> None:
    shared("FLUSHALL")
    one = start(REDIS_URL=shared.url(), **PATIENT)
    get_fresh(one)
    key = f"image:path:legacy:{PATH}"
    wait_until(lambda: shared("EXISTS", key), WAIT_S, "the image in Redis")
    two = start(REDIS_URL=shared.url(), PERDURA_CACHE_DIR=str(folder / "two"), **PATIENT)
    answer = is_answer(two.get(URL), "MISS", "redis")
    assert answer["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    settle(two)
    assert origin.count(PATH) == 1
    copy = next(path for path in (folder / "two" / "legacy").glob("*.png"))
    age(copy)
    is_answer(two.get(URL), "REVALIDATED", "disk")
    settle(two)
    assert origin.asked[-1].if_none_match, "the name of its content came along"
    origin.delete(PATH)
    age(copy)
    wait_until(lambda: two.get(URL).status == 404, WAIT_S, "the end of the copy")  # Redis may still be told of the last
    assert not shared("EXISTS", key)


def test_redis_that_is_down_is_no_failure(start: Callable[..., Served], origin: Origin, shared: Redis) -> None:
    shared("FLUSHALL")
    http = start(REDIS_URL=shared.url())
    shared.sigstop()
    try:
        is_answer(http.get(URL), "MISS", "origin")
        wait_for(file_of(http.perdura))
        assert http.get(URL)["X-Cache-Status"] == "HIT"
    finally:
        shared.sigcont()


# Buckets

without_storage = pytest.mark.skipif(bool(ObjectStorage.missing()), reason=str(ObjectStorage.missing()))


@pytest.fixture(scope="module")
def storage(session_folder: Path) -> Iterator[ObjectStorage]:
    with ObjectStorage(session_folder / "storage45", ["pets", "services"]) as server:
        yield server


@without_storage
def test_a_bucket(storage: ObjectStorage, serve: Callable[..., Served]) -> None:
    storage.put("services", "in/here/" + PATH, PNG)
    storage.put("services", PATH, OTHER)
    storage.put("pets", "large.jpg", LARGE)
    storage.put("pets", "page.jpg", b"<html>no</html>")
    with BucketProxy(storage.port) as bucket:
        http = serve(
            **{**storage.settings(), "PERDURA_S3_ENDPOINT": bucket.url},
            PERDURA_ORIGINS="mascotas=s3://pets servicios=s3://services/in/here nothing=s3://no-such-bucket",
        )
        url = URL.replace("legacy", "servicios")
        assert is_answer(http.get(url), "MISS", "origin")["X-Image-Type"] == "servicios"
        settle(http, url)
        is_answer(http.get(url), "HIT", "memory")
        copy = file_of(http.perdura, PATH, "servicios")
        age(copy)
        is_answer(http.get(url), "REVALIDATED", "disk")
        settle(http, url)
        storage.put("services", "in/here/" + PATH, OTHER)
        age(copy)
        is_answer(http.get(url), "EXPIRED", "origin", OTHER)
        settle(http, url)
        is_answer(http.get("/pet/proxy-image/large.jpg"), "MISS", "origin", LARGE)
        http.get("/pet/proxy-image/page.jpg").problem(502)
        http.get("/pet/proxy-image/none.jpg").problem(404)
        http.get("/proxy-image/nothing/a.jpg").problem(502)

        for fault in ("503", "403", "refuse", "cut"):
            bucket.fault = lambda request, fault=fault: fault  # type: ignore[misc]
            age(copy)
            is_answer(http.get(url), "STALE", "disk", OTHER)
        bucket.fault = lambda request: None
        wait_until(lambda: http.get(url)["X-Cache-Status"] == "REVALIDATED", WAIT_S, "the bucket")


@without_storage
def test_an_upload_is_served_once_it_is_in_its_bucket(storage: ObjectStorage, serve: Callable[..., Served]) -> None:
    http = calm(serve(**storage.settings(), PERDURA_ORIGINS="mascotas=s3://pets", PERDURA_SYNC_INTERVAL="86400"))
    name = upload(http, PNG, "/pet/upload-temp")
    assert http.post("/pet/force-sync").status == 200
    (key,) = [key for key in storage.keys("pets") if key.endswith(name)]
    is_answer(http.get(f"/pet/proxy-image/{key}"), "MISS", "origin")


# Ending


def test_the_end_does_not_wait_for_an_origin(start: Callable[..., Served], origin: Origin) -> None:
    http = start()
    origin.fault = "stall"
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(http.get, URL)
        wait_until(lambda: origin.waiting == 1, WAIT_S, "the question")
        http.stop()
        answer.result().problem(503)


def test_a_bucket_without_its_settings_says_so(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_ORIGINS="mascotas=s3://pets")
    assert "PERDURA_S3_ENDPOINT" in http.get("/pet/proxy-image/a.png").problem(503)
