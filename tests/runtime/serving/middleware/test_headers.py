import pytest
from flask.testing import FlaskClient

from mlops_runtime.serving.middleware.headers import DEFAULT_HEADERS, DOCUMENT_HEADERS


@pytest.mark.parametrize("path", ["/", "/docs/", "/report", "/static/page.css", "/static/icon.svg"])
def test_a_document_restricts_what_a_browser_lets_it_do(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    for name, _ in DOCUMENT_HEADERS:
        assert len(response.headers.getlist(name)) == 1
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/openapi.json", "/readyz", "/version", "/unknown"])
def test_data_are_never_interpreted_as_a_document(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    for name, _ in DEFAULT_HEADERS:
        assert len(response.headers.getlist(name)) == 1
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_headers_of_the_response_itself_are_kept(client: FlaskClient) -> None:
    # A browser may cache files, if it revalidates them, but no predictions
    assert client.get("/static/page.css").headers["Cache-Control"] == "no-cache"
    assert client.get("/").headers["Cache-Control"] == "no-store"
