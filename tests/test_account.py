"""The templates of the account, as CloudFormation's linter and ECR read them. tests/live/test_aws.py applies them."""

import json
import subprocess
import sys
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


def test_every_repository_keeps_what_was_verified(stack: dict[str, Any]) -> None:
    policy = stack["Mappings"]["Repository"]["Lifecycle"]["Policy"]
    repositories = [each for each in stack["Resources"].values() if each["Type"] == "AWS::ECR::Repository"]

    # Of the rules whose tags an image matches, the first alone may remove it
    rules = [rule["selection"] for rule in sorted(json.loads(policy)["rules"], key=lambda rule: rule["rulePriority"])]
    assert [rule.get("tagPatternList", rule["tagStatus"]) for rule in rules] == [
        ["verified-production-*"], ["verified-*"], "untagged", "any",
    ]  # fmt: skip
    assert [rule["countType"] for rule in rules] == ["imageCountMoreThan"] * 2 + ["sinceImagePushed"] * 2
    assert len(repositories) == 3
    for repository in repositories:
        assert repository["Properties"]["LifecyclePolicy"] == {
            "LifecyclePolicyText": ["Repository", "Lifecycle", "Policy"]
        }
        assert repository["Properties"]["ImageTagMutability"] == "IMMUTABLE"


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
