"""A small internet of our own: public and private addresses, names for them, and a web server behind all of them that
counts who comes.

    with Playground(folder) as net:
        net.names["shop.test"] = [net.PUBLIC]
        perdura.run(..., prefix=net.prefix)     a program that lives in there
        assert net.requests == []

It is a network namespace whose loopback has all of these addresses; its names come from a DNS server of ours. Needs
root, iproute2 and util-linux: Playground.missing() says what is not there.
"""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from network import Network

A, AAAA = 1, 28


class Seen(NamedTuple):
    address: str  # that the request came to
    host: str
    path: str
    authorization: str | None


class Playground(Network):
    PUBLIC = "93.184.216.34"
    OTHER = "93.184.216.35"
    PUBLIC6 = "2606:2800:220:1::1"
    CERTIFIED = ("good.test", "other.test", "six.test", "change.test", "both.test", "evil.test")
    PRIVATE = ("10.1.2.3", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.7.7", "fc00::7")

    @staticmethod
    def missing() -> str | None:
        for program in ("nsenter", "unshare", "openssl"):
            if not shutil.which(program):
                return f"no {program}"
        return Network.missing()

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.names: dict[str, list[str]] = {}
        self.requests: list[Seen] = []
        self.connections: list[str] = []  # the addresses that somebody connected to
        self.pages: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.certificate = folder / "playground.pem"
        self._servers: list[Any] = []

    def __enter__(self) -> Playground:
        super().__enter__()
        try:
            self._ip("-n", self.name, "link", "set", "lo", "up")
            for address in (self.PUBLIC, self.OTHER, self.PUBLIC6, *self.PRIVATE):
                bits = "128" if ":" in address else "32"
                self._ip("-n", self.name, "address", "add", f"{address}/{bits}", "dev", "lo")
            self._make_certificate()
            (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:10 attempts:1\n")
            (self.folder / "nsswitch.conf").write_text("hosts: dns\n")
            started = threading.Thread(target=self._serve)
            started.start()
            started.join()
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        for close in self._servers:
            close()
        super().__exit__(*args)

    @property
    def prefix(self) -> list[str]:
        """Before a command line: it runs in there, with this DNS."""
        script = 'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'
        netns = f"--net=/run/netns/{self.name}"
        files = [str(self.folder / "resolv.conf"), str(self.folder / "nsswitch.conf")]
        return ["nsenter", netns, "unshare", "--mount", "sh", "-c", script, *files]

    # Servers

    def _serve(self) -> None:
        """On a thread of its own, which stays in there: sockets belong to where they were made."""
        with self.inside():
            self._serve_names()
            self._serve_pages(443, True)
            self._serve_pages(80, False)

    def _make_certificate(self) -> None:
        names = ",".join([*(f"DNS:{name}" for name in self.CERTIFIED), f"IP:{self.PUBLIC}", *(f"IP:{address}" for address in self.PRIVATE)])
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=playground",
             "-addext", f"subjectAltName={names}", "-keyout", self.certificate.with_suffix(".key"),
             "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip

    def _serve_pages(self, port: int, tls: bool) -> None:
        net = self

        class Pages(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                address = self.connection.getsockname()[0].removeprefix("::ffff:")
                net.requests.append(
                    Seen(address, self.headers.get("Host", ""), self.path, self.headers.get("Authorization"))
                )
                target = net.redirects.get(self.path)
                body = net.pages.get(self.path, b"")
                self.send_response(302 if target else 200 if body else 404)
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

            def get_request(self) -> tuple[Any, Any]:
                connection, peer = super().get_request()
                net.connections.append(connection.getsockname()[0].removeprefix("::ffff:"))
                return connection, peer

            def handle_error(self, *_: object) -> None:
                pass  # who finds no certificate to his liking goes away

        server = Server(("::", port), Pages)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._run(server.serve_forever, lambda: (server.shutdown(), server.server_close()))

    def _run(self, target: Callable[[], None], close: Callable[[], Any]) -> None:
        threading.Thread(target=target, daemon=True).start()
        self._servers.append(close)

    def _serve_names(self) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))

        def answer() -> None:
            while True:
                try:
                    query, peer = server.recvfrom(4096)
                except OSError:
                    return
                server.sendto(self._answer(query), peer)

        self._run(answer, server.close)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        addresses = self.names.get(".".join(labels).lower(), [])
        wanted = [one for one in addresses if (":" in one) == (kind == AAAA)] if kind in (A, AAAA) else []
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if addresses else 0x8183, 1, len(wanted), 0, 0)
        records = b""
        for one in wanted:
            data = socket.inet_pton(socket.AF_INET6 if kind == AAAA else socket.AF_INET, one)
            records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
        return head + query[12 : at + 5] + records
