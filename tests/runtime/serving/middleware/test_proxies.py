from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask, render_template, request, url_for
from flask.testing import FlaskClient

from mlops_runtime.model import Predictor
from mlops_runtime.serving.middleware.proxies import public_address, without_prefix
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of

PREFIX = "/models/churn"
FORWARDED = {
    "X-Forwarded-Prefix": PREFIX,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "ml.example.org",
    "X-Forwarded-For": "192.0.2.7",
}


def client_of(predictor: Predictor, **settings: Any) -> FlaskClient:
    """Return a client of a service with these settings, and a page of a project."""
    app: Flask = app_of(predictor, Settings(**settings))
    app.add_url_rule("/own/page", "own", lambda: render_template("base.html"))
    app.add_url_rule(
        "/where", "where", lambda: {"url": url_for("where", _external=True), "client": request.remote_addr}
    )
    return app.test_client()


@pytest.mark.parametrize(
    ("settings", "headers", "path"),
    [
        pytest.param({"root_path": PREFIX}, {}, "", id="setting, prefix removed"),
        pytest.param({"root_path": PREFIX}, {}, PREFIX, id="setting, prefix passed on"),
        pytest.param({"trusted_proxies": 1}, FORWARDED, "", id="header, prefix removed"),
        pytest.param({"trusted_proxies": 1}, FORWARDED, PREFIX, id="header, prefix passed on"),
        pytest.param({"trusted_proxies": 2}, {"X-Forwarded-Prefix": f"/evil, {PREFIX}, /x"}, "", id="two proxies"),
        pytest.param(
            {"root_path": PREFIX, "trusted_proxies": 1}, {"X-Forwarded-Prefix": "/other"}, "", id="setting and header"
        ),
    ],
)
def test_links_and_document_have_the_known_prefix(
    predictor: Predictor, settings: dict[str, Any], headers: dict[str, str], path: str
) -> None:
    client = client_of(predictor, **settings)

    page = client.get(f"{path}/", headers=headers)
    assert page.status_code == 200
    assert f'action="{PREFIX}/table"' in page.text
    assert f'href="{PREFIX}/static/page.css"' in page.text
    docs = client.get(f"{path}/docs/", headers=headers).text
    assert f'"{PREFIX}/openapi.json"' in docs
    assert f'src="{PREFIX}/docs/swagger-ui-bundle.js"' in docs
    document = client.get(f"{path}/openapi.json", headers=headers)
    assert document.json["servers"] == [{"url": PREFIX}]
    assert client.get(f"{path}/static/page.css", headers=headers).status_code == 200
    assert client.get(f"{path}/where", headers=headers).json["url"].endswith(f"{PREFIX}/where")


@pytest.mark.parametrize("path", [PREFIX, f"{PREFIX}/"])
def test_the_prefix_alone_is_the_page(predictor: Predictor, path: str) -> None:
    response = client_of(predictor, root_path=PREFIX).get(path)

    assert response.status_code == 200
    assert f'href="{PREFIX}/static/page.css"' in response.text


@pytest.mark.parametrize("path", ["/", "/own/page", "/own/page/", "/docs/", "/docs"])
def test_links_without_a_known_prefix_are_relative(predictor: Predictor, path: str) -> None:
    # Given a proxy that removes a prefix and does not say so
    client = client_of(predictor)
    raw = client.get(path).text

    # Then what a browser loads is below the prefix, and is there
    found = {urljoin(f"{PREFIX}{path}", target) for target in raw_targets(raw)}
    assert found
    for target in found:
        assert target.startswith(f"{PREFIX}/")
        assert client.get(target.removeprefix(PREFIX)).status_code == 200
    assert client.get("/openapi.json").json["servers"] == [{"url": "."}]


def raw_targets(page: str) -> set[str]:
    """Return the addresses of styles, icons and scripts, as they are in the page."""
    return {
        part.partition('"')[0]
        for attribute in ('href="', 'src="')
        for part in page.split(attribute)[1:]
        if not part.startswith("#")
    }


def test_forwarded_headers_are_ignored_by_default(predictor: Predictor) -> None:
    client = client_of(predictor)

    assert PREFIX not in client.get("/", headers=FORWARDED).text
    assert PREFIX not in client.get("/docs/", headers=FORWARDED).text
    assert client.get("/openapi.json", headers=FORWARDED).json["servers"] == [{"url": "."}]
    assert client.get("/where", headers=FORWARDED).json == {"url": "http://localhost/where", "client": "127.0.0.1"}


def test_scheme_host_and_client_are_those_of_the_trusted_proxy(predictor: Predictor) -> None:
    seen = client_of(predictor, trusted_proxies=1).get("/where", headers=FORWARDED).json

    assert seen == {"url": f"https://ml.example.org{PREFIX}/where", "client": "192.0.2.7"}


@pytest.mark.parametrize(
    "prefix",
    [
        "//b.example",
        "https://b.example",
        '/"><script>',
        "/a/../..",
        "/a b",
        "/é",
        "\\\\e",
        "/a//b",
        "x",
    ],
)
def test_a_hostile_prefix_is_in_no_link(predictor: Predictor, prefix: str) -> None:
    # Given a proxy that is trusted, but passes on the header of its client
    client = client_of(predictor, trusted_proxies=1)
    headers = {"X-Forwarded-Prefix": prefix.encode().decode("latin-1")}

    # Then pages are those without a prefix
    for path in ("/", "/docs/", "/openapi.json"):
        assert client.get(path, headers=headers).data == client.get(path).data


def test_a_page_with_a_prefix_of_the_caller_is_not_cached_for_others(predictor: Predictor) -> None:
    client = client_of(predictor, trusted_proxies=1)

    assert client.get("/", headers=FORWARDED).headers["Cache-Control"] == "no-store"
    assert client.get("/docs/", headers=FORWARDED).headers["Cache-Control"] == "no-store"
    document = client.get("/openapi.json", headers=FORWARDED)
    assert "X-Forwarded-Prefix" in document.vary
    assert document.headers["ETag"] != client.get("/openapi.json").headers["ETag"]


def test_a_scheme_that_is_none_of_http_is_ignored(predictor: Predictor) -> None:
    seen = client_of(predictor, trusted_proxies=1).get("/where", headers={"X-Forwarded-Proto": "javascript"}).json

    assert seen["url"].startswith("http://")


@pytest.mark.parametrize(
    ("path", "prefix", "rest"),
    [
        ("/v1/predictions", "/v1", "/v1/predictions"),
        ("/v1/v1/predictions", "/v1", "/v1/predictions"),
        ("/modelsx/version", "/models", "/modelsx/version"),
        ("/models", "/models", "/"),
        ("/version", "", "/version"),
    ],
)
def test_a_prefix_is_removed_only_where_it_is_one(path: str, prefix: str, rest: str) -> None:
    assert without_prefix(path, prefix) == rest


def test_an_environment_that_is_completed_twice_is_completed_once() -> None:
    complete = public_address("/a", 0)
    assert complete
    environ = {"PATH_INFO": "/a/a/x", "SCRIPT_NAME": "", "wsgi.url_scheme": "http"}

    complete(environ)
    complete(environ)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/a", "/a/x")


@pytest.mark.parametrize("path", ["/version/", "/openapi.json/", "/own/page/", "/readyz/", "/report/", "/table/"])
def test_a_slash_at_the_end_makes_no_difference(predictor: Predictor, path: str) -> None:
    assert client_of(predictor).get(path).status_code == 200


@pytest.mark.parametrize(
    ("settings", "path", "status"),
    [
        pytest.param({}, "//version", 200, id="before a path"),
        pytest.param({}, "//", 200, id="alone"),
        pytest.param({"root_path": PREFIX}, "//report", 200, id="after a prefix that was removed"),
        pytest.param({"root_path": PREFIX}, f"{PREFIX}//report", 200, id="after a prefix"),
        pytest.param({}, "/static//page.css", 404, id="within a path"),
        pytest.param({}, "/report//", 404, id="at the end"),
        pytest.param({}, "//example.org/report", 404, id="before the name of a host"),
        pytest.param({}, "//example.org/..", 404, id="before a host and dots"),
    ],
)
def test_a_doubled_slash_leads_to_no_other_address(
    predictor: Predictor, settings: dict[str, Any], path: str, status: int
) -> None:
    response = client_of(predictor, **settings).get("/", environ_overrides={"PATH_INFO": path})

    assert response.status_code == status
    assert "Location" not in response.headers
