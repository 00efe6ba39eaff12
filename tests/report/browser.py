"""A real Chromium without a network, as a test and a benchmark open pages in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


def installed() -> bool:
    """Whether there is a browser, and what drives it."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


@contextmanager
def chromium(width: int = 1400, height: int = 1000, webgl: bool = True) -> Iterator[Chrome]:
    """Give a browser whose every way out leads nowhere, and which keeps a log of what it asked for."""
    assert installed(), "chromium or chromedriver is not installed: apt-get install chromium chromium-driver"
    options = ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")
    options.add_argument("--disable-gpu")
    options.add_argument("--hide-scrollbars")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.add_argument("--proxy-server=127.0.0.1:9")
    options.add_argument("--disable-background-networking")
    for flag in ("--use-angle=swiftshader", "--enable-unsafe-swiftshader") if webgl else ("--disable-3d-apis",):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = shutil.which("chromium") or ""
    browser = Chrome(options, Service(shutil.which("chromedriver") or ""))
    try:
        resize(browser, width, height)
        yield browser
    finally:
        browser.quit()


def resize(browser: Chrome, width: int, height: int) -> None:
    """Give the page this many pixels, also fewer than a window may have."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def opened(browser: Chrome, page: Path) -> float:
    """Open a report, wait until its map is drawn, and return after how many milliseconds it was."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.resolve().as_uri())
    found: float = WebDriverWait(browser, 60, 0.05).until(
        lambda driver: driver.execute_script("return performance.getEntriesByName('map drawn')[0]?.startTime")
    )
    return found


def console(browser: Chrome) -> list[str]:
    """Return the errors and warnings of the page since the last call."""
    entries: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    told = [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
    return [message for message in told if "GPU stall due to ReadPixels" not in message]  # of WebGL in software


def requests(browser: Chrome) -> list[str]:
    """Return the addresses that were asked for since the last call, other than those inside the page."""
    entries: list[dict[str, Any]] = browser.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(entry["message"])["message"] for entry in entries]
    asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [each["request"]["url"] for each in asked if not each["request"]["url"].startswith(("data:", "blob:"))]
