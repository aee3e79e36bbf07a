"""The admin page in a browser: the real binary with PostgreSQL and Redis, and a reader who is logged in.

    def test_it(page):
        page.open("#/jobs")
        page.click("Preview")

SCREENSHOTS=DIR keeps what page.screenshot(name) takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import Chromium
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from servers import Redis, wait_until

if TYPE_CHECKING:  # the name is that of this folder's own, too
    from conftest import Perdura, Served

PASSWORD = "correct horse battery staple"
WAIT_S = 60
# An element that is replaced between the press and the release of a click hears none. (In another document by then:
# undefined.)
HEARS_CLICK = """
window.heard = false;
arguments[0].addEventListener("click", () => { window.heard = true; }, {capture: true, once: true});
"""
BUILD = Path(__file__).resolve().parent.parent.parent / "build"
AXE = BUILD / "browser" / "node_modules" / "axe-core" / "axe.min.js"
SETTINGS = {"PERDURA_ADMIN_PASSWORD": PASSWORD, "PERDURA_REDIS_TIMEOUT": "2000"}

# In every page before anything of it runs: keeps what the page's policy refused, and what failed.
WITNESS = """
window.violations = [];
window.trouble = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
addEventListener("error", (e) => trouble.push(String(e.message)));
addEventListener("unhandledrejection", (e) => trouble.push(String(e.reason && e.reason.stack || e.reason)));
"""

# The page hears of another hash a moment later, and shows what was there until then.
GO = """
const before = location.href;
location.hash = args[0];
if (location.href !== before) await new Promise((told) => addEventListener("hashchange", told, {once: true}));
"""


class Page:
    """A tab with the admin page of one server."""

    def __init__(self, browser: Chromium, http: Served, redis: Redis | None = None) -> None:
        self.browser = browser
        self.driver = browser.driver
        self.http = http
        self.redis = redis
        self.url = f"http://127.0.0.1:{http.port}/admin/"
        origin = f"http://127.0.0.1:{http.port}"
        # Another server may have had the port.
        browser.cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="all")

    @property
    def perdura(self) -> Perdura:
        return self.http.perdura

    # Where

    def open(self, hash: str = "") -> None:
        """Goes there as by a link, or loads the page when it is not there yet. Waits until it shows something."""
        if self.driver.current_url.startswith(self.url):
            self.wait_script(GO, hash or "#/")
        else:
            self.load(self.url + hash)
        self.settle()

    def load(self, url: str) -> None:
        """Again where the network changed meanwhile (an interface came or went, somebody's container, say): Chromium
        gives up then."""
        self.driver.get(url)
        self.until(lambda: self.all("h1") or self._gave_up(), "anything")
        if not self.all("h1"):
            self.driver.get(url)

    def _gave_up(self) -> bool:
        return any("ERR_NETWORK_CHANGED" in line for line in self.console())

    def reload(self) -> None:
        self.driver.refresh()
        self.settle()

    def settle(self) -> None:
        self.until(lambda: self.all("h1") and not self.all(".loading"), "a page that is complete")

    def log_in(self, password: str = PASSWORD) -> None:
        self.load(self.url)
        self.type("#password", password, Keys.ENTER)
        self.until(lambda: self.all("#logout"), "the page behind the login")
        self.settle()

    # What is there

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def find(self, css: str, text: str = "") -> WebElement:
        """The first one that is seen, and has this text in it."""

        def found() -> Any:
            return [one for one in self.all(css) if one.is_displayed() and text in one.text]

        return self.until(found, f"{css} with {text!r}")[0]

    def button(self, text: str, within: str = "") -> WebElement:
        return self.find(f"{within} :is(button, a.button)", text)

    def text(self, css: str = "main") -> str:
        def read() -> Any:
            return [one.text for one in self.all(css)] or None

        return "\n".join(self.until(read, css))

    def sees(self, text: str, css: str = "body") -> None:
        """Waits until it does."""
        self.until(lambda: text in self.text(css), f"{text!r} in {css}")

    def look_again(self) -> None:
        """As somebody who comes back to the tab: the page asks at once for what it would ask for in some seconds."""
        self.script("document.dispatchEvent(new Event('visibilitychange'))")

    def sees_no(self, css: str) -> None:
        self.until(lambda: not [one for one in self.all(css) if one.is_displayed()], f"no {css}")

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        def quiet() -> Any:
            try:
                return condition()
            except StaleElementReferenceException:
                return None

        try:
            return wait_until(quiet, WAIT_S, what)
        except Exception as error:
            shown = self.script("return document.body.innerText.slice(0, 3000)")
            raise AssertionError(f"{error}\n{self.driver.current_url}\n{shown}\n{self.console()}") from None

    # What the reader does

    def click(self, css: str, text: str = "") -> None:
        def clicked() -> bool:
            try:
                element = self.find(css, text)
                if element.tag_name == "option":
                    element.click()
                    return True
                self.script(HEARS_CLICK, element)
                element.click()
                return bool(self.script("return window.heard !== false"))  # else it was replaced meanwhile
            except WebDriverException:
                return False  # it moves, or something lies over it

        self.until(clicked, f"a click on {css} {text!r}")

    def press(self, text: str, within: str = "") -> None:
        self.click(f"{within} :is(button, a.button)", text)

    def type(self, css: str, *keys: str) -> None:
        def typed() -> bool:
            element = self.find(css)
            element.clear()
            element.send_keys(*keys)
            return True

        self.until(typed, f"what is typed into {css}")  # which may be drawn anew meanwhile

    def choose(self, css: str, value: str) -> None:
        self.click(f"{css} option[value='{value}']")

    def keys(self, *keys: str) -> None:
        """To whatever has the focus."""
        self.focused().send_keys(*keys)

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    # How it is looked at

    def size(self, width: int, height: int = 900) -> None:
        self.browser.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme: str) -> None:
        """"light" or "dark", as the system would say."""
        prefer(self.browser, scheme)

    def speak(self, *languages: str) -> None:
        """What the browser says that its reader speaks."""
        agent = self.script("return navigator.userAgent")
        self.browser.cdp("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=",".join(languages))

    def language(self, code: str) -> None:
        """Chooses it on the page."""
        if self.script("return document.documentElement.lang") != code:
            self.script("const s = document.getElementById('language'); s.value = arguments[0];"
                        "s.dispatchEvent(new Event('change', {bubbles: true}))", code)
        self.until(lambda: self.script("return document.documentElement.lang") == code, f"the language {code}")
        self.settle()

    def screenshot(self, name: str) -> None:
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(self.browser.picture())

    # What it is held against

    def script(self, code: str, *args: Any) -> Any:
        return self.driver.execute_script(code, *args)

    def wait_script(self, code: str, *args: Any) -> Any:
        """Code that awaits; its `return` counts."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {code} }})(...arguments)"
        settled = f"{wrapped}.then((v) => done([v]), (e) => done([null, String(e)]))"
        answer = self.driver.execute_async_script(settled, *args)
        assert len(answer) == 1, answer[1]
        return answer[0]

    def console(self) -> list[str]:
        """What the browser complained about since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def assert_nothing_refused(self) -> None:
        """Nothing went against the page's policy, and no script failed."""
        assert self.script("return [window.violations, window.trouble]") == [[], []]

    def assert_accessible(self) -> None:
        """axe-core finds nothing (WCAG 2.2 AA and what it calls best practice)."""
        if not AXE.exists():
            pytest.skip("no axe-core: npm can't fetch it")
        if not self.script("return typeof axe === 'object'"):
            self.script(AXE.read_text() + "\n; window.axe = axe;")
        found = self.wait_script(
            "const r = await axe.run(document, {resultTypes: ['violations']});"
            "return r.violations.map((v) => v.id + ': ' + v.help + '\\n  ' +"
            " v.nodes.map((n) => [n.target.join(' '), n.html.slice(0, 200), n.any[0]?.message ?? ''].join('  '))"
            ".join('\\n  '))"
        )
        assert not found, "\n".join([self.driver.current_url, *found])


def prefer(browser: Chromium, scheme: str) -> None:
    """And no motion, so that what is looked at is not on its way."""
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])


def assert_accessible(page: Page) -> None:
    page.assert_accessible()


@pytest.fixture(scope="session")
def chromium(session_folder: Path) -> Iterator[Chromium]:
    missing = Chromium.missing()
    if missing:
        pytest.skip(missing)
    with Chromium(session_folder / "chromium") as browser:
        browser.driver.set_script_timeout(WAIT_S)
        browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=WITNESS)
        yield browser


@pytest.fixture(scope="session")
def shared_redis(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis") as redis:
        yield redis


@pytest.fixture
def redis(shared_redis: Redis) -> Iterator[Redis]:
    shared_redis.start()
    shared_redis("FLUSHALL")
    yield shared_redis


@contextmanager
def fresh(browser: Chromium) -> Iterator[None]:
    """As for a reader who was never here, who speaks English and has a wide window. Ports keep no cookies apart."""
    browser.cdp("Network.clearBrowserCookies")
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    browser.cdp("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    prefer(browser, "light")
    agent = browser.driver.execute_script("return navigator.userAgent")
    browser.cdp("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en")
    browser.driver.get_log("browser")
    yield
    browser.driver.get("about:blank")  # nothing is asked of a server that ends


@pytest.fixture
def visit(chromium: Chromium, serve: Callable[..., Served], redis: Redis) -> Iterator[Callable[..., Page]]:
    """visit(NAME=value, ...) starts the server with these settings; nobody is logged in."""

    def start(**env: str) -> Page:
        return Page(chromium, serve(REDIS_URL=redis.url(), **{**SETTINGS, **env}), redis)

    with fresh(chromium):
        yield start


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    """Logged in, on the overview."""
    it = visit()
    it.log_in()
    return it
