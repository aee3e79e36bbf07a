"""Debian's Chromium without a window, driven by its chromedriver.

    with Chromium(folder) as browser:
        browser.driver.get(...)

Both are processes of ours: they end with us, by their ids, and leave nothing outside of the folder.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chromium.remote_connection import ChromiumRemoteConnection
from servers import dies_with_us, end_process, wait_until

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",  # a host that is not localhost
    "--force-color-profile=srgb",
    "--window-size=1280,900",
)


class Chromium:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def missing() -> str | None:
        for program in ("chromium", "chromedriver"):
            if not shutil.which(program):
                return f"no {program}"
        return None

    def __enter__(self) -> Chromium:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start_browser()
            self._start_driver()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            end_process(process, STOP_TIMEOUT_S)
        self._processes = []

    def cdp(self, command: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute("executeCdpCommand", {"cmd": command, "params": params})["value"]

    def picture(self) -> bytes:
        """The whole page as a PNG, also what is below the window's edge."""
        metrics = self.cdp("Page.getLayoutMetrics")
        size, window = metrics["cssContentSize"], metrics["cssLayoutViewport"]
        options = {}
        if size["height"] > window["clientHeight"]:
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            options = {"captureBeyondViewport": True, "clip": clip}
        answer = self.cdp("Page.captureScreenshot", format="png", **options)
        return base64.b64decode(answer["data"])

    # Inside

    def _spawn(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{Path(argv[0]).name}.log", "wb") as log:
            process = subprocess.Popen(
                dies_with_us(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(self.folder),
                    "TMPDIR": str(self.folder),
                    "LC_ALL": "C.UTF-8",
                },
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _alive(self, process: subprocess.Popen[bytes], name: str) -> None:
        if process.poll() is not None:
            log = self.folder / f"{name}.log"
            raise RuntimeError(f"{name} ended:\n{log.read_text(errors='replace')[-3000:]}")

    def _start_browser(self) -> None:
        profile = self.folder / "profile"
        (profile / "DevToolsActivePort").unlink(missing_ok=True)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        process = self._spawn("chromium", *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank")

        def port() -> str:
            self._alive(process, "chromium")
            file = profile / "DevToolsActivePort"
            return file.read_text().splitlines()[0] if file.exists() and file.read_text() else ""

        self.port = wait_until(port, START_TIMEOUT_S, "Chromium's start")

    def _start_driver(self) -> None:
        process = self._spawn("chromedriver", "--port=0")

        def port() -> str:
            self._alive(process, "chromedriver")
            found = re.search(r"started successfully on port (\d+)", (self.folder / "chromedriver.log").read_text())
            return found[1] if found else ""

        options = webdriver.ChromeOptions()
        options.add_experimental_option("debuggerAddress", f"127.0.0.1:{self.port}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        connection = ChromiumRemoteConnection(
            f"http://127.0.0.1:{wait_until(port, START_TIMEOUT_S, 'the start of chromedriver')}",
            browser_name="chrome",
            vendor_prefix="goog",
        )
        self.driver = webdriver.Remote(command_executor=connection, options=options)
