"""Origins and object storage that answer in every way that HTTP allows, and in many that it forbids: nothing crashes,
nothing is served or kept that is not whole, and the next good answer works."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import images
import pytest
from conftest import Served
from hostile_http import CLOSE, HANG, RESET, HostileHttp, Request, Script, answer, chunked, drip, etag, flood
from http_client import Answer
from origin import make_certificate
from servers import Redis, wait_until, within

WAIT_S = 60
PATIENT = {"PERDURA_REDIS_TIMEOUT": "2000"}  # a busy machine is no outage
LIMIT_S = 5.5  # 5 are promised
PNG = images.make("png", 1)
JPEG = images.sized("jpeg", 300_000, 2)
LARGE = images.sized("png", 3_000_000, 3)  # more than is held in memory
HTML = b"<!DOCTYPE html><html><body>Oops</body></html>"
OK = b"HTTP/1.1 200 OK\r\n"
KINDS = {kind: images.make(kind, "whole") for kind in images.KINDS}


class Row(NamedTuple):
    """What the origin does when it is asked for an image, and what the client gets then. Statuses above 499 mean that
    nothing may be kept."""

    script: Script
    status: int | tuple[int, ...]
    content: bytes = PNG
    ending: str = "png"


def close_delimited(content: bytes, *fields: str) -> list:
    return [answer(200, content, "Connection: close", *fields, length=False), CLOSE]


# The same for an origin on the web and in a bucket

SHARED: dict[str, Row] = {
    # Statuses that are no answer to such a request
    **{f"status {status}": Row([answer(status, PNG if status not in (204, 304) else b"", length=status not in (204, 304))], 502)
       for status in (201, 202, 203, 204, 205, 226, 300, 305, 304, 400, 402, 405, 406, 409, 412, 416, 418, 451)},
    **{f"status {status}": Row([answer(status)], 502) for status in (401, 403)},
    **{f"status {status}": Row([answer(status)], 503) for status in (429, 500, 502, 503, 504, 507, 599)},
    "304 with a body": Row([answer(304, PNG, f"ETag: {etag(PNG)}"), CLOSE], 502),
    "206 that is the whole": Row([answer(206, PNG, f"Content-Range: bytes 0-{len(PNG) - 1}/{len(PNG)}")], 502),
    "206 that is a part": Row([answer(206, PNG[:100], f"Content-Range: bytes 0-99/{len(PNG)}")], 502),
    "206 without a range": Row([answer(206, PNG[:100])], 502),
    "206 of many parts": Row([answer(206, PNG, "Content-Type: multipart/byteranges; boundary=x")], 502),
    "206 that is empty": Row([answer(206)], 502),
    "101 that nobody asked for": Row([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + PNG, CLOSE], 502),
    "100 and 103 before": Row([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", answer(200, PNG)], 200),
    "100 without end": Row(lambda _: flood(b"HTTP/1.1 100 Continue\r\nX-Fill: " + b"x" * 1000 + b"\r\n\r\n"), 502),
    # Lengths
    "length too large": Row([OK + b"Content-Length: %d\r\n\r\n" % (len(PNG) + 1) + PNG, CLOSE], 502),
    "length too small": Row([OK + b"Content-Length: 100\r\n\r\n" + PNG, CLOSE], (200, 502)),  # bytes of a PNG's beginning
    "length negative": Row([OK + b"Content-Length: -1\r\n\r\n" + PNG, CLOSE], 502),
    "length of no number": Row([OK + b"Content-Length: many\r\n\r\n" + PNG, CLOSE], 502),
    "length beyond all numbers": Row([OK + b"Content-Length: 99999999999999999999999\r\n\r\n" + PNG, CLOSE], 502),
    "length empty": Row([OK + b"Content-Length:\r\n\r\n" + PNG, CLOSE], 502),
    "lengths that differ": Row([OK + b"Content-Length: 100\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG, CLOSE], 502),
    "lengths that are the same": Row([OK + b"Content-Length: %d\r\n" % len(PNG) * 2 + b"\r\n" + PNG], 200),
    "length beside chunks": Row([chunked(PNG, f"Content-Length: {len(PNG)}")], 502),
    "empty": Row([answer(200)], 502),
    # Chunks
    "chunked": Row([chunked(PNG)], 200),
    "chunked with a trailer": Row([chunked(PNG, end=b"0\r\nX-Sum: 1\r\n\r\n")], 200),
    "chunks without the last": Row([chunked(PNG, end=b""), CLOSE], 502),
    "chunks cut off": Row([chunked(PNG, end=b"")[:-100], CLOSE], 502),
    "chunks of no number": Row([OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + PNG, CLOSE], 502),
    "chunk larger than its size": Row([OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + PNG + b"\r\n0\r\n\r\n", CLOSE], 502),
    "chunk size beyond all numbers": Row([OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n" + PNG, CLOSE], 502),
    "a coding nobody asked for": Row([OK + b"Transfer-Encoding: gzip\r\n\r\n" + gzip.compress(PNG), CLOSE], 502),
    "two codings": Row([OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + PNG, CLOSE], 502),
    # Cut off
    "closed without an answer": Row([CLOSE], 503),
    "closed within the head": Row([OK + b"Content-Le", CLOSE], (502, 503)),
    "closed behind the head": Row([OK + b"Content-Length: 100\r\n\r\n", CLOSE], 502),
    "reset within the content": Row([answer(200, PNG)[:-50], 0.05, RESET], 502),
    "half of a large one": Row([answer(200, LARGE)[: len(LARGE) // 2], CLOSE], 502),
    # Ended by the end of the connection
    **{f"by close: {kind}": Row(close_delimited(KINDS[kind]), 200 if kind in ("png", "jpeg", "gif", "webp", "bmp") else 502,
                                KINDS[kind], images.ENDINGS[kind][0]) for kind in images.KINDS},
    **{f"by close, cut: {kind}": Row(close_delimited(KINDS[kind][: len(KINDS[kind]) * 2 // 3]), 502, ending=images.ENDINGS[kind][0])
       for kind in images.KINDS},
    **{f"by close, last byte missing: {kind}": Row(close_delimited(KINDS[kind][:-1]), 502, ending=images.ENDINGS[kind][0])
       for kind in ("png", "jpeg", "gif", "webp", "bmp")},
    "by close, large": Row(close_delimited(LARGE), 200, LARGE),
    "by close, large and cut": Row(close_delimited(LARGE[:-5]), 502),
    "by close, a page": Row(close_delimited(HTML, "Content-Type: text/html"), 502),
    "by close, empty": Row(close_delimited(b""), 502),
    "HTTP/1.0": Row([b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG, CLOSE], 200),
    "HTTP/1.0 by close": Row([b"HTTP/1.0 200 OK\r\n\r\n" + PNG, CLOSE], 200),
    "HTTP/1.0 by close, cut": Row([b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:-20], CLOSE], 502),
    # What is no HTTP
    "HTTP/0.9": Row([PNG, CLOSE], 502),
    "another protocol": Row([b"220 mail.example ESMTP\r\n", CLOSE], 502),
    "bytes by chance": Row([bytes(range(256)) * 8, CLOSE], 502),
    "HTTP/2": Row([b"HTTP/2 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG, CLOSE], (200, 502)),
    "a status of no number": Row([b"HTTP/1.1 abc OK\r\n\r\n" + PNG, CLOSE], 502),
    "a status of four digits": Row([b"HTTP/1.1 2000 OK\r\n\r\n" + PNG, CLOSE], 502),
    "fields without end": Row(lambda _: chain([OK], flood(b"X-Fill: " + b"x" * 1000 + b"\r\n")), 502),
    "a head without end": Row(lambda _: [OK, *[b"X-Fill: %s\r\n" % (b"x" * 1000)] * 200, b"\r\n", PNG], 502),
    "a line without end": Row(lambda _: [OK + b"X-Fill: ", *[b"x" * 10_000] * 30, b"\r\n\r\n", PNG], 502),
    "NUL in the head": Row([OK + b"X-\0Nul: \0\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG, CLOSE], (200, 502)),
    "a field without a colon": Row([OK + b"nonsense\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG, CLOSE], (200, 502)),
    # What is no image, or another one
    "a page": Row([answer(200, HTML, "Content-Type: image/png")], 502),
    "gzip": Row([answer(200, gzip.compress(PNG), "Content-Encoding: gzip", "Content-Type: image/png")], 502),
    "gzip that grows": Row([answer(200, gzip.compress(b"\0" * 50_000_000), "Content-Encoding: gzip")], 502),
    "wrong type": Row([answer(200, PNG, "Content-Type: text/html")], 200),
    "another type": Row([answer(200, JPEG, "Content-Type: image/png")], 200, JPEG),
    "odd validators": Row([answer(200, PNG, "ETag: W/no quotes \xff", "Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT")], 200),
    "a long ETag": Row([answer(200, PNG, f'ETag: "{"x" * 5000}"', "Last-Modified: yesterday")], 200),
    "a date in the future": Row([answer(200, PNG, "Last-Modified: Sat, 01 Jan 2050 00:00:00 GMT")], 200),
    "fields for the client": Row([answer(200, PNG, "Set-Cookie: a=b", "X-Cache-Status: HIT", "Location: http://evil.test/",
                                         "Content-Security-Policy: none", "Refresh: 0;url=http://evil.test/")], 200),
}  # fmt: skip

WEB: dict[str, Row] = {
    "redirect without an end": Row([answer(302, b"", "Location: /web/redirect%20without%20an%20end.png")], 502),
    "redirect nowhere": Row([answer(302, b"", "Location: ")], 502),
    "redirect without a place": Row([answer(302)], 502),
    "redirect to a file": Row([answer(301, b"", "Location: file:///etc/passwd")], 502),
    "redirect to another host": Row([answer(307, b"", "Location: http://127.0.0.2/a.png")], 502),
    "redirect to metadata": Row([answer(302, b"", "Location: http://169.254.169.254/latest/")], 502),
    "redirect to a private address": Row([answer(302, b"", "Location: http://10.0.0.1/a.png")], 502),
    "redirect with line ends": Row([answer(302, b"", "Location: /a.png%0d%0aX-Evil: 1")], (404, 502)),
    "a page with 404": Row([answer(404, HTML)], 404),
    "410": Row([answer(410)], 404),
    "404 without end": Row(lambda _: chain([b"HTTP/1.1 404 Not Found\r\n\r\n"], flood(b"x" * 65536)), 404),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis46") as redis:
        yield redis


@pytest.fixture
def peer() -> Iterator[HostileHttp]:
    with HostileHttp() as server:
        yield server


def folder_of(http: Served, collection: str) -> Path:
    return http.perdura.folder / "var" / "cache" / "images" / collection


def good_again(http: Served, url: str) -> None:
    """The origin is asked again after its rest, and its good answer works."""
    wait_until(lambda: http.get(url).status == 200, WAIT_S, f"{url} after what came before")


def statuses(row: Row) -> tuple[int, ...]:
    return row.status if isinstance(row.status, tuple) else (row.status,)


def check_row(http: Served, url: str, row: Row) -> str | None:
    """What is wrong, or None. The origin rests after failures: what it did not hear is asked once more."""
    got = http.get(url)
    if http.process.poll() is not None:
        return f"the process ended with {http.process.returncode}"
    if got.status not in statuses(row):
        return f"status {got.status} {got.body[:200]!r}"
    if got.status == 200 and row.status == 200 and got.body != row.content:
        return f"{len(got.body)} bytes"
    for name in ("Set-Cookie", "Refresh", "Location", "X-Evil"):
        if got[name] is not None:
            return f"the field {name}"
    return None


def kept_contents(http: Served, collection: str) -> list[bytes]:
    return [path.read_bytes() for path in folder_of(http, collection).glob("*") if path.is_file()]


def run_rows(
    http: Served, peer: HostileHttp, redis: Redis, rows: dict[str, Row], collection: str, place: str, group: str
) -> None:
    """Each row by itself, with a good answer behind it; then nothing is there that was not whole."""
    wrong = {}
    for name, row in rows.items():
        path = f"{group}/{name}.{row.ending}"
        peer.script(f"{place}{path}", row.script)
        problem = check_row(http, f"/proxy-image/{collection}/" + path.replace(" ", "%20"), row)
        if problem:
            wrong[name] = problem
        if http.process.poll() is not None:
            break
        good = f"good/{name}.png"
        peer.script(place + good, [answer(200, PNG, f"ETag: {etag(PNG)}")])
        good_again(http, f"/proxy-image/{collection}/" + good.replace(" ", "%20"))
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())
    whole = {PNG} | {row.content for row in rows.values() if row.status == 200}
    halves = {name for name, row in rows.items() if isinstance(row.status, tuple) and 200 in row.status}
    assert http.stop() is None
    for content in kept_contents(http, collection):
        assert content in whole or halves, f"{len(content)} bytes were kept"
    for name, row in rows.items():
        if 200 not in statuses(row):
            assert not redis("EXISTS", f"image:path:{collection}:{group}/{name}.{row.ending}"), name


def split(rows: dict[str, Row], parts: int) -> list[dict[str, Row]]:
    return [dict(list(rows.items())[part::parts]) for part in range(parts)]


@pytest.mark.parametrize("part", range(4))
def test_an_origin_on_the_web(peer: HostileHttp, shared: Redis, serve: Callable[..., Served], part: int) -> None:
    http = serve(**peer.origin("legacy"), REDIS_URL=shared.url(), **PATIENT)
    run_rows(http, peer, shared, split({**SHARED, **WEB}, 4)[part], "legacy", "/", "web")


@pytest.mark.parametrize("part", range(4))
def test_a_bucket(peer: HostileHttp, shared: Redis, serve: Callable[..., Served], part: int) -> None:
    http = serve(**peer.storage(), PERDURA_ORIGINS="mascotas=s3://pets", REDIS_URL=shared.url(), **PATIENT)
    run_rows(http, peer, shared, split(SHARED, 4)[part], "mascotas", "/pets/", "s3")


# With a copy that is too old: it is asked about, and served whenever the answer is of no use

CONDITIONAL: dict[str, tuple[Script, str]] = {
    "304": ([answer(304, length=False)], "REVALIDATED"),
    "304 with a body": ([answer(304, JPEG), CLOSE], "REVALIDATED"),
    "304 with another ETag": ([answer(304, b"", 'ETag: "another"', length=False)], "REVALIDATED"),
    "200 with the same": ([answer(200, PNG, f"ETag: {etag(PNG)}")], "EXPIRED"),
    "200 with another": ([answer(200, JPEG, f"ETag: {etag(JPEG)}")], "EXPIRED"),
    "206": ([answer(206, PNG[:50], f"Content-Range: bytes 0-49/{len(PNG)}")], "STALE"),
    "cut": ([answer(200, JPEG)[:-9], CLOSE], "STALE"),
    "by close, cut": (close_delimited(JPEG[:-9]), "STALE"),
    "a page": ([answer(200, HTML)], "STALE"),
    "no HTTP": ([b"nonsense\r\n", CLOSE], "STALE"),
    "503": ([answer(503)], "STALE"),
    "403": ([answer(403)], "STALE"),
    "412": ([answer(412)], "STALE"),
}


@pytest.mark.parametrize("kind", ["web", "bucket"])
def test_a_copy_that_is_too_old(peer: HostileHttp, serve: Callable[..., Served], kind: str) -> None:
    bucket = kind == "bucket"
    settings = {**peer.storage(), "PERDURA_ORIGINS": "pets=s3://pets"} if bucket else peer.origin("pets")
    http = serve(**settings, PERDURA_MEMORY_ITEMS="0")
    wrong = {}
    for name, (script, status) in CONDITIONAL.items():
        path, url = f"{name}.png", f"/proxy-image/pets/{name}.png".replace(" ", "%20")
        place = f"/pets/{path}" if bucket else f"/{path}"
        peer.script(place, [answer(200, PNG, f"ETag: {etag(PNG)}")])
        good_again(http, url)
        copy = folder_of(http, "pets") / f"{hashlib.md5(path.encode()).hexdigest()}.png"
        wait_until(copy.exists, WAIT_S, f"the copy of {name}")
        peer.script(place, script)
        got = wait_until(lambda: old_answer(http, url, copy), WAIT_S, f"the end of the copy of {name}")
        if (got.status, got["X-Cache-Status"]) != (200, status) or got.body not in (PNG, JPEG):
            wrong[name] = f"{got.status} {got['X-Cache-Status']}"
    assert not wrong


def old_answer(http: Served, url: str, copy: Path) -> Answer | None:
    """Who comes before the copy is where it is kept gets what was fetched last."""
    os.utime(copy, (0, 0))
    got = http.get(url)
    return None if got["X-Cache-Status"] in ("HIT", "MISS") else got


# Slow ones: nobody waits for an origin that says nothing, and one that is slow but moves is waited for

HANGING: dict[str, Script] = {
    "nothing": [HANG],
    "half a head": [OK + b"Content-", HANG],
    "a head alone": [OK + b"Content-Length: 1000\r\n\r\n", HANG],
    "half of the content": [answer(200, LARGE)[:1_500_000], HANG],
    "ten bytes a second": lambda _: chain([answer(200, LARGE)[:5000]], drip(LARGE[5000:], 0.1)),
    "a head by drops": lambda _: drip(OK + b"X-Fill: " + b"x" * 10_000, 0.1),
}


@pytest.mark.parametrize("kind", ["web", "bucket"])
def test_an_origin_that_hangs_is_not_waited_for(peer: HostileHttp, serve: Callable[..., Served], kind: str) -> None:
    place = "/pets/" if kind == "bucket" else "/"
    settings = {**peer.storage(), "PERDURA_ORIGINS": "pets=s3://pets"} if kind == "bucket" else peer.origin("pets")
    http = serve(**settings)
    for name, script in HANGING.items():
        peer.script(f"{place}{name}.png", script)
    peer.script(f"{place}good.png", [answer(200, PNG)])
    with ThreadPoolExecutor(len(HANGING)) as clients:
        urls = [f"/proxy-image/pets/{name}.png".replace(" ", "%20") for name in HANGING]
        asked = [clients.submit(http.get, url) for url in urls]
        within(lambda: all(got.done() for got in asked), LIMIT_S, "all answers")
        assert {name: got.result().status for name, got in zip(HANGING, asked)} == dict.fromkeys(HANGING, 503)
    good_again(http, "/proxy-image/pets/good.png")
    for content in kept_contents(http, "pets"):
        assert content == PNG


def test_an_origin_that_is_slow_but_moves_is_waited_for(peer: HostileHttp, serve: Callable[..., Served]) -> None:
    """For longer than one that says nothing."""
    content = images.sized("png", 80_000, "slow")
    peer.script("/slow.png", lambda _: drip(answer(200, content), 0.1, 1000))  # 8 s
    http = serve(**peer.origin("pets"))
    got = http.get("/proxy-image/pets/slow.png")
    assert got.status == 200 and got.body == content


# TLS


def test_tls_that_ends_without_a_goodbye(folder: Path, serve: Callable[..., Served]) -> None:
    """Whoever sits between can end the connection; what its end would end counts only where the image shows its own."""
    with HostileHttp(make_certificate(folder)) as peer:
        http = serve(**peer.origin("pets"), PERDURA_HTTPS_CA=str(folder / "origin.pem"))
        rows = {
            "whole": ([answer(200, PNG)], 200),
            "length": ([answer(200, PNG)[:-10], CLOSE], 502),
            "close": (close_delimited(PNG[:-10]), 502),
            "svg": (close_delimited(KINDS["svg"]), 502),
        }
        for name, (script, status) in rows.items():
            peer.script(f"/{name}.png", script)
            assert http.get(f"/proxy-image/pets/{name}.png").status == status, name
            peer.script(f"/good/{name}.png", [answer(200, PNG)])
            good_again(http, f"/proxy-image/pets/good/{name}.png")
        assert {*kept_contents(http, "pets")} <= {PNG}


# Object storage that images above PERDURA_INLINE_MAX are put into

INLINE = {"PERDURA_INLINE_MAX": "8 KiB", "PERDURA_LARGE_BUCKET": "photos", "PERDURA_MEMORY_ITEMS": "0"}
PHOTO = images.sized("png", 100_000, "photo")


class Bucket:
    """The little of S3 that is needed; `fault` may answer in its place."""

    def __init__(self, peer: HostileHttp) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault: Callable[[Request], list | None] = lambda request: None
        peer.otherwise = self._answer

    def _answer(self, request: Request) -> list:
        steps = self.fault(request)
        if steps is not None:
            return steps
        if request.method == "PUT":
            self.objects[request.path] = request.body
            return [answer(200, b"", f"ETag: {etag(request.body)}")]
        content = self.objects.get(request.path)
        if request.method == "DELETE":
            return [answer(204, length=False)]
        if content is None:
            return [answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if request.method == "GET" else b"")]
        whole = answer(200, content, f"ETag: {etag(content)}")
        return [whole if request.method == "GET" else whole[: -len(content)]]


def on(method: str, *steps: bytes | float | str) -> Callable[[Request], list | None]:
    return lambda request: list(steps) if request.method == method else None


def other_content(request: Request) -> list | None:
    """It keeps something else of the same size, and its ETag is no checksum."""
    damaged = PHOTO[:-1] + b"!"
    if request.method == "PUT":
        return [answer(200, b"", 'ETag: "veiled"')]
    return [answer(200, damaged if request.method == "GET" else b"", 'ETag: "veiled"', length=request.method == "GET")
            if request.method == "GET" else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO)]  # fmt: skip


NOT_STORED: dict[str, Callable[[Request], list | None]] = {
    "PUT 304": on("PUT", answer(304, length=False)),
    "PUT 206": on("PUT", answer(206)),
    "PUT 416": on("PUT", answer(416)),
    "PUT 302": on("PUT", answer(302, b"", "Location: /elsewhere")),
    "PUT 403": on("PUT", answer(403, b"<Error><Code>AccessDenied</Code></Error>")),
    "PUT skew": on("PUT", answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", "Date: Thu, 01 Jan 2015 00:00:00 GMT")),
    "HEAD 304": on("HEAD", answer(304, length=False)),
    "HEAD 404": on("HEAD", answer(404)),
    "HEAD 206": on("HEAD", b"HTTP/1.1 206 Part\r\nContent-Length: %d\r\n\r\n" % len(PHOTO)),
    "HEAD of another size": on("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    "HEAD without a size": on("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", CLOSE),
    "other content": other_content,
}  # fmt: skip


def test_an_upload_that_is_not_confirmed_is_not_stored(peer: HostileHttp, serve: Callable[..., Served]) -> None:
    bucket = Bucket(peer)
    http = serve(**peer.storage(), **INLINE)
    wrong = {}
    for name, fault in NOT_STORED.items():
        url = f"/media/{name}.png".replace(" ", "%20")
        bucket.fault = fault
        put = http.put(url, PHOTO)
        got = http.get(url)
        if put.status < 500 or got.status != 404:
            wrong[name] = (put.status, got.status, put.body[:200])
        bucket.fault = lambda request: None
        wait_until(lambda: http.put(url, PHOTO).status in (200, 201), WAIT_S, f"the bucket after {name}")
    assert not wrong


def test_a_bucket_that_hangs_is_not_waited_for(peer: HostileHttp, serve: Callable[..., Served]) -> None:
    """When a large image of it is asked for that is not on disk."""
    bucket = Bucket(peer)
    http = serve(**peer.storage(), **INLINE)
    assert http.put("/media/a.png", PHOTO).status == 201
    file = http.perdura.media / "a.png"
    for steps in ([HANG], [answer(200, PHOTO)[:50_000], HANG]):
        wait_until(file.exists, WAIT_S, "the file")
        file.unlink()
        bucket.fault = on("GET", *steps)
        with ThreadPoolExecutor(1) as clients:
            got = clients.submit(http.get, "/media/a.png")
            within(got.done, LIMIT_S + 1, "the answer")
            got.result().problem(503)
        bucket.fault = lambda request: None
        wait_until(lambda: http.get("/media/a.png").body == PHOTO, WAIT_S, "the bucket")
