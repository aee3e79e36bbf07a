"""The admin page's door: its files, logging in, sessions, and what they are kept from."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import os
import pty
import re
import signal
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from http.client import HTTPConnection
from pathlib import Path

import images
import pytest
from admin_client import COOKIE, PASSWORD, AdminClient
from conftest import Perdura, Served
from files import picture
from http_client import TIMEOUT_S, Answer, read_answer
from servers import wait_until

WAIT_S = 60
MIB = 1 << 20
SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ  # which take more
PAGE = Path(__file__).resolve().parents[2] / "admin"

Serve = Callable[..., Served]


@pytest.fixture
def admin(serve: Serve) -> AdminClient:
    """Logged in, on an instance that knows a password and a token."""
    return AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD)).login()


def anyone(http: Served, method: str, path: str, **headers: str) -> Answer:
    return http.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}, token=None)


def has_page_headers(answer: Answer) -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in (answer["Content-Security-Policy"] or "").split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'" and policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy) and "http" not in str(policy)
    assert answer["X-Content-Type-Options"] == "nosniff" and answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


# Files


TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def test_each_file_is_served_as_it_is(http: Served) -> None:
    files = [path for path in PAGE.rglob("*") if path.is_file()]
    assert PAGE / "index.html" in files
    for path in files:
        name = path.relative_to(PAGE).as_posix()
        url = "/admin/" if name == "index.html" else f"/admin/{name}"
        plain, packed = anyone(http, "GET", url), anyone(http, "GET", url, Accept_Encoding="gzip, br")
        assert plain.body == gzip.decompress(packed.body) == path.read_bytes(), name
        assert plain["Content-Encoding"] is None and packed["Content-Encoding"] == "gzip"
        for answer in (plain, packed):
            assert answer.status == 200 and answer["ETag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
            assert (answer["Content-Type"] or "").split(";")[0] == TYPES[name.rpartition(".")[2]]
            assert answer["Cache-Control"] == "no-cache" and answer["Vary"] == "Accept-Encoding"
            has_page_headers(answer)
        for coding, known in (("gzip", packed["ETag"]), ("identity", plain["ETag"])):
            again = anyone(http, "GET", url, Accept_Encoding=coding, If_None_Match=f'"x", {known}')
            assert (again.status, again.body, again["ETag"]) == (304, b"", known)
            # RFC 9110 section 8.6: the length of the 200, or none
            assert again["Content-Length"] in (None, str(len((packed if coding == "gzip" else plain).body)))
            has_page_headers(again)
        head = anyone(http, "HEAD", url, Accept_Encoding="gzip")
        assert head.body == b"" and head["Content-Length"] == str(len(packed.body)) and head.status == 200
    assert anyone(http, "GET", "/admin/index.html").body == anyone(http, "GET", "/admin/").body


def test_the_page_is_one_address_behind_any_prefix(serve: Serve) -> None:
    http = serve(PERDURA_API_PREFIX="/partners")
    for prefix in ("", "/partners"):
        answer = anyone(http, "GET", prefix + "/admin")
        assert (answer.status, answer["Location"]) == (308, "admin/")
        has_page_headers(answer)
        assert anyone(http, "GET", prefix + "/admin/").status == 200


def test_what_the_page_does_not_have(http: Served) -> None:
    for path in ("x.js", "..%2findex.html", "../index.html", "index.html/", "index.htm", "%00", "lib", "lib/", "login"):
        answer = anyone(http, "GET", "/admin/" + path)
        assert answer.status in (400, 404), path
        assert answer.problem(answer.status)
    has_page_headers(anyone(http, "GET", "/admin/nothing"))
    answer = anyone(http, "POST", "/admin/index.html")
    assert answer.status == 405 and answer["Allow"] == "GET, HEAD"
    has_page_headers(answer)
    assert anyone(http, "GET", "/administrator").status == 404


# Logging in


def test_login_tells_the_browser_all_it_needs(serve: Serve) -> None:
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin = AdminClient(http)
    answer = admin.post_login({"password": PASSWORD})
    assert answer.status == 200 and answer["Cache-Control"] == "no-store"
    assert set(answer.json) == {"csrf", "expires_at"} and re.fullmatch("[0-9a-f]{64}", answer.json["csrf"])
    expires = datetime.fromisoformat(answer.json["expires_at"].replace("Z", "+00:00"))
    left = (expires - datetime.now(timezone.utc)).total_seconds()
    assert 12 * 3600 - 120 < left <= 12 * 3600 + 5
    cookie = answer["Set-Cookie"] or ""
    assert re.fullmatch(
        rf"{COOKIE}=[A-Za-z0-9_-]{{43}}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200", cookie
    ), cookie
    has_page_headers(answer)
    admin.take(answer)
    session = admin.get("/admin/session")
    assert session.status == 200 and session.json == {**answer.json, "version": session.json["version"]}
    assert session.json["version"] in http.perdura.run("version").stdout
    other = AdminClient(http).login()
    assert other.token != admin.token and other.csrf != admin.csrf
    assert admin.get("/admin/session").status == 200


def test_login_by_hash(serve: Serve, offline: Perdura) -> None:
    hashed = offline.run("hash-password", input=PASSWORD + "\n").stdout.strip()
    admin = AdminClient(serve(PERDURA_ADMIN_PASSWORD=hashed))
    assert "not the password" in admin.post_login({"password": hashed}).problem(401)
    assert admin.login().get("/image-cache/status").status == 200


def test_login_refused(serve: Serve) -> None:
    admin = AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD))
    json_type = {"Content-Type": "application/json"}
    for body, headers, status in (
        ({"password": PASSWORD + " "}, {}, 401),
        ({"password": "x" * 2000}, {}, 401),
        ({"link": "x" * 43}, {}, 401),
        ({"password": ""}, {}, 400),
        ({"password": [PASSWORD]}, {}, 400),
        ({"password": PASSWORD, "link": "x"}, {}, 400),
        ({"password": PASSWORD, "more": "x"}, {}, 400),
        ({}, {}, 400),
        (b"", json_type, 400),
        (b"[]", json_type, 400),
        (b"{", json_type, 400),
        (b'{"password": "correct horse battery\\u0000"}', json_type, 400),
        (b"{" + b" " * 9000 + b"}", json_type, 413),
        (f"password={PASSWORD}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b'{"password": "correct horse battery"}', {"Content-Type": "text/plain"}, 415),
        (b'{"password": "correct horse battery"}', {}, 415),
        ({"password": PASSWORD}, {"Origin": "https://elsewhere.example"}, 403),
        ({"password": PASSWORD}, {"Origin": "null"}, 403),
        ({"password": PASSWORD}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ({"password": PASSWORD}, {"Sec-Fetch-Site": "same-site"}, 403),
    ):
        answer = admin.post_login(body, headers)
        assert answer.problem(status), (body, headers)
        assert answer["Set-Cookie"] is None
        has_page_headers(answer)
    assert admin.http.perdura.database.value("SELECT count(*) FROM admin_session") == 0
    plain = admin.http.request("POST", "/admin/login", {"password": PASSWORD}, token=None)  # no browser
    assert plain.status == 200


def test_without_a_password_nobody_gets_in(http: Served) -> None:
    admin = AdminClient(http)
    assert anyone(http, "GET", "/admin/").status == 200
    assert "PERDURA_ADMIN_PASSWORD" in admin.post_login({"password": "x"}).problem(503)
    assert "PERDURA_ADMIN_PASSWORD" in admin.get("/admin/session").problem(401)
    admin.token = "x" * 43
    assert admin.get("/image-cache/status").status == 401
    assert http.get("/image-cache/status").status == 200


def test_five_failures_a_minute(serve: Serve) -> None:
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin = AdminClient(http)
    for _ in range(5):
        assert admin.post_login({"password": "wrong"}).problem(401)
    for password in ("wrong", PASSWORD):
        answer = admin.post_login({"password": password})
        assert "too many wrong passwords" in answer.problem(429)
        assert 1 <= int(answer["Retry-After"] or "0") <= 60
    # Somebody else may still try.
    with closing(HTTPConnection(http.host, http.port, TIMEOUT_S, source_address=("127.0.0.9", 0))) as connection:
        assert http.on(connection, "POST", "/admin/login", {"password": PASSWORD}, token=None).status == 200


def memory_peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_a_hundred_logins_at_once(serve: Serve) -> None:
    """From a hundred clients: each hashing takes 16 MiB, and there is one at a time."""
    key = hashlib.scrypt(PASSWORD.encode(), salt=b"saltsalt", n=16384, r=8, p=1, dklen=32)
    http = serve(PERDURA_ADMIN_PASSWORD=f"scrypt$16384$8$1$c2FsdHNhbHQ=${b64encode(key).decode()}")
    assert AdminClient(http).login().get("/admin/session").status == 200  # the first one's memory is there
    before = memory_peak(http.process.pid)

    def log_in(i: int) -> Answer:
        source = (f"127.0.1.{i + 1}", 0)
        with closing(HTTPConnection(http.host, http.port, TIMEOUT_S, source_address=source)) as connection:
            return http.on(connection, "POST", "/admin/login", {"password": "wrong"}, token=None)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(log_in, range(100)))
    statuses = {answer.status for answer in answers}
    assert statuses <= {401, 429, 503} and 401 in statuses
    assert all(answer["Retry-After"] for answer in answers if answer.status != 401)
    assert SANITIZED or memory_peak(http.process.pid) - before < 24 * MIB
    assert http.get("/health").status == 200


def test_logins_that_never_end_leave_room_for_uploads(serve: Serve) -> None:
    """Anybody may begin one: what he may send is little."""
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    head = f"POST /admin/login HTTP/1.1\r\nHost: {http.host}:{http.port}\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for length in [8192] * 300 + [8193]:
            sock = stack.enter_context(closing(http.socket()))
            sock.sendall(f"{head}Content-Length: {length}\r\n\r\n{{".encode())
        assert read_answer(sock).problem(413)
        assert http.put("/media/a.png", images.sized("png", 3 * MIB, 1)).status == 201
        assert AdminClient(http).login().get("/admin/session").status == 200


# What a session is good for


def test_a_session_does_what_a_token_does(admin: AdminClient) -> None:
    http = admin.http
    for path in ("/image-cache/status", "/image-cache/images", "/metrics", "/cache-stats"):
        assert admin.get(path).status == 200, path
        assert anyone(http, "GET", path).status == 401, path
        wrong = admin.request("GET", path, headers={"Authorization": "Bearer wrong"})
        assert wrong.status == 401, "a token that is wrong is not made good by a cookie"
        proxied = admin.request("GET", path, headers={"Authorization": "Basic d2U6dXM="})
        assert proxied.status == 200, "what a proxy before us wanted to know"
    data = images.make("png", 1)
    put = admin.request("PUT", "/media/a.png", data)
    assert put.status == 201 and http.get("/media/a.png").body == data
    assert admin.request("DELETE", "/media/a.png").status == 204
    assert admin.post("/image-cache/flush").json["persisted"] is True
    job = admin.request("POST", "/image-cache/cache-all?async=1")
    assert job.status == 202
    events = admin.get(f"/image-cache/jobs/{job.json['id']}/events")
    assert events.status == 200 and b"event: end" in events.body or b"done" in events.body


def test_sessions_need_no_token_in_the_settings(serve: Serve) -> None:
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD, PERDURA_API_TOKEN="")
    assert anyone(http, "GET", "/image-cache/status").status == 401
    admin = AdminClient(http).login()
    assert admin.get("/image-cache/status").status == 200
    assert admin.request("PUT", "/media/a.png", images.make("png", 1)).status == 201
    assert http.get("/image-cache/status").status == 503, "a token where none is set"


# CSRF token, Origin, Sec-Fetch-Site: "": the right one, None: not sent.
FORGED = [
    ("", None, None),
    (None, "", None),
    (None, "", "same-origin"),
    ("0" * 64, "", None),
    ("short", "", None),
    ("", "http://elsewhere.example", None),
    ("", "http://127.0.0.1", None),  # another port
    ("", "null", None),
    ("", None, "cross-site"),
    ("", None, "same-site"),
    ("", None, "none"),
    ("", "", "cross-site"),
]
GENUINE = [
    ("", "", None),
    ("", None, "same-origin"),
    ("", "", "same-origin"),
    ("", "http://elsewhere.example", "same-origin"),  # the Host that we see is a proxy's making
]


def test_forged_requests(admin: AdminClient) -> None:
    http = admin.http
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    image = http.get("/image-cache/images").json["images"][0]["id"]
    row = http.perdura.database.query("SELECT * FROM image_cache")

    def ask(csrf: str | None, origin: str | None, site: str | None) -> list[Answer]:
        headers = {"X-Forwarded-Host": "elsewhere.example", **({"Sec-Fetch-Site": site} if site else {})}
        return [
            admin.request(method, path, body, headers, csrf, origin)
            for method, path, body in (
                ("PATCH", f"/image-cache/images/{image}", {"content_type": "artist", "object_id": "1"}),
                ("PUT", "/media/b.png", images.make("png", 2)),
                ("PURGE", "/media/a.png", None),
                ("POST", "/image-cache/invalidate", {"path": "a.png"}),
                ("POST", "/image-cache/cleanup?async=1", {"days": 1}),
                ("DELETE", f"/image-cache/images/{image}", None),
            )
        ]

    for case in FORGED:
        for answer in ask(*case):
            assert answer.problem(403), case
    assert http.perdura.database.query("SELECT * FROM image_cache") == row
    assert admin.get("/admin/session").status == 200
    for case in GENUINE:
        assert 403 not in [answer.status for answer in ask(*case)], case
    assert http.perdura.database.query("SELECT * FROM image_cache") != row


def test_the_host_of_an_absolute_target_counts(admin: AdminClient) -> None:
    """RFC 9112, section 3.2.2: and the Host header does not."""
    host = f"{admin.http.host}:{admin.http.port}"
    for target_host, origin, status in ((host, host, 200), ("x.example", "x.example", 200), ("x.example", host, 403),
                                        (f"{host}0", host, 403), (host[:-1], host, 403)):
        target = f"http://{target_host}/image-cache/flush"
        answer = admin.request("POST", target, None, {"Host": host}, origin=f"http://{origin}")
        assert answer.status == status, (target, origin)


def test_a_csrf_token_is_of_its_session(admin: AdminClient) -> None:
    other = AdminClient(admin.http).login()
    assert admin.request("POST", "/image-cache/flush", csrf=other.csrf).problem(403)
    assert admin.request("POST", "/admin/logout", csrf=other.csrf).problem(403)
    assert admin.get("/admin/session").status == 200


def test_a_body_is_not_asked_for_before_its_sender_is_known(admin: AdminClient) -> None:
    for token, csrf, status in (("x" * 43, "", 403), (admin.token, "0" * 64, 403), ("ended", "", 401)):
        if token == "ended":
            admin.http.perdura.database.query("DELETE FROM admin_session")
            wait_until(lambda: admin.get("/admin/session").status == 401, WAIT_S, "the end of the session")
            token = admin.token
        fields = {**admin.fields(csrf), "Cookie": f"{COOKIE}={token}", "Expect": "100-continue"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        with closing(admin.http.socket()) as sock:
            sock.sendall(f"PUT /media/a.png HTTP/1.1\r\nHost: {admin.host}\r\nContent-Length: 4000000\r\n{head}\r\n".encode())
            answer = read_answer(sock)
            assert answer.status == status, (token, answer)
            assert sock.recv(1) == b"", "the connection ends behind it"


def test_a_session_is_looked_up_between_head_and_body(serve: Serve) -> None:
    """On an instance that has not seen it: the request waits behind its head, and then goes on."""
    one = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    two = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    data = images.sized("png", 300_000, 3)

    def new_to_it() -> AdminClient:
        known, stranger = AdminClient(one).login(), AdminClient(two)
        stranger.token, stranger.csrf = known.token, known.csrf
        return stranger

    assert new_to_it().get("/image-cache/jobs/1").status == 404  # a GET, answered by a worker
    assert new_to_it().get("/metrics").status == 200  # and one that is answered at once
    assert new_to_it().request("PUT", "/media/whole.png", data).status == 201
    assert new_to_it().request("PUT", "/media/pieces.png", iter([data[:1000], data[1000:]])).status == 201
    admin = new_to_it()
    with closing(two.connect()) as connection:  # one connection, several requests, the first one waits
        for name in ("a.png", "b.png"):
            answer = two.on(connection, "PUT", f"/media/{name}", data, admin.fields(), token=None)
            assert answer.status == 201
    admin = new_to_it()
    head = "".join(f"{name}: {value}\r\n" for name, value in admin.fields().items())
    with closing(two.socket()) as sock:
        sock.sendall(
            f"PUT /media/asked.png HTTP/1.1\r\nHost: {admin.host}\r\nContent-Length: {len(data)}\r\n"
            f"Expect: 100-continue\r\n{head}\r\n".encode()
        )
        assert read_answer(sock).status == 100
        sock.sendall(data)
        assert read_answer(sock).status == 201
    for name in ("whole", "pieces", "a", "b", "asked"):
        assert two.get(f"/media/{name}.png").body == data
    forged = new_to_it()
    forged.token = "A" * 43
    forged.csrf = hmac.new(b"A" * 43, b"csrf", "sha256").hexdigest()  # as anybody could
    assert forged.request("PUT", "/media/forged.png", data).status == 401
    assert two.get("/media/forged.png").status == 404


# The end of a session


def test_logout(admin: AdminClient) -> None:
    stolen = AdminClient(admin.http)
    stolen.token, stolen.csrf = admin.token, admin.csrf
    assert stolen.get("/image-cache/status").status == 200
    other = AdminClient(admin.http).login()
    answer = admin.request("POST", "/admin/logout")
    assert answer.status == 204 and answer.body == b""
    assert re.fullmatch(rf"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0", answer["Set-Cookie"] or "")
    for client in (admin, stolen):
        assert "log in" in client.get("/image-cache/status").problem(401)
        assert client.get("/admin/session").problem(401)
        assert client.post("/image-cache/flush").problem(401)
        assert client.request("POST", "/admin/logout").problem(401)
    assert other.get("/admin/session").status == 200
    assert admin.http.perdura.database.value("SELECT count(*) FROM admin_session") == 1


def test_logout_is_heard_of_by_other_instances(serve: Serve) -> None:
    one = AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD)).login()
    two = AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD))
    two.token, two.csrf = one.token, one.csrf
    assert two.get("/image-cache/status").status == 200, "a session is good everywhere"
    assert one.request("POST", "/admin/logout").status == 204
    wait_until(lambda: two.get("/image-cache/status").status == 401, WAIT_S, "the other instance's refusal")
    assert two.post("/image-cache/flush").problem(401)


def test_sessions_expire(admin: AdminClient) -> None:
    database = admin.http.perdura.database
    unused = AdminClient(admin.http).login()
    which = hashlib.sha256(unused.token.encode()).digest()
    database.query("UPDATE admin_session SET expires_at = now() - interval '1 s' WHERE token_sha256 <> %s", which)
    database.query("UPDATE admin_session SET last_seen_at = now() - interval '121 min' WHERE token_sha256 = %s", which)
    for client in (admin, unused):
        wait_until(lambda: client.get("/admin/session").status == 401, WAIT_S, "the end of the session")  # noqa: B023
        assert client.post("/image-cache/flush").problem(401)
    assert database.value("SELECT count(*) FROM admin_session") == 2
    AdminClient(admin.http).login()
    assert database.value("SELECT count(*) FROM admin_session") == 1, "what has ended goes"


def test_use_is_noted_once_a_minute(admin: AdminClient, serve: Serve) -> None:
    database = admin.http.perdura.database
    seen = "SELECT extract(epoch FROM now() - last_seen_at)::int FROM admin_session"
    database.query("UPDATE admin_session SET last_seen_at = now() - interval '50 minutes'")
    wait_until(lambda: admin.get("/admin/session").status == 200 and database.value(seen) < 600, WAIT_S, "the note")
    database.query("UPDATE admin_session SET last_seen_at = now() - interval '30 s'")
    other = AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD))  # one that has to ask
    other.token = admin.token
    assert other.get("/admin/session").status == 200
    assert database.value(seen) >= 30


def test_another_password_ends_all_sessions(serve: Serve) -> None:
    first = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin = AdminClient(first).login()
    first.stop()
    again = AdminClient(serve(PERDURA_ADMIN_PASSWORD=PASSWORD))
    other = AdminClient(serve(PERDURA_ADMIN_PASSWORD="another one"))
    none = AdminClient(serve())
    for client in (again, other, none):
        client.token, client.csrf = admin.token, admin.csrf
    assert again.get("/image-cache/status").status == 200
    assert other.get("/image-cache/status").status == none.get("/image-cache/status").status == 401


def test_secrets_are_nowhere(serve: Serve) -> None:
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD, LOG_LEVEL="debug")
    admin = AdminClient(http).login()
    wrong = "not " + PASSWORD
    admin.post_login({"password": wrong})
    admin.post_login({"link": "q" * 43})
    admin.post("/image-cache/flush")
    admin.request("POST", "/image-cache/flush", csrf="0" * 64)
    dump = str(http.perdura.database.query("SELECT token_sha256::text, csrf_sha256::text FROM admin_session"))
    assert hashlib.sha256(admin.token.encode()).hexdigest() in dump
    shown = http.perdura.run("config", env={"PERDURA_ADMIN_PASSWORD": PASSWORD})
    assert re.search(r"^PERDURA_ADMIN_PASSWORD=\W*\*\*\*", shown.stdout, re.M)
    metrics = admin.get("/metrics").body.decode()
    admin.request("POST", "/admin/logout")
    http.stop()
    log = http.shown()
    assert "admin login" in log and "admin login refused" in log and "127.0.0.1" in log
    for secret in (PASSWORD, wrong, admin.token, admin.csrf, "q" * 43):
        for where in (log, dump, shown.stdout + shown.stderr, metrics):
            assert secret not in where


# A database that is away


def test_database_down_and_back(admin: AdminClient) -> None:
    http = admin.http
    server = http.perdura.database.server
    picture(http.perdura.media / "a.png")
    http.post("/image-cache/flush")
    unknown = AdminClient(http)
    unknown.token, unknown.csrf = "u" * 43, "0" * 64
    server.stop()
    # What was known goes on, for longer than it takes to hear of a logout, and says what is wrong.
    until = time.monotonic() + 4
    while time.monotonic() < until:
        session = admin.get("/admin/session")
        assert session.status == 200 and session.json["csrf"] == admin.csrf
    assert "database" in admin.get("/image-cache/status").problem(503)
    assert admin.get("/metrics").status == 200
    answer = unknown.get("/metrics")
    assert answer.problem(503) and answer["Retry-After"]
    answer = admin.post_login({"password": PASSWORD})
    assert "the password is right" in answer.problem(503) and answer["Retry-After"] and answer["Set-Cookie"] is None
    assert admin.post_login({"password": "wrong"}).problem(401)
    server.start()
    wait_until(lambda: admin.get("/image-cache/status").status == 200, WAIT_S, "the database")
    wait_until(lambda: unknown.get("/metrics").status == 401, WAIT_S, "the refusal")
    assert AdminClient(http).login().get("/admin/session").status == 200


def test_database_frozen(serve: Serve) -> None:
    http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD, PERDURA_SHUTDOWN_TIMEOUT="2")
    admin = AdminClient(http).login()
    stranger = AdminClient(http)
    stranger.token = "s" * 43
    server = http.perdura.database.server
    server.sigstop()
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert admin.get("/metrics").status == 200
        assert stranger.get("/metrics").problem(503)
        with ThreadPoolExecutor(2) as pool:  # it is told to end while they are looked up
            asked = [pool.submit(stranger.get, "/metrics") for _ in range(2)]
            wait_until(lambda: any(one.running() for one in asked), WAIT_S, "requests")
            http.terminate()
            for one in asked:
                try:
                    assert one.result().status == 503
                except OSError:
                    pass  # it came too late to be heard
            assert http.wait() in (0, 75)
    finally:
        server.sigcont()


def test_logout_without_a_database(admin: AdminClient) -> None:
    server = admin.http.perdura.database.server
    server.stop()
    answer = admin.request("POST", "/admin/logout")
    assert "forgotten" in answer.problem(503) and "Max-Age=0" in (answer["Set-Cookie"] or "")
    assert admin.get("/metrics").problem(401)
    server.start()
    assert admin.get("/metrics").problem(401)


def test_a_logout_without_a_database_is_made_up_for(serve: Serve) -> None:
    """Neither other instances nor a restart bring the session back."""
    one = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin = AdminClient(one).login()
    database = one.perdura.database
    assert database.value("SELECT count(*) FROM admin_session") == 1
    database.server.stop()
    assert "not complete" in admin.request("POST", "/admin/logout").problem(503)
    database.server.start()
    wait_until(lambda: database.value("SELECT count(*) FROM admin_session") == 0, 60, "the end of the session")
    one.stop()
    assert "not completed" not in one.shown()
    admin.http = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin.get("/metrics").problem(401)


def test_a_logout_that_could_not_be_completed_is_logged(serve: Serve) -> None:
    one = serve(PERDURA_ADMIN_PASSWORD=PASSWORD)
    admin = AdminClient(one).login()
    one.perdura.database.server.stop()
    assert "not complete" in admin.request("POST", "/admin/logout").problem(503)
    one.terminate()
    assert one.wait() in (0, 75)
    assert "logouts not completed" in one.shown()


# Hashing


def test_hash_password_reads_a_line(offline: Perdura) -> None:
    one, other = (offline.run("hash-password", input="päss wörd\nmore\n").stdout for _ in range(2))
    assert one != other and re.fullmatch(r"scrypt\$16384\$8\$5\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}\n", one)
    assert offline.run("hash-password", "--json", input="x").json["hash"].startswith("scrypt$")
    for given in ("", "\n", "x" * 1025):
        refused = offline.run("hash-password", input=given, check=False)
        assert refused.code == 1 and refused.stdout == "" and "1 to 1024 bytes" in refused.stderr
    assert offline.run("hash-password", "secret", check=False).code == 2
    # Of all settings this one may be wrong.
    assert offline.run("hash-password", input="x", env={"PERDURA_ADMIN_PASSWORD": "scrypt$old"}).code == 0


@pytest.mark.parametrize("value", ["scrypt$hello", "$scrypt$ln=14,r=8,p=1$x", "scrypt$1048576$8$1$c2FsdHNhbHQ$" + "A" * 43])
def test_a_hash_that_is_none(offline: Perdura, value: str) -> None:
    refused = offline.run("config", env={"PERDURA_ADMIN_PASSWORD": value}, check=False)
    assert refused.code == 2 and refused.stdout == ""
    assert "PERDURA_ADMIN_PASSWORD" in refused.stderr and "hash-password" in refused.stderr
    assert value not in refused.stderr


def terminal(offline: Perdura, *typed: bytes) -> tuple[int, str]:
    """Its exit code, and all that the terminal showed, when this is typed at its questions."""
    ours, theirs = pty.openpty()
    process = offline.start("hash-password", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""

    def read() -> bool:
        nonlocal shown
        try:
            part = os.read(ours, 4096)
        except OSError:  # the last one of the other side is gone
            part = b""
        shown += part
        return bool(part)

    for line in typed:
        questions = shown.count(b": ")
        while shown.count(b": ") == questions and read():
            pass
        os.write(ours, line)
    while read():
        pass
    os.close(ours)
    return process.wait(WAIT_S), shown.decode()


def test_hash_password_asks_twice_and_shows_nothing(offline: Perdura) -> None:
    code, shown = terminal(offline, b"se cret\r", b"se cret\r")
    assert code == 0 and "se cret" not in shown
    assert "scrypt$16384$8$5$" in shown.splitlines()[-1]
    code, shown = terminal(offline, b"secret\r", b"Secret\r")
    assert code == 1 and "two passwords" in shown and "ecret" not in shown and "scrypt$" not in shown


def test_hash_password_interrupted(offline: Perdura) -> None:
    ours, theirs = pty.openpty()
    process = offline.start("hash-password", stdin=theirs, stdout=theirs, stderr=theirs)
    echoes = lambda: b" echo " in subprocess.check_output(["stty", "-a"], stdin=theirs)  # noqa: E731
    wait_until(lambda: not echoes(), WAIT_S, "the question")
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == -signal.SIGINT
    assert echoes(), "the terminal is as it was"
    os.close(ours)
    os.close(theirs)
