"""Managing what is stored over HTTP: changing rows, forgetting, warming up, restoring what belongs to an entity."""

from __future__ import annotations

from typing import Any

import images
import pytest
from conftest import Served, at_rest
from files import names as all_names
from files import sha256
from http_client import TOKEN, url_of


def names(http: Served) -> set[str]:
    return {name for name in all_names(http.perdura.media) if not name.startswith(".perdura/")}


def id_of(http: Served, path: str) -> int:
    return http.perdura.database.value("SELECT id FROM image_cache WHERE original_path = %s", path)


def patch(http: Served, path: str, **what: Any):
    return http.request("PATCH", f"/image-cache/images/{id_of(http, path)}", what)


def wipe(http: Served) -> None:
    """Once the watch is through with them, too: no file is put back while it looks at one that went."""
    for name in names(http):
        (http.perdura.media / name).unlink()
    assert http.post("/image-cache/flush").status == 200


def test_an_image_is_given_to_an_entity(http: Served) -> None:
    one, two = images.make("png", 1), images.make("png", 2)
    http.put("/media/one.png", one)
    http.put("/media/two.png", two)
    got = patch(http, "one.png", content_type="artist", object_id="42", variant="cover")
    assert got.status == 200
    assert (got.json["content_type"], got.json["object_id"], got.json["variant"]) == ("artist", "42", "cover")
    assert http.get("/api/images/artist/42/cover").body == one
    # the last one that it was given is the entity's, and so it stays when an older one is only written again
    assert patch(http, "two.png", content_type="artist", object_id="42", variant="cover").status == 200
    assert http.get("/api/images/artist/42/cover").body == two
    assert patch(http, "one.png", object_id="43").json["variant"] == "cover"
    assert http.get("/api/images/artist/43/cover").body == one
    assert http.put("/media/two.png?content_type=artist", two).json["unchanged"]
    assert http.get("/api/images/artist/42/cover").body == two


def test_an_image_belongs_to_nothing_any_more(http: Served) -> None:
    data = images.make("png", 1)
    http.put("/media/a.png?content_type=artist&object_id=42&variant=cover", data)
    assert http.get("/api/images/artist/42/cover").body == data
    assert patch(http, "a.png", variant=None).json["variant"] is None
    http.get("/api/images/artist/42/cover").problem(404)
    got = patch(http, "a.png", content_type=None, object_id=None, variant="kept").json
    assert (got["content_type"], got["object_id"], got["variant"]) == (None, None, "kept")
    row = "SELECT content_type, object_id, variant FROM image_cache"
    assert http.perdura.database.query(row) == [(None, None, "kept")]
    assert http.get("/media/a.png").body == data


def test_an_image_goes_into_the_trash_and_back(http: Served) -> None:
    data = images.make("png", 1)
    http.put("/media/a.png", data)
    got = patch(http, "a.png", deleted=True)
    assert got.status == 200 and got.json["deleted_at"]
    assert names(http) == set()
    http.get("/media/a.png").problem(404)
    got = patch(http, "a.png", deleted=False)
    assert got.status == 200 and got.json["deleted_at"] is None
    answer = http.get("/media/a.png")
    assert answer.status == 200 and answer.body == data
    assert patch(http, "a.png", deleted=False).status == 200


def test_a_change_that_cannot_be(http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    before = http.perdura.database.query("SELECT * FROM image_cache")
    number = id_of(http, "a.png")
    for body in ({"path": "b.png"}, {"deleted": "yes"}, {"content_type": ""}, {"content_type": 7}, {"deleted": None}):
        http.request("PATCH", f"/image-cache/images/{number}", body).problem(400)
    http.request("PATCH", f"/image-cache/images/{number}", b"[]").problem(400)
    http.request("PATCH", f"/image-cache/images/{number}", b"{").problem(400)
    http.request("PATCH", f"/image-cache/images/{number + 1}", {"deleted": True}).problem(404)
    http.request("PATCH", f"/image-cache/images/{number}", {"deleted": True}, token=None).problem(401)
    assert http.perdura.database.query("SELECT * FROM image_cache") == before


def test_what_is_remembered_as_absent_is_forgotten(http: Served) -> None:
    """A row of which nobody was told is found at once when the 404 before it is forgotten."""
    http.put("/media/template.png", images.make("png", 1))
    copy = (
        "SET LOCAL session_replication_role = replica;"
        "INSERT INTO image_cache (collection, original_path, image_data, file_size, content_type_header, sha256,"
        " source_mtime, changed_xid) SELECT collection, %s, image_data, file_size, content_type_header, sha256,"
        " source_mtime, '3' FROM image_cache WHERE original_path = 'template.png'"
    )
    cases = [
        ("a b.png", lambda: http.post("/image-cache/invalidate", {"path": "a b.png"})),
        ("c.png", lambda: http.post("/image-cache/invalidate", {"path": "c.png", "collection": "media"})),
        ("d/e/f.png", lambda: http.post("/image-cache/invalidate", {"pattern": "image:path:media:d/*"})),
        ("g.png", lambda: http.post("/image-cache/invalidate", {"pattern": "image:artist:42:*"})),
        ("h.png", lambda: http.post("/image-cache/invalidate", {"pattern": "*"})),
        ("i.png", lambda: http.post("/image-cache/invalidate", {"content_type": "artist", "object_id": "42"})),
        ("j k.png", lambda: http.request("PURGE", url_of("j k.png"))),
    ]
    for path, forget in cases:
        http.get(url_of(path)).problem(404)
        http.perdura.database.query(copy, path)
        answer = forget()
        assert answer.status == 200 and answer.json["others"] == "told", (path, answer)
        assert http.get(url_of(path)).status == 200, path


def test_what_can_not_be_forgotten(http: Served) -> None:
    for body in (
        {},
        {"path": "a.png", "pattern": "*"},
        {"path": "../a.png"},
        {"path": "x" * 5000},
        {"path": "a.png", "collection": "none"},
        {"collection": "media"},
        {"pattern": ["*"]},
        {"all": True},
    ):
        assert http.post("/image-cache/invalidate", body).problem(400), body
    http.request("PURGE", "/media/..%2fa.png").problem(400)
    http.request("PURGE", "/media/a.png", token=None).problem(401)
    http.request("POST", "/image-cache/invalidate", {"pattern": "*"}, token="wrong").problem(401)
    assert "PURGE" in http.request("PATCH", "/media/a.png")["Allow"]


def test_warming_up_puts_the_most_used_ones_back(http: Served) -> None:
    datas = {f"{n}.png": images.make("png", n) for n in range(10)}
    for n, (path, data) in enumerate(datas.items()):
        http.put(url_of(path), data)
        http.perdura.database.query(
            f"UPDATE image_cache SET last_accessed = now() - interval '{n} days' WHERE original_path = %s", path
        )
    wipe(http)
    answer = http.post("/image-cache/warmup", {"images": 4, "dry_run": True})
    assert answer.json["restored"] == 4 and names(http) == set()
    answer = http.post("/image-cache/warmup", {"images": 4})
    assert answer.status == 200 and answer.json["restored"] == 4 and answer.json["kind"] == "warmup"
    assert names(http) == {f"{n}.png" for n in range(4)}
    assert http.post("/image-cache/warmup").json["restored"] == 6
    assert {name: sha256((http.perdura.media / name).read_bytes()) for name in names(http)} == {
        path: sha256(data) for path, data in datas.items()
    }
    for wrong in ({"images": 0}, {"images": "all"}, {"images": 2.5}, {"days": 3}):
        http.post("/image-cache/warmup", wrong).problem(400)


def test_restoring_the_images_of_an_entity(http: Served) -> None:
    for variant in ("cover", "small"):
        http.put(f"/api/images/artist/42/{variant}", images.make("png", variant))
    http.put("/api/images/artist/43/cover", images.make("png", 43))
    wipe(http)
    answer = http.post("/image-cache/restore", {"content_type": "artist", "object_id": "42", "variant": "small"})
    assert answer.json["restored"] == 1 and names(http) == {"artist/42/small.png"}
    answer = http.post("/image-cache/restore", {"content_type": "artist", "object_id": "42"})
    assert answer.json["restored"] == 1 and answer.json["present"] == 1
    assert names(http) == {"artist/42/small.png", "artist/42/cover.png"}
    http.post("/image-cache/restore", {"content_type": "artist", "object_id": "44"}).problem(404)
    for wrong in (
        {"content_type": "artist"},
        {"object_id": "42"},
        {"variant": "cover"},
        {"content_type": "artist", "object_id": "42", "paths": ["a.png"]},
        {"collection": "none"},
    ):
        http.post("/image-cache/restore", wrong).problem(400)


@pytest.mark.parametrize("first", [{}, {"collection": "avatars"}])
def test_restoring_a_collection(serve, first: dict) -> None:
    http = at_rest(serve(PERDURA_COLLECTIONS="avatars=./avatars@/avatars"))
    data = images.make("png", 1)
    for url in ("/media/a.png", "/avatars/a.png"):
        assert http.put(url, data).status == 201
    avatar = http.perdura.folder / "avatars/a.png"
    avatar.unlink()
    wipe(http)
    assert http.post("/image-cache/restore", first).json["restored"] == (1 if first else 2)
    assert avatar.read_bytes() == data
    assert names(http) == (set() if first else {"a.png"})


def test_an_image_of_a_collection_that_is_not_known_here(http: Served) -> None:
    http.put("/api/images/artist/42/cover", images.make("png", 1))
    http.perdura.database.query("UPDATE image_cache SET collection = 'elsewhere'")
    assert "elsewhere" in http.get("/api/images/artist/42/cover").problem(404)
    assert http.request("GET", "/image-cache/images", token=TOKEN).status == 200
