"""The templates of the account, as CloudFormation's linter and ECR read them. tests/live/test_aws.py applies them."""

import fnmatch
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_runtime.operations.trend.rows import COLUMNS, MANIFEST
from tests.conftest import Bakery, program


class Loader(yaml.SafeLoader):
    """Reads templates: the short form of a function becomes its long form."""


def function(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    name = name if name == "Ref" else f"Fn::{name}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", function)

ABSENT = object()
"""What AWS::NoValue stands for."""


class Template:
    """A template with parameters: a resource is referred to by its name, and a text without a value stays as it is."""

    def __init__(self, text: str, **parameters: str) -> None:
        self.content = yaml.load(text, Loader)
        defaults = {name: each["Default"] for name, each in self.content["Parameters"].items() if "Default" in each}
        self.parameters = defaults | parameters

    def resources(self) -> dict[str, Any]:
        """Return the resources that are made, by name."""
        return {
            name: self.value_of(resource)
            for name, resource in self.content["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def holds(self, condition: str) -> bool:
        return bool(self.value_of(self.content["Conditions"][condition]))

    def value_of(self, value: Any) -> Any:
        match value:
            case {"Ref": "AWS::NoValue"}:
                return ABSENT
            case {"Ref": name}:
                return self.parameters.get(name, name)
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{(\w+)\}", lambda found: self.parameters.get(found[1], found[0]), text)
            case {"Fn::GetAtt": text}:
                return text
            case {"Fn::FindInMap": [name, first, second]}:
                return self.content["Mappings"][name][first][second]
            case {"Fn::Equals": [one, other]}:
                return self.value_of(one) == self.value_of(other)
            case {"Fn::Not": [condition]}:
                return not self.value_of(condition)
            case {"Fn::If": [condition, one, other]}:
                return self.value_of(one if self.holds(condition) else other)
            case dict():
                values = {name: self.value_of(inner) for name, inner in value.items()}
                return {name: inner for name, inner in values.items() if inner is not ABSENT}
            case list():
                return [inner for inner in map(self.value_of, value) if inner is not ABSENT]
        return value


EVERYTHING = {
    "KmsKey": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "LogBucket": "logs",
    "OidcProvider": "gitlab.com",
    "OidcSubject": "project_path:team/oncology:*",
    "QuickSightUser": "arn:aws:quicksight:eu-central-1:123456789012:user/default/ada",
}


@pytest.fixture(scope="module")
def infrastructure(bakery: Bakery) -> Path:
    """The folder of a project that has every resource."""
    return bakery.project(dashboard="streamlit") / "infrastructure"


@pytest.fixture(scope="module")
def stack(infrastructure: Path) -> dict[str, Any]:
    """The resources of a stack with every setting."""
    return Template((infrastructure / "stack.yaml").read_text(), **EVERYTHING).resources()


@pytest.fixture(scope="module")
def bare_stack(infrastructure: Path) -> dict[str, Any]:
    """The resources of a stack without settings."""
    return Template((infrastructure / "stack.yaml").read_text()).resources()


def test_the_templates_pass_the_linter(infrastructure: Path) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    templates = [infrastructure / "cluster.yaml", infrastructure / "stack.yaml"]

    result = subprocess.run([program, *templates], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")


def test_checkov_finds_nothing_in_the_templates(infrastructure: Path) -> None:
    # Given a program whose packages need other versions than those of these tests
    checkov = program("checkov", "TEST_CHECKOV", "pip install checkov in an environment of its own")
    templates = [infrastructure / "cluster.yaml", infrastructure / "stack.yaml"]
    skipped = sum(template.read_text().count("checkov:skip=") for template in templates)

    # When it reads the templates
    options = ("--framework", "cloudformation", "--skip-download", "--output", "json", "--compact", "--quiet")
    result = subprocess.run([checkov, *options, "--file", *templates], capture_output=True, text=True, check=False)

    # Then no check fails but those that a template skips, and says why
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads(result.stdout)["summary"]
    assert summary["passed"] > 0
    assert (summary["failed"], summary["parsing_errors"], summary["skipped"]) == (0, 0, skipped)


@dataclass(frozen=True)
class Image:
    """An image in a repository.

    Attributes:
        age: days since it was pushed.
        tags: that it has.
    """

    age: int
    tags: frozenset[str]


def image(age: int, *tags: str) -> Image:
    return Image(age, frozenset(tags))


def selected(selection: dict[str, Any], images: Iterable[Image]) -> list[Image]:
    """Return the images that a rule is about."""
    match selection["tagStatus"]:
        case "any":
            return list(images)
        case "untagged":
            return [image for image in images if not image.tags]
        case _:
            patterns = selection["tagPatternList"]
            return [image for image in images if all(fnmatch.filter(image.tags, pattern) for pattern in patterns)]


def removed_of(rules: Iterable[dict[str, Any]], images: Iterable[Image]) -> set[Image]:
    """Return what ECR removes: of the rules whose tags an image matches, the first alone may do it."""
    newest_first = sorted(images, key=lambda image: image.age)
    removed: set[Image] = set()
    judged: set[Image] = set()
    for rule in sorted(rules, key=lambda rule: int(rule["rulePriority"])):
        selection = rule["selection"]
        about, limit = selected(selection, newest_first), selection["countNumber"]
        if selection["countType"] == "imageCountMoreThan":
            old = about[limit:]
        else:
            assert (selection["countType"], selection["countUnit"]) == ("sinceImagePushed", "days")
            old = [image for image in about if image.age > limit]
        removed.update(set(old) - judged)
        judged.update(about)
    return removed


def pushed(count: int, *patterns: str) -> list[Image]:
    """Return images that were pushed one a day, the newest today; {} in a pattern of a tag stands for the version."""
    return [image(age, *(pattern.format(f"2.{age}") for pattern in patterns)) for age in range(count)]


def properties_of(stack: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the properties of the resources of a type."""
    return [each["Properties"] for each in stack.values() if each["Type"] == kind]


@pytest.fixture(scope="module")
def rules(stack: dict[str, Any]) -> list[dict[str, Any]]:
    policy = stack["TrainerRepository"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
    rules: list[dict[str, Any]] = json.loads(policy)["rules"]
    return rules


def test_every_repository_has_the_rules_and_tags_that_do_not_move(
    stack: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    repositories = properties_of(stack, "AWS::ECR::Repository")

    assert len(repositories) == 3
    for repository in repositories:
        assert json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"]) == {"rules": rules}
        assert repository["ImageTagMutability"] == "IMMUTABLE"


DEPLOYS = ("{}", "verified-staging-{}", "verified-production-{}")
"""Tags of a version that was deployed to both environments."""


@pytest.mark.parametrize(
    ("kept", "others"),
    [
        pytest.param(image(200, "1", "verified-production-1"), pushed(100, "{}", "verified-staging-{}"), id="runs"),
        pytest.param(image(200, "1", "verified-staging-1"), pushed(29, *DEPLOYS), id="29 newer ones"),
        pytest.param(image(200, "1", "scheduled-production-1"), pushed(100, *DEPLOYS), id="scheduled"),
        pytest.param(image(200, "1", "scheduled-staging-1"), pushed(100, *DEPLOYS), id="scheduled in staging"),
        pytest.param(
            image(200, "1", "verified-production-1", "scheduled-production-1"),
            pushed(100, *DEPLOYS),
            id="scheduled and verified",
        ),
        pytest.param(
            image(200, "1", "scheduled-production-1"),
            pushed(100, "{}", "scheduled-staging-{}"),
            id="scheduled in production, others elsewhere",
        ),
        pytest.param(image(200, f"sha256-{'a' * 64}.sig"), pushed(100, *DEPLOYS), id="signature"),
        pytest.param(image(90, "1"), pushed(100, *DEPLOYS), id="never verified, for 90 days"),
        pytest.param(image(7), pushed(100, *DEPLOYS), id="without a tag, for a week"),
    ],
)
def test_ecr_keeps_what_may_run(rules: list[dict[str, Any]], kept: Image, others: list[Image]) -> None:
    assert kept not in removed_of(rules, [*others, kept])


@pytest.mark.parametrize(
    ("old", "others"),
    [
        pytest.param(image(200, "1", "verified-production-1"), pushed(30, *DEPLOYS), id="30 newer ones"),
        pytest.param(
            image(200, "1", "scheduled-staging-1"), pushed(30, "{}", "scheduled-staging-{}"), id="30 scheduled later"
        ),
        pytest.param(image(91, "1"), [], id="never verified"),
        pytest.param(image(8), [], id="without a tag"),
    ],
)
def test_ecr_removes_what_never_ran_or_is_long_replaced(
    rules: list[dict[str, Any]], old: Image, others: list[Image]
) -> None:
    assert removed_of(rules, [*others, old]) == {old}


@pytest.mark.parametrize(
    ("target", "tagging", "then"),
    [
        pytest.param("deploy", "verified webservice trainer", "", id="deploy"),
        pytest.param("keep.images", "verified webservice trainer", "", id="keep.images"),
        pytest.param("train.schedule", "scheduled trainer", "apply --kustomize build/k8s/schedule", id="schedule"),
    ],
)
@pytest.mark.parametrize("login", ["ecr", "none"])
def test_images_are_tagged_on_ecr_alone(bakery: Bakery, target: str, tagging: str, then: str, login: str) -> None:
    # When the command of a project is shown
    settings = [f"LOGIN={login}", "REGISTRY=r", "BUCKET=b", "AWS_ACCOUNT=1", "SKIP_TESTS=x", "PYTHON3=python3"]
    command = ["make", "--dry-run", target, *settings]
    shown = subprocess.run(command, cwd=bakery.project(), capture_output=True, text=True, check=True).stdout

    # Then it tags its images, a CronJob's before it is there
    _, found, rest = shown.partition("operations.image_tags ")
    assert bool(found) == (login == "ecr")
    if found:
        assert set(rest.splitlines()[0].split()) == set(tagging.split())
        assert then in rest


def test_a_key_encrypts_bucket_and_repositories(stack: dict[str, Any]) -> None:
    key = EVERYTHING["KmsKey"]

    assert stack["Bucket"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        }
    ]
    for repository in properties_of(stack, "AWS::ECR::Repository"):
        assert repository["EncryptionConfiguration"] == {"EncryptionType": "KMS", "KmsKey": key}
    policy = stack["KeyPolicy"]["Properties"]
    assert policy["Roles"] == ["TrainerRole", "PipelineRole"]
    assert [each["Resource"] for each in policy["PolicyDocument"]["Statement"]] == [key]


def test_without_a_key_s3_and_ecr_encrypt_with_theirs(bare_stack: dict[str, Any]) -> None:
    assert bare_stack["Bucket"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]
    assert not any("EncryptionConfiguration" in each for each in properties_of(bare_stack, "AWS::ECR::Repository"))
    assert "KeyPolicy" not in bare_stack


def test_a_key_without_a_pipeline_is_for_the_trainer(infrastructure: Path) -> None:
    stack = Template((infrastructure / "stack.yaml").read_text(), KmsKey=EVERYTHING["KmsKey"]).resources()

    assert stack["KeyPolicy"]["Properties"]["Roles"] == ["TrainerRole"]


def test_access_logs_go_to_the_bucket_for_them(stack: dict[str, Any], bare_stack: dict[str, Any]) -> None:
    assert stack["Bucket"]["Properties"]["LoggingConfiguration"] == {
        "DestinationBucketName": "logs", "LogFilePrefix": "${BucketName}/",
    }  # fmt: skip
    assert "LoggingConfiguration" not in bare_stack["Bucket"]["Properties"]


@pytest.mark.parametrize(("parameters", "days"), [({}, 90), ({"OldVersionDays": "7"}, "7")], ids=["default", "set"])
def test_old_versions_of_objects_are_removed_and_the_last_one_stays(
    infrastructure: Path, parameters: dict[str, str], days: object
) -> None:
    stack = Template((infrastructure / "stack.yaml").read_text(), **parameters).resources()

    bucket = stack["Bucket"]["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    # Each rule has what it removes, and none an object that is there
    assert [{name: rule[name] for name in rule.keys() - {"Id", "Status"}} for rule in rules] == [
        {"NoncurrentVersionExpiration": {"NoncurrentDays": days}, "ExpiredObjectDeleteMarker": True},
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
    ]


def test_the_data_set_has_the_columns_of_the_rows(stack: dict[str, Any]) -> None:
    source = stack["Measurements"]["Properties"]["PhysicalTableMap"]["rows"]["S3Source"]
    location = stack["MeasurementSource"]["Properties"]["DataSourceParameters"]["S3Parameters"]

    # Of CSV, QuickSight reads columns of text alone
    assert source["InputColumns"] == [{"Name": name, "Type": "STRING"} for name in COLUMNS]
    assert location["ManifestFileLocation"]["Key"] == MANIFEST


def test_a_pipeline_has_the_rights_of_a_delivery_and_no_others(stack: dict[str, Any]) -> None:
    properties = stack["PipelineRole"]["Properties"]

    assert properties["ManagedPolicyArns"] == ["DeliveryPolicy"]
    assert "Policies" not in properties
    assert stack["PipelineAccess"]["Properties"]["KubernetesGroups"] == ["${ProjectName}:deployer"]


def test_the_training_job_reads_data_and_champions_and_writes_what_it_made(stack: dict[str, Any]) -> None:
    (policy,) = stack["TrainerRole"]["Properties"]["Policies"]

    read, write = policy["PolicyDocument"]["Statement"]
    bucket = "arn:${AWS::Partition}:s3:::${BucketName}"
    assert (read["Action"], read["Resource"]) == ("s3:GetObject", [f"{bucket}/champion/*", f"{bucket}/data/*"])
    assert (write["Action"], write["Resource"]) == ("s3:PutObject", f"{bucket}/trainer/*")
