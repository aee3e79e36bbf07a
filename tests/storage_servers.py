"""Private S3-compatible servers for tests, two that have nothing in common: s3rver (npm) and OpenStack Swift (Debian).

    with S3rver(folder) as storage:
        env = storage.settings("photos")
        storage.aws("s3", "ls", "s3://photos")      by Debian's awscli, not by anything of ours

Both listen on 127.0.0.1 alone, run as whoever runs the tests, keep all in the folder, and end with us.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from servers import dies_with_us, free_port, wait_until

BUILD = Path(__file__).resolve().parent.parent / "build"
AWS = "/usr/bin/aws"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
AWS_TIMEOUT_S = 120


class Storage:
    """What both share. A subclass says what to start, and with which key it is asked."""

    key = ""
    secret = ""
    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._owner_pid = os.getpid()
        folder.mkdir(parents=True, exist_ok=True)
        atexit.register(self.close)

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, bucket: str = "", endpoint: str = "") -> dict[str, str]:
        """What Perdura is told; with a bucket, large images go there."""
        return {
            "PERDURA_S3_ENDPOINT": endpoint or self.endpoint,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            **({"PERDURA_LARGE_BUCKET": bucket} if bucket else {}),
        }

    # Life

    def commands(self) -> list[tuple[list[str | Path], int]]:
        """Each with the port that it listens on."""
        raise NotImplementedError

    def start(self) -> None:
        if self._processes:
            return
        for argv, port in self.commands():
            with open(self.folder / "log", "ab") as log:
                process = subprocess.Popen(
                    dies_with_us(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
                    start_new_session=True,
                )
            self._processes.append(process)
            try:
                wait_until(lambda: self._listens(process, port), START_TIMEOUT_S, f"the start of {argv[0]}")
            except Exception:
                self.stop()
                raise

    def _listens(self, process: subprocess.Popen[bytes], port: int) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended:\n{(self.folder / 'log').read_text(errors='replace')[-3000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self) -> None:
        """What is stored stays; start() brings it back under the same address."""
        self.sigcont()
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def sigstop(self) -> None:
        """Freezes it: connections are taken, nobody answers."""
        for process in self._processes:
            process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if os.getpid() != self._owner_pid:  # a fork of ours that exits
            return
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Its other client

    def aws(self, *args: str | Path) -> bytes:
        done = subprocess.run(
            [AWS, "--endpoint-url", self.endpoint, *args],
            capture_output=True,
            timeout=AWS_TIMEOUT_S,
            env={
                "PATH": os.defpath,
                "HOME": str(self.folder),
                "AWS_ACCESS_KEY_ID": self.key,
                "AWS_SECRET_ACCESS_KEY": self.secret,
                "AWS_DEFAULT_REGION": self.region,
                "AWS_EC2_METADATA_DISABLED": "true",
                # Newer ones would send a checksum that Swift does not know.
                "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            },
        )
        assert done.returncode == 0, f"aws {args}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def make_bucket(self, bucket: str) -> str:
        self.aws("s3api", "create-bucket", "--bucket", bucket)
        return bucket

    def objects(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """The size of each object, by its key."""
        text = self.aws("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--output", "json")
        return {one["Key"]: one["Size"] for one in (json.loads(text) if text.strip() else {}).get("Contents", [])}

    def read(self, bucket: str, key: str) -> bytes:
        copy = self.folder / "read-back"
        self.aws("s3api", "get-object", "--bucket", bucket, "--key", key, copy)
        try:
            return copy.read_bytes()
        finally:
            copy.unlink()

    def write(self, bucket: str, key: str, data: bytes) -> None:
        copy = self.folder / "to-be-written"
        copy.write_bytes(data)
        try:
            self.aws("s3api", "put-object", "--bucket", bucket, "--key", key, "--body", copy)
        finally:
            copy.unlink()

    def remove(self, bucket: str, key: str) -> None:
        self.aws("s3api", "delete-object", "--bucket", bucket, "--key", key)


class S3rver(Storage):
    """jamhall's s3rver, by npm. It checks keys and clocks, but neither signatures nor regions."""

    key = "S3RVER"
    secret = "S3RVER"
    ENDING = "._S3rver_object"
    program = BUILD / "s3rver" / "node_modules" / "s3rver" / "bin" / "s3rver.js"

    @classmethod
    def missing(cls) -> str | None:
        if not shutil.which("node") or not cls.program.is_file():
            return "`make s3rver` fetches s3rver, which needs npm"
        return None if Path(AWS).exists() else "no awscli"

    # Its folder shows what it has, and awscli takes its time. Swift's tests use that alone.

    def make_bucket(self, bucket: str) -> str:
        (self.folder / "data" / bucket).mkdir()
        return bucket

    def objects(self, bucket: str, prefix: str = "") -> dict[str, int]:
        root = self.folder / "data" / bucket
        found = {str(path.relative_to(root)): path.stat().st_size for path in root.rglob(f"*{self.ENDING}")}
        keys = {path.removesuffix(self.ENDING): size for path, size in found.items()}
        return {key: size for key, size in keys.items() if key.startswith(prefix)}

    def remove(self, bucket: str, key: str) -> None:
        for path in (self.folder / "data" / bucket).glob(f"{key}._S3rver_*"):
            path.unlink()

    def commands(self) -> list[tuple[list[str | Path], int]]:
        node = shutil.which("node") or "node"
        # Its continuation tokens are encrypted with Blowfish, which OpenSSL 3 keeps in its legacy provider.
        argv = [node, "--openssl-legacy-provider", self.program]
        argv += ["-s", "-d", self.folder / "data", "-a", "127.0.0.1", "-p", str(self.port)]
        return [(argv, self.port)]


SWIFT_SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

SWIFT_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""


class Swift(Storage):
    """OpenStack Swift behind its S3 interface: a proxy and three servers, on rings of one device that is a folder."""

    key = "test:tester"
    secret = "testing"

    @classmethod
    def missing(cls) -> str | None:
        if not shutil.which("swift-proxy-server") or not shutil.which("swift-object-server"):
            return "OpenStack Swift is not installed"
        return None if Path(AWS).exists() else "no awscli"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {kind: free_port() for kind in ("account", "container", "object")}

    def commands(self) -> list[tuple[list[str | Path], int]]:
        if not (self.folder / "devices").exists():
            self._make()
        kinds = [*self._ports.items(), ("proxy", self.port)]
        return [([f"/usr/bin/swift-{kind}-server", self.folder / f"{kind}-server.conf"], port) for kind, port in kinds]

    def _make(self) -> None:
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        (self.folder / "devices" / "d1").mkdir(parents=True)
        for kind, port in self._ports.items():
            builder = self.folder / f"{kind}.builder"
            for args in (["create", "6", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
                subprocess.run(["swift-ring-builder", builder, *args], check=True, capture_output=True, cwd=self.folder)
            conf = SWIFT_SERVER.format(port=port, user=user, folder=self.folder, kind=kind)
            (self.folder / f"{kind}-server.conf").write_text(conf)
        conf = SWIFT_PROXY.format(port=self.port, user=user, folder=self.folder)
        (self.folder / "proxy-server.conf").write_text(conf)


SERVERS = {"s3rver": S3rver, "swift": Swift}
