"""Writing images over HTTP: who may, what is taken, what is committed when the answer comes, and images by entity."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from files import names as all_names
from files import sha256, write
from http_client import TOKEN, read_answer, until_closed, url_of
from servers import wait_until

KB = 1024
MB = 1024 * KB
ROW = (
    "SELECT sha256, file_size, content_type_header, content_type, object_id, variant, deleted_at IS NULL"
    " FROM image_cache WHERE collection = %s AND original_path = %s"
)


def names(root: Path) -> set[str]:
    """Without our own folder, where a server that runs keeps a lock."""
    return {name for name in all_names(root) if not name.startswith(".perdura/")}


def row(http: Served, path: str, collection: str = "media") -> tuple | None:
    rows = http.perdura.database.query(ROW, collection, path)
    return rows[0] if rows else None


def assert_committed(http: Served, path: str, data: bytes) -> None:
    """By SQL, on disk, and over HTTP."""
    stored = row(http, path)
    assert stored is not None and stored[-1], f"{path} is not committed"
    assert (bytes(stored[0]).hex(), stored[1]) == (sha256(data), len(data))
    assert (http.perdura.media / path).read_bytes() == data
    got = http.get(url_of(path))
    assert got.status == 200 and got.body == data and got["ETag"] == f'"{sha256(data)}"'


# Who may


WRITES = [
    ("PUT", "/media/a.png"),
    ("DELETE", "/media/a.png"),
    ("PUT", "/api/images/artist/1/cover"),
    ("POST", "/image-cache/cache-all"),
    ("POST", "/image-cache/cleanup"),
    ("POST", "/image-cache/restore"),
    ("POST", "/image-cache/flush"),
    ("GET", "/image-cache/images"),
    ("GET", "/image-cache/images/1"),
    ("DELETE", "/image-cache/images/1"),
    ("GET", "/image-cache/jobs/1"),
    ("GET", "/image-cache/status"),
    ("GET", "/metrics"),
]


def test_without_a_token_in_the_settings_nobody_is_let_in(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_API_TOKEN="")
    for method, path in WRITES:
        for token in (None, TOKEN):
            answer = http.request(method, path, token=token)
            assert "PERDURA_API_TOKEN" in answer.problem(503), (method, path)
            assert answer["WWW-Authenticate"] is None
    for path in ("/health", "/ready"):
        assert http.request("GET", path, token=None).status == 200


def test_a_wrong_token_is_refused(http: Served) -> None:
    image = images.make("png", 1)
    for method, path in WRITES:
        body = image if method == "PUT" else None
        answer = http.request(method, path, body, token=None)
        answer.problem(401)
        assert answer["WWW-Authenticate"] == 'Bearer realm="perdura"'
        for wrong in ("wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x" * 5000):
            answer = http.request(method, path, body, token=wrong)
            answer.problem(401)
            assert 'error="invalid_token"' in answer["WWW-Authenticate"], (method, path)
    for field, status in (
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (f"Bearer{TOKEN}", 401),
        ("Bearer", 400),
        ("Bearer ", 400),
        (f"Bearer {TOKEN} {TOKEN}", 400),
        (f"Bearer {TOKEN},", 400),
        (f"bearer {TOKEN}", 200),
        (f"Bearer   {TOKEN}", 200),
    ):
        answer = http.request("GET", "/image-cache/status", token=None, headers={"Authorization": field})
        assert answer.status == status, field
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 0
    assert names(http.perdura.media) == set()


def test_several_tokens(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_API_TOKEN="old-token, new-token")
    for token, status in (("old-token", 200), ("new-token", 200), ("old-token, new-token", 400), ("token", 401)):
        assert http.request("GET", "/image-cache/status", token=token).status == status, token


def test_what_is_open_needs_no_token(serve: Callable[..., Served]) -> None:
    for setting, opened in (
        ("metrics", {"/metrics"}),
        ("stats", {"/image-cache/status"}),
        ("metrics,stats", {"/metrics", "/image-cache/status"}),
        ("upload", set()),
    ):
        for tokens in (TOKEN, ""):
            http = serve(PERDURA_OPEN=setting, PERDURA_API_TOKEN=tokens)
            for path in ("/metrics", "/image-cache/status", "/image-cache/images"):
                expected = 200 if path in opened else 401 if tokens else 503
                assert http.request("GET", path, token=None).status == expected, (setting, path)
                if path in opened:
                    assert http.request("GET", path, token="wrong").status == 200
            http.stop()


# What is taken


def test_put_creates_replaces_and_leaves_alone(http: Served) -> None:
    first, second = images.make("png", 1), images.make("jpeg", 2)
    created = http.put("/media/avatars/7/me.png", first)
    assert created.status == 201 and created["ETag"] == f'"{sha256(first)}"'
    assert created["Cache-Control"] == "no-store"
    expected = {
        "collection": "media",
        "original_path": "avatars/7/me.png",
        "content_type_header": "image/png",
        "file_size": len(first),
        "state": "persisted",
        "width": 64,
        "height": 48,
        "unchanged": False,
        "on_disk": True,
    }
    assert expected.items() <= created.json.items()
    assert_committed(http, "avatars/7/me.png", first)

    again = http.put("/media/avatars/7/me.png", first)
    assert again.status == 200 and again.json["unchanged"] and again["ETag"] == created["ETag"]

    replaced = http.put("/media/avatars/7/me.png", second)
    assert replaced.status == 200 and not replaced.json["unchanged"]
    assert replaced.json["content_type_header"] == "image/jpeg"
    assert_committed(http, "avatars/7/me.png", second)
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 1
    assert names(http.perdura.media) == {"avatars/7/me.png"}


def test_the_row_is_committed_when_the_answer_is_seen(http: Served) -> None:
    """Each time at once, over and over, with a GET behind it that must not see the content before."""
    observer = http.perdura.database.connect()
    cursor = observer.cursor()
    for i in range(60):
        path = f"p{i % 5}.png"
        data = images.make("png", i)
        assert http.put(f"/media/{path}", data).status in (200, 201)
        cursor.execute("SELECT sha256 FROM image_cache WHERE original_path = %s", (path,))
        assert bytes(cursor.fetchone()[0]).hex() == sha256(data), i
        assert http.get(f"/media/{path}").body == data, i
    observer.close()


def test_every_size_is_taken_whole(http: Served) -> None:
    for size in (1000, 16 * KB, 64 * KB + 1, MB, 5 * MB - 1, 5 * MB):
        data = images.sized("jpeg", size, size)
        assert http.put(f"/media/{size}.jpg", data).status == 201
        assert_committed(http, f"{size}.jpg", data)


def test_a_chunked_body(http: Served) -> None:
    data = images.sized("jpeg", 300 * KB, 1)
    for n in (1000, 7777, 300 * KB):
        pieces = [data[at : at + n] for at in range(0, len(data), n)]
        answer = http.request("PUT", f"/media/{n}.jpg", iter(pieces))
        assert answer.status == 201, answer
        assert_committed(http, f"{n}.jpg", data)


def test_what_is_no_image_is_refused(http: Served) -> None:
    image = images.make("png", 1)
    for body in (b"", b"x", b"<html></html>", b"%PDF-1.4", image[:4], b"\0" * 1000, b"GIF89"):
        for path in ("/media/a.png", "/api/images/artist/1/cover"):
            http.put(path, body).problem(400)
    assert "empty" in http.put("/media/a.png", b"").problem(400)
    assert "HTML" in http.put("/media/a.png", b"<html></html>").problem(400)
    answer = http.request("PUT", "/media/a.png", iter([b""]))  # chunked, and nothing in it
    answer.problem(400)
    assert row(http, "a.png") is None and names(http.perdura.media) == set()


def test_put_names_the_entity(http: Served) -> None:
    image = images.make("png", 1)
    query = "?content_type=loyalty.product&object_id=42&variant=c%C3%B4ver"
    assert http.put("/media/a.png" + query, image).status == 201
    assert row(http, "a.png")[3:6] == ("loyalty.product", "42", "côver")
    assert http.get("/api/images/loyalty.product/42/c%C3%B4ver").body == image
    assert http.put("/media/none.png?content_type=&object_id=&variant=", image).status == 201
    assert row(http, "none.png")[3:6] == (None, None, None)
    for wrong in ("?object_id=%00", "?object_id=%zz", "?content_type=a&content_type=b", "?object_id=%ff"):
        http.put("/media/b.png" + wrong, image).problem(400)
    assert row(http, "b.png") is None


def test_conditional_writes(http: Served) -> None:
    one, two, three = (images.make("png", seed) for seed in (1, 2, 3))
    tag, other = f'"{sha256(one)}"', f'"{sha256(three)}"'
    http.put("/media/a.png", one, If_Match="*").problem(412)
    http.put("/media/a.png", one, If_Match=tag).problem(412)
    assert row(http, "a.png") is None
    assert http.put("/media/a.png", one, If_None_Match="*").status == 201
    http.put("/media/a.png", two, If_None_Match="*").problem(412)
    http.put("/media/a.png", two, If_Match=other).problem(412)
    http.put("/media/a.png", two, If_Match=f"W/{tag}").problem(412)
    http.put("/media/a.png", two, If_None_Match=f"W/{tag}").problem(412)
    http.put("/media/a.png", two, If_Unmodified_Since="Tue, 14 Nov 2023 22:13:20 GMT").problem(412)
    for malformed in ("nonsense", sha256(one), f"{tag} {other}", '"', ""):
        http.put("/media/a.png", two, If_Match=malformed).problem(400)
        http.put("/media/a.png", two, If_None_Match=malformed).problem(400)
    assert_committed(http, "a.png", one)
    assert http.put("/media/a.png", two, If_Match=tag).status == 200
    assert_committed(http, "a.png", two)
    assert http.put("/media/a.png", three, If_Match=f"{tag}, \"{sha256(two)}\"").status == 200
    http.request("DELETE", "/media/a.png", headers={"If-Match": tag}).problem(412)
    assert_committed(http, "a.png", three)
    assert http.request("DELETE", "/media/a.png", headers={"If-Match": other}).status == 204
    assert http.put("/media/a.png", one, If_None_Match="*").status == 201  # what lies in the trash is not there
    assert_committed(http, "a.png", one)


def test_one_of_many_is_the_first(http: Served) -> None:
    """If-None-Match: * by many at once: one creates it, all others are told."""
    for round_ in range(5):
        datas = [images.make("png", (round_, i)) for i in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda data: http.put(f"/media/{round_}.png", data, If_None_Match="*"), datas))
        statuses = [answer.status for answer in answers]
        assert sorted(statuses) == [201] + [412] * 7, statuses
        assert_committed(http, f"{round_}.png", datas[statuses.index(201)])


def test_many_writers_of_one_image(http: Served) -> None:
    """Whoever wins: the row, the file and the next GET agree."""
    datas = [images.sized("jpeg", 50 * KB, i) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda data: http.put("/media/a.jpg", data), datas))
    assert {answer.status for answer in answers} <= {200, 201}
    stored = http.get("/media/a.jpg").body
    assert stored in datas
    assert_committed(http, "a.jpg", stored)


def test_delete_puts_it_into_the_trash(http: Served) -> None:
    image = images.make("png", 1)
    http.put("/media/a.png", image)
    answer = http.request("DELETE", "/media/a.png")
    assert (answer.status, answer.body) == (204, b"")
    assert answer["Content-Length"] is None and answer["Content-Type"] is None
    assert row(http, "a.png")[-1] is False and names(http.perdura.media) == set()
    http.get("/media/a.png").problem(404)
    http.request("DELETE", "/media/a.png").problem(404)
    http.request("DELETE", "/media/none.png").problem(404)
    assert http.put("/media/a.png", image).status == 201
    assert_committed(http, "a.png", image)


def test_delete_spares_a_file_that_is_not_stored(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    write(http.perdura.media / "a.png", b"not even an image", 10**18)
    http.request("DELETE", "/media/a.png").problem(409)
    assert (http.perdura.media / "a.png").read_bytes() == b"not even an image"
    assert row(http, "a.png")[-1] is True


def waits_for_a_row(http: Served, statement: str) -> bool:
    return http.perdura.database.value(
        "SELECT count(*) > 0 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s",
        f"%{statement}%",
    )


@pytest.mark.parametrize("before", ["there", "missing"])
def test_delete_spares_a_file_that_is_written_meanwhile(http: Served, before: str) -> None:
    """Between its look at the file and its removal the row is changed, and that may take its time."""
    http.put("/media/a.png", images.make("png", 1))
    if before == "missing":
        (http.perdura.media / "a.png").unlink()
    new = images.make("png", 2)
    with closing(http.perdura.database.connect()) as other, ThreadPoolExecutor(1) as pool:
        holder = other.cursor()
        holder.execute("BEGIN")
        holder.execute("SELECT FROM image_cache FOR UPDATE")
        answer = pool.submit(http.request, "DELETE", "/media/a.png")
        wait_until(lambda: waits_for_a_row(http, "SET deleted_at = now()"), 60, "the delete to wait")
        write(http.perdura.folder / "new", new)
        (http.perdura.folder / "new").rename(http.perdura.media / "a.png")
        holder.execute("ROLLBACK")
        assert answer.result().status == 204
    wait_until(lambda: row(http, "a.png")[-1], 60, "the new file's row")
    assert_committed(http, "a.png", new)


def test_what_was_missing_is_there_as_soon_as_it_is_put(http: Served) -> None:
    """A 404 is remembered for a while, but not past a PUT."""
    for i in range(20):
        data = images.make("png", i)
        http.get(f"/media/{i}.png").problem(404)
        assert http.put(f"/media/{i}.png", data).status == 201
        assert http.get(f"/media/{i}.png").body == data


# Entities


def test_images_by_entity(http: Served) -> None:
    image, other = images.make("png", 1), images.make("jpeg", 2)
    assert http.get("/api/images/artist/42/cover").problem(404)
    created = http.put("/api/images/artists/42/cover", image)
    assert created.status == 201 and created.json["original_path"] == "artist/42/cover.png"
    assert_committed(http, "artist/42/cover.png", image)
    assert "malformed" in http.get("/api/images/artist/%ff/cover").problem(400)
    for path in ("artist/42/cover", "artists/42/cover", "artist/42/cover/", "%61rtist/42/cover"):
        answer = http.get(f"/api/images/{path}")
        assert (answer.status, answer.body) == (200, image), path
        assert answer["ETag"] == f'"{sha256(image)}"' and answer["Content-Type"] == "image/png"
    part = http.get("/api/images/artist/42/cover", Range="bytes=5-9")
    assert (part.status, part.body) == (206, image[5:10])
    assert http.get("/api/images/artist/42/cover", If_None_Match=part["ETag"]).status == 304
    head = http.head("/api/images/artist/42/cover")
    assert (head.status, head["Content-Length"], head.body) == (200, str(len(image)), b"")
    for plural, one in (("albums", "album"), ("users", "user")):
        assert http.put(f"/api/images/{plural}/1/cover", other).json["original_path"] == f"{one}/1/cover.jpg"
        assert http.get(f"/api/images/{one}/1/cover").body == other
    http.get("/api/images/products/1/cover").problem(404)


def test_an_entity_whose_image_changes_its_kind(http: Served) -> None:
    png, jpeg = images.make("png", 1), images.make("jpeg", 2)
    http.put("/api/images/artist/1/cover", png)
    assert http.put("/api/images/artist/1/cover", jpeg).status in (200, 201)
    assert http.get("/api/images/artist/1/cover").body == jpeg
    assert http.put("/api/images/artist/1/cover", png).status in (200, 201)
    assert http.get("/api/images/artist/1/cover").body == png


def test_an_entity_comes_back_from_the_database(http: Served) -> None:
    image = images.sized("jpeg", 400 * KB, 1)
    http.put("/api/images/artist/1/cover", image)
    (http.perdura.media / "artist/1/cover.jpg").unlink()
    answer = http.get("/api/images/artist/1/cover")
    assert (answer.body, answer["X-Cache-Tier"]) == (image, "db")


def test_entities_that_cannot_be(http: Served) -> None:
    image = images.make("png", 1)
    for path in ("..%2f../1/cover", "artist/..%2f/cover", "artist/%00/cover", "artist/%zz/cover", "artist/a%2fb/c",
                 "../../cover", "artist/../cover", "artist/1/" + "x" * 300, "artist/1/%5c%00"):
        assert http.put(f"/api/images/{path}", image).status in (400, 404), path
        assert http.get(f"/api/images/{path}").status in (400, 404), path
    assert names(http.perdura.media) == set()
    assert http.perdura.database.value("SELECT count(*) FROM image_cache") == 0


# Bodies that are refused without being read


def put_head(http: Served, path: str, length: int | None, *more: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"PUT {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", size, *more]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)])
def test_a_body_over_the_limit_is_refused_before_it_is_sent(http: Served, expect: tuple[str, ...]) -> None:
    """Nothing of the body is ever sent, so that an answer shows that nobody waited for it."""
    for path, length, status in (
        ("/media/a.jpg", 5 * MB + 1, 413),
        ("/media/a.jpg", 10**17, 413),
        ("/api/images/artist/1/cover", 5 * MB + 1, 413),
        ("/image-cache/images", 1000, 405),
        ("/none", 1000, 404),
    ):
        with http.socket() as sock:
            sock.sendall(put_head(http, path, length, *expect))
            answer = read_answer(sock)
            assert answer.status == status, (path, answer)
            answer.problem(status)
            assert answer["Connection"] == "close"
            assert until_closed(sock) == b""


@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)])
def test_a_body_of_a_stranger_is_refused_before_it_is_sent(http: Served, expect: tuple[str, ...]) -> None:
    head = put_head(http, "/media/a.jpg", 1000, *expect).replace(TOKEN.encode(), b"wrong")
    with http.socket() as sock:
        sock.sendall(head)
        read_answer(sock).problem(401)
        assert until_closed(sock) == b""


def test_a_body_where_none_belongs_is_refused(http: Served) -> None:
    for method, path in (("GET", "/media/a.jpg"), ("GET", "/health"), ("DELETE", "/media/a.jpg"), ("GET", "/metrics")):
        head = put_head(http, path, 10).replace(b"PUT", method.encode(), 1)
        with http.socket() as sock:
            sock.sendall(head)
            assert read_answer(sock).status in (400, 413), (method, path)
            assert until_closed(sock) == b""


def test_a_body_that_is_expected_is_asked_for(http: Served) -> None:
    data = images.sized("jpeg", 100 * KB, 1)
    with http.socket() as sock:
        sock.sendall(put_head(http, "/media/a.jpg", len(data), "Expect: 100-continue"))
        assert read_answer(sock).status == 100
        sock.sendall(data)
        assert read_answer(sock).status == 201
    assert_committed(http, "a.jpg", data)


def test_who_sends_too_much_all_the_same_is_cut_off(http: Served) -> None:
    """The answer may be lost with the connection, but the server goes on and nothing is stored."""
    told = 0
    for _ in range(10):
        with http.socket() as sock:
            try:
                sock.sendall(put_head(http, "/media/a.jpg", 20 * MB) + bytes(20 * MB))
            except (BrokenPipeError, ConnectionResetError):
                pass
            told += until_closed(sock).startswith(b"HTTP/1.1 413 ")
    print(f"\n    {told} of 10 saw the 413")
    assert row(http, "a.jpg") is None
    assert http.get("/health").status == 200


def test_a_chunked_body_over_the_limit_is_cut_off(serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_MAX_UPLOAD="64KiB")
    chunk = b"%x\r\n" % (16 * KB) + bytes(16 * KB) + b"\r\n"
    with http.socket() as sock:
        got = b""
        try:
            sock.sendall(put_head(http, "/media/a.jpg", None))
            for _ in range(20):
                sock.sendall(chunk)
            sock.sendall(b"0\r\n\r\n")
            got = read_answer(sock).body
        except (BrokenPipeError, ConnectionResetError, ConnectionError):
            pass
    assert not got or b'"status":413' in got
    assert row(http, "a.jpg") is None
    fits = images.sized("jpeg", 64 * KB, 1)
    assert http.put("/media/a.jpg", fits).status == 201
    http.put("/media/a.jpg", fits + b"x").problem(413)


def test_an_endless_chunked_body_ends(serve: Callable[..., Served]) -> None:
    """Whoever is over the limit does not keep the server reading."""
    http = serve(PERDURA_MAX_UPLOAD="64KiB")
    chunk = b"%x\r\n" % (64 * KB) + bytes(64 * KB) + b"\r\n"
    sent = 0
    with http.socket() as sock:
        sock.sendall(put_head(http, "/media/a.jpg", None))
        with pytest.raises((BrokenPipeError, ConnectionResetError, ConnectionAbortedError)):
            while sent < 200 * MB:
                sock.sendall(chunk)
                sent += len(chunk)
    print(f"\n    cut off after {sent / MB:.1f} MiB")


# Clients that go


def go_away(sock: socket.socket, hard: bool) -> None:
    if hard:  # a reset instead of a farewell
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@pytest.mark.parametrize("hard", [False, True])
def test_clients_that_go_in_the_middle(http: Served, hard: bool) -> None:
    """Of a head, a body, a download, and while the server is busy with them."""
    large = images.sized("jpeg", 5 * MB, 1)
    small = images.make("png", 1)
    http.put("/media/large.jpg", large)
    http.put("/media/small.png", small)
    get = b"GET /media/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    for i in range(40):
        path = http.perdura.media / "small.png"
        path.unlink(missing_ok=True)  # so that it has to be fetched while we go
        for request in (
            b"",
            b"GE",
            b"GET /media/small.png HTTP/1.1\r\nHo",
            get % b"small.png",
            get % b"none%d.png" % i,
            get % b"large.jpg",
            (get % b"small.png") * 5,
            put_head(http, f"/media/{i}.png", len(small)),
            put_head(http, f"/media/{i}.png", len(small)) + small[:50],
            put_head(http, f"/media/{i}.png", len(small)) + small,
            put_head(http, f"/media/{i}.png", None) + b"10\r\n" + small[:16],
        ):
            sock = http.socket()
            sock.sendall(request)
            if b"large" in request:
                sock.recv(1000)
            go_away(sock, hard)
    assert http.get("/media/small.png").body == small
    assert http.get("/media/large.jpg").body == large
    assert http.put("/media/after.png", small).status == 201


def test_an_upload_that_stops_half_way_stores_nothing(http: Served) -> None:
    data = images.sized("jpeg", 200 * KB, 1)
    with http.socket() as sock:
        sock.sendall(put_head(http, "/media/a.jpg", len(data)) + data[: 100 * KB])
        sock.shutdown(socket.SHUT_WR)
        until_closed(sock)
    assert row(http, "a.jpg") is None and names(http.perdura.media) == set()


def test_announced_uploads_hold_up_nobody(http: Served) -> None:
    """20 of 5 MB are under way and have sent nothing: that is more than the memory for bodies."""
    data = images.sized("jpeg", 5 * MB, 1)
    with ExitStack() as stack:
        for i in range(20):
            sock = stack.enter_context(http.socket())
            sock.sendall(put_head(http, f"/media/{i}.jpg", len(data), "Expect: 100-continue"))
            assert read_answer(sock).status == 100
        assert http.put("/media/x.jpg", data).status == 201


def test_a_file_that_was_put_is_stored_again_when_its_row_vanishes(http: Served) -> None:
    """The rows may be those of a backup, or of a standby that was behind."""
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    assert http.post("/image-cache/flush", {}).status == 200
    for _ in range(2):
        http.perdura.database.query("TRUNCATE image_cache")
        assert http.post("/image-cache/flush", {}).status == 200
        assert http.perdura.database.value("SELECT count(*) FROM image_cache WHERE original_path = 'a.png'") == 1


def setting_of_an_upload(http: Served, name: str) -> str:
    """As the transaction that stores it has it."""
    database = http.perdura.database
    database.query(
        "CREATE TABLE setting (value text);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN INSERT INTO setting VALUES (current_setting('{name}')); RETURN NEW; END $$;"
        "CREATE TRIGGER note AFTER INSERT ON image_cache FOR EACH ROW EXECUTE FUNCTION note()"
    )
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    return database.value("SELECT value FROM setting")


def test_commits_are_durable_whatever_the_database_is_set_to(serve: Callable[..., Served], perdura: Perdura) -> None:
    perdura.database.query(f'ALTER DATABASE "{perdura.database.name}" SET synchronous_commit = off')
    assert setting_of_an_upload(serve(), "synchronous_commit") == "on"


def test_the_server_ends_an_uploads_statement_that_its_client_has_given_up(http: Served) -> None:
    assert setting_of_an_upload(http, "statement_timeout") == "20s"
