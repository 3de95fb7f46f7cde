"""The dashboard on a real cluster, beside the service, with the rights of a deployer."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from mlops_runtime.operations.predict import free_port
from tests.conftest import bake, share_environment
from tests.live.site import NAMESPACE, Site, fit_to_server, remove_namespace, replace_in
from tests.live.workbench import Workbench, one_error_line
from tests.test_dev import development
from tests.test_project import only_file

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.cluster

# The tests of the project need Streamlit in its environment, and other tests run them.
DEPLOY = ("deploy", "SKIP_TESTS=tested elsewhere")


@pytest.fixture(scope="module")
def site(project: Path, workbench: Workbench, cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project with a dashboard, and a cluster where it has the rights of a deployer."""
    remove_namespace(NAMESPACE)
    folder = share_environment(bake(tmp_path_factory.mktemp("dashboard"), dashboard="streamlit"), project)
    fit_to_server(folder)
    name_the_service(folder)
    settings = {
        "MLOPS_CLUSTER": cluster, "MLOPS_NAMESPACE": NAMESPACE, "MLOPS_LOGIN": "none", "MLOPS_ROLLOUT_TIMEOUT": "90s",
    }  # fmt: skip
    made = Site(Workbench(folder, workbench.environment | settings, {"IMAGES": "webservice dashboard"}))
    made.workbench.commit("First version")
    made.use_rights_of("deployer")
    yield made
    remove_namespace(NAMESPACE, wait=False)


def name_the_service(folder: Path) -> None:
    """Give the service an address, and the dashboard the network of the node, and a name for that address.

    A cluster of tests may have no DNS, and may let no pod reach another one.
    """
    command = ["kubectl", "--namespace", "default", "get", "service", "kubernetes", "--output"]
    kubernetes = subprocess.run(
        [*command, "jsonpath={.spec.clusterIP}"], check=True, capture_output=True, text=True
    ).stdout
    address = f"{kubernetes.rpartition('.')[0]}.200"
    replace_in(folder / "k8s/base/service.yaml", "spec:\n", f"spec:\n  clusterIP: {address}\n")
    deployment = folder / "k8s/dashboard/deployment.yaml"
    alias = f'      hostNetwork: true\n      hostAliases: [{{ip: "{address}", hostnames: [oncology-webservice]}}]\n'
    pod = "      serviceAccountName: dashboard\n"
    replace_in(deployment, pod, alias + pod)
    # Two pods on one node cannot have the same port of it.
    replace_in(deployment, "maxUnavailable: 0\n      maxSurge: 1", "maxUnavailable: 1\n      maxSurge: 0")


@contextmanager
def forwarded() -> Iterator[str]:
    """Yield the address of the dashboard, as `make deploy` says how to reach it."""
    command = ["kubectl", "--namespace", NAMESPACE, "port-forward", "service/oncology-dashboard", ":80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (port,) = re.findall(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@dataclass
class Page:
    """A page in a browser.

    Attributes:
        driver: of the browser.
    """

    driver: "WebDriver"

    def load(self, url: str, text: str) -> None:
        """Load it again and again until it shows a text."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            self.driver.get(url)
            for _ in range(50):
                if text in self.driver.execute_script("return document.body.innerText"):
                    return
                time.sleep(0.1)
        pytest.fail(f"{url} does not show {text}")

    def wait_for(self, text: str) -> None:
        """Wait until it shows a text."""
        deadline = time.monotonic() + 60
        while text not in self.driver.execute_script("return document.body.innerText"):
            assert time.monotonic() < deadline, f"the page does not show {text}"
            time.sleep(0.1)

    def click(self, name: str) -> None:
        """Click the button of a name, once there is one; the page may draw its buttons anew meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if found := [each for each in self.driver.find_elements("tag name", "button") if each.text == name]:
                    found[0].click()
                    return
            except StaleElementReferenceException:
                pass  # it was drawn anew
            time.sleep(0.1)
        pytest.fail(f"the page has no button {name}")


@contextmanager
def browser(downloads: Path) -> Iterator[Page]:
    """Yield a page of a browser that puts files into a folder; skip the test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(option)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as opened:
        yield Page(opened)


def test_a_deploy_rolls_it_out_after_the_service(site: Site) -> None:
    result = site.workbench.make(*DEPLOY)

    assert result.returncode == 0, result.stdout + result.stderr
    verified = result.stdout.index("golden predictions")
    assert verified < result.stdout.index("the dashboard runs, and reaches version")
    image = site.kubectl("get", "deployment", "oncology-dashboard", "--output", "jsonpath={..image}")
    assert re.fullmatch(r"\S+/oncology/dashboard@sha256:[0-9a-f]{64}", image)
    assert "dashboard" in site.workbench.make("keys").stdout.split()


def test_its_pages_work_in_a_browser(site: Site, tmp_path: Path) -> None:
    with forwarded() as url, browser(tmp_path) as page:
        # When it is opened, then it shows a prediction
        assert urlopen(f"{url}/_stcore/health").read() == b"ok"
        page.load(url, "Prediction")
        save(page, "what-if")

        # When a table is dropped on its page, then it comes back with a prediction in each row
        page.click("Table")
        page.wait_for("A table: CSV")
        table = only_file(site.workbench.folder, "data/*.csv")
        page.driver.find_element("css selector", "input[type=file]").send_keys(str(table))
        page.wait_for("rows have a prediction")
        page.click("Download the table with predictions")
        result = tmp_path / f"{table.stem}-predictions.csv"
        for _ in range(100):
            if result.exists():
                break
            time.sleep(0.1)
        assert len(result.read_text().splitlines()) == len(table.read_text().splitlines())
        save(page, "table")

        # And the model card names the release, and the drift has those rows
        page.click("Model card")
        page.wait_for(f"Release {site.workbench.version()}")
        save(page, "model-card")
        page.click("Drift")
        page.wait_for("Records of the last day")
        save(page, "drift")


def save(page: Page, name: str) -> None:
    """Save a screenshot, if somebody has named a folder to look at them."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.driver.save_screenshot(f"{folder}/dashboard-{name}.png")


def test_one_that_crashes_is_undone_and_the_service_goes_on(site: Site) -> None:
    before = site.kubectl("get", "deployment", "oncology-dashboard", "--output", "jsonpath={..image}")
    replace_in(site.workbench.folder / "docker/dashboard.Dockerfile", 'CMD ["streamlit"', 'CMD ["false"')
    version = site.workbench.commit("A dashboard that ends at once")

    result = site.workbench.make(*DEPLOY)

    assert result.returncode != 0
    assert "the dashboard before runs again; the service is not affected" in one_error_line(result)
    assert site.kubectl("get", "deployment", "oncology-dashboard", "--output", "jsonpath={..image}") == before
    assert site.workbench.history()[-1].version == version


def test_make_dev_shows_it_and_follows_its_edits(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the service and the dashboard in containers of this machine, with the sources of the project
    port = free_port()
    for name, value in (site.workbench.environment | {"MLOPS_DASHBOARD_PORT": str(port)}).items():
        monkeypatch.setenv(name, value)
    with browser(tmp_path) as page, development(site.workbench.folder, "dev", tmp_path / "log", timeout=180) as service:
        page.load(f"http://127.0.0.1:{port}", "Prediction")

        # When the dashboard is edited, then the edit is visible in the page that is loaded again
        service.replace("src/dashboard/app.py", "TITLE = ", 'TITLE = "Edited: " + ')
        page.load(f"http://127.0.0.1:{port}", "Edited: ")
