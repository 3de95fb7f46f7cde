"""Stacks, when CloudFormation refuses or fails. tests/live/test_aws.py has the real AWS CLI."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations import stack as module
from mlops_runtime.operations.stack import Stack, StackError, lines_of, main
from tests.runtime.operations.scripted_aws import ScriptedAws

ABSENT = "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id x does not exist"
TEMPLATE = Path("infrastructure/stack.yaml")
BUCKET = {"ResourceType": "AWS::S3::Bucket", "PhysicalResourceId": "oncology-1"}
REPOSITORY = {"ResourceType": "AWS::ECR::Repository", "PhysicalResourceId": "oncology/webservice"}
ROLE = {"ResourceType": "AWS::IAM::Role", "PhysicalResourceId": "oncology-pipeline"}
POLICY = {"ResourceType": "AWS::IAM::ManagedPolicy", "PhysicalResourceId": "arn:aws:iam::1:policy/oncology-delivery"}


def state(name: str) -> dict[str, Any]:
    return {"Stacks": [{"StackStatus": name}]}


def change(action: str = "Modify", **more: Any) -> dict[str, Any]:
    resource = {"Action": action, "LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket"}
    return {"ResourceChange": resource | more}


def change_set(*changes: dict[str, Any], status: str = "CREATE_COMPLETE", reason: str = "") -> dict[str, Any]:
    return {"Status": status, "StatusReason": reason, "Changes": list(changes)}


def scripted(**answers: list[Any]) -> ScriptedAws:
    return ScriptedAws(
        **{"create_change_set": [{"Id": "arn:changes"}], "describe_change_set": [change_set()]} | answers
    )


def stack_of(aws: ScriptedAws) -> Stack:
    return Stack(aws, "oncology", sleep=lambda _: None)


def test_a_line_names_the_properties_of_a_change() -> None:
    details = [{"Target": {"Attribute": "Properties", "Name": "LifecyclePolicy"}}, {"Target": {"Attribute": "Tags"}}]
    changes = [
        change(Details=[*details, details[0]]),
        change("Add", LogicalResourceId="WebserviceRepository", ResourceType="AWS::ECR::Repository"),
        change(Replacement="True"),
        change(Replacement="Conditional"),
        change("Import"),
    ]

    lines = lines_of([each["ResourceChange"] for each in changes])

    assert lines == [
        "change             Bucket                AWS::S3::Bucket       LifecyclePolicy, Tags",
        "add                WebserviceRepository  AWS::ECR::Repository",
        "replace            Bucket                AWS::S3::Bucket",
        "change or replace  Bucket                AWS::S3::Bucket",
        "take over          Bucket                AWS::S3::Bucket",
    ]


def test_a_diff_of_a_stack_that_is_not_there_leaves_none() -> None:
    # Given no stack: the first change set makes an empty one
    aws = scripted(
        describe_stacks=[ABSENT, state("REVIEW_IN_PROGRESS")], describe_change_set=[change_set(change("Add"))]
    )

    # When the difference is asked for
    lines = stack_of(aws).diff(TEMPLATE, {"ProjectName": "oncology"}, {"team": "ward"})

    # Then it was a change set of a new stack, and both are gone
    assert lines == ["add  Bucket  AWS::S3::Bucket"]
    assert aws.value("create-change-set", "--change-set-type") == "CREATE"
    assert json.loads(aws.value("create-change-set", "--parameters")) == [
        {"ParameterKey": "ProjectName", "ParameterValue": "oncology"}
    ]
    assert json.loads(aws.value("create-change-set", "--tags")) == [{"Key": "team", "Value": "ward"}]
    assert aws.operations()[-3:] == ["delete-change-set", "describe-stacks", "delete-stack"]


def test_a_diff_of_a_stack_leaves_it() -> None:
    pending = change_set(status="CREATE_IN_PROGRESS")
    aws = scripted(describe_stacks=[state("UPDATE_COMPLETE")], describe_change_set=[pending, change_set(change())])

    lines = stack_of(aws).diff(TEMPLATE, {}, {})

    assert lines == ["change  Bucket  AWS::S3::Bucket"]
    assert aws.value("create-change-set", "--change-set-type") == "UPDATE"
    assert not {"delete-stack", "execute-change-set"} & set(aws.operations())
    assert aws.operations()[-1] == "delete-change-set"


@pytest.mark.parametrize(
    "reason", ["The submitted information didn't contain changes.", "No updates are to be performed."]
)
def test_without_a_change_nothing_is_executed(reason: str) -> None:
    empty = change_set(status="FAILED", reason=reason)
    aws = scripted(describe_stacks=[state("CREATE_COMPLETE")], describe_change_set=[empty])

    assert stack_of(aws).apply(TEMPLATE, {}, {}) == ()
    assert "execute-change-set" not in aws.operations()
    assert aws.operations()[-1] == "delete-change-set"


def test_a_template_that_cannot_be_used_changes_nothing() -> None:
    refused = change_set(status="FAILED", reason="Parameter KmsKey failed to satisfy constraint")
    aws = scripted(describe_stacks=[ABSENT, state("REVIEW_IN_PROGRESS")], describe_change_set=[refused])

    with pytest.raises(StackError, match="KmsKey failed to satisfy constraint; nothing was changed"):
        stack_of(aws).apply(TEMPLATE, {}, {})

    assert aws.operations()[-1] == "delete-stack"


def test_an_update_that_fails_names_the_first_reason() -> None:
    # Given an update in which one resource failed, and another one was cancelled for that
    events = [
        {"LogicalResourceId": "TrainerRole", "ResourceStatus": "UPDATE_FAILED", "ResourceStatusReason": "cancelled"},
        {
            "LogicalResourceId": "Bucket",
            "ResourceStatus": "UPDATE_FAILED",
            "ResourceStatusReason": "no such log bucket",
        },
        {"LogicalResourceId": "oncology", "ResourceStatus": "UPDATE_IN_PROGRESS"},
    ]
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE"), state("UPDATE_IN_PROGRESS"), state("UPDATE_ROLLBACK_COMPLETE")],
        describe_change_set=[change_set(change())],
        describe_stack_events=[{"StackEvents": events}],
    )

    with pytest.raises(StackError, match="state UPDATE_ROLLBACK_COMPLETE: Bucket: no such log bucket"):
        stack_of(aws).apply(TEMPLATE, {}, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("UPDATE_IN_PROGRESS", "is being changed .*: wait", id="in progress"),
        pytest.param("ROLLBACK_COMPLETE", "aws cloudformation delete-stack --stack-name oncology", id="never created"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_left_as_it_is(name: str, message: str) -> None:
    aws = scripted(describe_stacks=[state(name)], describe_stack_events=[{"StackEvents": []}])

    with pytest.raises(StackError, match=message):
        stack_of(aws).apply(TEMPLATE, {}, {})

    assert "create-change-set" not in aws.operations()


def holders(*roles: str) -> dict[str, Any]:
    return {"PolicyRoles": [{"RoleName": role} for role in roles], "PolicyUsers": [], "PolicyGroups": []}


def test_a_policy_that_others_hold_keeps_the_stack() -> None:
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE")],
        describe_stack_resources=[{"StackResources": [ROLE, POLICY]}],
        list_entities_for_policy=[holders("oncology-pipeline", "anna")],
    )

    with pytest.raises(StackError, match=r"nothing was removed: detach arn:\S+ from role anna, as"):
        stack_of(aws).check_removal()


def test_the_policy_of_a_role_of_the_stack_is_no_obstacle() -> None:
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE")],
        describe_stack_resources=[{"StackResources": [ROLE, POLICY]}],
        list_entities_for_policy=[holders("oncology-pipeline")],
    )

    stack_of(aws).check_removal()


def test_filled_repositories_are_emptied_and_the_bucket_is_kept() -> None:
    # Given a list of images for several machines: its parts can only be removed after it
    parts = [{"imageDigest": f"sha256:{number}"} for number in range(150)]
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE"), state("DELETE_IN_PROGRESS"), ABSENT],
        describe_stack_resources=[{"StackResources": [BUCKET, REPOSITORY, {"ResourceType": "AWS::IAM::Role"}]}],
        list_images=[{"imageIds": parts}, {"imageIds": parts[:1]}, {"imageIds": []}],
    )

    removed, kept = stack_of(aws).destroy()

    assert removed == ["AWS::ECR::Repository  oncology/webservice"]
    assert kept == ["oncology-1"]
    assert aws.operations().count("batch-delete-image") == 3
    assert json.loads(aws.value("batch-delete-image", "--image-ids")) == parts[:1]
    assert aws.operations().index("batch-delete-image") < aws.operations().index("delete-stack")


def test_images_that_stay_keep_the_stack() -> None:
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE")],
        describe_stack_resources=[{"StackResources": [REPOSITORY]}],
        list_images=[{"imageIds": [{"imageDigest": "sha256:1"}]}],
    )

    with pytest.raises(StackError, match="does not remove the 1 images of oncology/webservice: the stack is left"):
        stack_of(aws).destroy()

    assert "delete-stack" not in aws.operations()


def test_a_stack_that_is_not_removed_says_why() -> None:
    failed = {"LogicalResourceId": "TrainerRole", "ResourceStatus": "DELETE_FAILED", "ResourceStatusReason": "in use"}
    aws = scripted(
        describe_stacks=[state("CREATE_COMPLETE"), state("DELETE_FAILED")],
        describe_stack_resources=[{"StackResources": [BUCKET]}],
        describe_stack_events=[{"StackEvents": [failed]}],
    )

    with pytest.raises(StackError, match="DELETE_FAILED: TrainerRole: in use"):
        stack_of(aws).destroy()


@pytest.mark.parametrize(
    ("name", "confirm", "status", "output"),
    [
        pytest.param((), "shared", 1, "removed: type oncology, or set CONFIRM=oncology", id="another name"),
        pytest.param((), "", 1, "nothing was removed", id="no terminal"),
        pytest.param((), "oncology", 0, "kept: the bucket oncology-1, with every version", id="confirmed"),
        pytest.param(("--name", "shared"), "oncology", 1, "type shared, or set CONFIRM=shared", id="cluster"),
        pytest.param(("--name", "shared"), "shared", 0, "kept: the bucket", id="cluster, confirmed"),
    ],
)
def test_destroy_needs_the_name_of_what_goes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: tuple[str, ...],
    confirm: str,
    status: int,
    output: str,
) -> None:
    existing = [state("CREATE_COMPLETE")] * 3
    aws = scripted(describe_stacks=[*existing, ABSENT], describe_stack_resources=[{"StackResources": [BUCKET]}])
    monkeypatch.setattr(module, "AwsCli", lambda _: aws)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    monkeypatch.setenv("PROJECT", "oncology")
    monkeypatch.setenv("CONFIRM", confirm)

    assert main(["destroy", "oncology", *name]) == status

    assert output in "".join(capsys.readouterr())
    assert ("delete-stack" in aws.operations()) == (status == 0)
