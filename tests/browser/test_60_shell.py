"""The admin page's shell, and its pages but those of images, in Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import images
import pytest
from admin_page import PASSWORD, SETTINGS, WAIT_S, Page, fresh
from chromium import Chromium
from http_client import HttpClient
from selenium.webdriver.common.keys import Keys
from past import age
from servers import Redis, free_port, wait_until
from uploads import ORIGINS, upload

if TYPE_CHECKING:
    from conftest import Perdura, Served

PAGES = {
    "overview": "#/",
    "actions": "#/actions",
    "jobs": "#/jobs",
    "uploads": "#/uploads",
    "settings": "#/settings",
}
LANGUAGES = ("en", "es", "fa")
ROOMS = "overview|attention|actions|jobs?|uploads|settings|nav|shell|down|tiers?|chart|files"
KEY = re.compile(rf"\b(?:{ROOMS})\.[a-z][a-z.-]+")
PAGE_BYTES = 60 * 1024
NOTE_DIALOG = """
window.noted = [];
new MutationObserver(() => noted.push(document.querySelector("dialog")?.innerText ?? ""))
    .observe(document.body, {subtree: true, childList: true, characterData: true});
"""  # what is seen for a moment, too
SLOW = 100  # files whose rows are locked: a few threads wait some seconds for each


def fill(page: Page, count: int = 12) -> None:
    """Images in two folders and a text that claims to be one; waits until the page's server has stored what it can."""
    for i in range(count):
        file = page.perdura.media / ("avatars" if i % 2 else "covers") / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(images.make("png", i))
    (page.perdura.media / "notes.png").write_text("no image at all")
    told = lambda: page.http.get("/image-cache/status").json  # noqa: E731
    wait_until(lambda: told()["images"] == count and told()["watch"]["failed"] == 1, WAIT_S, "stored images")


def signed_in(page: Page) -> bool:
    return page.wait_script("return (await fetch('session', {cache: 'no-store'})).status") == 200


# Login


def test_login_and_its_refusals(visit: Callable[..., Page]) -> None:
    page = visit()
    page.open()
    page.sees("Administrator password")
    page.screenshot("login")
    assert page.focused().get_attribute("id") == "password"
    page.type("#password", "wrong", Keys.ENTER)
    page.sees("That is not the password.", "[role=alert]")
    assert page.focused().get_attribute("id") == "password"
    page.type("#password", PASSWORD, Keys.ENTER)
    page.find("#logout")
    page.reload()
    page.sees("Overview", "h1")

    # What nobody may see without a session is asked for again, once somebody is there.
    page.open("#/settings")
    page.sees("PERDURA_MEDIA_ROOT", "main")
    page.wait_script(
        "const {csrf} = await (await fetch('session')).json();"
        "await fetch('logout', {method: 'POST', headers: {'X-CSRF-Token': csrf}})"
    )
    page.script("location.hash = '#/uploads'")
    page.find("#password")
    page.sees("Your session has ended")
    assert "PERDURA_MEDIA_ROOT" not in page.text("body")
    page.type("#password", PASSWORD, Keys.ENTER)
    page.sees("Uploads", "h1")

    page.press("Log out")
    page.sees("You have logged out.")
    assert not signed_in(page)
    page.driver.back()
    page.find("#password")
    page.assert_nothing_refused()


def test_too_many_attempts(visit: Callable[..., Page]) -> None:
    page = visit()
    page.open()
    for _ in range(6):
        page.type("#password", "guess", Keys.ENTER)
        page.until(lambda: page.find("form button").is_enabled() and page.all("[role=alert] p"), "an answer")
        if "Too many" in page.text("[role=alert]"):
            break
    page.sees("Too many attempts. Try again in", "[role=alert]")


def test_without_a_password_it_says_what_to_set(visit: Callable[..., Page]) -> None:
    page = visit(PERDURA_ADMIN_PASSWORD="")
    page.open()
    page.type("#password", "anything", Keys.ENTER)
    page.sees("PERDURA_ADMIN_PASSWORD", "[role=alert]")


def test_login_over_plain_http_says_that_it_does_not_last(visit: Callable[..., Page]) -> None:
    page = visit()
    page.load(page.url.replace("127.0.0.1", "elsewhere.example"))
    page.sees("by https, or on localhost")
    page.type("#password", PASSWORD, Keys.ENTER)
    page.sees("Your session has ended", "[role=alert]")
    page.sees("by https, or on localhost")


def test_link_of_dev_logs_in_once(chromium: Chromium, offline: Perdura) -> None:
    offline.binary = offline.binary.with_name("perdura-dev")
    dev = offline.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert dev.stdout
    found = None
    while not found:
        line = dev.stdout.readline().decode()
        assert line, "it ended"
        found = re.search(r"http://127\.0\.0\.1:(\d+)/admin/#login=[\w-]+", line)
    drain = threading.Thread(target=dev.stdout.read, daemon=True)
    drain.start()
    with fresh(chromium):
        page = Page(chromium, HttpClient("127.0.0.1", int(found[1])))
        page.driver.get(found[0])
        page.sees("Overview", "h1")
        assert "login" not in page.driver.current_url
        page.press("Log out")
        page.find("#password")
        page.driver.get("about:blank")
        page.driver.get(found[0])
        page.sees("This login link is no longer valid.")
    dev.terminate()
    dev.wait(WAIT_S)
    drain.join()


# Pages


def test_overview_tells_what_needs_attention_first(page: Page) -> None:
    page.sees("No image is stored yet")
    fill(page)
    page.look_again()
    page.sees("1 file could not be stored", ".attention")
    page.sees("notes.png", "#files")
    page.sees("12", ".figures")
    page.sees("media", "main")
    for _ in range(3):
        assert page.http.get("/media/covers/0.png").status == 200
    text = page.text()
    for part in ("PostgreSQL", "Redis", "Folder watcher", "Collections", "Where images are found"):
        assert part in text, part
    words = {"events": "Watching", "rescanning": "Searching", "polling": "Now and then"}

    def told_mode() -> str:
        """Others may hold all of the system's watches."""
        mode = page.http.get("/image-cache/status").json["watch"]["mode"]
        return mode if words[mode] in page.text() else ""

    mode = page.until(told_mode, "what the watcher does")
    page.click(".attention a", "could not be stored")
    page.until(lambda: page.focused().get_attribute("id") == "files", "the focus on the files")
    assert page.script("return location.hash") in ("", "#/")
    (page.perdura.media / "notes.png").unlink()
    wait_until(lambda: not page.http.get("/image-cache/status").json["watch"]["failed"], WAIT_S, "no failed file")
    page.look_again()
    page.sees("Everything is in order" if mode != "polling" else "not watched", ".attention")
    page.sees_no("#files")


def test_charts_have_tables(page: Page) -> None:
    fill(page, 2)
    page.perdura.database.query(
        "INSERT INTO access_hour (hour, collection, requests)"
        " SELECT date_trunc('hour', now()) - make_interval(hours => n), 'media', 10 * n + 1"
        " FROM generate_series(1, 40) n"
        " ON CONFLICT DO NOTHING"
    )
    page.reload()
    page.sees("Requests per hour", "figure")
    page.click("figure summary")
    page.sees("401", "figure table")
    assert page.all("figure svg rect")


def test_settings_are_shown_and_secrets_are_not(page: Page) -> None:
    page.open("#/settings")
    page.sees("PERDURA_ADMIN_PASSWORD")
    everything = page.script("return document.body.textContent")
    assert PASSWORD not in everything
    page.type("#search", "redis_timeout")
    page.until(lambda: len(page.all(".setting")) == 1, "one setting")
    assert "2000" in page.text(".setting") and "Environment" in page.text(".setting")
    assert page.script("return location.hash") == "#/settings?q=redis_timeout"
    page.reload()
    page.until(lambda: len(page.all(".setting")) == 1, "one setting again")
    page.type("#search", "no such setting")
    page.sees("Nothing matches")


def test_uploads(visit: Callable[..., Page]) -> None:
    page = visit(PERDURA_ORIGINS=ORIGINS, PERDURA_SYNC_INTERVAL="3600")
    page.log_in()
    page.open("#/uploads")
    page.sees("No uploads")
    names = [upload(page.http, images.make("jpeg", i)) for i in range(3)]
    page.perdura.database.query(
        "UPDATE upload SET sync_status = 'failed', last_error = 'the bucket is missing' WHERE temp_filename = %s",
        names[0],
    )
    page.look_again()
    page.sees(names[2])
    page.sees("the bucket is missing", "table")
    page.choose("#state", "failed")
    page.until(lambda: len(page.all("tbody tr")) == 1, "one upload")
    assert names[0] in page.text("tbody")
    page.press("Sync now")
    page.sees("Failed", "dialog .notice")  # there is no bucket
    page.keys(Keys.ESCAPE)
    page.sees_no("dialog")
    page.open("#/jobs")
    page.press("Details", "tbody")
    page.sees("PERDURA_S3_ENDPOINT", "dialog .notice")  # it says what is missing


# Jobs


def test_action_with_preview_progress_and_result(page: Page) -> None:
    fill(page)
    for file in page.perdura.media.rglob("*.png"):
        file.unlink()
    page.open("#/actions")
    page.press("Preview", "#action-restore")
    page.sees("This would happen:", "dialog")
    page.sees("put back\n12", "dialog")
    assert not list(page.perdura.media.rglob("*.png")), "a preview changes nothing"
    page.screenshot("preview")
    page.press("Put them back", "dialog")
    page.sees("Done", "dialog .notice")
    assert len(list(page.perdura.media.rglob("*.png"))) == 12
    page.press("Close", "dialog .dialog-foot")
    page.sees_no("dialog")
    page.until(lambda: page.focused().text == "Preview", "the focus back where it was")
    page.open("#/jobs")
    page.sees("Restore", "tbody")
    page.press("Details", "tbody")
    page.sees("put back", "dialog")


def test_preview_that_is_declined_changes_nothing(page: Page) -> None:
    fill(page)
    age(page.perdura, 400)
    page.open("#/actions")
    page.type("#action-cleanup input", "365")
    page.press("Preview", "#action-cleanup")
    page.sees("to the trash\n12", "dialog")
    page.press("Cancel", "dialog")
    page.sees_no("dialog")
    assert page.http.get("/image-cache/status").json["images"] == 12
    page.press("Preview", "#action-cleanup")
    page.press("Clean up", "dialog form")
    page.sees("Done", "dialog .notice")
    assert page.http.get("/image-cache/status").json["trash_images"] == 12


def test_job_is_watched_and_cancelled(page: Page) -> None:
    """It waits for rows of ours, a few seconds for each, so that it is still under way when it is looked at."""
    fill(page)
    page.open("#/actions")
    with closing(page.perdura.database.connect()) as connection:
        connection.autocommit = False
        connection.cursor().execute(
            "INSERT INTO image_cache (original_path, image_url, file_size, content_type_header, sha256)"
            " SELECT format('slow/%%s.png', n), 's3://none/' || n, 1, 'image/png', sha256('')"
            " FROM generate_series(1, %s) n",
            [SLOW],
        )
        slow = page.perdura.media / "slow"
        slow.mkdir()
        for n in range(1, SLOW + 1):
            (slow / f"{n}.png").write_bytes(images.make("png", n))
        page.press("Preview", "#action-cache-all")
        page.sees(f"stored\n{SLOW}", "dialog")
        page.press("Store them", "dialog form")
        page.find("dialog progress")
        page.sees("so far", "dialog")
        page.press("Leave it running", "dialog")
        page.sees_no("dialog")
        page.open("#/jobs")
        page.press("Watch", "[data-job]")
        page.script(NOTE_DIALOG)
        page.press("Stop it", "dialog")
        page.sees("Stopped", "dialog .notice")
        connection.rollback()
    noted = [text for text in page.script("return window.noted") if "so far" in text]
    (first, *_) = [n for n, text in enumerate(noted) if "Stopping" in text]
    assert all("Stopping" in text for text in noted[first:]), noted
    page.press("Close", "dialog .dialog-foot")
    page.sees_no("[data-job]")


def test_check_and_invalidate(page: Page) -> None:
    fill(page)
    (page.perdura.media / "covers" / "0.png").unlink()
    page.open("#/actions")
    page.press("Run", "#action-check")
    page.sees("covers/0.png", "dialog .errors")
    page.sees("only stored", "dialog")
    page.press("Close", "dialog .dialog-foot")
    page.type("#action-invalidate input", "image:path:media:covers/*")
    page.choose("#action-invalidate select", "pattern")
    page.press("Run", "#action-invalidate")
    page.sees("forgotten here", ".toast")
    page.choose("#action-invalidate select", "path")
    page.type("#action-invalidate input", "covers/[1]*.png")
    page.press("Run", "#action-invalidate")
    asked = "SELECT pattern FROM cache_invalidation ORDER BY id DESC LIMIT 1"
    page.until(lambda: page.perdura.database.value(asked) == r"image:path:*:covers/\[1]\*.png", "all collections")
    page.press("Run", "#action-flush")
    page.sees("notes.png holds text, not image/png", "#action-flush")
    (page.perdura.media / "notes.png").unlink()
    page.press("Run", "#action-flush")
    page.sees("All that was written so far is stored.", ".toasts")


def test_a_second_one_of_a_kind_is_refused_in_words(page: Page) -> None:
    fill(page)
    page.open("#/actions")
    with closing(page.perdura.database.connect()) as connection:
        connection.autocommit = False
        connection.cursor().execute("LOCK TABLE image_cache IN ACCESS EXCLUSIVE MODE")
        assert page.http.post("/image-cache/fsck?async", {}).status == 202
        page.press("Run", "#action-fsck")
        page.sees("running already", "dialog .notice")
        connection.rollback()


# Languages, appearance, sizes


def test_each_page_in_each_language_theme_and_width(page: Page) -> None:
    """No key without a text, nothing wider than the window, nothing that the page's policy refused."""
    fill(page)
    assert page.http.post("/image-cache/cache-all", {}).status == 200
    for language in LANGUAGES:
        page.language(language)
        assert page.script("return document.documentElement.dir") == ("rtl" if language == "fa" else "ltr")
        for width in (1280, 360):
            page.size(width)
            for name, hash in PAGES.items():
                page.open(hash)
                assert not KEY.search(page.text("body")), name
                assert page.script("return document.documentElement.scrollWidth") <= width, (name, language, width)
                for scheme in ("light", "dark"):
                    page.prefer(scheme)
                    page.screenshot(f"{name}-{language}-{scheme}-{width}")
    page.assert_nothing_refused()


BUSY = """
const asked = window.fetch;
window.fetch = async (url, options) => {
  const answer = await asked(url, options);
  if (!String(url).includes("/image-cache/status")) return answer;
  const status = await answer.json();
  Object.assign(status, {images: 1234567, bytes: 123456789012, trash_images: 1234567});
  for (const tier of status.tiers) Object.assign(tier, {reads: 12345678, hit_rate: 0.9345, items: 1234567, bytes: 123456789012, up: null});
  return new Response(JSON.stringify(status));
};
"""
STICKS_OUT = """
const wrong = [...document.querySelectorAll("main .card")].flatMap((card) => {
  const box = card.getBoundingClientRect();
  return [...card.querySelectorAll(":not(.unseen, option)")].filter((one) => {
    const {left, right, width} = one.getBoundingClientRect();
    return width > 0 && one.checkVisibility() && !one.closest("details") && (right > box.right + 1 || left < box.left - 1);
  });
});
return wrong.map((one) => one.outerHTML.slice(0, 100));
"""


def test_much_fits_into_its_place(page: Page) -> None:
    """A million images, long names, and widths between a phone's and a desk's."""
    fill(page)
    page.perdura.database.query(
        "INSERT INTO job_run (kind, state, host, started_at, finished_at, result) VALUES"
        " ('restore', 'failed', 'web-1.internal.a-rather-long-name.example.com', now() - interval '23 minutes', now(), %s)",
        json.dumps({"restored": 1234567, "present": 1234567, "newer": 1234567, "failed": 12345, "dry_run": True}),
    )
    page.script(BUSY)
    for language in LANGUAGES if os.environ.get("SCREENSHOTS") else ("es",):  # whose words are the longest
        page.language(language)
        for width in (1280, 1024, 700, 360):
            page.size(width)
            for name in ("overview", "jobs"):
                page.open("#/settings")
                page.open(PAGES[name])
                page.until(lambda: page.all(".table"), "a table")
                page.screenshot(f"busy-{name}-{language}-{width}")
                assert page.script(STICKS_OUT) == [], (name, language, width)
                assert page.script("return document.documentElement.scrollWidth") <= width, (name, language, width)


def test_language_is_the_browsers_until_another_one_is_chosen(visit: Callable[..., Page]) -> None:
    page = visit()
    page.speak("fa-IR", "en")
    page.log_in()
    page.sees("نمای کلی", "h1")
    assert "۰" in page.text(".figures, .empty, main"), "Persian digits"
    page.language("es")
    page.sees("Resumen", "h1")
    page.reload()
    page.sees("Resumen", "h1")


def test_texts_are_whole(page: Page) -> None:
    """All languages have the same keys, with the same places for values."""
    texts = {
        name: page.wait_script(
            "const [a, b] = await Promise.all([import(`./text/${args[0]}.js`), import(`./text/images.${args[0]}.js`)]);"
            "return {...a.default, ...b.default}",
            name,
        )
        for name in LANGUAGES
    }
    for name in LANGUAGES[1:]:
        assert set(texts[name]) == set(texts["en"]), name
        for key, text in texts["en"].items():
            places = lambda one: set(re.findall(r"\{\w+\}", one)) - {"{count}"}  # noqa: E731  one may be said by a word
            assert places(texts[name][key]) == places(text), (name, key)


def test_theme_is_kept(page: Page) -> None:
    background = lambda: page.script("return getComputedStyle(document.documentElement).backgroundColor")  # noqa: E731
    light = background()
    page.choose("#theme", "dark")
    page.until(lambda: background() != light, "a dark page")
    page.reload()
    assert background() != light
    page.prefer("dark")
    page.choose("#theme", "light")
    page.until(lambda: background() == light, "a light page")
    page.choose("#theme", "auto")
    page.until(lambda: background() != light, "the system's choice")


def test_axe_finds_nothing(page: Page) -> None:
    fill(page)
    assert page.http.post("/image-cache/cache-all", {}).status == 200
    for scheme, language, width in (("light", "en", 1280), ("dark", "fa", 360)):
        page.language(language)
        page.size(width)
        page.prefer(scheme)
        for hash in PAGES.values():
            page.open(hash)
            page.assert_accessible()
    page.size(1280)
    page.language("en")
    page.open("#/actions")
    page.press("Preview", "#action-restore")
    page.sees("This would happen:", "dialog")
    page.assert_accessible()
    page.press("Cancel", "dialog")
    page.press("Log out")
    page.find("#password")
    page.assert_accessible()


def test_each_page_is_small(page: Page) -> None:
    """All that comes over the wire when it is opened by somebody who was never here."""
    page.browser.cdp("Network.setCacheDisabled", cacheDisabled=True)
    for hash in (*PAGES.values(), "#/images", "#/images/1"):
        page.open(hash)
        page.reload()
        sizes = page.script(
            "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
            ".filter((e) => e.name.includes('/admin/')).map((e) => [e.name, e.transferSize])"
        )
        assert len(sizes) > 12 and all(size > 0 for _, size in sizes), sizes
        assert sum(size for _, size in sizes) < PAGE_BYTES, (hash, sizes)
    page.browser.cdp("Network.setCacheDisabled", cacheDisabled=False)


# By keyboard


def tab_to(page: Page, wanted: Callable[[], bool], limit: int = 60) -> None:
    for _ in range(limit):
        page.keys(Keys.TAB)
        if wanted():
            return
    there = page.focused().get_attribute("outerHTML")[:200]
    pytest.fail(f"{limit} times Tab do not lead there; the focus is on {there}")


def test_by_keyboard_alone(page: Page) -> None:
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    page.reload()
    page.driver.find_element("tag name", "body").send_keys(Keys.TAB)
    assert page.focused().text == "Skip to the content"
    page.keys(Keys.ENTER)
    assert page.focused().get_attribute("id") == "main"
    page.reload()
    page.driver.find_element("tag name", "body").send_keys(Keys.TAB)
    tab_to(page, lambda: page.focused().text == "Actions")
    assert page.script(outline) != "none", "the focus is seen"
    page.keys(Keys.ENTER)
    page.sees("Actions", "h1")
    page.until(lambda: page.focused().tag_name == "h1", "reading that goes on at the new page's heading")
    within = "return document.activeElement.closest(arguments[0]) !== null"
    tab_to(page, lambda: page.script(within, "#action-restore") and page.focused().tag_name == "button")
    page.keys(Keys.ENTER)
    page.sees("This would happen:", "dialog")
    for _ in range(12):  # the dialog keeps the focus, and lets it out to the browser at most
        page.keys(Keys.TAB)
        assert page.script("return document.activeElement === document.body") or page.script(within, "dialog")
    page.keys(Keys.ESCAPE)
    page.sees_no("dialog")
    page.until(lambda: page.script(within, "#action-restore"), "the focus back where it was")


def test_menu_on_a_narrow_screen(page: Page) -> None:
    page.size(360)
    page.sees_no("#navigation")
    menu = page.find("#menu")
    menu.send_keys(Keys.ENTER)
    page.find("#navigation a")
    assert menu.get_attribute("aria-expanded") == "true"
    page.screenshot("menu-360")
    page.keys(Keys.ESCAPE)
    page.sees_no("#navigation")
    assert page.focused().get_attribute("id") == "menu"
    menu.send_keys(Keys.ENTER)
    page.click("#navigation a", "Settings")
    page.sees("Settings", "h1")
    page.sees_no("#navigation")


# Trouble


def test_it_says_what_is_down_and_goes_on_by_itself(page: Page) -> None:
    fill(page)
    page.open("#/")
    page.script("window.sameAsBefore = true")
    server = page.perdura.database.server
    server.stop("immediate")
    page.look_again()
    page.sees("PostgreSQL does not answer.", ".banner")
    page.screenshot("down-database")
    page.open("#/settings")
    page.open("#/")
    server.start()
    page.sees_no(".banner .notice")
    (page.perdura.media / "covers" / "new.png").write_bytes(images.make("png", "new"))
    page.look_again()
    page.sees("13", ".figures")

    assert page.redis
    page.redis.kill()
    page.look_again()
    page.sees("Redis does not answer.", ".banner")
    page.redis.start()
    page.sees_no(".banner .notice")
    assert page.script("return window.sameAsBefore") is True, "without a reload"
    assert signed_in(page)


def test_page_that_was_asked_for_while_the_database_is_down_comes_when_it_is_back(page: Page) -> None:
    server = page.perdura.database.server
    server.stop("immediate")
    page.script("location.hash = '#/jobs'")
    page.sees("PostgreSQL does not answer.", ".banner")
    page.sees("Job history", "h1")
    server.start()
    page.sees("No job has run yet", "main")


def test_it_goes_on_when_the_server_was_started_anew(
    visit: Callable[..., Page], serve: Callable[..., Served], redis: Redis
) -> None:
    """What was not loaded yet comes when it can; who was logged in still is."""
    port = str(free_port())
    page = visit(PERDURA_PORT=port)
    page.log_in()
    page.script("window.sameAsBefore = true")
    page.http.stop()
    page.script("location.hash = '#/uploads'")
    page.sees("Perdura does not answer.", ".banner")
    serve(PERDURA_PORT=port, REDIS_URL=redis.url(), **SETTINGS)
    page.sees("No uploads", "main")
    page.sees_no(".banner .notice")
    assert page.script("return window.sameAsBefore") is True, "without a reload"


def test_an_answer_of_a_proxy_is_waited_for(page: Page) -> None:
    """Retry-After may be a date (RFC 9110 section 10.2.3), and more than a timer holds."""
    soon = "new Date(Date.now() + 5000).toUTCString()"
    for value, least, most in ((soon, 3, 5), ("'7'", 7, 7), ("'99999999999'", 3600, 3600), ("'soon'", None, None)):
        waits = page.wait_script(
            "const {get} = await import('./lib/api.js'); const before = window.fetch;"
            f"window.fetch = async () => new Response('', {{status: 503, headers: {{'Retry-After': {value}}}}});"
            "try { await get('/x'); } catch (error) { return error.retryAfter; } finally { window.fetch = before; }"
        )
        assert waits == least if least is None else least <= waits <= most, (value, waits)


def test_hostile_texts_stay_texts(page: Page) -> None:
    name = "<img src=x onerror=window.ran=1>.png"
    (page.perdura.media / name).write_text("no image")
    page.perdura.database.query(
        "INSERT INTO job_run (kind, state, host, started_at, finished_at, result)"
        " VALUES ('<script>window.ran=1</script>', 'failed', '<b>host</b>', now(), now(), %s)",
        json.dumps({"failure": "<img src=x onerror=window.ran=1>", "<i>count</i>": 3}),
    )
    wait_until(lambda: page.http.get("/image-cache/status").json["watch"]["failed"], WAIT_S, "a failed file")
    page.look_again()
    page.sees(name, "#files")
    page.open("#/jobs")
    page.sees("<script>window.ran=1</script>", "tbody")
    page.press("Details", "tbody")
    page.sees("<img src=x", "dialog")
    assert page.script("return window.ran ?? null") is None
    page.assert_nothing_refused()
