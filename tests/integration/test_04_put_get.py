"""One image at a time: put, get, info, list."""

from __future__ import annotations

import os
import subprocess

import images
import pytest
from conftest import Perdura
from files import fingerprint, give, names, picture, sha256, someone_unprivileged, write


@pytest.fixture
def source(perdura: Perdura):
    """A picture outside the media folder."""
    return perdura.folder / "inbox" / "me.png", picture(perdura.folder / "inbox" / "me.png")


def one(perdura: Perdura, path: str, *args: str) -> dict:
    return perdura.run("info", path, "--json", *args).json


def test_put_stores_it_and_puts_it_into_the_media_folder(perdura: Perdura, source) -> None:
    file, data = source
    result = perdura.run("put", file, "avatars/7/me.png", "--json").json
    assert result == {
        "result": "created",
        "dry_run": False,
        "collection": "media",
        "original_path": "avatars/7/me.png",
        "content_type_header": "image/png",
        "file_size": len(data),
        "sha256": sha256(data),
        "on_disk": True,
    }
    assert (perdura.media / "avatars/7/me.png").read_bytes() == data
    assert names(perdura.media) == {"avatars/7/me.png"}
    assert file.read_bytes() == data
    assert perdura.run("check").code == 0


def test_put_takes_the_files_name_when_no_path_is_given(perdura: Perdura, source) -> None:
    assert perdura.run("put", source[0]).stdout.startswith("created me.png (image/png, ")
    assert names(perdura.media) == {"me.png"}


@pytest.mark.parametrize("kind", images.KINDS)
def test_put_knows_each_kind_by_its_content(perdura: Perdura, kind: str) -> None:
    write(perdura.folder / "upload.tmp", images.make(kind, 1, 64, 48))
    perdura.run("put", "upload.tmp", f"pictures/one.{kind}")
    info = one(perdura, f"pictures/one.{kind}")
    assert info["content_type_header"] == images.MIMES[kind]
    assert (info["width"], info["height"]) == (64, 48)


def test_put_again_is_unchanged_and_new_content_replaces(perdura: Perdura, source) -> None:
    file, _ = source
    perdura.run("put", file)
    before = perdura.database.rows_written()
    assert perdura.run("put", file, "--json").json["result"] == "unchanged"
    assert perdura.database.rows_written() == before

    data = picture(file, seed=2)
    assert perdura.run("put", file, "--json").json["result"] == "replaced"
    assert (perdura.media / "me.png").read_bytes() == data
    assert one(perdura, "me.png")["sha256"] == sha256(data)


def test_put_again_leaves_nothing_for_others_to_do(perdura: Perdura, source) -> None:
    file, _ = source
    perdura.run("put", file)
    perdura.run("put", file)
    assert one(perdura, "me.png")["file"] == "on disk"
    perdura.run("rm", "me.png")
    assert names(perdura.media) == set()


def test_put_again_brings_a_lost_file_back(perdura: Perdura, source) -> None:
    file, data = source
    perdura.run("put", file)
    (perdura.media / "me.png").unlink()
    assert perdura.run("put", file, "--json").json["result"] == "unchanged"
    assert (perdura.media / "me.png").read_bytes() == data
    assert one(perdura, "me.png")["file"] == "on disk"


def test_put_names_the_entity_and_keeps_it(perdura: Perdura, source) -> None:
    file, _ = source
    entity = {"content_type": "artist", "object_id": "42", "variant": "cover"}
    perdura.run("put", file, "--content-type", "artist", "--object-id", "42", "--variant", "cover")
    assert entity.items() <= one(perdura, "me.png").items()
    picture(file, seed=2)
    perdura.run("put", file)  # a writer that names none
    assert entity.items() <= one(perdura, "me.png").items()
    perdura.run("put", file, "--content-type", "artist", "--object-id", "42", "--variant", "back")
    assert one(perdura, "me.png")["variant"] == "back"


def test_put_follows_a_link_that_is_named(perdura: Perdura, source) -> None:
    (perdura.folder / "links").mkdir()
    (perdura.folder / "links/latest.png").symlink_to("../inbox/me.png")
    perdura.run("put", "links/latest.png")
    assert (perdura.media / "latest.png").read_bytes() == source[1]
    assert not (perdura.media / "latest.png").is_symlink()


def test_put_dry_run_changes_nothing(perdura: Perdura, source) -> None:
    before = perdura.database.rows_written()
    result = perdura.run("put", source[0], "--json", "--dry-run").json
    assert (result["result"], result["dry_run"]) == ("created", True)
    assert perdura.run("put", source[0], "--dry-run").stdout.startswith("would create me.png (image/png, ")
    assert perdura.database.rows_written() == before
    assert names(perdura.media) == set()


@pytest.mark.parametrize(
    "path, told",
    [
        ("/etc/me.png", "is absolute"),
        ("../me.png", '".."'),
        ("a/../../me.png", '".."'),
        ("a//me.png", "empty component"),
        ("me.png/", "empty component"),
        ("./me.png", '"."'),
        ("", "is empty"),
        (".perdura/me.png", "kept for temporary files"),
        ("x" * 256, "at most 255"),
        ("/".join(["x" * 200] * 11), "at most 2048"),
        (os.fsdecode(b"caf\xe9.png"), "not UTF-8"),
    ],
)
def test_put_refuses_a_path_that_names_no_image(perdura: Perdura, source, path: str, told: str) -> None:
    result = perdura.run("put", source[0], path, check=False)
    assert result.code == 1
    assert told in result.stderr and str(source[0]) not in result.stderr
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 0
    assert names(perdura.folder) == {"inbox/me.png"}


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "is empty"),
        (b"This is no picture.\n", "holds text"),
        (b"<!doctype html><p>Hello", "holds HTML"),
        (b"%PDF-1.7\n", "holds a PDF"),
        (bytes(range(256)), "holds unknown data"),
    ],
)
def test_put_refuses_what_is_no_image(perdura: Perdura, data: bytes, told: str) -> None:
    write(perdura.folder / "x.jpg", data)
    result = perdura.run("put", "x.jpg", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: x.jpg ") and told in line
    assert names(perdura.media) == set()


def test_put_of_a_missing_file_says_so(perdura: Perdura) -> None:
    for path in ("nowhere.png", "no/where.png", "media"):
        result = perdura.run("put", path, check=False)
        assert result.code == 1
        assert path in result.stderr


def test_put_stores_it_even_where_the_disk_does_not_take_it(perdura: Perdura, source) -> None:
    file, data = source
    perdura.media.chmod(0o555)
    give(perdura.media)
    user = someone_unprivileged()
    assert perdura.run("put", file, **user).code == 0
    assert names(perdura.media) == set()
    assert perdura.run("get", "me.png", **user).stdout_bytes == data


def test_get_writes_the_bytes_from_disk_or_database(perdura: Perdura, source) -> None:
    _, data = source
    perdura.run("put", source[0], "a/me.png")
    assert perdura.run("get", "a/me.png").stdout_bytes == data
    (perdura.media / "a/me.png").unlink()
    assert perdura.run("get", "a/me.png").stdout_bytes == data


def test_get_puts_a_missing_file_back(perdura: Perdura, source) -> None:
    perdura.run("put", source[0], "a/me.png")
    before = fingerprint(perdura.media)
    (perdura.media / "a/me.png").unlink()
    (perdura.media / "a").rmdir()
    perdura.run("get", "a/me.png", "--output", "copy.png")
    assert fingerprint(perdura.media) == before
    assert (perdura.folder / "copy.png").read_bytes() == source[1]


def test_get_from_disk_needs_no_server(offline: Perdura) -> None:
    data = picture(offline.media / "a.png")
    assert offline.run("get", "a.png").stdout_bytes == data


def test_get_tells_absent_from_unavailable(perdura: Perdura) -> None:
    absent = perdura.run("get", "nowhere.png", check=False)
    assert (absent.code, absent.stderr) == (1, "perdura: nowhere.png is not stored\n")
    unavailable = perdura.run("get", "nowhere.png", check=False, env={"DATABASE_URL": "host=/nowhere"})
    assert unavailable.code == 3
    assert "cannot reach the database" in unavailable.stderr


@pytest.mark.parametrize("args", [("get", "me.png"), ("list",), ("info", "me.png", "--json"), ("config",)])
def test_output_that_can_not_be_written_is_told(perdura: Perdura, source, args: tuple[str, ...]) -> None:
    perdura.run("put", source[0])
    with open("/dev/full", "wb") as full:
        process = perdura.start(*args, stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and b"stdout can't be written: No space left on device" in errors


def test_get_tells_when_its_output_file_can_not_be_made(perdura: Perdura, source) -> None:
    perdura.run("put", source[0])
    result = perdura.run("get", "me.png", "--output", "no/where.png", check=False)
    assert result.code == 1 and "no/where.png can't be written" in result.stderr


def test_get_never_leaves_the_media_folder(perdura: Perdura, source) -> None:
    for path in ("../inbox/me.png", str(source[0]), "a/../../inbox/me.png"):
        result = perdura.run("get", path, check=False)
        assert result.code == 1 and result.stdout_bytes == b""
    (perdura.media / "link.png").symlink_to(source[0])
    (perdura.media / "folder").symlink_to(source[0].parent)
    for path in ("link.png", "folder/me.png"):
        result = perdura.run("get", path, check=False)
        assert result.code == 1 and result.stdout_bytes == b""


def test_info_tells_everything(perdura: Perdura, source) -> None:
    file, data = source
    perdura.run("put", file, "a/new\nline.png", "--content-type", "artist", "--object-id", "42", "--variant", "cover")
    info = one(perdura, "a/new\nline.png")
    stat = (perdura.media / "a/new\nline.png").stat()
    assert info["original_path"] == "a/new\nline.png"
    assert info["source_mtime_ns"] == stat.st_mtime_ns
    assert (info["file_size"], info["sha256"]) == (len(data), sha256(data))
    assert (info["state"], info["file"], info["deleted_at"]) == ("persisted", "on disk", None)
    text = perdura.run("info", "a/new\nline.png").stdout
    assert "path           a/new\\nline.png\n" in text
    for part in ("persisted, on disk", "image/png", "64 x 48", sha256(data), "artist 42 cover", "as base64"):
        assert part in text


def test_info_tells_how_the_file_stands(perdura: Perdura, source) -> None:
    perdura.run("put", source[0])
    picture(perdura.media / "me.png", seed=2)
    assert one(perdura, "me.png")["file"] == "on disk, changed"
    (perdura.media / "me.png").unlink()
    assert one(perdura, "me.png")["file"] == "not on disk"
    absent = perdura.run("info", "nowhere.png", check=False)
    assert (absent.code, absent.stderr) == (1, "perdura: nowhere.png is not stored\n")


def paths(perdura: Perdura, *args: str) -> list[str]:
    return [image["original_path"] for image in perdura.run("list", "--json", *args).json]


def test_list_is_in_order_of_path(perdura: Perdura) -> None:
    wanted = ["B.png", "a b.png", "a.png", "a/c.png", "a/new\nline.png", "é.png"]
    for path in reversed(wanted):
        picture(perdura.media / path)
    perdura.run("cache-all")
    assert paths(perdura) == wanted
    assert paths(perdura, "a") == ["a b.png", "a.png", "a/c.png", "a/new\nline.png"]
    assert paths(perdura, "a/") == ["a/c.png", "a/new\nline.png"]
    assert paths(perdura, "%") == []
    assert paths(perdura, "--limit", "2") == wanted[:2]
    assert paths(perdura, "--limit", "2", "--after", "a b.png") == wanted[2:4]
    lines = perdura.run("list", "a/").stdout.splitlines()
    assert len(lines) == 2 and lines[1].endswith("  a/new\\nline.png") and "image/png" in lines[1]


def test_list_hottest_first(perdura: Perdura) -> None:
    for name in "abc":
        picture(perdura.media / f"{name}.png")
    perdura.run("cache-all")
    perdura.database.query(
        "UPDATE image_cache SET last_accessed = now() - interval '1 day' * CASE original_path"
        " WHEN 'b.png' THEN 0 WHEN 'c.png' THEN 1 ELSE 2 END"
    )
    assert paths(perdura, "--hottest") == ["b.png", "c.png", "a.png"]
    assert paths(perdura, "--hottest", "--limit", "1") == ["b.png"]


def test_long_list_comes_in_pages_and_whole(perdura: Perdura) -> None:
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256, last_accessed)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc'), '2026-01-01'::timestamptz + n / 7 * interval '1 us'"
        " FROM generate_series(10000, 12499) n"
    )
    assert paths(perdura) == [f"p{n}" for n in range(10000, 12500)]
    assert paths(perdura, "--hottest") == [f"p{n}" for n in reversed(range(10000, 12500))]
    assert len(paths(perdura, "--limit", "1500")) == 1500
    perdura.database.query("UPDATE image_cache SET deleted_at = last_accessed")
    assert paths(perdura, "--trash") == [f"p{n}" for n in reversed(range(10000, 12500))]
