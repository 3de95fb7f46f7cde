import pytest

from mlops_runtime.operations.promql import with_labels

OWN = {"namespace": "zoo", "job": "zebra-webservice"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("webservice_up_total", "webservice_up_total{OWN}"),
        ('rate(webservice_a{status="5", x="}"}[5m])', 'rate(webservice_a{OWN, status="5", x="}"}[5m])'),
        ("webservice_a {  }", "webservice_a{OWN,   }"),
        ("job:webservice_a:1d / on (job) webservice_b", "job:webservice_a:1d{OWN} / on (job) webservice_b{OWN}"),
        ('label_replace(up, "a", "webservice_a", "b", "c")', 'label_replace(up, "a", "webservice_a", "b", "c")'),
        ("up # of webservice_a\n + webservice_b", "up # of webservice_a\n + webservice_b{OWN}"),
        ("team:webservice_a:1d + my_webservice_a", "team:webservice_a:1d + my_webservice_a"),
    ],
)
def test_metrics_of_the_service_alone_get_labels(expression: str, expected: str) -> None:
    own = 'namespace="zoo", job="zebra-webservice"'

    assert with_labels(expression, OWN) == expected.replace("OWN", own)
