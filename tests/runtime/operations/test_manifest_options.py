import json
import re
from typing import Any

import pytest

from mlops_runtime.operations.errors import ManifestError
from mlops_runtime.operations.manifest_options import deployment_patches, optional_objects


def options(**settings: str) -> dict[tuple[str, str], Any]:
    """Return the objects that settings turn on, with two pods in the manifest, by kind and name."""
    objects = optional_objects({"PROJECT": "oncology"} | settings, 2)
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


def operations(replicas: int | None = 2, **settings: str) -> list[dict[str, Any]]:
    """Return the changes of the Deployment."""
    return [change for patch in deployment_patches(settings, replicas) for change in json.loads(patch["patch"])]


def test_without_settings_nothing_is_added() -> None:
    settings = {"MAX_REPLICAS": "", "ALLOW_FROM": " ", "INGRESS_CLASS": "", "GATEWAY": "", "PRIORITY_CLASS": ""}

    assert options(**settings) == {}
    assert operations(**settings) == []


def test_an_autoscaler_takes_the_place_of_the_number_of_pods() -> None:
    spec = options(MAX_REPLICAS="8", TARGET_CPU="1")["HorizontalPodAutoscaler", "webservice"]["spec"]

    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 8)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert operations(MAX_REPLICAS="8") == [{"op": "remove", "path": "/spec/replicas"}]


def test_a_manifest_without_a_number_of_pods_has_none_to_remove() -> None:
    (autoscaler,) = optional_objects({"MAX_REPLICAS": "8"}, None)

    assert autoscaler["spec"]["minReplicas"] == 1
    assert operations(None, MAX_REPLICAS="8") == []


def test_a_priority_class_is_named() -> None:
    change = {"op": "add", "path": "/spec/template/spec/priorityClassName", "value": "serving"}

    assert operations(PRIORITY_CLASS="serving") == [change]


def test_only_the_named_sources_may_call_the_service() -> None:
    policies = options(ALLOW_FROM="ingress monitoring 10.0.0.0/16")

    service = policies["NetworkPolicy", "webservice"]["spec"]
    (rule,) = service["ingress"]
    namespaces = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        for name in ("ingress", "monitoring")
    ]
    dashboard = {"podSelector": {"matchLabels": {"component": "dashboard"}}}
    assert rule["from"] == [dashboard, *namespaces, {"ipBlock": {"cidr": "10.0.0.0/16"}}]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_the_service_may_ask_for_names_alone_and_training_reaches_the_bucket() -> None:
    policies = options(ALLOW_FROM="ingress")

    def allowed(name: str) -> list[tuple[str, int]]:
        spec = policies["NetworkPolicy", name]["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert spec["podSelector"] == {"matchLabels": {"component": name}}
        to = [(rule.get("to", [{"ipBlock": {"cidr": "any"}}]), rule["ports"]) for rule in spec["egress"]]
        return sorted({(peers[0]["ipBlock"]["cidr"], port["port"]) for peers, ports in to for port in ports})

    assert allowed("webservice") == [("any", 53)]
    # With the agent that hands out the credentials of the role
    assert allowed("trainer") == [("169.254.170.23/32", 80), ("any", 53), ("any", 443)]
    assert "ingress" not in policies["NetworkPolicy", "trainer"]["spec"]


def test_an_ingress_of_aws_terminates_tls_at_the_load_balancer() -> None:
    settings = {
        "INGRESS_CLASS": "alb",
        "ALB_SCHEME": "internal",
        "CERTIFICATE": "arn:aws:acm:x",
        "ROOT_PATH": "/models",
    }
    ingress = options(**settings)["Ingress", "webservice"]

    assert ingress["metadata"]["annotations"] == {
        "alb.ingress.kubernetes.io/scheme": "internal",
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/healthcheck-path": "/readyz",
        "alb.ingress.kubernetes.io/certificate-arn": "arn:aws:acm:x",
        "alb.ingress.kubernetes.io/listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]',
        "alb.ingress.kubernetes.io/ssl-redirect": "443",
    }
    (rule,) = ingress["spec"]["rules"]
    assert "host" not in rule
    assert rule["http"]["paths"][0]["path"] == "/models"
    assert "tls" not in ingress["spec"]


def test_another_ingress_has_the_certificate_of_a_secret() -> None:
    settings = {"INGRESS_CLASS": "nginx", "PUBLIC_HOST": "models.example.org", "CERTIFICATE": "models-tls"}
    ingress = options(**settings)["Ingress", "webservice"]

    assert "annotations" not in ingress["metadata"]
    assert ingress["spec"]["tls"] == [{"hosts": ["models.example.org"], "secretName": "models-tls"}]
    assert ingress["spec"]["rules"][0]["host"] == "models.example.org"


def test_a_gateway_gets_a_route_to_the_service() -> None:
    route = options(GATEWAY="gateways/public", PUBLIC_HOST="models.example.org")["HTTPRoute", "webservice"]["spec"]

    assert route == {
        "hostnames": ["models.example.org"],
        "parentRefs": [{"namespace": "gateways", "name": "public"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "oncology-webservice", "port": 80}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MAX_REPLICAS": "many"}, "MAX_REPLICAS=many is not usable: give a number of at least 2"),
        ({"MAX_REPLICAS": "1"}, "give a number of at least 2, which is that of the overlay"),
        ({"ALLOW_FROM": "10.0.0.1/16"}, "ALLOW_FROM has 10.0.0.1/16, which is no address range"),
        ({"INGRESS_CLASS": "alb"}, "ALB_SCHEME= is not usable: set it to internal or internet-facing"),
        ({"INGRESS_CLASS": "alb", "ALB_SCHEME": "public"}, "ALB_SCHEME=public is not usable"),
        ({"INGRESS_CLASS": "nginx", "CERTIFICATE": "tls"}, "needs a host: set PUBLIC_HOST"),
        ({"GATEWAY": "public"}, "GATEWAY=public is not usable: give its namespace and name"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)):
        options(**settings)
