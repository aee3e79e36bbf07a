"""Reading images over HTTP: status codes, headers, bodies, conditions and ranges (RFC 9110), and what no path may be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime

import images
import pytest
from conftest import Served
from files import sha256, write
from http_client import Answer, url_of
from servers import wait_until

SIZE = 10_000
MTIME_S = 1_700_000_000
KB = 1024
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "public, max-age=0, must-revalidate"


def store(http: Served, path: str, data: bytes) -> None:
    assert http.put(url_of(path), data).status == 201


@pytest.fixture
def shown(http: Served) -> tuple[Served, bytes]:
    """A server with one image of SIZE bytes, /media/a.png, whose file has a known time."""
    data = images.sized("png", SIZE, 1)
    write(http.perdura.media / "a.png", data, MTIME_S * 10**9 + 123_456_789)
    http.perdura.run("cache-all")
    return http, data


def date(offset_s: int = 0) -> str:
    return format_datetime(datetime.fromtimestamp(MTIME_S + offset_s, timezone.utc), usegmt=True)


def comparable(answer: Answer) -> dict[str, str]:
    """Headers, but for what differs from one moment to the next."""
    return {name.lower(): value for name, value in answer.headers if name.lower() not in ("date", "x-cache-tier")}


def test_an_image_and_its_headers(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    answer = http.get("/media/a.png")
    assert answer.status == 200 and answer.body == data
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Length"] == str(SIZE)
    assert answer["ETag"] == f'"{sha256(data)}"'
    assert answer["Last-Modified"] == date()
    assert answer["Cache-Control"] == REVALIDATED
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Cache-Status"] == "HIT" and answer["X-Cache-Tier"] in ("memory", "disk")
    assert answer["Content-Security-Policy"] is None and answer["Content-Range"] is None
    now = datetime.now(timezone.utc)
    assert abs(parsedate_to_datetime(answer["Date"]) - now) < timedelta(minutes=5)


@pytest.mark.parametrize("kind", images.KINDS)
def test_the_type_is_that_of_the_content(http: Served, kind: str) -> None:
    data = images.make(kind, 1)
    store(http, "without an ending", data)
    answer = http.get("/media/without%20an%20ending")
    assert answer.body == data and answer["Content-Type"] == images.MIMES[kind]
    policy = answer["Content-Security-Policy"]
    assert (policy is not None) == (kind == "svg")
    if policy:
        assert "default-src 'none'" in policy and "sandbox" in policy and "script-src" not in policy


def test_a_version_in_the_url_makes_it_immutable(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    for query, expected in (
        ("v=1", IMMUTABLE),
        ("x=2&v=abc", IMMUTABLE),
        ("v=1&x", IMMUTABLE),
        ("v=", REVALIDATED),
        ("v", REVALIDATED),
        ("w=1", REVALIDATED),
        ("vv=1", REVALIDATED),
        ("", REVALIDATED),
        ("x=?v=1", REVALIDATED),
    ):
        answer = http.get(f"/media/a.png?{query}")
        assert (answer.status, answer.body) == (200, data), query
        assert answer["Cache-Control"] == expected, query
        assert http.get(f"/media/a.png?{query}", If_None_Match=answer["ETag"])["Cache-Control"] == expected, query


def test_errors_are_not_stored_even_with_a_version(http: Served) -> None:
    assert "is not stored" in http.get("/media/none.png?v=1").problem(404)


def test_head_is_get_without_the_body(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    http.get("/media/a.png")
    wait_until(lambda: http.get("/ready").json["feed"]["mode"] == "listening", 60, "all to be up")
    for path in ("/media/a.png", "/media/a.png?v=1", "/media/none.png", "/media/..%2f", "/health", "/none", "/ready"):
        get, head = http.get(path), http.head(path)
        assert head.body == b"", path
        same = [comparable(get), comparable(head)]
        for headers in same if path == "/ready" else []:
            del headers["content-length"]  # it tells times
        assert (head.status, same[1]) == (get.status, same[0]), path
    for fields in ({"If_None_Match": f'"{sha256(data)}"'}, {"If_Match": '"other"'}):
        get, head = http.get("/media/a.png", **fields), http.head("/media/a.png", **fields)
        assert (head.status, comparable(head), head.body) == (get.status, comparable(get), b""), fields


def test_conditions_case_by_case(shown: tuple[Served, bytes]) -> None:
    """RFC 9110, sections 13.1 and 13.2.2."""
    http, data = shown
    etag, other = f'"{sha256(data)}"', f'"{"0" * 64}"'
    cases = [
        # If-None-Match compares weakly, and a match is a 304
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f"W/{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": other}, 200),
        ({"If-None-Match": f"{other}, {etag}"}, 304),
        ({"If-None-Match": f"{other} , W/{other},,\t{etag}"}, 304),
        ({"If-None-Match": sha256(data)}, 200),
        ({"If-None-Match": "nonsense"}, 200),
        # If-Modified-Since counts only without it, and only when it is a date
        ({"If-Modified-Since": date()}, 304),
        ({"If-Modified-Since": date(1)}, 304),
        ({"If-Modified-Since": date(-1)}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": date(), "If-None-Match": other}, 200),
        ({"If-Modified-Since": date(-1), "If-None-Match": etag}, 304),
        # the older forms of dates
        ({"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If-Modified-Since": "Tue Nov 14 22:13:20 2023"}, 304),
        ({"If-Modified-Since": "Tue Nov 14 22:13:19 2023"}, 200),
        # If-Match compares strongly
        ({"If-Match": etag}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"{other}, {etag}"}, 200),
        ({"If-Match": other}, 412),
        ({"If-Match": f"W/{etag}"}, 412),
        # If-Unmodified-Since counts only without it
        ({"If-Unmodified-Since": date()}, 200),
        ({"If-Unmodified-Since": date(-1)}, 412),
        ({"If-Unmodified-Since": date(-1), "If-Match": etag}, 200),
        ({"If-Unmodified-Since": "soon"}, 200),
        # both kinds: If-Match comes first
        ({"If-Match": other, "If-None-Match": etag}, 412),
        ({"If-Match": etag, "If-None-Match": etag}, 304),
        # conditions come before the range
        ({"If-None-Match": etag, "Range": "bytes=0-1"}, 304),
        ({"If-Match": other, "Range": "bytes=0-1"}, 412),
        ({"If-Match": etag, "Range": "bytes=0-1"}, 206),
        ({"If-None-Match": etag, "Range": "bytes=99999-"}, 304),
    ]
    for fields, expected in cases:
        answer = http.request("GET", "/media/a.png", headers=fields)
        assert answer.status == expected, (fields, answer)
        if expected == 304:
            assert answer.body == b""
            assert answer["ETag"] == etag and answer["Last-Modified"] == date() and answer["Cache-Control"], fields
            # RFC 9110 section 8.6: the length of the 200, or none
            assert answer["Content-Length"] in (None, str(SIZE)), fields
            assert answer["Content-Type"] is None, fields
        elif expected == 412:
            answer.problem(412)
        elif expected == 200:
            assert answer.body == data, fields


def test_several_fields_of_conditions_are_one_list(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    head = b"GET /media/a.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    fields = f'If-None-Match: "{"0" * 64}"\r\nif-none-match: "{sha256(data)}"\r\n\r\n'.encode()
    assert http.raw(head + fields).startswith(b"HTTP/1.1 304 ")


def test_what_is_missing_has_no_conditions(http: Served) -> None:
    for fields in ({"If_Match": "*"}, {"If_None_Match": "*"}, {"Range": "bytes=0-1"}):
        http.get("/media/none.png", **fields).problem(404)


def test_ranges_case_by_case(shown: tuple[Served, bytes]) -> None:
    """RFC 9110, section 14. None: the whole image, as if nothing had been asked."""
    http, data = shown
    etag, last = f'"{sha256(data)}"', SIZE - 1
    huge = "9" * 40
    cases = [
        ({}, None),
        # single
        ({"Range": "bytes=0-0"}, (0, 0)),
        ({"Range": "bytes=0-99"}, (0, 99)),
        ({"Range": "bytes=100-199"}, (100, 199)),
        ({"Range": f"bytes=0-{last}"}, (0, last)),
        ({"Range": f"bytes={last}-{last}"}, (last, last)),
        ({"Range": f"bytes=9000-{huge}"}, (9000, last)),
        ({"Range": f"bytes={last}-{SIZE + 5}"}, (last, last)),
        ({"Range": "BYTES=0-9"}, (0, 9)),
        ({"Range": "bytes= 0-9"}, (0, 9)),
        ({"Range": "bytes=,0-9,,"}, (0, 9)),
        # open
        ({"Range": "bytes=0-"}, (0, last)),
        ({"Range": "bytes=5000-"}, (5000, last)),
        ({"Range": f"bytes={last}-"}, (last, last)),
        # suffix
        ({"Range": "bytes=-1"}, (last, last)),
        ({"Range": "bytes=-500"}, (SIZE - 500, last)),
        ({"Range": f"bytes=-{SIZE}"}, (0, last)),
        ({"Range": f"bytes=-{huge}"}, (0, last)),
        # unsatisfiable
        ({"Range": f"bytes={SIZE}-"}, 416),
        ({"Range": f"bytes={SIZE}-{SIZE + 10}"}, 416),
        ({"Range": f"bytes={huge}-"}, 416),
        ({"Range": "bytes=-0"}, 416),
        # malformed, several, or of another unit: to be ignored
        ({"Range": "bytes=5-2"}, None),
        ({"Range": "bytes=-"}, None),
        ({"Range": "bytes="}, None),
        ({"Range": "bytes"}, None),
        ({"Range": "bytes=a-b"}, None),
        ({"Range": "bytes=0-1x"}, None),
        ({"Range": "bytes=0x0-5"}, None),
        ({"Range": "bytes=+0-5"}, None),
        ({"Range": "bytes=--5"}, None),
        ({"Range": "bytes=0-1,5-6"}, None),
        ({"Range": "items=0-1"}, None),
        ({"Range": "0-1"}, None),
        # If-Range: the same tag, strong, or the very same date
        ({"Range": "bytes=0-9", "If-Range": etag}, (0, 9)),
        ({"Range": "bytes=0-9", "If-Range": date()}, (0, 9)),
        ({"Range": "bytes=0-9", "If-Range": f'"{"0" * 64}"'}, None),
        ({"Range": "bytes=0-9", "If-Range": f"W/{etag}"}, None),
        ({"Range": "bytes=0-9", "If-Range": date(1)}, None),
        ({"Range": "bytes=0-9", "If-Range": date(-1)}, None),
        ({"Range": "bytes=0-9", "If-Range": "*"}, None),
        ({"Range": "bytes=0-9", "If-Range": "nonsense"}, None),
        ({"Range": f"bytes={SIZE}-", "If-Range": f'"{"0" * 64}"'}, None),
        ({"If-Range": etag}, None),
    ]
    for fields, expected in cases:
        answer = http.request("GET", "/media/a.png", headers=fields)
        if expected is None:
            assert (answer.status, answer.body) == (200, data), fields
            assert answer["Content-Range"] is None
        elif expected == 416:
            answer.problem(416)
            assert answer["Content-Range"] == f"bytes */{SIZE}", fields
        else:
            first, end = expected
            assert (answer.status, answer.body) == (206, data[first : end + 1]), fields
            assert answer["Content-Range"] == f"bytes {first}-{end}/{SIZE}", fields
            assert answer["Content-Length"] == str(end - first + 1)
            assert answer["ETag"] == etag and answer["Content-Type"] == "image/png"
            assert answer["Last-Modified"] == date() and answer["Cache-Control"] == REVALIDATED
        head = http.request("HEAD", "/media/a.png", headers=fields)  # section 14.2: Range is for GET alone
        assert head.status == 200 and head["Content-Length"] == str(SIZE), fields


def test_a_range_of_what_comes_from_the_database(http: Served) -> None:
    for i, size in enumerate((20 * KB, 2048 * KB)):  # answered from memory; from the file that was filled
        data = images.sized("jpeg", size, i)
        store(http, f"{i}.jpg", data)
        (http.perdura.media / f"{i}.jpg").unlink()
        answer = http.get(f"/media/{i}.jpg", Range="bytes=1000-1999")
        assert (answer.status, answer.body) == (206, data[1000:2000])
        assert answer["Content-Range"] == f"bytes 1000-1999/{size}"
        assert http.get(f"/media/{i}.jpg").body == data


def test_curl_resumes(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    part = write(http.perdura.folder / "part", data[:4321])
    url = f"http://{http.host}:{http.port}/media/a.png"
    curl = ["curl", "--silent", "--show-error", "--fail", "-C", "-", "-o", part, "-w", "%{http_code} %{size_download}"]
    done = subprocess.run([*curl, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"206 {SIZE - 4321}"
    assert part.read_bytes() == data


def test_a_missing_file_comes_from_the_database_and_is_put_back(http: Served) -> None:
    for i, size in enumerate((100, 20 * KB, 300 * KB, 5 * KB * KB)):
        data = images.sized("jpeg", size if i else 2000, i)
        store(http, f"folder {i}/x.jpg", data)
        file = http.perdura.media / f"folder {i}/x.jpg"
        file.unlink()
        first = http.get(url_of(f"folder {i}/x.jpg"))
        assert first.status == 200 and first.body == data
        assert first["X-Cache-Status"] == "MISS" and first["X-Cache-Tier"] == "db"
        assert first["ETag"] == f'"{sha256(data)}"'

        # A copy is withheld while the watch still looks at the file that went; the next one is not.
        wait_until(lambda: http.get(url_of(f"folder {i}/x.jpg")).body == data and file.exists(), 60, "the file")
        second = http.get(url_of(f"folder {i}/x.jpg"))
        assert second["X-Cache-Status"] == "HIT" and second.body == data and file.read_bytes() == data
        assert second["ETag"] == first["ETag"] and second["Last-Modified"] == first["Last-Modified"]


def test_a_changed_file_is_served_at_once(shown: tuple[Served, bytes]) -> None:
    http, data = shown
    assert http.get("/media/a.png").body == data
    for seed in range(2, 6):
        new = images.sized("png", SIZE, seed)
        (http.perdura.media / "a.png").write_bytes(new)
        answer = http.get("/media/a.png")
        assert answer.body == new and answer["ETag"] == f'"{sha256(new)}"'


def test_names_of_all_kinds(http: Served) -> None:
    paths = images.tree(http.perdura.media, 60)
    for path in paths:
        data = (http.perdura.media / path).read_bytes()
        answer = http.get(url_of(path))
        assert (answer.status, answer.body) == (200, data), path


def test_a_plus_is_a_plus_and_raw_utf8_is_understood(http: Served) -> None:
    data = images.make("png", 1)
    store(http, "a+b.png", data)
    store(http, "été.png", data)
    assert http.get("/media/a+b.png").body == data
    http.get("/media/a%20b.png").problem(404)
    got = http.raw("GET /media/été.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(data)


PATHS_REFUSED = [
    "..%2f..%2fetc/passwd",
    "%2e%2e/secret.png",
    "../secret.png",
    "a/../secret.png",
    "a/..",
    "./a.png",
    "a/./b.png",
    ".",
    "..",
    "%2e",
    "a%00.png",
    "a.png%00",
    "%00",
    "a%2fb.png",
    "..%5c..%5csecret.png%00",
    "a\\b.png",
    "..\\..\\secret.png",
    "a%",
    "a%2",
    "a%zz.png",
    "a%u0041.png",
    "%c0%ae%c0%ae/secret.png",
    "%ff%fe.png",
    "%c0%af",
    "x" * 256 + ".png",
    "d/" * 2000 + "x.png",
]
# Decoded once, these are names like any other, which nobody has used.
PATHS_ABSENT = ["%252e%252e%252fsecret.png", "a%252fb.png", "%2500", "a%5cb.png", "..%5c..%5csecret.png", "...", "..a"]


def test_paths_that_no_image_has(http: Served) -> None:
    write(http.perdura.folder / "secret.png", images.make("png", 1))
    write(http.perdura.media / "a.png", images.make("png", 1))
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        body = images.make("png", 2) if method == "PUT" else None
        for path in PATHS_REFUSED:
            answer = http.request(method, f"/media/{path}", body)
            status = 414 if len(path) > 255 else 400
            assert answer.status == status, (method, path, answer)
            if method != "HEAD":
                assert "path" in answer.problem(status), path
    for path in PATHS_ABSENT:
        http.get(f"/media/{path}").problem(404)
    assert sorted(p.name for p in http.perdura.folder.iterdir()) == ["media", "secret.png"]
    assert {p.name for p in http.perdura.media.iterdir()} - {".perdura"} == {"a.png"}


def test_a_url_that_is_too_long_is_refused(http: Served) -> None:
    for n in (5_000, 9_000, 20_000, 100_000):
        got = http.raw(b"GET /media/" + b"x" * n + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert got[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 414 ") or got == b"", (n, got[:200])


def test_links_and_folders_are_not_followed_out(http: Served) -> None:
    secret = write(http.perdura.folder / "secret.png", images.make("png", 1))
    media = http.perdura.media
    (media / "link.png").symlink_to(secret)
    (media / "up").symlink_to("..")
    (media / "folder").mkdir()
    write(media / "own" / "a.png", images.make("png", 2))
    for path in ("link.png", "up/secret.png", "folder", "folder/", "own"):
        answer = http.get(f"/media/{path}")
        assert answer.status in (400, 403, 404), (path, answer)
        assert answer["Content-Type"] == "application/problem+json"


def test_a_file_that_is_no_image_is_not_served(http: Served) -> None:
    write(http.perdura.media / "page.png", b"<html><script>alert(1)</script></html>")
    write(http.perdura.media / "empty.png", b"")
    for name in ("page.png", "empty.png"):
        answer = http.get(f"/media/{name}")
        assert answer.status in (400, 404), answer
        assert answer["Content-Type"] == "application/problem+json" and b"script" not in answer.body


def test_several_collections_have_urls_of_their_own(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_COLLECTIONS="avatars=./avatars@/people/avatars hidden=./hidden", PERDURA_MEDIA_URL="/pictures")
    me = images.make("png", 1)
    (http.perdura.folder / "avatars").mkdir(exist_ok=True)
    (http.perdura.folder / "hidden").mkdir(exist_ok=True)
    write(http.perdura.folder / "avatars" / "me.png", me)
    write(http.perdura.folder / "hidden" / "me.png", me)
    assert http.get("/people/avatars/me.png").body == me
    for path in ("/media/me.png", "/pictures/me.png", "/avatars/me.png", "/hidden/me.png", "/people/me.png"):
        http.get(path).problem(404)
    assert http.put("/pictures/x.png", me).json["collection"] == "media"
    assert http.put("/people/avatars/x.png", me).json["collection"] == "avatars"
    assert (http.perdura.folder / "avatars" / "x.png").read_bytes() == me


def test_several_slashes_count_as_one(http: Served) -> None:
    me = images.make("png", 1)
    assert http.put("/media/a//b///c.png", me).json["original_path"] == "a/b/c.png"
    assert (http.perdura.media / "a" / "b" / "c.png").read_bytes() == me
    for path in ("/media/a/b/c.png", "//media/a/b/c.png", "/media//a/b/c.png", "///media////a//b//c.png?v=//1"):
        assert http.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).endswith(me), path
    assert http.get("/media/a%2F%2Fb%2Fc.png").status == 400  # no name holds a slash
    assert http.get("/image-cache//status//").json["images"] == 1
    assert http.request("DELETE", "/media//a//b/c.png").status == 204
    http.get("/media/a/b/c.png").problem(404)


def test_paths_that_are_too_long(http: Served) -> None:
    for length in (2049, 6_000, 12_000, 100_000):
        got = http.raw(b"GET /media/" + b"d/" * (length // 2) + b"x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 414 ") and b"application/problem+json" in got, (length, got)


def test_nothing_is_served_at_other_urls(http: Served) -> None:
    for path in ("/", "/media", "/media/", "/Media/a.png", "/mediaa/x.png", "/favicon.ico", "/media//",
                 "/api/images", "/api/images/artist/1", "/api/images/artist/1/cover/more", "/image-cache",
                 "/image-cache/none", "/health/x", "*", "/image-cache/images//none/x"):
        if path != "*":
            http.get(path).problem(404)
    assert b" 404 " in http.raw(b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").split(b"\r\n")[0]


def test_a_file_that_is_cut_short_while_it_is_sent_ends_the_answer(http: Served) -> None:
    """Nobody waits for bytes that will never come."""
    size = 5 * KB * KB
    write(http.perdura.media / "large.jpg", images.sized("jpeg", size, 1))
    with http.socket() as sock:
        sock.sendall(b"GET /media/large.jpg HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(sock.recv(1000))
        os.truncate(http.perdura.media / "large.jpg", 1000)
        while part := sock.recv(KB * KB):
            got += len(part)
    assert got < size
