"""Files and one image on the admin page, in Chromium, against the real binary, PostgreSQL and Redis.

BROWSER_ROWS=100000 is the long form of paging.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import images
import pytest
from admin_page import WAIT_S, Page
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.file_detector import UselessFileDetector
from servers import wait_until

ROWS = int(os.environ.get("BROWSER_ROWS", "2000"))
LANGUAGES = ("en", "es", "fa")
KEY = re.compile(r"\b(?:images?|job)\.[a-z][a-z.-]+")
PIXEL = images.make("png", "pixel", 4, 4)
HOSTILE = "<img src=x onerror=alert(1)>.png"
SCRIPTED = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40" onload="alert(1)"><script>top.ran = 1; alert(1)</script>'
    '<rect width="60" height="40" fill="teal"/><image href="x" onerror="alert(1)"/></svg>'
).encode()

INSERT = """
INSERT INTO image_cache (collection, original_path, content_type, object_id, variant, image_data, file_size,
                         content_type_header, sha256, width, height, created_at, last_accessed, access_count)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 4, 4, %s, %s, 3)
"""

MANY = """
INSERT INTO image_cache (collection, original_path, image_data, file_size, content_type_header, sha256, width, height,
                         created_at, last_accessed)
SELECT 'media', format('many/%%s/%%s.png', n / 100, lpad(n::text, 7, '0')), %s, %s, 'image/png', %s, 4, 4,
       now() - n * interval '1 minute', now() - n * interval '1 hour'
FROM generate_series(1, %s) AS n
"""


def insert(page: Page, path: str, data: bytes = PIXEL, mime: str = "image/png", **about: Any) -> None:
    """A row as another instance would have stored it: there is no file."""
    page.perdura.database.query(
        INSERT,
        about.get("collection", "media"),
        path,
        about.get("content_type"),
        about.get("object_id"),
        about.get("variant"),
        base64.b64encode(data).decode(),
        len(data),
        mime,
        hashlib.sha256(data).digest(),
        about.get("created", "2026-01-10 12:00Z"),
        about.get("accessed", "2026-01-10 12:00Z"),
    )


def insert_many(page: Page, count: int) -> None:
    page.perdura.database.query(MANY, base64.b64encode(PIXEL).decode(), len(PIXEL), hashlib.sha256(PIXEL).digest(), count)


def a_few(page: Page) -> None:
    """What differs in everything that can be looked for."""
    insert(page, "avatars/7/me.png", content_type="user", object_id="7", variant="avatar", created="2026-03-01Z")
    insert(page, "avatars/8/Me too.jpg", images.make("jpeg", 8), "image/jpeg", content_type="user", object_id="8")
    insert(page, "covers/blue.webp", images.make("webp", 1, 640, 480), "image/webp", content_type="artist", object_id="7")
    insert(page, "covers/large.png", images.sized("png", 40000, 1), accessed="2026-02-20Z")
    insert(page, "covers/old.gif", images.make("gif", 1), "image/gif", created="2025-06-01Z", accessed="2025-06-01Z")
    insert(page, "logo.svg", images.make("svg", 1), "image/svg+xml")
    insert(page, "elsewhere.png", collection="others")
    insert(page, "thrown/away.png")
    insert(page, "thrown/too.png", collection="others")
    page.perdura.database.query("UPDATE image_cache SET deleted_at = now() WHERE original_path LIKE 'thrown/%%'")


def open_images(page: Page, **filter: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in filter.items())
    page.open(f"#/images?{query}" if query else "#/images")
    page.until(lambda: not page.all("[data-do=more][aria-disabled=true]"), "a list that is complete")


def shown(page: Page) -> list[str]:
    """The paths, in their order, of either view."""
    return page.script(
        "return [...document.querySelectorAll('.image-card .image-thumb, .image-table th a')]"
        ".map((a) => a.getAttribute('aria-label') ?? a.textContent)"
    )


def shows(page: Page, *paths: str) -> None:
    """In whatever order."""
    page.until(lambda: sorted(shown(page)) == sorted(paths), f"{sorted(paths)}; there are {sorted(shown(page))}")


def shows_in_order(page: Page, *paths: str) -> None:
    page.until(lambda: shown(page) == list(paths), f"{paths}")


def stored(page: Page, condition: str = "deleted_at IS NULL") -> list[str]:
    rows = page.perdura.database.query(f"SELECT original_path FROM image_cache WHERE {condition} ORDER BY 1")
    return [path for (path,) in rows]


def id_of(page: Page, path: str) -> int:
    return page.perdura.database.query("SELECT id::int FROM image_cache WHERE original_path = %s", path)[0][0]


def set_field(page: Page, name: str, value: str) -> None:
    """As by hand: a date field takes its parts in the order of the reader's country."""
    if page.script("return !document.querySelector('.images-more').open") and name not in ("q", "state", "order"):
        page.click(".images-more summary")
    # What can be chosen is asked for when the page is there.
    has = (
        "const f = document.querySelector(`.images-form [name=${arguments[0]}]`);"
        "return f.localName !== 'select' || [...f.options].some((one) => one.value === arguments[1])"
    )
    page.until(lambda: page.script(has, name, value), f"{value} among {name}")
    page.script(
        "const f = document.querySelector(`.images-form [name=${arguments[0]}]`); f.focus(); f.value = arguments[1];"
        "f.dispatchEvent(new Event('input', {bubbles: true})); f.dispatchEvent(new Event('change', {bubbles: true}))",
        name,
        value,
    )


def choose_file(page: Page, file: Path) -> None:
    """In the file field; selenium would have it copied to where the browser is, which is here."""
    def chosen() -> bool:
        fields = page.all("input[type=file]")
        for field in fields[:1]:
            field.send_keys(str(file))
        return bool(fields)

    with page.driver.file_detector_context(UselessFileDetector):
        page.until(chosen, "the field")


def box(path: str) -> str:
    return f".image-results input[aria-label='Select {path}']"


def run_bulk(page: Page, action: str, word: str = "") -> None:
    """Presses the action's button, looks at what would be done, goes ahead, and waits for the end."""
    page.click(f".images-bulk [data-do={action}]")
    page.sees("This would happen:", "dialog")
    page.screenshot(f"images-bulk-{action}")
    if word:
        yes = page.find("dialog form [type=submit]")
        assert not yes.is_enabled()
        page.type("dialog input", word)
    page.click("dialog form [type=submit]")
    page.sees("Done", "dialog .notice")
    page.press("Close", "dialog .dialog-foot")
    page.sees_no("dialog")


# Looking for


def test_each_filter(page: Page) -> None:
    a_few(page)
    open_images(page)
    live = ("avatars/7/me.png", "avatars/8/Me too.jpg", "covers/blue.webp", "covers/large.png", "covers/old.gif", "logo.svg", "elsewhere.png")
    shows(page, *live)
    page.sees("7 images found.", ".images-said")
    expected = {
        ("q", "me"): ("avatars/7/me.png", "avatars/8/Me too.jpg"),
        ("q", "covers/"): ("covers/blue.webp", "covers/large.png", "covers/old.gif"),
        ("collection", "others"): ("elsewhere.png",),
        ("mime", "image/svg+xml"): ("logo.svg",),
        ("content_type", "user"): ("avatars/7/me.png", "avatars/8/Me too.jpg"),
        ("object_id", "7"): ("avatars/7/me.png", "covers/blue.webp"),
        ("min_size", "30"): ("covers/large.png",),
        ("max_size", "0.2"): ("avatars/7/me.png", "elsewhere.png"),
        ("accessed_after", "2026-02-01"): ("covers/large.png",),
        ("accessed_before", "2025-12-01"): ("covers/old.gif",),
        ("created_after", "2026-02-01"): ("avatars/7/me.png",),
        ("created_before", "2025-12-01"): ("covers/old.gif",),
        ("state", "trash"): ("thrown/away.png", "thrown/too.png"),
    }
    assert len(PIXEL) < 0.2 * 1024
    for (name, value), paths in expected.items():
        set_field(page, name, value)
        shows(page, *paths)
        assert f"{name}=" in page.script("return location.hash"), "kept in the address"
        if name == "state":
            set_field(page, name, "live")
        else:
            page.click(".images-chips .chip")
        shows(page, *live)

    # Several at a time, and after a reload.
    set_field(page, "content_type", "user")
    set_field(page, "q", "me.")
    shows(page, "avatars/7/me.png")
    page.reload()
    shows(page, "avatars/7/me.png")
    assert len(page.all(".images-chips .chip")) == 2
    page.press("Remove all filters", ".images-chips")
    shows(page, *live)
    set_field(page, "q", "nothing like this")
    page.sees("No image matches.", ".empty")
    page.press("Show all images", ".empty")
    shows(page, *live)
    set_field(page, "state", "large")
    page.sees("Object storage holds no images.", ".empty")
    page.assert_nothing_refused()


def test_each_order_and_shortcuts(page: Page) -> None:
    a_few(page)
    open_images(page, q="covers/")
    shows_in_order(page, "covers/blue.webp", "covers/large.png", "covers/old.gif")
    set_field(page, "order", "largest")
    shows_in_order(page, "covers/large.png", *sorted(["covers/blue.webp", "covers/old.gif"], key=lambda p: -len(page.http.get("/media/" + p).body)))
    page.perdura.database.query(
        "UPDATE image_cache SET last_accessed = '2026-01-01Z'::timestamptz + (id * id % 7) * interval '1 day'"
    )
    open_images(page)
    for name, order in {"newest": "id DESC", "hottest": "last_accessed DESC, access_count DESC, id DESC"}.items():
        set_field(page, "order", name)
        rows = page.perdura.database.query(f"SELECT original_path FROM image_cache WHERE deleted_at IS NULL ORDER BY {order}")
        shows_in_order(page, *(path for (path,) in rows))
    page.perdura.database.query("UPDATE image_cache SET created_at = now() - interval '3 days'")
    page.press("Stored since yesterday")
    page.sees("No image matches.", ".empty")
    page.press("Not used for 90 days")
    assert "accessed_before=" in page.script("return location.hash")


def test_paging(page: Page) -> None:
    insert_many(page, ROWS)
    page.script("localStorage.setItem('perdura.images.view', 'grid')")
    open_images(page)
    page.sees(f"60 of {ROWS:,} images shown.", ".images-said")
    # By scrolling, up to a point; from there on by the button, so that the page has an end. What is far away is taken out
    # of the page and comes again: all that is ever in it is noted.
    page.script(
        "const all = window.seen = new Map();"
        "const note = (node) => node.querySelectorAll?.('.image-thumb').forEach((a) => all.set(a.getAttribute('aria-label'), a.href));"
        "note(document); new MutationObserver((changes) => changes.forEach((c) => c.addedNodes.forEach(note)))"
        ".observe(document.querySelector('main'), {childList: true, subtree: true})"
    )
    for wanted in (120, 180):
        page.script("scrollTo(0, document.documentElement.scrollHeight)")
        page.until(lambda: page.script("return window.seen.size") >= wanted, f"{wanted} images")  # noqa: B023
    page.driver.set_script_timeout(WAIT_S + ROWS / 50)
    page.wait_script(
        "const b = document.querySelector('.images-end button');"
        "for (;;) { if (b.hidden) return; if (b.ariaDisabled !== 'true') b.click(); await new Promise((go) => setTimeout(go)); }"
    )
    page.sees(f"{ROWS:,} images found.", ".images-said")
    paths = page.script("return [...window.seen.keys()]")
    assert len(paths) == ROWS and paths == sorted(paths)
    page.until(lambda: len(shown(page)) < 1200, "no more than what is near")

    # On to one of them, and back to where it was.
    page.script("document.querySelectorAll('.image-grid')[25].scrollIntoView()")
    page.until(lambda: paths[1500] in shown(page), "the images that are near")
    page.click(f".image-thumb[aria-label='{paths[1500]}']")
    page.sees(paths[1500].split("/")[-1], "h1")
    page.click("[aria-label^='Next']")
    page.sees(paths[1501].split("/")[-1], "h1")
    page.driver.back()
    page.sees(paths[1500].split("/")[-1], "h1")
    page.press("All images")
    if ROWS <= 5000:  # as many as are shown again at once
        page.sees(f"{ROWS:,} images found.", ".images-said")
        page.until(lambda: page.find(f".image-thumb[aria-label='{paths[1500]}']"), "the image that was left")
        assert page.script("return scrollY") > 1000


def test_few_among_many_are_found_without_a_hand(page: Page) -> None:
    """The server looks at 10,000 rows at a time, and tells how far it got."""
    insert_many(page, 25000)
    insert(page, "zz/last.png", images.sized("png", 5000, 2), created="2020-01-01Z", accessed="2020-01-01Z")
    open_images(page, min_size="4000", order="newest")
    shows(page, "zz/last.png")
    page.sees("One image found.", ".images-said")


def test_table_and_grid(page: Page) -> None:
    a_few(page)
    open_images(page)
    page.click(".images-views [data-view=list]")
    page.sees("Belongs to", "thead")
    page.sees("user / 7 / avatar", "tbody")
    page.reload()
    page.sees("Belongs to", "thead")
    page.click(".images-views [data-view=grid]")
    page.until(lambda: page.all(".image-grid"), "previews")
    # What can be seen is loaded, all of it from here.
    page.until(
        lambda: page.script("return [...document.querySelectorAll('.image-grid img')].filter((i) => i.naturalWidth > 0).length") == 7,
        "seven previews",
    )
    before = page.perdura.database.query("SELECT sum(access_count)::int FROM image_cache")
    assert page.http.get("/image-cache/status").status == 200
    assert page.perdura.database.query("SELECT sum(access_count)::int FROM image_cache") == before, "to look is not to use"


# Choosing, and doing something with what was chosen


def test_choosing(page: Page) -> None:
    insert_many(page, 130)
    open_images(page)
    page.script("localStorage.clear()")
    paths = shown(page)
    said = lambda: page.text(".images-chosen")  # noqa: E731
    page.click(box(paths[1]))
    page.until(lambda: said() == "One selected", "one")
    ActionChains(page.driver).key_down(Keys.SHIFT).click(page.find(box(paths[4]))).key_up(Keys.SHIFT).perform()
    page.until(lambda: said() == "4 selected", "a range by the mouse")
    # By keyboard: arrows go, Shift with them chooses, Space changes one, Escape gives all up.
    page.keys(Keys.ARROW_RIGHT)
    assert page.focused().get_attribute("aria-label") == f"Select {paths[5]}"
    assert said() == "4 selected"
    page.keys(Keys.SPACE)
    page.until(lambda: said() == "5 selected", "one more by Space")
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    page.until(lambda: said() == "7 selected", "two more by Shift and an arrow")
    page.keys(Keys.ARROW_DOWN)
    below = page.focused().get_attribute("aria-label")
    page.keys(Keys.ARROW_UP, Keys.HOME)
    assert page.focused().get_attribute("aria-label") == f"Select {paths[0]}" != below
    page.keys(Keys.ESCAPE)
    page.until(lambda: said() == "", "none")
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.until(lambda: re.fullmatch(r"\d+ selected", said()), "all that are shown")
    page.press("Select all 130", ".images-bulk")
    page.until(lambda: said() == "All 130 are selected", "all")
    assert page.all(".image-card.chosen input:not(:checked)") == []
    page.click(".images-bulk [data-do=clear]")
    page.until(lambda: not page.all(".chosen"), "none")


def test_restore_of_some_and_trash_and_back(page: Page) -> None:
    a_few(page)
    media = page.perdura.media
    open_images(page, q="avatars/")
    for path in ("avatars/7/me.png", "avatars/8/Me too.jpg"):
        page.click(box(path))
    run_bulk(page, "restore")
    assert (media / "avatars/7/me.png").read_bytes() == PIXEL
    assert (media / "avatars/8/Me too.jpg").exists() and not (media / "logo.svg").exists()

    page.until(lambda: shown(page) and not page.all(".chosen"), "a list that was read anew")
    page.click(box("avatars/7/me.png"))
    run_bulk(page, "invalidate")
    assert stored(page, "original_path = 'avatars/7/me.png' AND deleted_at IS NULL")

    page.until(lambda: shown(page) and not page.all(".chosen"), "a list that was read anew")
    page.click(box("avatars/7/me.png"))
    run_bulk(page, "trash")
    shows(page, "avatars/8/Me too.jpg")
    assert not (media / "avatars/7/me.png").exists()
    assert page.http.get("/media/avatars/7/me.png").status == 404
    set_field(page, "state", "trash")
    shows(page, "avatars/7/me.png")
    page.click(box("avatars/7/me.png"))
    run_bulk(page, "undelete")
    page.sees("No image matches.", ".empty")
    assert page.http.get("/media/avatars/7/me.png").body == PIXEL
    page.assert_nothing_refused()


def test_all_that_match_and_purge(page: Page) -> None:
    insert_many(page, 150)
    insert(page, "kept.png")
    open_images(page, q="many/")
    page.click(".images-bulk input")
    page.press("Select all that match", ".images-bulk")
    page.sees("All that match are selected", ".images-bulk")
    run_bulk(page, "trash")
    page.sees("No image matches.", ".empty")
    assert stored(page) == ["kept.png"]

    # For good, and only what is meant; the word has to be typed.
    page.open("#/images?state=trash&q=many/0/")
    page.until(lambda: len(shown(page)) >= 60, "what lies in the trash")
    page.click(".images-bulk input")
    page.press("Select all that match", ".images-bulk")
    run_bulk(page, "purge", "delete")
    assert len(stored(page, "true")) == 150 - 99 + 1

    # The whole trash.
    page.open("#/images?state=trash")
    page.until(lambda: shown(page), "what is left")
    page.until(lambda: not page.all("[data-do=more][aria-disabled=true]"), "a list that is complete")
    page.click(".images-bulk input")
    run_bulk(page, "purge", "delete")
    page.sees("The trash is empty.", ".empty")
    assert stored(page, "true") == ["kept.png"]


def downloaded(saved: Path, pattern: str) -> Path:
    """The file of that name once all of it has come: Chromium holds the name with an empty file and writes
    beside it, into one that ends in .crdownload, which takes the name at the end."""

    def whole() -> Path | None:
        if any(saved.glob("*.crdownload")):
            return None
        return next((file for file in saved.glob(pattern) if file.stat().st_size), None)

    return wait_until(whole, WAIT_S, f"the download of {pattern}")


def test_download(page: Page, folder: Path) -> None:
    a_few(page)
    saved = folder / "saved"
    saved.mkdir()
    page.browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    open_images(page, q="avatars/")
    page.click(".images-bulk input")
    page.click(".images-bulk [data-do=download]")
    archive = downloaded(saved, "images.zip")
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert sorted(opened.namelist()) == ["media/avatars/7/me.png", "media/avatars/8/Me too.jpg"]
        assert opened.read("media/avatars/7/me.png") == PIXEL
    page.click(".images-bulk [data-do=clear]")
    page.click(box("avatars/8/Me too.jpg"))
    page.click(".images-bulk [data-do=download]")
    single = downloaded(saved, "Me too*.jpg")
    assert single.read_bytes() == images.make("jpeg", 8)


# One image


def test_one_image(page: Page) -> None:
    a_few(page)
    page.open(f"#/images/{id_of(page, 'avatars/7/me.png')}")
    page.sees("me.png", "h1")
    page.until(lambda: page.script("return document.querySelector('.image-canvas img')?.naturalWidth") == 4, "its preview")
    row = page.http.get(f"/image-cache/images/{id_of(page, 'avatars/7/me.png')}").json
    facts = {
        name: page.text(f"[data-column={name}] dd")
        for name in page.script("return [...document.querySelectorAll('[data-column]')].map((e) => e.dataset.column)")
    }
    for name in ("original_path", "collection", "content_type", "object_id", "variant", "sha256", "content_type_header"):
        assert facts[name] == row[name]
    assert facts["access_count"] == "3" and facts["width"] == "4" and str(len(PIXEL)) in facts["file_size"]
    assert set(facts) >= set(row) - {"url", "tiers", "history", "source_mtime_ns"}, "every column"
    page.sees("missing", "[data-tier=disk]")
    page.sees("yes", "[data-tier=db]")
    page.press("Restore to disk")
    page.sees("The file is back on disk.", ".toasts")
    page.until(lambda: page.all("[data-tier=disk][data-state=current]"), "a file that is there")
    assert (page.perdura.media / "avatars/7/me.png").read_bytes() == PIXEL
    page.press("Refresh caches")
    page.sees("All instances have been told to ask anew.", ".toasts")
    assert page.find("[data-link=own] a").get_attribute("href").endswith("/media/avatars/7/me.png")

    # What it belongs to.
    page.type("[name=object_id]", "99")
    page.press("Save")
    page.sees("Saved.", ".toasts")
    assert page.http.get("/api/images/user/99/avatar").body == PIXEL
    page.sees("/api/images/user/99/avatar", "[data-link=entity]")
    for name in ("content_type", "object_id", "variant"):
        page.type(f"[name={name}]", " ")
    page.press("Save")
    page.sees_no("[data-link=entity]")
    page.http.get("/api/images/user/99/avatar").problem(404)
    page.open("#/images/987654321")
    page.sees("This image is not stored.")
    page.assert_nothing_refused()


def test_replace(page: Page, folder: Path) -> None:
    insert(page, "covers/a b.png")
    url = "/media/covers/a%20b.png"
    new, other = images.make("png", "new", 30, 20), images.make("png", "other", 8, 8)
    (folder / "new.png").write_bytes(new)
    (folder / "no image.png").write_text("no image")
    page.open(f"#/images/{id_of(page, 'covers/a b.png')}")
    page.sees("covers/a b.png")
    choose_file(page, folder / "new.png")
    page.press("Replace the image")
    page.sees("The image was replaced.", ".toasts")
    assert page.http.get(url).body == new
    page.until(lambda: page.script("return document.querySelector('.image-canvas img')?.naturalWidth") == 30, "the new preview")
    page.sees("30 × 20", "figcaption")

    # Somebody else was quicker: it is shown before it is replaced. The page looks for changes now and then, from its start.
    page.reload()
    page.sees("30 × 20", "figcaption")
    choose_file(page, folder / "new.png")
    page.find("main .primary")
    assert page.http.put(url, other).status == 200
    page.press("Replace the image")
    page.sees("Somebody changed the image in the meantime.")
    assert page.http.get(url).body == other
    page.until(lambda: page.script("return document.querySelector('.image-canvas img')?.naturalWidth") == 8, "what it is now")
    page.press("Replace the image")
    page.until(lambda: page.http.get(url).body == new, "the replaced image")

    choose_file(page, folder / "no image.png")
    page.press("Replace the image")
    page.sees("the body holds text", ".notice.error")
    assert page.http.get(url).body == new
    page.assert_nothing_refused()


def test_too_large_an_image_is_refused_in_words(page: Page, folder: Path) -> None:
    insert(page, "a.png")
    (folder / "large.png").write_bytes(images.sized("png", 20 << 20, 1))
    page.open(f"#/images/{id_of(page, 'a.png')}")
    page.sees("a.png", "h1")
    choose_file(page, folder / "large.png")
    page.press("Replace the image")
    page.sees("PERDURA_INLINE_MAX", ".notice.error")


def test_one_image_to_the_trash_and_back_and_gone(page: Page) -> None:
    insert(page, "a.png")
    insert(page, "b.png")
    open_images(page)
    page.click(".image-card a")
    page.sees("a.png", "h1")
    page.press("Move to trash")
    page.press("Cancel", "dialog form")
    page.press("Move to trash")
    page.press("Move to trash", "dialog form")
    page.sees("This image is in the trash.")
    page.until(lambda: page.script("return document.querySelector('.image-canvas img')?.naturalWidth") == 4, "its preview")
    assert page.http.get("/media/a.png").status == 404
    page.press("Bring back")
    page.sees("The image is back.", ".toasts")
    assert page.http.get("/media/a.png").status == 200
    page.press("Move to trash")
    page.press("Move to trash", "dialog form")
    page.press("Delete for good")
    page.type("dialog input", "delete")
    page.press("Delete for good", "dialog form")
    page.sees("Files", "h1")
    shows(page, "b.png")
    assert stored(page, "true") == ["b.png"]


# Hostile


def test_nothing_that_is_stored_runs(page: Page) -> None:
    """Names, images with scripts in them, and a content type that is none of an image."""
    insert(page, HOSTILE)
    insert(page, "script.svg", SCRIPTED, "image/svg+xml", content_type="<script>alert(1)</script>", object_id="'\"><b>")
    insert(page, "page.html", b"<script>window.ran = 1; alert(1)</script><h1>hello</h1>", "text/html")
    insert(page, "javascript:alert(1)//.png")
    for view in ("grid", "list"):
        page.script("localStorage.setItem('perdura.images.view', arguments[0])", view)
        page.open("#/settings")
        open_images(page)
        shows(page, HOSTILE, "script.svg", "page.html", "javascript:alert(1)//.png")
    ids = {path: id_of(page, path) for path in stored(page)}
    for path, id in ids.items():
        page.open(f"#/images/{id}")
        page.until(lambda: page.script("return document.querySelector('h1').textContent") == path.split("/")[-1], path)  # noqa: B023
        assert page.script("return document.querySelectorAll('main :is(script, iframe, object, embed)').length") == 0
    page.open("#/images?content_type=" + "%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    page.sees("<script>", ".images-chips")
    shows(page, "script.svg")
    assert page.script("return window.ran ?? null") is None
    page.assert_nothing_refused()

    # Somebody opens the bytes themselves, on the page's own origin.
    base = page.url.removesuffix("admin/")
    for id in ids.values():
        page.driver.get(f"{base}image-cache/images/{id}/content")
        assert page.script("return window.ran ?? window.top.ran ?? null") is None
        assert not page.all("h1"), "no page is made of it"
    page.driver.get(page.url)
    assert not [line for line in page.console() if "alert" in line]


# How it looks, and for whom


PLACES = {
    "images-grid": "#/images",
    "images-list": "#/images?order=newest",
    "images-trash": "#/images?state=trash",
    "images-filter": "#/images?q=covers/&min_size=10",
    "images-none": "#/images?q=nothing",
}


def looked_at(page: Page) -> None:
    a_few(page)
    for i, kind in enumerate(("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "ico", "svg", "jpeg", "png", "svg")):
        insert(page, f"products/2026/{kind}-{i}.{images.ENDINGS[kind][0]}", images.make(kind, i, 320, 240), images.MIMES[kind], content_type="loyalty.product", object_id=str(i), variant="cover")
    insert(page, HOSTILE)
    page.http.get("/media/products/2026/jpeg-0.jpg")


def test_each_page_in_each_language_theme_and_width(page: Page) -> None:
    """No key without a text, nothing wider than the window, nothing that the page's policy refused. Where screenshots are
    kept, each is taken in all ways; else a language in one width has to do."""
    looked_at(page)
    jpeg, away = id_of(page, "products/2026/jpeg-0.jpg"), id_of(page, "thrown/away.png")
    places = {**PLACES, "image": f"#/images/{jpeg}", "image-trash": f"#/images/{away}"}
    keeps = bool(os.environ.get("SCREENSHOTS"))
    for language, width in itertools.product(LANGUAGES, (1280, 360)):
        if not keeps and (language == "en") != (width == 1280):
            continue
        page.language(language)
        page.size(width)
        for name, hash in places.items():
            page.script("localStorage.setItem('perdura.images.view', arguments[0])", "list" if name == "images-list" else "grid")
            page.open(hash)
            page.until(lambda: page.all(".image-results:not([hidden]), .image-page, .empty"), hash)
            assert not KEY.search(page.text("body")), name
            assert page.script("return document.documentElement.scrollWidth") <= width, (name, language, width)
            for scheme in ("light", "dark") if keeps else ():
                page.prefer(scheme)
                page.wait_script("await new Promise((go) => setTimeout(go, 200))")  # colours fade over
                page.screenshot(f"{name}-{language}-{scheme}-{width}")
    page.assert_nothing_refused()


@pytest.mark.parametrize("scheme,language,width", [("light", "en", 1280), ("dark", "fa", 360)])
def test_axe_finds_nothing(page: Page, scheme: str, language: str, width: int) -> None:
    looked_at(page)
    page.language(language)
    page.size(width)
    page.prefer(scheme)
    for view in ("grid", "list"):
        page.script("localStorage.setItem('perdura.images.view', arguments[0])", view)
        page.open("#/settings")
        open_images(page)
        page.until(lambda: page.all(".image-results:not([hidden])"), "images")
        page.click(".image-results input")
        page.assert_accessible()
    open_images(page, min_size="10", collection="media", mime="image/png")
    page.assert_accessible()
    open_images(page, q="nothing")
    page.until(lambda: page.all(".empty"), "that there is none")
    page.assert_accessible()
    for path in ("products/2026/jpeg-0.jpg", "thrown/away.png"):
        page.open(f"#/images/{id_of(page, path)}")
        page.until(lambda: page.all(".image-page"), path)
        page.assert_accessible()
    page.click("main [data-do=purge]")
    page.find("dialog input")
    page.assert_accessible()


# Trouble


def test_it_goes_on_when_the_database_is_back(page: Page) -> None:
    a_few(page)
    open_images(page, q="covers/")
    shows(page, "covers/blue.webp", "covers/large.png", "covers/old.gif")
    server = page.perdura.database.server
    server.stop("immediate")
    set_field(page, "q", "avatars/")
    page.sees("This page tries again by itself.", "main")
    page.sees("PostgreSQL does not answer.", ".banner")
    server.start()
    shows(page, "avatars/7/me.png", "avatars/8/Me too.jpg")
    page.sees_no(".banner .notice")
