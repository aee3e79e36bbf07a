"""Somebody at the admin page, as a browser speaks for him: cookie, origin and CSRF token."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

from http_client import Answer, HttpClient

COOKIE = "__Host-perdura"
PASSWORD = "correct horse battery"


class AdminClient:
    """Not logged in before login() or log_in_by_link()."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http
        self.host = f"{http.host}:{http.port}"
        self.token = ""
        self.csrf = ""

    def post_login(self, body: dict | bytes, headers: dict[str, str] | None = None) -> Answer:
        fields = {"Origin": f"http://{self.host}", **(headers or {})}
        return self.http.request("POST", "/admin/login", body, fields, token=None)

    def login(self, **credentials: str) -> AdminClient:
        """With PASSWORD, unless others are named: password=..., link=..."""
        answer = self.post_login(credentials or {"password": PASSWORD})
        assert answer.status == 200, answer
        self.take(answer)
        return self

    def take(self, answer: Answer) -> None:
        cookie = SimpleCookie(answer["Set-Cookie"] or "")
        self.token = cookie[COOKIE].value
        self.csrf = answer.json["csrf"]

    def fields(self, csrf: str | None = "", origin: str | None = "") -> dict[str, str]:
        """`csrf`, `origin`: None: not sent; "": the right one."""
        fields = {"Cookie": f"{COOKIE}={self.token}"}
        if csrf is not None:
            fields["X-CSRF-Token"] = csrf or self.csrf
        if origin is not None:
            fields["Origin"] = origin or f"http://{self.host}"
        return fields

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        csrf: str | None = "",
        origin: str | None = "",
    ) -> Answer:
        return self.http.request(method, path, body, {**self.fields(csrf, origin), **(headers or {})}, token=None)

    def get(self, path: str) -> Answer:
        """As browsers ask for what a page shows: without Origin and CSRF token."""
        return self.request("GET", path, csrf=None, origin=None)

    def post(self, path: str, body: dict | None = None) -> Answer:
        return self.request("POST", path, body)
