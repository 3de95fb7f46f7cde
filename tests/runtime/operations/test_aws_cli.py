"""Calls of the AWS CLI, against programs that end as it does."""

import shlex
import sys

import pytest

from mlops_runtime.operations.aws_cli import AwsCli, AwsError


def cli(program: str) -> AwsCli:
    return AwsCli({"AWS": shlex.join([sys.executable, "-c", program])})


def test_an_answer_is_read_from_json() -> None:
    answer = cli("import json, sys; print(json.dumps(sys.argv[1:]))").run("ecr", "list-images")

    assert answer == ["ecr", "list-images", "--output", "json"]


def test_no_answer_is_none() -> None:
    assert cli("").run("cloudformation", "delete-stack") is None


@pytest.mark.parametrize(
    ("program", "message", "code"),
    [
        pytest.param(
            "import sys; sys.exit('\\nAn error occurred (AccessDenied) when calling the X operation: no rights')",
            "An error occurred (AccessDenied) when calling the X operation: no rights",
            "AccessDenied",
            id="refused",
        ),
        pytest.param("import sys; sys.exit(255)", "aws ecr ended with 255", "", id="no reason"),
        pytest.param("print('hello')", "aws ecr list-images answers no JSON", "", id="no JSON"),
    ],
)
def test_a_failure_is_the_last_line(program: str, message: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        cli(program).run("ecr", "list-images")

    assert message in str(caught.value)
    assert caught.value.code == code


def test_a_missing_program_is_named() -> None:
    with pytest.raises(AwsError, match="no-such-aws does not start: No such file or directory; see make doctor"):
        AwsCli({"AWS": "no-such-aws"}).run("sts", "get-caller-identity")
