"""A private S3 server for tests: s3rver, from npm."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from servers import START_TIMEOUT_S, STOP_TIMEOUT_S, dies_with_us, free_port, wait_until

BINARY = Path(__file__).resolve().parent.parent / "build" / "storage" / "node_modules" / ".bin" / "s3rver"
KEY_ID = SECRET = "S3RVER"
NAMESPACE = "{http://doc.s3.amazonaws.com/2006-03-01/}"


class ObjectStorage:
    def __init__(self, folder: Path, buckets: list[str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._buckets = buckets
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> ObjectStorage:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def settings(self) -> dict[str, str]:
        return {"PERDURA_S3_ENDPOINT": self.url, "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def start(self) -> None:
        command = [str(BINARY), "-d", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port), "-s"]
        for bucket in self._buckets:
            command += ["--configure-bucket", bucket]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=dies_with_us(),
        )
        wait_until(self._answers, START_TIMEOUT_S, "the S3 server")

    def stop(self) -> None:
        """What it stores stays."""
        if self._process:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, "the S3 server has ended"
        try:
            return self._ask("GET", "/")[0] < 500
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_TIMEOUT_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def get(self, bucket: str, key: str) -> bytes | None:
        """None: there is no such object."""
        status, body, _ = self._ask("GET", f"/{bucket}/{quote(key)}")
        assert status in (200, 404), status
        return body if status == 200 else None

    def type(self, bucket: str, key: str) -> str:
        return self._ask("HEAD", f"/{bucket}/{quote(key)}")[2]["Content-Type"]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        status, said, _ = self._ask("PUT", f"/{bucket}/{quote(key)}", body)
        assert status == 200, said

    def delete(self, bucket: str, key: str) -> None:
        assert self._ask("DELETE", f"/{bucket}/{quote(key)}")[0] == 204

    def keys(self, bucket: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            status, body, _ = self._ask("GET", f"/{bucket}?list-type=2" + token)
            assert status == 200, body
            tree = ElementTree.fromstring(body)
            found += [entry.text or "" for entry in tree.iter(f"{NAMESPACE}Key")]
            more = tree.find(f"{NAMESPACE}NextContinuationToken")
            if more is None or not more.text:
                return found
            token = f"&continuation-token={quote(more.text, safe='')}"

    def wipe(self) -> None:
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        time.sleep(0)
