import pytest
from flask import Flask

from mlops_runtime.serving.routes import DEFAULT, ROUTES, route_of


def test_each_rule_of_the_application_has_a_route(app: Flask) -> None:
    rules = {rule.rule: rule.methods or set() for rule in app.url_map.iter_rules()}

    for rule, methods in rules.items():
        route = route_of(rule.partition("<")[0])
        assert route is not DEFAULT, rule
        assert methods - {"HEAD", "OPTIONS"} <= set(route.methods), rule


def test_each_route_has_a_rule_of_the_application(app: Flask) -> None:
    rules = [rule.rule.partition("<")[0] for rule in app.url_map.iter_rules()]

    for route in ROUTES:
        assert any(rule == route.path or rule.startswith(route.path.rstrip("/") + "/") for rule in rules), route.path


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/table", "/table"),
        ("/static/page.css", "/static/"),
        ("/docs/swagger-ui.css", "/docs/"),
        ("/docs", "other"),
        ("/healthz/", "/healthz"),
        ("/v1/predictions/", "/v1/predictions"),
        ("/healthz//", "other"),
        ("//healthz", "/healthz"),
        ("///v1/predictions", "/v1/predictions"),
        ("/v1//predictions", "other"),
        ("//", "/"),
        ("/v1/predictions/1", "other"),
        ("", "other"),
    ],
)
def test_each_path_has_one_route(path: str, route: str) -> None:
    assert route_of(path).path == route


def test_a_route_that_a_project_adds_has_safe_defaults() -> None:
    route = route_of("/customers")

    assert not route.public
    assert route.logged
    assert route.limited
    assert route.measured
    assert not route.large
    assert not route.quick
