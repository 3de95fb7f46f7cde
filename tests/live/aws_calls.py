"""The calls that commands have made to AWS, and what policies allow of them."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

ACCOUNT = "123456789012"
CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/[^/]+/(?P<region>[^/]+)/(?P<service>[^/]+)/")
S3 = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject"}
NEED_NO_RIGHTS = {"sts:GetCallerIdentity"}


@dataclass(frozen=True, order=True)
class Call:
    """An action on a resource, or on a pattern of resources in a policy."""

    action: str
    resource: str

    def allows(self, call: "Call") -> bool:
        return self.action == call.action and fnmatchcase(call.resource, self.resource)


def calls_of(endpoint: str, key: str) -> set[Call]:
    """Return the calls that were made with an access key."""
    with urlopen(f"{endpoint}/moto-api/recorder/download-recording", timeout=60) as answer:
        recording = answer.read().decode()
    calls = set()
    for entry in _entries(recording):
        headers = {name.lower(): value for name, value in entry["headers"].items()}
        found = CREDENTIAL.search(headers.get("authorization", ""))
        if found and found["key"] == key:
            calls.add(_call(entry, headers, found["service"], found["region"]))
    return {call for call in calls if call.action not in NEED_NO_RIGHTS}


def _entries(recording: str) -> Iterator[dict[str, Any]]:
    """Yield the requests of a recording. Of requests at the same time, the ends of the lines may come late."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(recording):
        entry, position = decoder.raw_decode(recording, position)
        yield entry
        while recording[position : position + 1] == "\n":
            position += 1


def _call(entry: dict[str, Any], headers: dict[str, str], service: str, region: str) -> Call:
    """Return a call from the request by which it was made."""
    url = urlsplit(entry["url"])
    arn = f"arn:aws:{service}:{region}:{ACCOUNT}"
    match service:
        case "s3":
            bucket, _, name = unquote(url.path).strip("/").partition("/")
            if name:
                return Call(f"s3:{S3[entry['method']]}", f"arn:aws:s3:::{bucket}/{name}")
            return Call("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        case "ecr":
            repository = json.loads(_body(entry) or "{}").get("repositoryName")
            resource = f"{arn}:repository/{repository}" if repository else "*"
            return Call(f"ecr:{headers['x-amz-target'].rpartition('.')[2]}", resource)
        case "eks" if re.fullmatch(r"/clusters/[^/]+", url.path) and entry["method"] == "GET":
            return Call("eks:DescribeCluster", f"{arn}:cluster/{url.path.rpartition('/')[2]}")
        case _:
            return Call(f"{service}:{parse_qs(_body(entry))['Action'][0]}", "*")


def _body(entry: dict[str, Any]) -> str:
    body: str = entry["body"]
    return base64.b64decode(body).decode() if entry["body_encoded"] else body


def allowed_by(document: dict[str, Any]) -> Iterator[Call]:
    """Yield what a policy allows, an action and a pattern each."""
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in _each(statement["Action"]):
            for resource in _each(statement["Resource"]):
                yield Call(action, resource)


def _each(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
