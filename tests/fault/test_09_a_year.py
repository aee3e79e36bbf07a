"""A year with twelve deploys, each with a wiped disk, and the daily cleaning: no image is lost that anybody uses.

The year passes by moving what the store holds into the past (tests/past.py). The app reads its files itself, without
asking Perdura; Linux notes that in their access times.
"""

from __future__ import annotations

import shutil
from collections.abc import Set as AbstractSet

import images
from conftest import Perdura, Served
from past import cleaning_is_due, in_trash, pass_days, read_by_app, wait_for_cleaning
from servers import wait_until

WAIT_S = 120
IMAGES = 1000
MONTH = 30


class App:
    """Its folder on a disk that each deploy wipes, with Perdura beside it."""

    def __init__(self, perdura: Perdura, **env: str) -> None:
        self.perdura = perdura
        self.env = env
        self.contents = {f"{i % 10}/{i}.png": images.make("png", i, 16, 12) for i in range(IMAGES)}
        for path, content in self.contents.items():
            (perdura.media / path).parent.mkdir(parents=True, exist_ok=True)
            (perdura.media / path).write_bytes(content)
        perdura.run("cache-all")
        cleaning_is_due(perdura)

    def live(self) -> set[str]:
        return set(self.contents) - set(in_trash(self.perdura))

    def deploy(self) -> None:
        for entry in self.perdura.media.iterdir():
            shutil.rmtree(entry)

    def on_disk(self) -> set[str]:
        return {path for path in self.contents if (self.perdura.media / path).exists()}

    def run(
        self,
        days: float,
        reads: AbstractSet[str] = frozenset(),
        requests: AbstractSet[str] = frozenset(),
        *,
        check: bool = False,
    ) -> None:
        """So many days later: an instance starts, cleans, is used, and ends. With `check` the app reads all files."""
        pass_days(self.perdura, days)
        http = Served(self.perdura, self.env)
        try:
            wait_for_cleaning(http)
            wait_until(lambda: 'event="files restored"' in http.shown(), WAIT_S, "the end of the restore")
            assert self.on_disk() >= self.live()
            for path in reads:
                read_by_app(self.perdura, path, 0)
            for path in requests:
                assert http.get(f"/media/{path}").body == self.contents[path]
            if check:
                self.nothing_is_lost()
        finally:
            http.stop()

    def nothing_is_lost(self) -> None:
        for path, content in self.contents.items():
            assert (self.perdura.media / path).read_bytes() == content, path


def test_by_default_nothing_is_lost_in_a_year(perdura: Perdura) -> None:
    app = App(perdura)
    perdura.run("rm", "0/990.png")  # somebody deletes one
    app.contents.pop("0/990.png")
    for month in range(12):
        app.deploy()
        app.run(MONTH / 2, check=True)
        if month % 3 == 0:
            app.run(MONTH / 2)
        else:
            pass_days(perdura, MONTH / 2)
    assert perdura.database.query("SELECT count(*), count(deleted_at) FROM image_cache") == [(IMAGES - 1, 0)]
    assert perdura.database.value("SELECT max(extract(day FROM now() - last_accessed)) FROM image_cache") < 2 * MONTH
    app.deploy()
    perdura.run("restore", "--all")
    app.nothing_is_lost()


def test_only_unused_images_are_trashed(perdura: Perdura) -> None:
    app = App(perdura, PERDURA_CLEANUP_DAYS="90")
    paths = sorted(app.contents)
    read, requested, now_and_then, once = (set(paths[i::5]) for i in range(4))
    unused = set(paths[4::5])
    for month in range(8):
        app.deploy()
        last = month == 7
        app.run(MONTH, reads=read | now_and_then | once if last else read, requests=requested if last else set())
    assert in_trash(perdura) == []  # uses were not noted every week
    for week in range(14):
        if week % 4 == 0:
            app.deploy()
        app.run(7, reads=read if week % 4 == 1 else set(), requests=requested if week % 8 == 2 else set())
        if week == 8:
            for path in now_and_then:
                (perdura.media / path).read_bytes()
    for _ in range(9):
        app.run(1)
    assert set(in_trash(perdura)) == unused | once
    app.deploy()
    app.run(1)
    assert app.on_disk() == read | requested | now_and_then
    restored = perdura.run("restore", "--cleaned-up", "--json").json
    assert restored["restored"] == len(unused | once)
    app.nothing_is_lost()
