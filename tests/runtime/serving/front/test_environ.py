import pytest

from mlops_runtime.serving.front.environ import environ_of
from mlops_runtime.serving.middleware.access_log import STARTED_KEY
from tests.runtime.serving.front.fakes import Scope


def test_the_environment_describes_the_request() -> None:
    scope = Scope(
        method="POST",
        path="/table",
        query_string="a=1&b=2",
        client="192.0.2.7:50123",
        server="127.0.0.1:8000",
        header_items=[("host", "a"), ("content-type", "text/csv"), ("content-length", "5"), ("x-request-id", "7")],
    )

    environ = environ_of(scope, 1.5)

    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("POST", "/table", "a=1&b=2")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "50123")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8000")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/csv", "5")
    assert (environ["HTTP_HOST"], environ["HTTP_X_REQUEST_ID"]) == ("a", "7")
    assert environ[STARTED_KEY] == 1.5


def test_an_address_of_ipv6_has_no_brackets() -> None:
    environ = environ_of(Scope(client="[2001:db8::1]:50000", server="[::1]:8000"), 0)

    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == ("2001:db8::1", "::1")


def test_a_path_is_decoded_as_latin_1() -> None:
    assert environ_of(Scope(path="/für"), 0)["PATH_INFO"].encode("latin-1").decode() == "/für"


@pytest.mark.parametrize(
    ("name", "key", "joined"),
    [("accept", "HTTP_ACCEPT", "a,b"), ("cookie", "HTTP_COOKIE", "a; b")],
)
def test_a_repeated_header_is_joined(name: str, key: str, joined: str) -> None:
    assert environ_of(Scope(header_items=[(name, "a"), (name, "b")]), 0)[key] == joined


def test_a_header_with_an_underscore_is_dropped() -> None:
    scope = Scope(header_items=[("x-request-id", "true"), ("x_request_id", "forged")])

    assert environ_of(scope, 0)["HTTP_X_REQUEST_ID"] == "true"


def test_requests_share_nothing() -> None:
    first = environ_of(Scope(), 0)
    first["changed"] = True

    assert "changed" not in environ_of(Scope(), 0)
