"""The fixtures of tests/browser, beside those of tests/conftest.py."""

from admin_page import chromium, page, redis, shared_redis, visit

__all__ = ["chromium", "page", "redis", "shared_redis", "visit"]
