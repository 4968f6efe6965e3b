"""A dashboard in a browser, as a test looks at it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

LIMIT = 60.0
FAINT = "could not set initial ranges"  # Bokeh says it of a plot that has nothing in it yet


class Opened:
    """A page that is open.

    Parameters
    ----------
    width : int
        Of the window, in pixels.
    """

    def __init__(self, browser: Any, url: str, *, width: int = 1280, dark: bool = False) -> None:
        self.browser = browser
        self.url = url
        browser.get("about:blank")
        self._drain()
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get(url)

    def _drain(self) -> None:
        self.browser.get_log("browser")
        self.browser.get_log("performance")

    def close(self) -> None:
        self.browser.get("about:blank")
        self._drain()

    # --- looking ----------------------------------------------------------------------------------

    def js(self, text: str, *given: Any) -> Any:
        """Return what a function body of JavaScript returns."""
        return self.browser.execute_script(text, *given)

    def wait(self, what: str, true: Callable[[], Any]) -> Any:
        """Wait until something is so on the page; return it."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                if found := true():
                    return found
            except (NoSuchElementException, StaleElementReferenceException):
                pass  # it is yet to come, or was drawn anew meanwhile
            assert time.monotonic() < end, f"waited {LIMIT:.0f} s for: {what}\n{self.console()}"
            time.sleep(0.1)

    def connected(self) -> Opened:
        """Wait until the page is connected, and has been told something."""
        self.wait("the connection", lambda: self.updates() >= 1)
        return self

    def updates(self) -> int:
        """Return how often the page has been told something."""
        return int(self.js("return Number(document.documentElement.dataset.updates || 0)"))

    def one(self, css: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[Any]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, css))

    def text(self, css: str) -> str:
        """Return what an element says, also one that is scrolled out of sight."""
        found = self.js("return document.querySelector(arguments[0])?.textContent ?? ''", css)
        return str(found)

    def rows(self, table: str) -> list[list[str]]:
        """Return the texts of a table."""
        script = (
            "return [...document.querySelectorAll(`[data-table=${arguments[0]}] tbody tr`)]"
            ".map(row => [...row.children].map(cell => cell.textContent))"
        )
        return [list(map(str, row)) for row in self.js(script, table)]

    def plotted(self, name: str, column: str) -> list[Any]:
        """Return what plots have of a column, by the name of the plot."""
        script = (
            "const plot = Bokeh.documents[0].get_model_by_name(arguments[0]);"
            "return plot.renderers.flatMap(one => [...(one.data_source.data.get ?"
            " one.data_source.data.get(arguments[1]) ?? [] :"
            " one.data_source.data[arguments[1]] ?? [])])"
        )
        return list(self.js(script, name, column))

    def console(self) -> list[str]:
        """Return what is wrong, as the browser's console has it, since this was asked last."""
        found = self.browser.get_log("browser")
        wrong = [one["message"] for one in found if one["level"] in ("SEVERE", "WARNING")]
        return [one for one in wrong if FAINT not in one]

    def requested(self) -> set[str]:
        """Return the hosts that the page has asked for something since it was opened."""
        hosts = set()
        for entry in self.browser.get_log("performance"):
            said = json.loads(entry["message"])["message"]
            params = said.get("params", {})
            if said["method"] == "Network.requestWillBeSent":
                url = params["request"]["url"]
            elif said["method"] == "Network.webSocketCreated":
                url = params["url"]
            else:
                continue
            parsed = urlparse(url)
            if parsed.scheme not in ("data", "blob", "about", "chrome"):
                hosts.add(parsed.netloc)
        return hosts

    def shot(self, path: Path) -> None:
        """Make a picture of the whole page."""
        width, height = self.js(
            "return [innerWidth, document.documentElement.scrollHeight]",
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        made = self.browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        path.write_bytes(base64.b64decode(made["data"]))

    # --- doing ------------------------------------------------------------------------------------

    def resize(self, width: int, height: int = 900) -> None:
        given = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", given)

    def click(self, css: str) -> None:
        """Click an element that may be drawn anew at any time."""

        def try_it() -> bool:
            found = self.one(css)
            self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
            found.click()
            return True

        self.wait(f"{css} to be clicked", try_it)

    def type(self, css: str, text: str) -> None:
        field = self.one(css)
        field.clear()
        field.send_keys(text)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def focused(self) -> str:
        """Return what the focus is on, by its text or its label."""
        script = (
            "const one = document.activeElement;"
            "return one.getAttribute('aria-label') || one.textContent.trim() || one.name || one.id"
        )
        return str(self.js(script))

    def tab_to(self, wanted: str, most: int = 80) -> None:
        """Press Tab until what has this text or label has the focus."""
        seen = []
        for _ in range(most):
            self.press(Keys.TAB)
            seen.append(self.focused())
            if seen[-1].startswith(wanted):
                return
        raise AssertionError(f"Tab does not come to {wanted!r}: {seen}")
