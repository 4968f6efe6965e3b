"""A headless Chromium, and dashboards that are looked at with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import clouds
import pytest
from pages import Opened
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

cached_packages = clouds.cached_packages
module_home = clouds.module_home
module_cloud = clouds.module_cloud
in_module_cloud = clouds.in_module_cloud


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Give one browser to all tests of a process; selenium is to fetch none."""
    os.environ["SE_OFFLINE"] = "true"
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    assert program, "There is no chromium here: `apt install chromium chromium-driver`."
    assert driver, "There is no chromedriver here: `apt install chromium-driver`."
    options = Options()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    # What the browser asks of its maker by itself is none of the page's.
    for word in ("--disable-background-networking", "--disable-component-update", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Callable[..., Opened]]:
    """Give a function that opens an address, and have nothing wrong said in the console."""
    opened: list[Opened] = []

    def go(url: str, **how: Any) -> Opened:
        opened.append(Opened(chromium, url, **how))
        return opened[-1]

    yield go
    for one in opened:
        one.close()
