"""Make docs/dashboard.png: a search on a local cluster, as the dashboard shows it.

Usage: python docs/dashboard_picture.py (needs chromium, chromedriver and the extras `test` and
`dashboard`)
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.support.ui import WebDriverWait
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 2

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 3
SPOT_BID = 0.5
NODE_INSTANCE_TYPE = c5.large
BUDGET = 5
PLUGINS = pypackages, ipcluster
"""
PROGRAM = [sys.executable, "-m", "spotcluster"]
GRID = {"C": np.logspace(-1, 2, 6), "gamma": np.logspace(-4, -1, 6), "kernel": ["rbf", "poly"]}
WIDTH, HEIGHT = 1280, 1340
SHARE = 0.6  # of the search is done then
LIMIT = 300.0  # seconds


def main() -> None:
    """Start a cluster, search, and make the picture when the search is more than half done."""
    os.environ["SE_OFFLINE"] = "true"
    with tempfile.TemporaryDirectory(prefix="sc-") as home:
        os.environ["SPOTCLUSTER_HOME"] = home
        Path(home, "config").write_text(CONFIG)
        local.start()
        try:
            for words in (["createkey", "mykey"], ["start", "mycluster"]):
                subprocess.run([*PROGRAM, *words], check=True)
            Path("docs/dashboard.png").write_bytes(picture(home))
            subprocess.run([*PROGRAM, "terminate", "-y", "mycluster"], check=True)
        finally:
            local.stop()


def picture(home: str) -> bytes:
    """Return the picture of a search under way."""
    digits = load_digits()
    files = persist_cv_splits(
        digits.data[:600], digits.target[:600], name=f"{home}/digits", random_state=0
    )
    with spotcluster.connect("mycluster") as client:
        search = GridSearch(client.load_balanced_view())
        search.launch_for_splits(SVC(), GRID, files, pace=1.0)
        with subprocess.Popen(
            [*PROGRAM, "dashboard", "--no-browser", "mycluster"],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                url = process.stdout.readline().strip()
                for _ in search.as_completed(LIMIT):
                    if search.progress() >= SHARE:
                        break
                return page(url)
            finally:
                process.terminate()
                search.abort()


def page(url: str) -> bytes:
    """Return the upper part of the page as a small PNG."""
    options = Options()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options)
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(url)
        updates = "return Number(document.documentElement.dataset.updates || 0) >= 5"
        WebDriverWait(browser, LIMIT).until(lambda page: page.execute_script(updates))
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"]
    finally:
        browser.quit()
    image = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    small = io.BytesIO()
    image.quantize(96, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main()
