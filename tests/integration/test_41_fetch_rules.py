"""No request forgery through us: whatever a row's image_url says, only allowed hosts at public addresses are asked.

A web server is behind every address of the playground and counts who comes: nobody does.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from conftest import Perdura
from files import sha256, write
from playground import Playground

IMAGE = images.make("jpeg", "playground", 300, 200)

# Every one of these is allowed as a host, so that its address is all that speaks against it.
LITERALS = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.9.9", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.7.7", "198.51.100.1",
    "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[fc00::7]", "[fd12:3456::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[::ffff:127.0.0.1]",
    "[::ffff:10.1.2.3]", "[::ffff:93.184.216.34]", "[::127.0.0.1]", "[2002:7f00:1::]", "[2002:a01:203::]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::a01:203]", "[2001::1]", "[2001:db8::1]", "[100::1]", "[3fff::1]",
]  # fmt: skip
# The same address as the allowed 127.0.0.1, in other words.
DISGUISED = ["2130706433", "0x7f000001", "017700000001", "127.1", "0x7f.1", "127.0.0.1.", "%31%32%37.0.0.1", "①②⑦.0.0.1"]


@pytest.fixture(scope="module")
def net(session_folder: Path) -> Iterator[Playground]:
    if Playground.missing():
        pytest.skip(Playground.missing())
    folder = session_folder / "playground"
    folder.mkdir()
    with Playground(folder) as playground:
        playground.pages["/ok.jpg"] = IMAGE
        yield playground


@pytest.fixture
def inside(perdura: Perdura, net: Playground) -> Perdura:
    """Perdura in there, and nobody has come yet."""
    wrapper = write(perdura.folder / "perdura", b"")
    quoted = " ".join("'" + part.replace("'", "'\\''") + "'" for part in [*net.prefix, str(perdura.binary)])
    wrapper.write_text(f"#!/bin/sh\nexec {quoted} \"$@\"\n")
    wrapper.chmod(0o755)
    perdura.binary = wrapper
    net.names.clear()
    net.names.update({"good.test": [net.PUBLIC], "other.test": [net.OTHER], "six.test": [net.PUBLIC6]})
    net.redirects.clear()
    perdura.env["PERDURA_HTTPS_CA"] = str(net.certificate)
    forget(net)
    return perdura


def forget(net: Playground) -> None:
    net.requests.clear()
    net.connections.clear()


def link(perdura: Perdura, path: str, url: str) -> None:
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_url, file_size, content_type_header, sha256)"
        " VALUES (%s, %s, %s, 'image/jpeg', %s)",
        path, url, len(IMAGE), bytes.fromhex(sha256(IMAGE)),
    )  # fmt: skip


def refusals(perdura: Perdura, urls: list[str], allowed: str) -> list[str]:
    """One line for each URL, in their order. None of them may have brought a file."""
    perdura.env["PERDURA_ALLOWED_SOURCES"] = allowed
    for i, url in enumerate(urls):
        link(perdura, f"{i:03}.jpg", url)
    result = perdura.run("restore", "--all", check=False)
    assert result.code == 1, result.stdout + result.stderr
    assert not list(perdura.media.glob("*.jpg"))
    lines = sorted(line for line in result.stderr.splitlines() if line.startswith("perdura: "))
    assert len(lines) == len(urls), result.stderr
    return lines


def test_allowed_hosts_are_fetched_from(inside: Perdura, net: Playground) -> None:
    """Else all that follows would prove nothing."""
    inside.env["PERDURA_ALLOWED_SOURCES"] = "good.test, other.test, six.test"
    net.redirects["/hop.jpg"] = "https://other.test/ok.jpg"
    for i, url in enumerate(["https://good.test/ok.jpg", "https://six.test/ok.jpg", "https://good.test/hop.jpg"]):
        link(inside, f"{i}.jpg", url)
    inside.run("restore", "--all")
    assert all((inside.media / f"{i}.jpg").read_bytes() == IMAGE for i in range(3))
    assert {seen.address for seen in net.requests} == {net.PUBLIC, net.PUBLIC6, net.OTHER}
    assert all(seen.authorization is None for seen in net.requests)


def test_addresses_that_are_not_public(inside: Perdura, net: Playground) -> None:
    lines = refusals(inside, [f"https://{one}/ok.jpg" for one in LITERALS], " ".join(LITERALS))
    for line, literal in zip(lines, LITERALS):
        assert "nothing is fetched from there" in line, (literal, line)
        assert "PERDURA_ALLOWED_SOURCES" not in line, (literal, line)
    assert (net.connections, net.requests) == ([], [])


def test_addresses_in_disguise(inside: Perdura, net: Playground) -> None:
    refusals(inside, [f"https://{one}/ok.jpg" for one in DISGUISED], "127.0.0.1 " + " ".join(DISGUISED[:5]))
    assert (net.connections, net.requests) == ([], [])


def test_names_that_lead_within(inside: Perdura, net: Playground) -> None:
    plain = [one.strip("[]") for one in LITERALS]
    for i, address in enumerate(plain):
        net.names[f"n{i}.test"] = [address]
    names = [f"n{i}.test" for i in range(len(plain))]
    refusals(inside, [f"https://{name}/ok.jpg" for name in names], ",".join(names))
    assert (net.connections, net.requests) == ([], [])


def test_name_that_changes(inside: Perdura, net: Playground) -> None:
    """Public when it is looked at first, private the next time; and both at once."""
    inside.env["PERDURA_ALLOWED_SOURCES"] = "change.test both.test"
    net.names["change.test"] = [net.PUBLIC]
    link(inside, "a.jpg", "https://change.test/ok.jpg")
    inside.run("restore", "a.jpg")
    (inside.media / "a.jpg").unlink()
    forget(net)
    net.names["change.test"] = ["10.1.2.3"]
    assert inside.run("restore", "a.jpg", check=False).code == 1
    assert net.connections == []
    net.names["both.test"] = ["10.1.2.3", net.PUBLIC, "127.0.0.1"]
    link(inside, "b.jpg", "https://both.test/ok.jpg")
    inside.run("restore", "b.jpg", check=False)
    assert set(net.connections) <= {net.PUBLIC}


def test_redirects_are_looked_at_hop_by_hop(inside: Perdura, net: Playground) -> None:
    targets = [f"https://{one}/ok.jpg" for one in LITERALS] + [
        "http://good.test/ok.jpg", "https://evil.test/ok.jpg", "https://good.test@evil.test/ok.jpg",
        "https://user:password@good.test/ok.jpg", "https://good.test:8443/ok.jpg", "ftp://good.test/ok.jpg",
        "file:///etc/passwd", "gopher://good.test/1", "//evil.test/ok.jpg", "https://good.test.evil.test/ok.jpg",
    ]  # fmt: skip
    net.names.update({"evil.test": [net.OTHER], "good.test.evil.test": [net.OTHER]})
    for i, target in enumerate(targets):
        net.redirects[f"/{i}"] = target
    refusals(inside, [f"https://good.test/{i}" for i in range(len(targets))], "good.test " + " ".join(LITERALS))
    assert {seen.path for seen in net.requests} == {f"/{i}" for i in range(len(targets))}
    assert set(net.connections) == {net.PUBLIC}


def test_redirects_have_an_end(inside: Perdura, net: Playground) -> None:
    net.redirects["/round"] = "https://good.test/round"
    (line,) = refusals(inside, ["https://good.test/round"], "good.test")
    assert "redirects more than 5 times" in line
    assert len(net.requests) == 6


def test_hosts_that_are_not_allowed(inside: Perdura, net: Playground) -> None:
    for name in ("evil.test", "good.test.evil.test", "notgood.test", "ood.test"):
        net.names[name] = [net.OTHER]
    urls = [
        "https://evil.test/ok.jpg", "https://good.test.evil.test/ok.jpg", "https://good.test@evil.test/ok.jpg",
        "https://good.test:443@evil.test/ok.jpg", "https://good.test%40evil.test/ok.jpg",
        "https://evil.test#@good.test/ok.jpg", "https://evil.test\\@good.test/ok.jpg", "https://notgood.test/ok.jpg",
        "https://ood.test/ok.jpg", "https://good.test:8443/ok.jpg", "https://good.test:80/ok.jpg",
        "http://good.test/ok.jpg", "ftp://good.test/ok.jpg", "file:///etc/hostname", "gopher://good.test/ok.jpg",
        "dict://good.test/ok", "scp://good.test/ok.jpg", "good.test/ok.jpg", "//good.test/ok.jpg",
        "https://user@good.test/ok.jpg", "https://good.test /ok.jpg",
        "https://good.test\r\nHost: evil.test/ok.jpg", "javascript:alert(1)", "data:image/jpeg;base64,AAAA", "s3://",
    ]  # fmt: skip
    refusals(inside, urls, "good.test")
    assert set(net.connections) <= {net.PUBLIC}
    assert net.requests == []


def test_nothing_is_allowed_by_default(inside: Perdura, net: Playground) -> None:
    link(inside, "a.jpg", "https://good.test/ok.jpg")
    result = inside.run("restore", "a.jpg", check=False)
    assert result.code == 1 and "PERDURA_ALLOWED_SOURCES" in result.stderr
    assert net.connections == []


def test_more_than_the_row_says_is_not_taken(inside: Perdura, net: Playground) -> None:
    net.pages["/more.jpg"] = IMAGE + b"\0" * (1 << 20)
    net.pages["/less.jpg"] = IMAGE[:-1]
    net.pages["/other.jpg"] = IMAGE[:-1] + b"\0"
    lines = refusals(inside, [f"https://good.test/{one}.jpg" for one in ("more", "less", "other")], "good.test")
    assert all("is damaged" in line for line in lines)


def test_secrets_of_a_url_are_not_told(inside: Perdura, net: Playground) -> None:
    urls = ["https://good.test/absent.jpg?signature=hush", "https://evil.test/a.jpg?signature=hush", "https://u:hush@x/"]
    assert not any("hush" in line for line in refusals(inside, urls, "good.test"))


def test_proxies_of_the_environment_are_not_asked(inside: Perdura, net: Playground) -> None:
    inside.env.update(https_proxy="http://10.1.2.3:80", ALL_PROXY="http://10.1.2.3:80", PERDURA_ALLOWED_SOURCES="good.test")
    link(inside, "a.jpg", "https://good.test/ok.jpg")
    inside.run("restore", "a.jpg")
    assert set(net.connections) == {net.PUBLIC}


class Redirector(http.server.BaseHTTPRequestHandler):
    """An S3 endpoint that sends everyone elsewhere."""

    target = ""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(307)
        self.send_header("Location", self.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_signatures_reach_no_second_host(perdura: Perdura) -> None:
    """Neither where the storage redirects to, nor what a row names."""
    seen: list[str | None] = []

    class Canary(Redirector):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_HEAD = do_POST = do_GET

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Redirector, Canary)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    redirector, canary = (server.server_address[1] for server in servers)
    Redirector.target = f"http://127.0.0.1:{canary}"
    perdura.env.update(
        PERDURA_S3_ENDPOINT=f"http://127.0.0.1:{redirector}", AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret",
        PERDURA_LARGE_BUCKET="photos", PERDURA_INLINE_MAX="1 KiB", PERDURA_ALLOW_PRIVATE_SOURCES="on",
        PERDURA_ALLOWED_SOURCES=f"127.0.0.1:{canary}",
    )  # fmt: skip
    try:
        write(perdura.folder / "a.jpg", IMAGE)
        assert perdura.run("put", perdura.folder / "a.jpg", check=False).code == 3
        link(perdura, "b.jpg", "s3://photos/b.jpg")
        assert perdura.run("restore", "b.jpg", check=False).code == 1
        assert seen == []
        link(perdura, "c.jpg", f"http://127.0.0.1:{canary}/photos/c.jpg")
        assert perdura.run("restore", "c.jpg", check=False).code == 1
        assert seen == [None]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
