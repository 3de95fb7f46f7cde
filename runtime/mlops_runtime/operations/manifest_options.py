"""Objects and changes of the web-service on Kubernetes that settings of project.mk turn on.

kustomize adds the name of the project as prefix to the names of these objects and to the names by which they refer to
others, except in kinds that it does not know.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from mlops_runtime.operations.errors import ManifestError

WEBSERVICE = "webservice"
"""Name of the Deployment and the Service, before kustomize adds the prefix."""
POD_IDENTITY_AGENT = "169.254.170.23/32"
"""Address of the agent on each node of EKS from which a Job gets its credentials."""
ALB_SCHEMES = ("internal", "internet-facing")
CUSTOM_KINDS = {
    "GATEWAY": ("gateway.networking.k8s.io/v1", {"HTTPRoute"}, "the Gateway API"),
    "SERVICE_MONITOR": ("monitoring.coreos.com/v1", {"ServiceMonitor", "PrometheusRule"}, "the Prometheus Operator"),
}
"""Settings whose kinds Kubernetes does not have by itself: version of their API, kinds, and what defines them."""


def deployment_patches(environment: Mapping[str, str], replicas: int | None) -> list[dict[str, Any]]:
    """Return the patches of the Deployment for kustomize.

    Args:
        environment: with the settings of the project.
        replicas: number of pods in its manifest; None without one.
    """
    operations: list[dict[str, Any]] = []
    if priority := environment.get("PRIORITY_CLASS"):
        operations.append({"op": "add", "path": "/spec/template/spec/priorityClassName", "value": priority})
    if environment.get("MAX_REPLICAS") and replicas is not None:
        # The autoscaler sets it: with a number in the manifest, each deploy would set it back.
        operations.append({"op": "remove", "path": "/spec/replicas"})
    target = {"kind": "Deployment", "name": WEBSERVICE}
    return [{"target": target, "patch": json.dumps(operations)}] if operations else []


def optional_objects(environment: Mapping[str, str], replicas: int | None) -> list[dict[str, Any]]:
    """Return the objects that a setting turns on.

    Args:
        environment: with the settings of the project.
        replicas: number of pods in the manifest of the Deployment; None without one.

    Raises:
        ManifestError: if a setting cannot be used.
    """
    objects: list[dict[str, Any]] = []
    if maximum := environment.get("MAX_REPLICAS"):
        objects.append(autoscaler(replicas or 1, maximum, environment.get("TARGET_CPU") or "700m"))
    if sources := environment.get("ALLOW_FROM", "").split():
        objects += network_policies(sources)
    if ingress_class := environment.get("INGRESS_CLASS"):
        objects.append(ingress(ingress_class, environment))
    if gateway := environment.get("GATEWAY"):
        objects.append(http_route(gateway, environment))
    return objects


def autoscaler(minimum: int, maximum: str, cpu: str) -> dict[str, Any]:
    """Return the autoscaler of the pods.

    Args:
        minimum: number of pods.
        maximum: number of pods.
        cpu: mean of the CPU of the pods above which pods are added, such as "700m".

    Raises:
        ManifestError: if the maximum is no number, or less than the minimum.
    """
    if not maximum.isdecimal() or int(maximum) < minimum:
        raise ManifestError(
            f"MAX_REPLICAS={maximum} is not usable: give a number of at least {minimum}, which is that of the overlay"
        )
    return _object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        WEBSERVICE,
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEBSERVICE},
            "minReplicas": minimum,
            "maxReplicas": int(maximum),
            # Not a share of the request: a pod may use more than it has requested.
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": cpu}},
                }
            ],
        },
    )


def network_policies(sources: list[str]) -> list[dict[str, Any]]:
    """Return who may call the pods of the service, and what they and those of training may call.

    Args:
        sources: names of namespaces and address ranges.

    Raises:
        ManifestError: if an address range cannot be read.
    """
    own_pods = {"podSelector": {"matchLabels": {"component": "dashboard"}}}
    service = {
        "podSelector": {"matchLabels": {"component": WEBSERVICE}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [own_pods, *map(_peer, sources)], "ports": [{"port": "http", "protocol": "TCP"}]}],
        "egress": [_dns()],
    }
    trainer = {
        "podSelector": {"matchLabels": {"component": "trainer"}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            _dns(),
            {"ports": [{"port": 443, "protocol": "TCP"}]},
            {"to": [{"ipBlock": {"cidr": POD_IDENTITY_AGENT}}], "ports": [{"port": 80, "protocol": "TCP"}]},
        ],
    }
    return [
        _object("networking.k8s.io/v1", "NetworkPolicy", name, spec)
        for name, spec in ((WEBSERVICE, service), ("trainer", trainer))
    ]


def _dns() -> dict[str, Any]:
    """Return the rule for names: to any address, because a pod, the node or a cache on it may answer."""
    return {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}


def _peer(source: str) -> dict[str, Any]:
    if "/" not in source:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": source}}}
    try:
        return {"ipBlock": {"cidr": str(ip_network(source))}}
    except ValueError as error:
        raise ManifestError(
            f"ALLOW_FROM has {source}, which is no address range ({error}): give one such as 10.0.0.0/16"
        ) from error


def ingress(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the Ingress of the service.

    Args:
        name: of its class.
        environment: with ALB_SCHEME, PUBLIC_HOST, ROOT_PATH and CERTIFICATE.

    Raises:
        ManifestError: if a setting is missing or cannot be used.
    """
    scheme, host, certificate = (environment.get(name, "") for name in ("ALB_SCHEME", "PUBLIC_HOST", "CERTIFICATE"))
    if scheme not in (*ALB_SCHEMES, "") or (name == "alb" and not scheme):
        raise ManifestError(f"ALB_SCHEME={scheme} is not usable: set it to {' or '.join(ALB_SCHEMES)}")
    if certificate and not scheme and not host:
        raise ManifestError("CERTIFICATE is the name of a Secret, and needs a host: set PUBLIC_HOST")
    backend = {"service": {"name": WEBSERVICE, "port": {"name": "http"}}}
    path = {"path": environment.get("ROOT_PATH") or "/", "pathType": "Prefix", "backend": backend}
    rule: dict[str, Any] = {"host": host} if host else {}
    spec: dict[str, Any] = {"ingressClassName": name, "rules": [rule | {"http": {"paths": [path]}}]}
    if certificate and not scheme:
        spec["tls"] = [{"hosts": [host], "secretName": certificate}]
    content = _object("networking.k8s.io/v1", "Ingress", WEBSERVICE, spec)
    if scheme:
        content["metadata"]["annotations"] = _alb_annotations(scheme, certificate)
    return content


def _alb_annotations(scheme: str, certificate: str) -> dict[str, str]:
    """Return the annotations of the AWS Load Balancer Controller."""
    annotations = {
        "scheme": scheme,
        # To the pods themselves: the Service has no port on the nodes.
        "target-type": "ip",
        "healthcheck-path": "/readyz",
    }
    if certificate:
        annotations |= {
            "certificate-arn": certificate,
            "listen-ports": json.dumps([{"HTTP": 80}, {"HTTPS": 443}]),
            "ssl-redirect": "443",
        }
    return {f"alb.ingress.kubernetes.io/{name}": value for name, value in annotations.items()}


def http_route(gateway: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the route from a Gateway to the service; the certificate is that of the Gateway.

    Args:
        gateway: its namespace and name, with a slash between them.
        environment: with PROJECT, PUBLIC_HOST and ROOT_PATH.

    Raises:
        ManifestError: if the Gateway has no namespace or no name.
    """
    namespace, _, name = gateway.partition("/")
    if not namespace or not name:
        raise ManifestError(f"GATEWAY={gateway} is not usable: give its namespace and name, as in gateways/public")
    host = environment.get("PUBLIC_HOST", "")
    path = {"type": "PathPrefix", "value": environment.get("ROOT_PATH") or "/"}
    # kustomize does not know that this names a Service.
    backend = {"name": f"{environment['PROJECT']}-{WEBSERVICE}", "port": 80}
    spec = {
        "parentRefs": [{"namespace": namespace, "name": name}],
        "rules": [{"matches": [{"path": path}], "backendRefs": [backend]}],
    }
    return _object(
        "gateway.networking.k8s.io/v1", "HTTPRoute", WEBSERVICE, ({"hostnames": [host]} if host else {}) | spec
    )


def _object(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"component": WEBSERVICE}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}
