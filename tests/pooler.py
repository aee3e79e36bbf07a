"""PgBouncer in transaction mode, private to a test: on a unix socket in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg2
from servers import Postgres, User, dies_with_us, wait_until

PORT = 6432
START_S = 60


class PgBouncer:
    """with PgBouncer(folder, server) as pooler: url = pooler.url("shop")"""

    def __init__(self, folder: Path, server: Postgres, pool_size: int = 4, user: str = "postgres") -> None:
        """pool_size: how many connections to the server all clients share; user: the role that these have."""
        self._server_user = user
        self._pool_size = pool_size
        self._folder = folder
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self._folder))}&port={PORT}"

    def __enter__(self) -> PgBouncer:
        binary = shutil.which("pgbouncer", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
        if not binary:
            raise RuntimeError("install the package `pgbouncer`")
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        major, minor = map(int, re.findall(r"PgBouncer (\d+)\.(\d+)", version)[0])
        # Newer ones keep prepared statements for their clients; many that are in use do not.
        keeps_none = "max_prepared_statements = 0\n" if (major, minor) >= (1, 21) else ""
        user = User()
        self._folder.mkdir()
        user.own(self._folder)
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={self._server.socket_folder} port={self._server.port} user={self._server_user}\n"
            f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {self._folder}\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {self._pool_size}\n"
            f"ignore_startup_parameters = extra_float_digits\n{keeps_none}"
        )
        self._process = subprocess.Popen(
            dies_with_us([binary, settings], signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self._folder / "log", "wb"),
            start_new_session=True,
            **user.popen_args(),
        )
        wait_until(self._accepts, START_S, "PgBouncer")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def _accepts(self) -> bool:
        assert self._process and self._process.poll() is None, (self._folder / "log").read_text()
        try:
            psycopg2.connect(self.url("postgres")).close()
        except psycopg2.OperationalError:
            return False
        return True
