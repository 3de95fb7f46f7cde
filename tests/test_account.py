"""The templates of the account, as CloudFormation's linter and ECR read them. tests/live/test_aws.py applies them."""

import fnmatch
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_runtime.operations.trend.rows import COLUMNS, MANIFEST
from tests.conftest import Bakery


class Loader(yaml.SafeLoader):
    """Reads templates: a short form of a function becomes its argument."""


def function(loader: Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", function)


@pytest.fixture(scope="module")
def infrastructure(bakery: Bakery) -> Path:
    """The folder of a project that has every resource."""
    return bakery.project(dashboard="streamlit") / "infrastructure"


@pytest.fixture(scope="module")
def stack(infrastructure: Path) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((infrastructure / "stack.yaml").read_text(), Loader)
    return template


def test_the_templates_pass_the_linter(infrastructure: Path) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    templates = [infrastructure / "cluster.yaml", infrastructure / "stack.yaml"]

    result = subprocess.run([program, *templates], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")


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


@pytest.fixture(scope="module")
def rules(stack: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = json.loads(stack["Mappings"]["Repository"]["Lifecycle"]["Policy"])["rules"]
    return rules


def test_every_repository_has_the_rules_and_tags_that_do_not_move(stack: dict[str, Any]) -> None:
    repositories = [each for each in stack["Resources"].values() if each["Type"] == "AWS::ECR::Repository"]

    assert len(repositories) == 3
    for repository in repositories:
        assert repository["Properties"]["LifecyclePolicy"] == {
            "LifecyclePolicyText": ["Repository", "Lifecycle", "Policy"]
        }
        assert repository["Properties"]["ImageTagMutability"] == "IMMUTABLE"


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


def test_the_data_set_has_the_columns_of_the_rows(stack: dict[str, Any]) -> None:
    resources = stack["Resources"]
    source = resources["Measurements"]["Properties"]["PhysicalTableMap"]["rows"]["S3Source"]
    location = resources["MeasurementSource"]["Properties"]["DataSourceParameters"]["S3Parameters"]

    # Of CSV, QuickSight reads columns of text alone
    assert source["InputColumns"] == [{"Name": name, "Type": "STRING"} for name in COLUMNS]
    assert location["ManifestFileLocation"]["Key"] == MANIFEST


def test_a_pipeline_has_the_rights_of_a_delivery_and_no_others(stack: dict[str, Any]) -> None:
    properties = stack["Resources"]["PipelineRole"]["Properties"]

    assert properties["ManagedPolicyArns"] == ["DeliveryPolicy"]
    assert "Policies" not in properties
    assert stack["Resources"]["PipelineAccess"]["Properties"]["KubernetesGroups"] == ["${ProjectName}:deployer"]


def test_the_training_job_reads_data_and_writes_what_it_made(stack: dict[str, Any]) -> None:
    (policy,) = stack["Resources"]["TrainerRole"]["Properties"]["Policies"]

    rights = {(each["Action"], each["Resource"]) for each in policy["PolicyDocument"]["Statement"]}
    bucket = "arn:${AWS::Partition}:s3:::${BucketName}"
    assert rights == {("s3:GetObject", f"{bucket}/data/*"), ("s3:PutObject", f"{bucket}/trainer/*")}
