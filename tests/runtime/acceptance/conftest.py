"""Fixtures of the tests from outside: the service, a browser, and axe-core for accessibility.

If a program is missing, the tests that need it are skipped with a message that says how to install it.
"""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.runtime.live_service.conftest import Service, service, start_service

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["service", "start_service"]

AXE = "axe-core@4.14.1"
BUILD = Path(__file__).parents[3] / "build"
TIMEOUT = 20.0
"""Seconds after which a test gives up waiting."""

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # The tests behind TLS make their own certificate.
    "--ignore-certificate-errors",
)
SERIOUS = frozenset({"serious", "critical"})


@dataclass(frozen=True)
class Browser:
    """A browser that shows a service.

    Attributes:
        driver: of the browser.
        base: address of the service.
        downloads: folder of downloaded files.
        requested: URLs of its requests so far.
    """

    driver: "Chrome"
    base: str
    downloads: Path
    requested: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open a path of the service."""
        self.driver.get(self.base + path)

    def find(self, selector: str) -> "WebElement":
        """Return the first element that matches a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def find_all(self, selector: str) -> "list[WebElement]":
        """Return the elements that match a CSS selector."""
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that match a CSS selector."""
        return [element.text for element in self.find_all(selector)]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Return the value of a condition as soon as it is true."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {TIMEOUT:g} s"
            time.sleep(0.05)
        return value

    def predict(self) -> None:
        """Send the form and wait for the page with the prediction."""
        self.press("form.record > button")

    def press(self, selector: str) -> None:
        """Press a button and wait for the next page."""
        page = self.find("html").id
        self.find(selector).click()
        self.wait(lambda: self.find("html").id != page)

    def resize(self, width: int = 1280, *, dark: bool = False) -> None:
        """Set the width of the screen, and its light or dark scheme."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def downloaded(self) -> str:
        """Return the content of a download as soon as it is complete."""
        path: Path = self.wait(lambda: next(self.downloads.glob("*.csv"), None))
        text = path.read_bytes().decode()
        path.unlink()
        return text

    def requests(self) -> list[str]:
        """Return the URLs of the requests since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
        addresses = [request["request"]["url"] for request in sent]
        self.requested.extend(addresses)
        return addresses

    def violations(self) -> list[str]:
        """Return the errors of the browser, such as violations of the security policy."""
        messages = [entry["message"] for entry in self.driver.get_log("browser")]
        # Responses with an error status are part of the tests.
        return [message for message in messages if "the server responded with a status of" not in message]


@contextmanager
def driven(base: str, downloads: Path, *, scripts: bool = True) -> Iterator[Browser]:
    """Yield a browser that is closed when the block ends."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        yield Browser(driver, base, downloads)
    finally:
        driver.quit()


def checked(browser: Browser) -> Iterator[Browser]:
    """Yield a browser without stored data; fail if it requested another host or violated the security policy."""
    browser.resize()
    browser.open("/")
    browser.driver.execute_script("localStorage.clear()")
    browser.requests()
    browser.violations()
    browser.requested.clear()
    yield browser
    host = urlsplit(browser.base).netloc
    browser.requests()
    addresses = [urlsplit(address) for address in browser.requested]
    assert addresses
    assert {address.netloc for address in addresses if address.scheme not in ("blob", "data")} <= {host}
    assert browser.violations() == []


@pytest.fixture(scope="session")
def started_browser(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with driven(f"http://{service.host}:{service.port}", tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture
def browser(started_browser: Browser) -> Iterator[Browser]:
    """A browser that shows the service."""
    yield from checked(started_browser)


@pytest.fixture
def browse(started_browser: Browser) -> Callable[[Service], Browser]:
    """A function that shows another service in the browser."""

    def show(other: Service) -> Browser:
        return Browser(started_browser.driver, f"http://{other.host}:{other.port}", started_browser.downloads)

    return show


@pytest.fixture(scope="session")
def browser_without_scripts(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without JavaScript."""
    downloads = tmp_path_factory.mktemp("downloads")
    with driven(f"http://{service.host}:{service.port}", downloads, scripts=False) as browser:
        yield browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core: from the path in AXE, or from the npm package, which is downloaded to build/ once."""
    if path := os.environ.get("AXE"):
        return Path(path).read_text(encoding="utf-8")
    package = BUILD / f"{AXE.replace('@', '-')}.tgz"
    if not package.exists():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("needs axe-core: install npm, or set AXE to the path of an axe.min.js")
        BUILD.mkdir(exist_ok=True)
        fetched = subprocess.run(
            [npm, "pack", AXE, "--silent", "--pack-destination", str(BUILD)],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            pytest.skip(
                f"npm cannot fetch {AXE}, set AXE to the path of an axe.min.js: {fetched.stderr.strip()[-200:]}"
            )
    with tarfile.open(package) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file
        return file.read().decode()


@pytest.fixture
def serious_findings(browser: Browser, axe: str) -> Callable[..., list[str]]:
    """A function that returns the serious findings of axe-core on the open page, without those of excluded rules."""

    def findings(*excluded: str) -> list[str]:
        browser.driver.execute_script(axe)
        rules = {rule: {"enabled": False} for rule in excluded}
        result = browser.driver.execute_async_script(
            "axe.run(document, {resultTypes: ['violations'], rules: arguments[0]})"
            ".then(arguments[arguments.length - 1])",
            rules,
        )
        return [
            f"{violation['id']}: {violation['help']}: {[node['target'] for node in violation['nodes']][:5]}"
            for violation in result["violations"]
            if violation["impact"] in SERIOUS
        ]

    return findings
