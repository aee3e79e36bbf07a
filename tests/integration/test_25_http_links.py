"""Requests for files that lie behind symbolic links, in folders that are closed, or where something else is by now."""

from __future__ import annotations

import os
import subprocess

import images
import pytest
from conftest import Perdura, Served
from files import exchange
from http_client import url_of

OLD, NEW = images.make("png", 1), images.make("png", 2)


def in_trash(perdura: Perdura, path: str) -> bool | None:
    """None: there is no row."""
    rows = perdura.database.query("SELECT deleted_at IS NOT NULL FROM image_cache WHERE original_path = %s", path)
    return rows[0][0] if rows else None


def test_a_folder_that_is_a_link_is_a_folder(http: Served) -> None:
    media = http.perdura.media
    (media / "2026").mkdir()
    (media / "year").symlink_to("2026")
    assert http.put(url_of("year/a.png"), OLD).status == 201
    assert (media / "2026/a.png").read_bytes() == OLD
    assert http.put(url_of("year/a.png"), NEW).status == 200
    assert (media / "2026/a.png").read_bytes() == NEW and http.get(url_of("year/a.png")).body == NEW
    assert http.put(url_of("year/new/er/b.png"), OLD).status == 201
    assert (media / "2026/new/er/b.png").read_bytes() == OLD
    assert http.request("PURGE", url_of("year/a.png")).status == 200
    assert http.request("DELETE", url_of("year/a.png")).status == 204
    assert not (media / "2026/a.png").exists() and (media / "year").is_symlink()
    assert in_trash(http.perdura, "year/a.png")
    assert http.get(url_of("year/a.png")).status == 404
    http.request("DELETE", url_of("year/a.png")).problem(404)


def test_a_file_that_is_a_link_goes_alone(http: Served) -> None:
    media = http.perdura.media
    assert http.put(url_of("a.png"), OLD).status == 201
    (media / "latest.png").symlink_to("a.png")
    assert http.post("/image-cache/flush").status == 200
    assert http.get(url_of("latest.png")).body == OLD
    assert http.request("DELETE", url_of("latest.png")).status == 204
    assert not (media / "latest.png").is_symlink() and (media / "a.png").read_bytes() == OLD
    assert in_trash(http.perdura, "latest.png") and in_trash(http.perdura, "a.png") is False


@pytest.mark.parametrize("link", ["outside", "absolute", "loop"])
def test_nothing_is_removed_behind_a_link_that_leads_out(http: Served, link: str) -> None:
    """The folder was moved away after its image was stored, and a link is there instead."""
    media, outside = http.perdura.media, http.perdura.folder / "outside"
    assert http.put(url_of("albums/a.png"), OLD).status == 201
    outside.symlink_to({"outside": "../outside", "absolute": str(outside), "loop": "albums"}[link])
    exchange(media / "albums", outside)  # a name without anything is healed
    detail = http.request("DELETE", url_of("albums/a.png")).problem(409)
    assert "link" in detail
    assert (outside / "a.png").read_bytes() == OLD
    assert in_trash(http.perdura, "albums/a.png") is False
    assert http.get(url_of("albums/a.png")).body == OLD  # as it is stored
    assert http.put(url_of("albums/a.png"), NEW).status == 200
    assert (outside / "a.png").read_bytes() == OLD


def test_what_is_a_folder_by_now_is_not_removed(http: Served) -> None:
    media = http.perdura.media
    assert http.put(url_of("a.png"), OLD).status == 201
    (media / "a.png").unlink()
    (media / "a.png").mkdir()
    http.request("DELETE", url_of("a.png")).problem(409)
    assert (media / "a.png").is_dir() and in_trash(http.perdura, "a.png") is False


def test_an_image_in_what_is_a_file_by_now_is_removed(http: Served) -> None:
    media = http.perdura.media
    assert http.put(url_of("d/a.png"), OLD).status == 201
    (media / "d/a.png").unlink()
    (media / "d").rmdir()
    (media / "d").write_bytes(b"no folder")
    assert http.request("DELETE", url_of("d/a.png")).status == 204
    assert in_trash(http.perdura, "d/a.png") and (media / "d").is_file()


def test_an_image_in_a_closed_folder_stays_in_the_store(perdura: Perdura) -> None:
    """Else its row would be in the trash while its file is served."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    http = Served(perdura, {})
    try:
        assert http.put(url_of("d/a.png"), OLD).status == 201
        (perdura.media / "d").chmod(0o555)
        assert "folder" in http.request("DELETE", url_of("d/a.png")).problem(409)
        assert in_trash(perdura, "d/a.png") is False and (perdura.media / "d/a.png").exists()
        (perdura.media / "d").chmod(0o755)
        assert http.request("DELETE", url_of("d/a.png")).status == 204
    finally:
        (perdura.media / "d").chmod(0o755)
        http.stop()


def can_mount() -> bool:
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0


def test_an_upload_into_another_filesystem_is_reported(perdura: Perdura) -> None:
    """It is stored and served; that its file is not there is said in the answer and in the log."""
    if os.geteuid() != 0 or not can_mount():
        pytest.skip("needs root and a mount namespace")
    (perdura.media / "mounted").mkdir()
    script = perdura.folder / "with-a-mount"
    script.write_text(
        f'#!/bin/sh\n[ "$INSIDE" ] || INSIDE=1 exec unshare -m "$0" "$@"\n'
        f'mount -t tmpfs none {perdura.media}/mounted || exit\nexec "{perdura.binary}" "$@"\n'
    )
    script.chmod(0o755)
    binary, perdura.binary = perdura.binary, script
    http = Served(perdura, {})
    try:
        answer = http.put(url_of("mounted/a.png"), OLD)
        assert answer.status == 201 and answer.json["state"] == "persisted"
        assert answer.json["on_disk"] is False and "filesystem" in answer.json["disk_error"]
        assert http.get(url_of("mounted/a.png")).body == OLD
        assert any("upload not on disk" in line and "mounted/a.png" in line for line in http.log), http.shown()
        assert http.put(url_of("b.png"), OLD).json["on_disk"] is True
        restore = http.post("/image-cache/restore").json
        assert restore["state"] == "done_with_failures" and "filesystem" in restore["errors"][0]["error"], restore
        assert http.request("DELETE", url_of("mounted/a.png")).status == 204
    finally:
        http.stop()
        perdura.binary = binary
