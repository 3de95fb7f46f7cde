import re
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from mlops_runtime.serving.api.docs import script_source

ASSET = re.compile(r"""(?:src|href)="([^"]+)""")


def test_the_page_loads_everything_from_this_service(client: FlaskClient) -> None:
    # Given the page with the interface
    page = client.get("/docs/")
    assert page.content_type.startswith("text/html")

    # When its assets are fetched
    assets = [urljoin("/docs/", asset) for asset in ASSET.findall(page.text)]

    # Then they are here, all of them
    assert len(assets) >= 4
    for asset in assets:
        assert asset.startswith("/docs/")
        assert client.get(asset).status_code == 200

    # And no other host renders a badge that says whether the document is valid
    assert '"validatorUrl": null' in page.text
    assert '"../openapi.json"' in page.text


def test_the_page_may_run_only_its_own_scripts(client: FlaskClient) -> None:
    page = client.get("/docs/")

    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    (script,) = re.findall(rb"<script>(.*?)</script>", page.data, re.DOTALL)
    assert policy["script-src"].split() == ["'self'", script_source(script)]
    assert policy["default-src"] == "'none'"
    assert not any("http" in sources for sources in policy.values())


def test_the_hash_of_a_script_matches_the_example_of_the_standard() -> None:
    # The example of the specification, Content Security Policy Level 3
    assert script_source(b"doSomething();") == "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"


def test_the_page_contains_nothing_from_the_request(client: FlaskClient) -> None:
    page = client.get("/docs/", headers={"Host": "elsewhere.invalid"})

    assert "elsewhere" not in page.text


@pytest.mark.parametrize("path", ["unknown.js", "../app.py", "..%2f..%2fapp.py", "%2e%2e/%2e%2e/app.py"])
def test_no_other_file_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/docs/{path}").status_code == 404
