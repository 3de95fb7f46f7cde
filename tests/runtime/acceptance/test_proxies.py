"""The page behind nginx, and a page of another origin, in a browser."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin

import pytest

from tests.runtime.acceptance.conftest import Browser
from tests.runtime.live_service.conftest import StartService

PREFIX = "/models/churn"
TIMEOUT = 10.0
HEADERS = """
proxy_set_header X-Forwarded-Prefix %s;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Host $http_host;
proxy_set_header X-Forwarded-For $remote_addr;
"""
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{service}{path};
      {headers}
    }}
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(
    params=[
        pytest.param(({}, "/", ""), id="removes the prefix and does not say so"),
        pytest.param(({"ROOT_PATH": PREFIX}, "/", ""), id="removes the prefix that is set"),
        pytest.param(({"ROOT_PATH": PREFIX}, "", ""), id="passes on the prefix that is set"),
        pytest.param(({"TRUSTED_PROXIES": "1"}, "/", HEADERS % PREFIX), id="removes the prefix and sends it"),
        pytest.param(({"TRUSTED_PROXIES": "1"}, "", HEADERS % PREFIX), id="passes on the prefix and sends it"),
    ]
)
def behind_nginx(
    request: pytest.FixtureRequest, tmp_path: Path, start_service: StartService, started_browser: Browser
) -> Iterator[Browser]:
    """A browser that shows the service behind nginx, with TLS and a path prefix."""
    nginx, openssl = shutil.which("nginx", path="/usr/sbin:/usr/bin"), shutil.which("openssl")
    if not nginx or not openssl:
        pytest.skip("needs nginx and openssl: apt-get install nginx-light openssl")
    settings, path, headers = request.param
    service = start_service(LOG_LEVEL="error", **settings)
    certificate = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1")
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem"))
    subprocess.run([openssl, *certificate, *files], check=True, capture_output=True)
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=tmp_path, port=port, prefix=PREFIX, service=service.port, path=path, headers=headers
        )
    )
    process = subprocess.Popen([nginx, "-c", str(configuration), "-e", str(tmp_path / "error.log")])
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (tmp_path / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Browser(started_browser.driver, f"https://127.0.0.1:{port}{PREFIX}", started_browser.downloads)
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def test_every_part_of_the_page_works_behind_nginx(behind_nginx: Browser, tmp_path: Path) -> None:
    browser = behind_nginx
    browser.requests()
    browser.violations()

    # When the form is sent
    browser.open("/")
    browser.predict()
    # Then there is a prediction
    assert browser.find(".prediction .headline").text
    assert browser.driver.current_url.startswith(browser.base + "/")

    # When a table is sent
    browser.open("/")
    table = tmp_path / "table.csv"
    browser.find(".table-upload a[download]").click()
    table.write_text(browser.downloaded())
    browser.find("#table-file").send_keys(str(table))
    browser.find(".table-upload form button").click()
    # Then each row gets its prediction
    browser.wait(lambda: browser.find(".results").is_displayed())

    # When the other pages are opened by their links
    for text in ("Report on the model", "API for programs", "Version"):
        browser.open("/")
        page = browser.find("html").id
        browser.driver.find_element("link text", text).click()
        browser.wait(lambda old=page: browser.find("html").id != old)
        assert browser.driver.current_url.startswith(browser.base + "/")

    # Then Swagger UI shows the operations, and tries them under the prefix
    browser.open("/docs/")
    browser.wait(lambda: browser.find_all("#operations-health-alive"))
    browser.find("#operations-health-alive .opblock-summary-control").click()
    browser.wait(lambda: browser.find_all(".try-out__btn"))[0].click()
    browser.wait(lambda: browser.find_all(".execute"))[0].click()
    browser.wait(lambda: browser.texts(".live-responses-table .response-col_status"))
    assert f"{browser.base}/healthz" in browser.find(".request-url").text

    # And nothing was requested outside the prefix, and nothing failed
    requested = {address for address in browser.requests() if not address.startswith(("data:", "blob:"))}
    # Browsers look for this icon when a response names none, such as JSON.
    requested.discard(urljoin(browser.base, "/favicon.ico"))
    assert requested
    assert {address for address in requested if not address.startswith(browser.base + "/")} == set()
    assert browser.violations() == []


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def other_origin(tmp_path: Path) -> Iterator[str]:
    """The address of another site, with an empty page."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Another site</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


REQUEST = """
const [url, body, done] = arguments;
fetch(url, {method: "POST", body, headers: {"Content-Type": "application/json", "X-Request-ID": "from-a-page"}})
  .then((response) => done([response.status, response.headers.get("X-Request-ID")]), () => done([0, null]));
"""


@pytest.mark.parametrize(
    ("allowed", "statuses"), [pytest.param(True, [200, 422], id="listed"), pytest.param(False, [0, 0], id="not listed")]
)
def test_a_page_of_another_origin_may_call_the_service_if_it_is_listed(
    start_service: StartService, started_browser: Browser, other_origin: str, allowed: bool, statuses: list[int]
) -> None:
    # Given a service that lists the origin, or not
    service = start_service(LOG_LEVEL="error", **({"CORS_ORIGINS": other_origin} if allowed else {}))
    url = f"http://{service.host}:{service.port}/v1/predictions"
    document = json.loads(service.request("GET", "/openapi.json").body)
    content = document["paths"]["/v1/predictions"]["post"]["requestBody"]["content"]
    body = json.dumps(content["application/json"]["examples"]["one"]["value"])

    # When a page of it sends a record, and then a faulty one
    started_browser.driver.get(other_origin)
    responses = [started_browser.driver.execute_async_script(REQUEST, url, sent) for sent in (body, "{}")]

    # Then it can read the responses, errors included
    assert [status for status, _ in responses] == statuses
    if allowed:
        assert [identifier for _, identifier in responses] == ["from-a-page"] * 2
    started_browser.violations()
