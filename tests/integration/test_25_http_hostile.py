"""What no decent client sends: requests that two servers would read differently (RFC 9112, section 11.2), heads that
end early or never, methods of others, more connections than anybody needs. Who else asks is served meanwhile."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import images
import pytest
from admin_client import PASSWORD, AdminClient
from conftest import Served
from http_client import TOKEN, Answer, parse_answers, read_answer, until_closed
from servers import wait_until
from uploads import ORIGINS, upload

SLOW_CONNECTIONS = int(os.environ.get("SLOW_CONNECTIONS", "500"))
SLOW_SECONDS = int(os.environ.get("SLOW_SECONDS", "40"))  # 90 shows the deadline of an idle connection, too
ANNOUNCING = 8_300
MARGIN_S = 15
CLOSES_S = 60  # libmicrohttpd 1.0.1 forgets to close where a chunk's first line is too long: then the time limit does, 30 s

AUTH = f"Authorization: Bearer {TOKEN}".encode()
HEAD = b"Host: x\r\n" + AUTH + b"\r\n"
# Whoever answers either of these has read a second request.
BEHIND = b"DELETE /media/kept.png HTTP/1.1\r\n%b\r\nGET /health HTTP/1.1\r\n%b\r\n" % (HEAD, HEAD)


@pytest.fixture
def kept(http: Served) -> Served:
    """A server with an image that must survive."""
    assert http.put("/media/kept.png", images.make("png", 1)).status == 201
    return http


def get(*fields: bytes) -> bytes:
    return b"\r\n".join([b"GET /health HTTP/1.1", b"Host: x", *fields, b"", b""])


def post(*fields: bytes, body: bytes = b"0\r\n\r\n") -> bytes:
    """One that is answered 200, if it is taken at all."""
    return b"\r\n".join([b"POST /image-cache/flush HTTP/1.1", b"Host: x", AUTH, *fields, b"", body])


def line(start: bytes) -> bytes:
    return start + b"\r\n" + HEAD + b"\r\n"


def statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/\d\.\d (\d{3}) ", got)]


def assert_refused(http: Served, cases: dict[str, bytes], accepted: tuple[int, ...] = ()) -> None:
    """Each is answered with an error, or not at all, and closed; what stands behind it is never read. `accepted`: what
    the first answer may be as well."""
    wrong = {}
    for name, request in cases.items():
        with http.socket(CLOSES_S) as sock:
            try:
                sock.sendall(request + BEHIND)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it did not want to hear the rest
            try:
                seen = statuses(until_closed(sock))
            except TimeoutError:
                wrong[name] = "the connection stays open"
                continue
        # libmicrohttpd's own refusals have their head twice
        if any(status < 400 for status in (seen[1:] if seen and seen[0] in accepted else seen)):
            wrong[name] = str(seen)
        if http.get("/media/kept.png").status != 200:
            wrong[name] = "the image is gone"
            http.put("/media/kept.png", images.make("png", 1))
    assert not wrong
    assert http.get("/health").status == 200


CHUNKED = b"Transfer-Encoding: chunked"

FRAMING = {
    "both, the length first": post(b"Content-Length: 5", CHUNKED),
    "both, the coding first": post(CHUNKED, b"Content-Length: 5"),
    "both, no length": post(CHUNKED, b"Content-Length: 0"),
    "both, of a GET": get(CHUNKED, b"Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 5"),
    "two other lengths": post(b"Content-Length: 5", b"Content-Length: 0"),
    "two lengths in other letters": post(b"Content-Length: 5", b"content-length: 6"),
    "a list of lengths": post(b"Content-Length: 5, 5"),
    "a list of other lengths": post(b"Content-Length: 5,0"),
    **{
        f"Content-Length: {value!r}": post(b"Content-Length: " + value)
        for value in (b"-1", b"-0", b"+5", b"0x5", b"5 5", b"5\t5", b"", b"5;", b"5.0", b"1e1", b"5a", b"a", b"\x0b5",
                      b"5\x0c", b"9" * 19, b"9" * 40, b"9223372036854775808", b"18446744073709551616",
                      b"18446744073709551621", b"\xef\xbc\x95", b'"5"')
    },
    **{
        f"Transfer-Encoding: {value!r}": post(b"Transfer-Encoding: " + value)
        for value in (b"gzip", b"chunked, gzip", b"gzip, chunked", b"chunked, chunked", b"chunked,", b",chunked", b"",
                      b"identity", b"xchunked", b"chunkedx", b"chunked;q=1", b'"chunked"', b"chun ked", b"\x0bchunked",
                      b"chunked\x0b", b"\0chunked", b"chunked\0", b"chunked\x7f", b"\r\n chunked", b"\r\n\tchunked",
                      b"chunked\r\n ", b"chunked\r\n x", b"\nchunked", b"\rchunked", b"x\r\n chunked")
    },
    "two codings": post(CHUNKED, CHUNKED),
    "two codings, one unknown": post(CHUNKED, b"Transfer-Encoding: gzip"),
    "a blank before the colon": post(b"Transfer-Encoding : chunked"),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked"),
    "a blank before the length's colon": post(b"Content-Length : 5"),
    "a length in a folded line": post(b"X: y\r\n Content-Length: 5"),
    "a coding behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked"),
    "a coding behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked"),
    "a coding in HTTP/1.0": post(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
}

LINES = {
    "bare LF everywhere": get().replace(b"\r\n", b"\n"),
    "bare LF behind the request line": get().replace(b"\r\n", b"\n", 1),
    "bare LF behind a header": get(b"X: y\nZ: z"),
    "bare LF before the empty line": get()[:-4] + b"\n\r\n",
    "bare LF as empty line": get()[:-2] + b"\n",
    "bare CR everywhere": get().replace(b"\r\n", b"\r"),
    "bare CR behind the request line": get().replace(b"\r\n", b"\r", 1),
    "bare CR in a value": get(b"X: y\rz"),
    "bare CR before CR LF": get(b"X: y\r"),
    "bare CR in the request line": line(b"GET /health\rx HTTP/1.1"),
    "a folded line": get(b"X: y\r\n z"),
    "a folded line by a tab": get(b"X: y\r\n\tz"),
    "a folded line that is empty": get(b"X: y\r\n "),
    "a first header that is folded": b"GET /health HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    "NUL in the target": line(b"GET /health\0 HTTP/1.1"),
    "NUL at the target's begin": line(b"GET \0/health HTTP/1.1"),
    "NUL in the method": line(b"GET\0 /health HTTP/1.1"),
    "NUL in the version": line(b"GET /health HTTP/1.1\0"),
    "NUL in a name": get(b"X\0Y: z"),
    "NUL in a value": get(b"X: y\0z"),
    "NUL behind a value": get(b"X: y\0"),
    "NUL in Host": get().replace(b"Host: x", b"Host: x\0y"),
    **{f"byte {c:02x} in a value": get(b"X: y" + bytes([c]) + b"z") for c in (1, 8, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F)},
    **{f"byte {c:02x} in a name": get(b"X" + bytes([c]) + b"Y: z") for c in (1, 9, 0x0B, 0x20, 0x7F, 0x80, 0xFF)},
    **{f"{c!r} in a name": get(b"X" + c + b"Y: z") for c in (b"(", b"/", b"@", b"[", b'"', b",", b";")},
    "a header without a colon": get(b"nonsense"),
    "a header without a name": get(b": x"),
    "a header of a colon": get(b":"),
    "a blank behind a name": get(b"X : y"),
    "two Hosts": get(b"Host: x"),
    "two other Hosts": get(b"Host: y"),
    "two Hosts in other letters": get(b"hOST: y"),
    **{f"Host: {v!r}": get().replace(b"Host: x", b"Host: " + v)
       for v in (b"x y", b"x/y", b"x@y", b"x, y", b"http://x", b'"x"', b"x\\y", b"x<y", b"x?y", b"x#y", b"\xe9.example")},
    "no Host": b"GET /health HTTP/1.1\r\nX: y\r\n\r\n",
    "no header": b"GET /health HTTP/1.1\r\n\r\n",
    "no Host with an absolute target": b"GET http://x/health HTTP/1.1\r\nX: y\r\n\r\n",
    "two Hosts with an absolute target": b"GET http://x/health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n",
    "HTTP/0.9 with headers": line(b"GET /health"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    **{
        f"version {v!r}": line(b"GET /health " + v)
        for v in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/1.10", b"HTTP/1.11", b"HTTP/01.1", b"HTTP/1.01",
                  b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"http/1.1", b"HTTP/1,1", b"HTTP/1.", b"HTTP/.1", b"HTTP/",
                  b"HTTP/1.1x", b"HTTP/1.-1", b"HTTP/1.+1", b"HTTP /1.1", b"HTTPS/1.1", b"HTTP/1.1 x", b"x")
    },
    "two blanks behind the method": line(b"GET  /health HTTP/1.1"),
    "two blanks before the version": line(b"GET /health  HTTP/1.1"),
    "a tab behind the method": line(b"GET\t/health HTTP/1.1"),
    "a tab before the version": line(b"GET /health\tHTTP/1.1"),
    "a blank and a tab": line(b"GET \t/health HTTP/1.1"),
    "a vertical tab": line(b"GET\x0b/health HTTP/1.1"),
    "a blank before the method": line(b" GET /health HTTP/1.1"),
    "a blank behind the version": line(b"GET /health HTTP/1.1 "),
    "a tab behind the version": line(b"GET /health HTTP/1.1\t"),
    "a blank in the target": line(b"GET /hea lth HTTP/1.1"),
    "no target": line(b"GET HTTP/1.1"),
    "an empty target": line(b"GET  HTTP/1.1"),
    "no method": line(b"/health HTTP/1.1"),
    "a method that is no token": line(b"GE(T /health HTTP/1.1"),
    "a method of 20,000 bytes": line(b"X" * 20_000 + b" /health HTTP/1.1"),
    "a target of 20,000 bytes": line(b"GET /" + b"x" * 20_000 + b" HTTP/1.1"),
    "a name of 20,000 bytes": get(b"X" * 20_000 + b": y"),
    "a value of 20,000 bytes": get(b"X: " + b"y" * 20_000),
    "5,000 headers": get(*[b"X%d: y" % i for i in range(5_000)]),
    "a head of 10 MB": get(*[b"X: " + b"y" * 1000] * 10_000),
}


def closing(request: bytes) -> bytes:
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def libmicrohttpd_version() -> str:
    version = ctypes.CDLL("libmicrohttpd.so.12").MHD_get_version
    version.restype = ctypes.c_char_p
    return version().decode()


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


CHUNKS = {
    **{
        f"size {size!r}": chunks(size + b"\r\nhello\r\n0\r\n\r\n")
        for size in (b"+5", b"-5", b"0x5", b"0X5", b"x5", b"5x", b"g", b"", b"5.0", b"\x0b5", b"5\0", b"\0",
                     b"10000000000000005", b"1" * 5000, b"5\xff", b"5,5", b"-0", b"+0")
    },
    "more than the size": chunks(b"5\r\nhello!\r\n0\r\n\r\n"),
    "nothing between chunks": chunks(b"5\r\nhello0\r\n\r\n"),
    "an extension without an end": chunks(b"5;" + b"x" * 50_000),
}
MICROHTTPD = tuple(
    int(part)
    for part in subprocess.run(
        ["pkg-config", "--modversion", "libmicrohttpd"], capture_output=True, text=True, check=True
    ).stdout.split(".")[:2]
)
# What libmicrohttpd cannot parse, it refuses by itself: with a status that blames the sender, and in our words.
UNPARSED = {
    "an extension of 100 kB": (400, chunks(b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n")),
    "an extension of 1 MB": (400, chunks(b"5;x=" + b'"' * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n")),
    "an extension of 100 kB of the last chunk": (400, chunks(b"5\r\nhello\r\n0;" + b"x" * 100_000 + b"\r\n\r\n")),
    "a size of 100,000 zeros": (400, chunks(b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n")),
    "a negative size": (400, chunks(b"-5\r\nhello\r\n0\r\n\r\n")),
    "a size that overflows": (413, chunks(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    "a length that overflows": (413, post(b"Content-Length: 99999999999999999999", body=b"")),
    **{
        f"a length of {length!r}": (400, post(b"Content-Length: " + length, body=b""))
        for length in (b"", b"5x", b"-1", b"+5", b"5,5", b"0x5", b"5 5", b"9223372036854775808")
    },
    "no Host": (400, b"GET /health HTTP/1.1\r\nX: y\r\n\r\n"),
    "no header": (400, b"GET /health HTTP/1.1\r\n\r\n"),
    "a trailer of 100 kB": (431, chunks(b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")),
    "100,000 trailers": (431, chunks(b"0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")),
    "a header of 100 kB": (431, get(b"X: " + b"y" * 100_000)),
    "10,000 headers": (431, get(*[b"X: y"] * 10_000)),
    "a target of 100 kB": (414, line(b"GET /" + b"x" * 100_000 + b" HTTP/1.1")),
    "no version": (400, b"GET /health\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
}
# Larger than any body that is taken here, which ends when more has come: nothing of it is a request.
MORE_THAN_IS_READ = 3 << 20
HUGE_CHUNKS = {
    f"size {size!r}": chunks(size + b"\r\nhello\r\n0\r\n\r\n" + BEHIND + bytes(MORE_THAN_IS_READ))
    for size in (b"1000000", b"7fffffff", b"80000000", b"ffffffff", b"fffffffb", b"100000005", b"7fffffffffffffff",
                 b"8000000000000000", b"fffffffffffffffb", b"ffffffffffffffff")
}
# Not all of these are wrong, but others may see the body's end elsewhere: nothing is read behind it.
LENIENT_CHUNKS = {
    "a blank before the size": chunks(b" 5\r\nhello\r\n0\r\n\r\n"),
    "a blank behind the size": chunks(b"5 \r\nhello\r\n0\r\n\r\n"),
    "a tab behind the size": chunks(b"5\t\r\nhello\r\n0\r\n\r\n"),
    "a size of many zeros": chunks(b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n"),
    "an extension": chunks(b"5;x=y\r\nhello\r\n0;x\r\n\r\n"),
    "a long extension": chunks(b"5;" + b"x" * 5_000 + b"\r\nhello\r\n0\r\n\r\n"),
    "bare LF everywhere": chunks(b"5\nhello\n0\n\n"),
    "bare LF behind the size": chunks(b"5\nhello\r\n0\r\n\r\n"),
    "bare LF behind the data": chunks(b"5\r\nhello\n0\r\n\r\n"),
    "bare LF behind the last size": chunks(b"5\r\nhello\r\n0\n\r\n"),
    "bare LF at the end": chunks(b"5\r\nhello\r\n0\r\n\n"),
    "bare LF in an extension": chunks(b"5;x\nhello\r\n0\r\n\r\n"),
    "bare LF in the last extension": chunks(b"5\r\nhello\r\n0;x\n\r\n"),
    "bare CR behind the size": chunks(b"5\rhello\r\n0\r\n\r\n"),
    "bare CR behind the data": chunks(b"5\r\nhello\r0\r\n\r\n"),
    "bare CR at the end": chunks(b"5\r\nhello\r\n0\r\n\r"),
    "CR CR LF behind the size": chunks(b"5\r\r\nhello\r\n0\r\n\r\n"),
    "a trailer": chunks(b"0\r\nX: y\r\n\r\n"),
    "a trailer with a length": chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
    "a trailer that is folded": chunks(b"0\r\nX: y\r\n z\r\n\r\n"),
    "a trailer without a colon": chunks(b"0\r\nnonsense\r\n\r\n"),
    "a trailer that ends by bare LF": chunks(b"0\r\nX: y\n\n"),
    "a trailer of 5,000 lines": chunks(b"0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"),
}


def test_framing_that_two_servers_read_differently(kept: Served) -> None:
    assert_refused(kept, FRAMING)


def test_lines_that_two_servers_read_differently(kept: Served) -> None:
    assert_refused(kept, LINES)


def test_chunks_that_two_servers_read_differently(kept: Served) -> None:
    assert_refused(kept, CHUNKS)
    assert_refused(kept, HUGE_CHUNKS)
    assert_refused(kept, LENIENT_CHUNKS, accepted=(200,))


def test_what_cannot_be_parsed_is_a_fault_of_its_sender(kept: Served) -> None:
    for name, (status, request) in UNPARSED.items():
        got = kept.raw(request)
        if not got and name.startswith("an extension") and MICROHTTPD >= (1, 0):
            continue  # it is read to its end, and its sender is cut off by the deadline of a body
        if name == "a size of 100,000 zeros" and MICROHTTPD >= (1, 0):
            status = statuses(got)[0]
            assert status in (400, 413)  # whichever limit it meets first
        head, _, body = got.partition(b"\r\n\r\n")
        assert statuses(got) == [status], (name, got)
        assert b"Content-Type: application/problem+json" in head and b"Cache-Control: no-store" in head, (name, head)
        assert json.loads(body)["status"] == status and json.loads(body)["detail"], (name, body)
    assert kept.get("/media/kept.png").status == 200


def test_bodies_that_are_coded_are_not_taken(kept: Served) -> None:
    """What would be stored is not what was meant."""
    image = images.make("png", 2)
    for coding in ("gzip", "br", "x-gzip", "gzip, gzip", "identity, gzip", "gzip, identity", "identityx", "deflate"):
        for method, path, body in (
            ("PUT", "/media/new.png", image),
            ("PUT", "/api/images/artist/1/cover", image),
            ("POST", "/image-cache/flush", b"{}"),
        ):
            answer = kept.request(method, path, body, {"Content-Encoding": coding})
            answer.problem(415)
            assert answer["Accept-Encoding"] == "identity"
    several = b"PUT /media/new.png HTTP/1.1\r\n%bContent-Encoding: identity\r\nContent-Encoding: gzip\r\n" % HEAD
    assert statuses(kept.raw(several + b"Content-Length: 5\r\n\r\nhello")) == [415]
    kept.get("/media/new.png").problem(404)
    for coding in ("identity", "IDENTITY", "identity, identity", " identity ,", ""):
        assert kept.put("/media/new.png", image, Content_Encoding=coding).status in (200, 201), coding
    assert kept.request("GET", "/media/new.png", headers={"Content-Encoding": "gzip"}).status == 200


def test_a_part_of_an_image_is_not_taken_for_the_image(kept: Served) -> None:
    """RFC 9110, section 14.5: a Content-Range says that the body is a part."""
    before, fields = kept.get("/media/kept.png").body, {"Content-Range": "bytes 0-9/100"}
    for path in ("/media/kept.png", "/media/new.png", "/api/images/artist/1/cover"):
        assert "Content-Range" in kept.request("PUT", path, images.make("png", 2), fields).problem(400)
    chunked = b"PUT /media/kept.png HTTP/1.1\r\n%bContent-Range: bytes 0-9/*\r\nTransfer-Encoding: chunked\r\n\r\n" % HEAD
    assert statuses(kept.raw(chunked + b"1\r\nx\r\n0\r\n\r\n")) == [400]
    for path in ("/media/new.png", "/api/images/artist/1/cover"):
        kept.get(path).problem(404)
    assert kept.get("/media/kept.png").body == before
    assert kept.request("POST", "/image-cache/flush", b"{}", fields).status == 200
    assert kept.perdura.database.value("SELECT count(*) FROM image_cache") == 1


def test_a_request_in_the_body_of_another_is_no_request(kept: Served) -> None:
    for body in (BEHIND, b"\r\n" + BEHIND):
        request = post(b"Content-Length: %d" % len(body), b"Connection: close", body=body)
        assert statuses(kept.raw(request)) == [200]
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        assert statuses(kept.raw(post(CHUNKED, b"Connection: close", body=framed))) == [200]
    assert kept.get("/media/kept.png").status == 200


def test_a_body_where_none_is_taken_is_refused_in_words(kept: Served) -> None:
    for body in (b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n"):
        head = b"DELETE /media/none.png HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n" + CHUNKED + b"\r\n\r\n"
        (answer,) = parse_answers(kept.raw(head + body), ["DELETE"])
        answer.problem(413 if b"hello" in body else 404)


def ask(http: Served, method: bytes, target: bytes, *fields: bytes) -> Answer:
    start = b"%b %b HTTP/1.1" % (method, target)
    got = http.raw(b"\r\n".join([start, b"Host: x", b"Connection: close", *fields, b"", b""]))
    (answer,) = parse_answers(got, [method.decode()])
    return answer


def test_an_absolute_target_is_that_of_its_path(kept: Served) -> None:
    """RFC 9112, section 3.2.2: as proxies are asked, and every server has to understand."""
    for base in (b"http://x", b"http://other.example:8080", b"https://x", b"HTTP://[::1]:80", b"hTTps://127.0.0.1"):
        assert ask(kept, b"GET", base + b"/media/kept.png").body == images.make("png", 1), base
        assert ask(kept, b"HEAD", base + b"/media/kept.png").status == 200
        assert b"immutable" in ask(kept, b"GET", base + b"/media/kept.png?v=1")["Cache-Control"].encode()
        assert ask(kept, b"GET", base + b"/image-cache/images?limit=1", AUTH).json["images"]
        assert ask(kept, b"GET", base + b"/image-cache/images?limit=x", AUTH).problem(400)
        assert ask(kept, b"GET", base + b"/admin")["Location"] == "admin/"
        for nothing in (b"", b"/", b"?v=1", b"/?", b"//", b"/none"):
            ask(kept, b"GET", base + nothing).problem(404)
    assert ask(kept, b"DELETE", b"http://x/media/kept.png", AUTH).status == 204
    assert kept.get("/media/kept.png").status == 404


def test_an_absolute_target_is_no_way_around(kept: Served) -> None:
    for path in (b"/../kept.png", b"/%2e%2e/kept.png", b"/a%2Fkept.png", b"/kept.png%00", b"/./kept.png", b"//../kept.png",
                 b"/%zz.png", b"/a\\b.png", b"/kept.png#x"):
        for base in (b"", b"http://x", b"https://x:80"):
            assert ask(kept, b"GET", base + b"/media" + path).problem(400), (base, path)
    for method in (b"DELETE", b"PUT", b"PURGE"):
        ask(kept, method, b"http://x/media/kept.png", b"Content-Length: 0").problem(401)
    assert ask(kept, b"PATCH", b"http://x/media/kept.png")["Allow"] == "GET, HEAD, PUT, DELETE, PURGE"
    hostless = [b"http://", b"http:///media/kept.png", b"https://?v=1", b"http://:80/media/kept.png",
                b"http://x@y/media/kept.png", b"http://x\\@y/media/kept.png", b"http://x#y/media/kept.png",
                b"http://x\xe9/media/kept.png", b'http://"x"/media/kept.png', b"http://x<y/media/kept.png"]
    assert_refused(kept, {f"{target!r}": line(b"GET %b HTTP/1.1" % target) for target in hostless})
    for target in (b"ftp://x/media/kept.png", b"http:/media/kept.png", b"x:80", b"*", b"media/kept.png"):
        for method in (b"DELETE", b"GET", b"CONNECT", b"OPTIONS"):
            got = kept.raw(b"%b %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (method, target, HEAD))
            assert [status for status in statuses(got) if 400 <= status < 500], (method, target, got)
            assert len(statuses(got)) == 1
    assert kept.get("/media/kept.png").status == 200


def test_what_looks_odd_and_is_right_is_taken(http: Served) -> None:
    for request in (
        get(b"X:"),
        get(b"X:\t y \t"),
        get(b"X: \xff\x80"),
        get(b"!#$%&'*+-.^_`|~: y"),
        get().replace(b"Host: x", b"hOsT:x"),
        get().replace(b"Host: x", b"Host:"),
        get().replace(b"Host: x", b"Host: [::1]:8080"),
        get().replace(b"Host: x", b"Host: a-b_c.example:80"),
        get(*[b"X%d: y" % i for i in range(40)]),
        get(b"Content-Length: 0"),
        b"\r\n" + get(),
        post(b"Content-Length: 5"),
        post(b"Content-Length:5"),
        post(b"Content-Length: \t005"),
        post(CHUNKED),
        post(b"transfer-encoding:\tCHUNKED"),
        post(CHUNKED, body=b"00A\r\n0123456789\r\na\r\n0123456789\r\n000\r\nX: y\r\n\r\n"),
        b"GET /health HTTP/1.0\r\n\r\n",
    ):
        assert statuses(http.raw(closing(request))) == [200], request


def test_chunks_with_extensions(http: Served) -> None:
    """libmicrohttpd 1.0.1 takes the end of a line with an extension for the first byte of the chunk, and so refuses what
    follows."""
    request = post(CHUNKED, body=b"a;x=\"y\"\r\n0123456789\r\n0\r\n\r\n")
    assert statuses(http.raw(closing(request))) == [400 if libmicrohttpd_version() == "1.0.1" else 200]


def test_what_is_expected(kept: Served) -> None:
    """RFC 9110, section 10.1.1: what can't be met is said, before the body is read."""
    body = images.make("png", 2)
    put = b"PUT /media/kept.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body) + AUTH
    for value in (b"200-ok", b"100-continue=x", b"100-continue, y", b"x", b"100"):
        (answer,) = parse_answers(kept.raw(put + b"\r\nExpect: " + value + b"\r\n\r\n"), ["PUT"])
        assert "100-continue" in answer.problem(417), value
    assert kept.get("/media/kept.png").body == images.make("png", 1)
    for value in (b"", b"100-continue", b"100-Continue"):
        assert statuses(kept.raw(put + b"\r\nExpect: " + value + b"\r\n\r\n" + body))[-1] == 200, value
    assert kept.get("/media/kept.png").body == body


def test_methods_of_others(http: Served) -> None:
    """405 with what is allowed; nothing is echoed."""
    http.put("/media/a.png", images.make("png", 1))
    for method in ("PATCH", "TRACE", "CONNECT", "OPTIONS", "FOO", "get", "Get", "GETS", "X" * 4000):
        for path, allowed in (("/health", {"GET", "HEAD"}), ("/media/a.png", {"GET", "HEAD", "PUT", "DELETE"})):
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Secret: echo\r\nConnection: close\r\n\r\n"
            got = http.raw(head.encode())
            (answer,) = parse_answers(got, ["GET"])
            answer.problem(405)
            assert allowed <= set(answer["Allow"].split(", ")), answer
            assert method not in answer["Allow"].split(", ") and b"echo" not in got
    assert http.get("/media/a.png").status == 200


# In pieces


def test_requests_in_one_write_are_answered_in_order(http: Served) -> None:
    data = images.sized("png", 5_000, 1)
    http.put("/media/a.png", data)
    ranges = b"".join(get(b"Range: bytes=%d-%d" % (i, i + 99)).replace(b"/health", b"/media/a.png") for i in range(9))
    answers = parse_answers(http.raw(ranges + get(b"Connection: close")), ["GET"] * 10)
    assert [answer.body for answer in answers[:9]] == [data[i : i + 100] for i in range(9)]
    assert answers[9].json["status"] == "ok"

    # answered here, by a worker, not at all, with a body, without one
    mixed = {"GET /health": 200, "GET /ready": 200, "HEAD /media/a.png": 200, "GET /none": 404, "PATCH /health": 405,
             "GET /media/none.png": 404, "DELETE /media/none.png": 404, "GET /image-cache/images": 200}
    sent = b"".join(line(f"{start} HTTP/1.1".encode()) for start in mixed) * 20 + get(b"Connection: close")
    answers = parse_answers(http.raw(sent), [start.split()[0] for start in mixed] * 20 + ["GET"])
    assert [answer.status for answer in answers] == list(mixed.values()) * 20 + [200]


def test_a_request_behind_an_upload(http: Served) -> None:
    data = images.make("png", 1)
    put = b"PUT /media/a.png HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (HEAD, len(data), data)
    want = b"GET /media/a.png HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = parse_answers(http.raw(put + want + put + get(b"Connection: close")), ["PUT", "GET", "PUT", "GET"])
    assert [answer.status for answer in answers] == [201, 200, 200, 200]
    assert answers[1].body == data


def whole_requests(path: bytes) -> list[bytes]:
    """One without a body, and an upload in either framing."""
    data = images.make("png", 1, 4, 4)
    put = b"PUT %b HTTP/1.1\r\n%b" % (path, HEAD)
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:50], data[50:], b""))
    return [get(), put + b"Content-Length: %d\r\n\r\n%b" % (len(data), data), put + CHUNKED + b"\r\n\r\n" + framed]


def test_byte_by_byte(http: Served) -> None:
    for request, status in zip(whole_requests(b"/media/a.png"), (200, 201, 200)):
        with http.socket() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request:
                sock.send(bytes([byte]))
            assert read_answer(sock).status == status
    assert http.get("/media/a.png").body == images.make("png", 1, 4, 4)


def test_a_request_may_be_cut_anywhere(http: Served) -> None:
    for request in whole_requests(b"/media/cut.png"):
        for n in range(len(request)):
            with http.socket() as sock:
                sock.sendall(request[:n])
    http.get("/media/cut.png").problem(404)
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 0


# Slow, and many


def open_connections(http: Served) -> int:
    found = re.search(rb"^perdura_connections (\d+)$", http.get("/metrics").body, re.M)
    assert found
    return int(found[1])


class Trickle:
    """A connection that gets one byte every half second, and notes when it ends."""

    def __init__(self, http: Served, name: str, limit_s: int, first: bytes, then: bytes) -> None:
        self.name, self.limit_s, self.then = name, limit_s, then
        self.sock = http.socket()
        self.sock.sendall(first)
        self.began = time.monotonic()
        self.got = b""
        self.lasted = 0.0

    def step(self) -> bool:
        """Whether it is still open."""
        try:
            if self.then:
                self.sock.send(self.then)
            self.sock.settimeout(0.001)
            part = self.sock.recv(65536)
            self.got += part
            if part:
                return True
        except TimeoutError:
            return True
        except OSError:
            pass
        self.lasted = time.monotonic() - self.began
        return False


def test_senders_that_never_end_are_cut_off(http: Served) -> None:
    """Bytes that trickle in do not help: what counts is when it is complete."""
    put = b"PUT /media/slow.png HTTP/1.1\r\n%bContent-Length: 1000\r\n\r\n" % HEAD
    slow = [
        Trickle(http, "silent from the start", 20, b"", b""),
        Trickle(http, "a request line that trickles", 20, b"GET /", b"x"),
        Trickle(http, "headers that trickle", 20, b"GET /health HTTP/1.1\r\nX: ", b"y"),
        Trickle(http, "empty lines that trickle", 20, b"", b"\r\n"),
        Trickle(http, "a body that does not come", 31, put, b""),
        Trickle(http, "a body that trickles", 31, put, b"x"),
    ]
    if SLOW_SECONDS > 75 + MARGIN_S - 1:
        slow.append(Trickle(http, "idle behind a request", 75, get(), b""))
        slow.append(Trickle(http, "a second head that trickles", 75, get() + b"GET /", b"x"))
    with ExitStack() as stack:
        for one in slow:
            stack.callback(one.sock.close)
        left = list(slow)
        while left and time.monotonic() - slow[0].began < SLOW_SECONDS + MARGIN_S:
            left = [one for one in left if one.step()]
            assert http.get("/health").status == 200
            time.sleep(0.5)
    for one in slow:
        print(f"\n    {one.name}: {one.lasted:.1f} s", end="")
    assert not [one.name for one in left], "still open"
    assert not [one.name for one in slow if one.lasted > one.limit_s + MARGIN_S]
    assert not [one.name for one in slow if set(statuses(one.got)) - {200, 400, 408}]
    http.get("/media/slow.png").problem(404)


class SlowCrowd:
    """Connections that each send one byte every few seconds, from a thread."""

    EVERY_S = 3.0

    def __init__(self, http: Served, count: int) -> None:
        self.http, self.count = http, count
        self.opened = self.bytes_sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _connect(self, selector: selectors.BaseSelector) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((self.http.host, self.http.port))
        selector.register(sock, selectors.EVENT_WRITE, iter(b"GET /media/a.png HTTP/1.1\r\nX: " + b"y" * 10_000))

    def _run(self) -> None:
        waiting: list[tuple[float, socket.socket, Iterator[int]]] = []
        with selectors.DefaultSelector() as selector:
            while not self._stop.is_set():
                for _ in range(min(100, self.count - self.opened)):
                    self._connect(selector)
                    self.opened += 1
                now = time.monotonic()
                while waiting and waiting[0][0] <= now:
                    _, sock, rest = waiting.pop(0)
                    selector.register(sock, selectors.EVENT_WRITE, rest)
                for key, _ in selector.select(0.05):
                    sock, rest = key.fileobj, key.data
                    selector.unregister(sock)
                    try:
                        self.bytes_sent += sock.send(bytes([next(rest)]))
                        waiting.append((now + self.EVERY_S, sock, rest))
                    except OSError:  # cut off: another one comes
                        sock.close()
                        self.opened -= 1
            for sock in [key.fileobj for key in selector.get_map().values()] + [sock for _, sock, _ in waiting]:
                sock.close()


@contextmanager
def many_descriptors(count: int) -> Iterator[int]:
    """As many as are to be had, up to `count`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield max(soft, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_announced_bodies_take_no_room(serve: Callable[..., Served]) -> None:
    """8 KiB each at the login are as much as all uploads may hold; a form without a token is not far from it."""
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD, PERDURA_ORIGINS=ORIGINS, PERDURA_OPEN="upload")
    login = b"POST /admin/login HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 8192\r\n\r\n"
    form = (
        b"POST /upload-temp/mascotas HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with many_descriptors(ANNOUNCING + 500) as descriptors, ExitStack() as stack:
        crowd = []
        for number in range(min(ANNOUNCING, descriptors - 500)):
            crowd.append(stack.enter_context(http.socket()))
            crowd[-1].sendall(form if number % 20 == 0 else login)
        wait_until(lambda: open_connections(http) > len(crowd) * 0.9, 60, "all connections")
        assert http.put("/media/a.png", images.make("png", 1)).status == 201
        assert upload(http, images.make("png", 2))
        AdminClient(http).login()
        for one in crowd[: len(crowd) // 2]:  # what comes takes room, of those who need no token alone
            with suppress(OSError):
                one.sendall(bytes(8000))
        assert http.put("/media/b.png", images.make("png", 3)).status == 201
    wait_until(lambda: open_connections(http) <= 1, 60, "the end of all connections")
    AdminClient(http).login()


def test_large_bodies_at_once_are_all_taken(http: Served) -> None:
    """They are more than the memory for bodies holds: the others wait in files."""
    clients, size = 16, 4_500_000
    bodies = [images.make("png", number) + os.urandom(size) for number in range(clients)]
    with ExitStack() as stack:
        senders = [stack.enter_context(http.socket()) for _ in bodies]
        for number, (sender, body) in enumerate(zip(senders, bodies, strict=True)):
            sender.sendall(b"PUT /media/%d.png HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (number, HEAD, len(body)))
            sender.sendall(body[:-1])
        for sender, body in zip(senders, bodies, strict=True):
            sender.sendall(body[-1:])
        assert [read_answer(sender).status for sender in senders] == [201] * clients
    for number, body in enumerate(bodies):
        assert http.get(f"/media/{number}.png").body == body


def measure(http: Served, seconds: float) -> list[float]:
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(taken) < 100:
        began = time.monotonic()
        answer = http.get("/media/a.png" if len(taken) % 2 else "/health")  # each on a connection of its own
        taken.append(time.monotonic() - began)
        assert answer.status == 200, answer
    return sorted(taken)


def shown(taken: list[float]) -> str:
    return f"p50 {taken[len(taken) // 2] * 1e3:.2f} ms, p99 {taken[len(taken) * 99 // 100] * 1e3:.2f} ms"


def test_a_crowd_of_slow_connections_keeps_nobody_waiting(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    before = measure(http, 1)
    with many_descriptors(SLOW_CONNECTIONS + 500) as descriptors:
        crowd = SlowCrowd(http, min(SLOW_CONNECTIONS, (descriptors - 500)))
        try:
            wait_until(lambda: open_connections(http) > crowd.count * 0.9, 60, "the slow connections")
            during = measure(http, 3)
            held = open_connections(http)
        finally:
            crowd.stop()
    print(f"\n    alone: {shown(before)}\n    beside {held - 1} slow connections: {shown(during)}")
    assert held > crowd.count * 0.9 and crowd.bytes_sent >= crowd.count
    wait_until(lambda: open_connections(http) <= 1, 60, "the end of the slow connections")


def test_more_connections_than_there_may_be(serve: Callable[..., Served], perdura) -> None:
    """They wait or are closed; those that were there are served, and all is well when they are gone."""
    script = perdura.folder / "few-descriptors"
    script.write_text(f'#!/bin/sh\nulimit -n 400\nexec "{perdura.binary}" "$@"\n')
    script.chmod(0o755)
    perdura.binary = script
    http = serve()
    with ExitStack() as stack:
        first = stack.enter_context(http.socket())
        first.sendall(get())
        assert read_answer(first).status == 200
        for _ in range(500):
            stack.enter_context(http.socket())
        first.sendall(get())
        assert read_answer(first).status == 200
    wait_until(lambda: http.get("/health").status == 200, 60, "room for another connection")
    wait_until(lambda: open_connections(http) <= 1, 60, "the end of all connections")
