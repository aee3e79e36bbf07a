"""s3rver, asked without signatures, which it does not insist on: many small questions take a moment where awscli would
take minutes."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from storage_servers import S3rver

TIMEOUT_S = 60
NAMESPACE = "{http://doc.s3.amazonaws.com/2006-03-01/}"


class ObjectStorage(S3rver):
    def __init__(self, folder: Path, buckets: list[str]) -> None:
        super().__init__(folder)
        self.start()
        for bucket in buckets:
            self.put_bucket(bucket)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def put_bucket(self, bucket: str) -> None:
        status, said, _ = self._ask("PUT", f"/{bucket}")
        assert status == 200, said

    def get(self, bucket: str, key: str) -> bytes | None:
        """None: there is no such object."""
        status, body, _ = self._ask("GET", f"/{bucket}/{quote(key)}")
        assert status in (200, 404), status
        return body if status == 200 else None

    def type(self, bucket: str, key: str) -> str | None:
        return self._ask("HEAD", f"/{bucket}/{quote(key)}")[2]["Content-Type"]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        status, said, _ = self._ask("PUT", f"/{bucket}/{quote(key)}", body)
        assert status == 200, said

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
