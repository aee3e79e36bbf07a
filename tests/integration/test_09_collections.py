"""Several folders, each with its own images, in one database."""

from __future__ import annotations

import pytest
from conftest import Perdura
from files import fingerprint, names, picture


@pytest.fixture
def three(perdura: Perdura) -> Perdura:
    """The same paths in three folders, other content in each."""
    perdura.env["PERDURA_COLLECTIONS"] = "avatars=./public/avatars@/avatars, scans=./scans"
    for folder in ("media", "public/avatars", "scans"):
        for path in ("a.png", "b/c.png"):
            picture(perdura.folder / folder / path, seed=(folder, path))
    return perdura


def media_files(perdura: Perdura) -> dict:
    return {path: file for path, file in fingerprint(perdura.folder).items()}


def test_each_folder_comes_back_with_its_own_content(three: Perdura) -> None:
    before = media_files(three)
    assert three.run("cache-all", "--json").json["cached"] == 6
    for path in before:
        (three.folder / path).unlink()
    assert three.run("restore", "--all", "--json").json["restored"] == 6
    assert media_files(three) == before
    assert three.run("check", "--json").json["same"] == 6


def test_one_collection_alone(three: Perdura) -> None:
    assert three.run("cache-all", "--collection", "avatars", "--json").json["cached"] == 2
    status = {c["name"]: c["images"] for c in three.run("status", "--json").json["collections"]}
    assert status == {"avatars": 2}
    three.run("cache-all")
    for path in names(three.folder):
        (three.folder / path).unlink()
    assert three.run("restore", "--all", "--collection", "scans", "--json").json["restored"] == 2
    assert names(three.folder) == {"scans/a.png", "scans/b/c.png"}
    assert three.run("restore", "b/c.png", "--collection", "avatars", "--json").json["restored"] == 1
    assert names(three.folder) == {"scans/a.png", "scans/b/c.png", "public/avatars/b/c.png"}
    assert three.run("check", "--collection", "scans", "--json").json["same"] == 2


def test_commands_for_one_image(three: Perdura) -> None:
    in_avatars = ("--collection", "avatars")
    data = (three.folder / "public/avatars/a.png").read_bytes()
    three.run("cache-all")
    assert three.run("get", "a.png", *in_avatars).stdout_bytes == data
    assert three.run("info", "a.png", "--json", *in_avatars).json["file_size"] == len(data)
    assert len(three.run("list", "--json", *in_avatars).json) == 2
    three.run("rm", "a.png", *in_avatars)
    assert [image["collection"] for image in three.run("list", "--trash", "--json", *in_avatars).json] == ["avatars"]
    assert three.run("list", "--trash", "--json").json == []
    assert "public/avatars/a.png" not in names(three.folder) and "media/a.png" in names(three.folder)
    new = picture(three.folder / "new.png", seed="new")
    three.run("put", "new.png", "d/e.png", *in_avatars)
    assert (three.folder / "public/avatars/d/e.png").read_bytes() == new


def test_problems_name_the_collection(three: Perdura) -> None:
    (three.folder / "scans/bad.png").write_text("no picture")
    (three.folder / "media/bad.png").write_text("no picture")
    result = three.run("cache-all", check=False)
    assert sorted(line.split(" holds ")[0] for line in result.stderr.splitlines()) == [
        "perdura: bad.png",
        "perdura: scans: bad.png",
    ]
    reason = "holds text, not image/png"
    assert three.run("check", check=False).stdout == f"! bad.png  {reason}\n! scans: bad.png  {reason}\n"


def test_status_counts_each(three: Perdura) -> None:
    three.run("cache-all")
    status = three.run("status", "--json").json
    sizes = {name: sum(file.size for path, file in media_files(three).items() if path.startswith(folder))
             for name, folder in (("avatars", "public/"), ("media", "media/"), ("scans", "scans/"))}
    assert {c["name"]: (c["images"], c["bytes"]) for c in status["collections"]} == {
        name: (2, size) for name, size in sizes.items()
    }
    assert (status["images"], status["bytes"]) == (6, sum(sizes.values()))


def test_missing_folder_of_one_does_not_stop_restore(three: Perdura) -> None:
    three.run("cache-all")
    before = media_files(three)
    for path in ("a.png", "b/c.png"):
        (three.folder / "scans" / path).unlink()
    (three.folder / "scans/b").rmdir()
    (three.folder / "scans").rmdir()
    three.run("restore", "--all")
    assert media_files(three) == before


def test_missing_folder_of_one_does_not_keep_the_others_from_being_cached(three: Perdura) -> None:
    (three.folder / "public/avatars").rename(three.folder / "elsewhere")
    result = three.run("cache-all", check=False)
    assert result.code == 1
    assert "./public/avatars" in result.stderr and "PERDURA_COLLECTIONS" in result.stderr
    status = {c["name"]: c["images"] for c in three.run("status", "--json").json["collections"]}
    assert status == {"media": 2, "scans": 2}


def test_collection_that_is_no_longer_named_is_left_alone(three: Perdura) -> None:
    three.run("cache-all")
    del three.env["PERDURA_COLLECTIONS"]
    assert three.run("restore", "--all", "--json").json["present"] == 2
    assert three.run("status", "--json").json["images"] == 6
    assert three.run("fsck", "--json").json["sound"] == 6
