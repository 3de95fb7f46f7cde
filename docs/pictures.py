"""Take the pictures of the README: the page, the training report and `make`, each light and dark.

Run by `make pictures`, which needs Chromium and its driver. It takes those that are older than what they show, from a
new project, which is trained and served for the first two.
"""

import argparse
import hashlib
import html
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from PIL import Image

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

TEMPLATE = Path(__file__).parents[1]
RUNTIME = TEMPLATE / "runtime/mlops_runtime"
PICTURES = TEMPLATE / "docs/pictures"
SOURCES = PICTURES / "sources.json"
"""Hashes of what each picture shows, from when it was taken."""

HEIGHTS = {"page": 1000, "report": 1000, "make": 0}
"""Pixels of each picture from top to bottom; 0: all of it."""
WIDTH = 1000
COLOURS = 64
SCHEMES = ("light", "dark")
START_TIMEOUT = 120.0
"""Seconds in which the service must be ready."""

TERMINAL = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><style>
body {{ margin: 0; background: light-dark(#fdfdfc, #14181c); color: light-dark(#1b2127, #e8ebed); }}
pre {{ margin: 0; padding: 1.5rem; font: 12px/1.45 monospace; white-space: pre-wrap; }}
</style><pre>$ make
{}</pre>"""


class PictureError(RuntimeError):
    """The pictures cannot be taken."""


def listing(project: Path) -> str:
    """Return what `make` prints in a project."""
    command = ["make", "--no-print-directory"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


def sources(project: Path) -> dict[str, str]:
    """Return a hash of what each picture shows, by its name.

    Args:
        project: made with default answers; no command needs to have run in it.
    """
    shown = {
        "page": [*RUNTIME.glob("serving/templates/*.html"), RUNTIME / "serving/static/page.css"],
        "report": [*RUNTIME.glob("training/report/*.html"), *RUNTIME.glob("training/report/*.py")],
    }
    shown["page"] += RUNTIME.glob("serving/ui/*.py")
    contents = {name: b"".join(path.read_bytes() for path in sorted(paths)) for name, paths in shown.items()}
    contents["make"] = listing(project).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


@contextmanager
def served(project: Path) -> Iterator[str]:
    """Yield the address of the service of a project, which is trained if it was not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run(["make", "train"], cwd=project, check=True)
    with subprocess.Popen(["make", "serve", f"PORT={port}"], cwd=project, start_new_session=True) as process:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)


def wait_until_ready(address: str) -> None:
    """Return once a service is ready.

    Raises:
        PictureError: if it is not in time.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            with urlopen(address):
                return
        except URLError:
            time.sleep(0.5)
    raise PictureError(
        f"the service is not ready after {START_TIMEOUT:.0f} s; run `make serve` in a project to see why"
    )


@contextmanager
def chromium() -> Iterator["Chrome"]:
    """Yield a browser without a window.

    Raises:
        PictureError: if Chromium or its driver is missing.
    """
    from selenium import webdriver

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        raise PictureError("the pictures need Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for option in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(option)
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


def take(browser: "Chrome", name: str, scheme: str) -> None:
    """Write a picture of the open page."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    height = HEIGHTS[name] or browser.execute_script("return document.documentElement.getBoundingClientRect().height")
    size = {"width": WIDTH, "height": int(height), "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    with Image.open(BytesIO(b64decode(shot["data"]))) as image:
        # A third of the bytes, and no difference that an eye sees.
        image.convert("RGB").quantize(COLOURS).save(PICTURES / f"{name}-{scheme}.png", optimize=True)


def take_of_service(browser: "Chrome", address: str) -> None:
    """Take the pictures of the page with a prediction, and of the report."""
    open_page(browser, address)
    browser.find_element("css selector", "form.record > button").click()
    for scheme in SCHEMES:
        take(browser, "page", scheme)
    open_page(browser, f"{address}/report")
    for scheme in SCHEMES:
        take(browser, "report", scheme)


def take_of_make(browser: "Chrome", printed: str) -> None:
    """Take the pictures of what `make` prints."""
    open_page(browser, f"data:text/html;charset=utf-8,{quote(TERMINAL.format(html.escape(printed)))}")
    for scheme in SCHEMES:
        take(browser, "make", scheme)


def open_page(browser: "Chrome", address: str) -> None:
    """Open a page in a low window, so that its height is that of what it holds."""
    size = {"width": WIDTH, "height": 100, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


def take_old(project: Path) -> None:
    """Take the pictures that are older than what they show; those of `make` need no trained project.

    Raises:
        PictureError: if they cannot be taken.
    """
    known = json.loads(SOURCES.read_text(encoding="utf-8")) if SOURCES.exists() else {}
    shown = sources(project)
    old = {name for name in shown if shown[name] != known.get(name)}
    with chromium() as browser:
        if "make" in old:
            take_of_make(browser, listing(project))
        if old - {"make"}:
            with served(project) as address:
                take_of_service(browser, address)
    SOURCES.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Take the pictures, and return the exit status."""
    parser = argparse.ArgumentParser(description="Take the pictures of the README that are older than the code.")
    parser.add_argument("--project", type=Path, help="project with default answers to show (default: a new one)")
    given = parser.parse_args().project
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if not given:
            subprocess.run(["cookiecutter", str(TEMPLATE), "--no-input", "--output-dir", folder], check=True)
        try:
            take_old(given or Path(folder) / "oncology")
        except PictureError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
