"""How large an image may be."""

from __future__ import annotations

import images
import pytest
from conftest import Perdura
from files import MIB, fingerprint, names, picture, write

LIMIT = 5 * MIB
KIB = 1024


def test_exactly_the_limit_goes_into_the_row(perdura: Perdura) -> None:
    write(perdura.media / "limit.jpg", images.sized("jpeg", LIMIT, 1))
    before = fingerprint(perdura.media)
    assert before["limit.jpg"].size == 5242880
    perdura.run("cache-all")
    decoded = "SELECT encode(sha256(decode(image_data, 'base64')), 'hex') FROM image_cache"
    assert perdura.database.value(decoded) == before["limit.jpg"].sha256
    (perdura.media / "limit.jpg").unlink()
    perdura.run("restore", "--all")
    assert fingerprint(perdura.media) == before


def test_one_byte_more_is_refused_and_the_others_go_in(perdura: Perdura) -> None:
    write(perdura.media / "large.jpg", images.sized("jpeg", LIMIT + 1, 1))
    for n in range(3):
        picture(perdura.media / f"{n}.png", seed=n)
    result = perdura.run("cache-all", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: large.jpg ") and "5242881" in line
    assert "PERDURA_INLINE_MAX" in line and "PERDURA_LARGE_BUCKET" in line
    assert sorted(image["original_path"] for image in perdura.run("list", "--json").json) == ["0.png", "1.png", "2.png"]
    assert (perdura.media / "large.jpg").stat().st_size == LIMIT + 1


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_put_refuses_it_likewise(perdura: Perdura, dry: tuple[str, ...]) -> None:
    write(perdura.folder / "large.jpg", images.sized("jpeg", LIMIT + 1, 1))
    result = perdura.run("put", "large.jpg", *dry, check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert "PERDURA_INLINE_MAX" in line and "PERDURA_LARGE_BUCKET" in line
    assert names(perdura.media) == set()
    assert perdura.run("status", "--json").json["images"] == 0


def test_limit_can_be_set(perdura: Perdura) -> None:
    write(perdura.media / "small.png", images.sized("png", 6 * KIB, 1))
    write(perdura.media / "large.png", images.sized("png", 6 * KIB + 1, 1))
    result = perdura.run("cache-all", "--inline-max", "6 KiB", check=False)
    assert result.code == 1 and "large.png has 6145 bytes" in result.stderr
    assert perdura.run("status", "--json").json["images"] == 1
    perdura.run("cache-all", env={"PERDURA_INLINE_MAX": "6145"})
    assert perdura.run("status", "--json").json["images"] == 2


def test_stored_image_stays_when_the_limit_shrinks(perdura: Perdura) -> None:
    """What was taken once is given back, whatever the limit says now."""
    data = images.sized("png", 100 * KIB, 1)
    write(perdura.media / "a.png", data)
    before = fingerprint(perdura.media)
    perdura.run("cache-all")
    perdura.env["PERDURA_INLINE_MAX"] = "1 KiB"
    assert perdura.run("cache-all", "--json").json["unchanged"] == 1
    assert perdura.run("check", "--json").json["same"] == 1
    (perdura.media / "a.png").unlink()
    assert perdura.run("get", "a.png").stdout_bytes == data
    (perdura.media / "a.png").unlink()
    perdura.run("restore", "--all")
    assert fingerprint(perdura.media) == before
    assert perdura.run("get", "a.png").stdout_bytes == data


def test_many_large_ones(perdura: Perdura) -> None:
    """Each a batch of its own."""
    for n in range(8):
        write(perdura.media / f"{n}.png", images.sized("png", 3 * MIB + n, n))
    before = fingerprint(perdura.media)
    assert perdura.run("cache-all", "--json").json["cached"] == 8
    for path in before:
        (perdura.media / path).unlink()
    assert perdura.run("restore", "--all", "--json").json["restored"] == 8
    assert fingerprint(perdura.media) == before
