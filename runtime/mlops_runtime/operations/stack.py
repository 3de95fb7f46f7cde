"""CloudFormation stacks: the commands apply, diff and destroy, for `make infrastructure`.

Each change is a change set: `diff` shows it and removes it, `apply` shows it and executes it. A resource that an
earlier stack has kept, such as the bucket, is taken over. Settings come from the environment, where make puts those of
project.mk.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_runtime.operations.aws_cli import AwsCli, AwsError
from mlops_runtime.operations.settings import say

POLL_INTERVAL = 3.0
"""Seconds between two questions for the state of a stack."""
MAX_IMAGES = 100
"""Images that one call removes from a repository."""
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
"""How CloudFormation says that a change set is empty."""
WORDS = {"Add": "add", "Modify": "change", "Remove": "remove", "Import": "take over"}
KEPT = "AWS::S3::Bucket"
"""Type of the resources that outlive their stack."""


class StackError(RuntimeError):
    """A stack was not changed as wanted; the message says what to do."""


@dataclass(frozen=True)
class ChangeSet:
    """What an update of a stack would change.

    Attributes:
        name: ARN of the change set.
        lines: a line for each resource; empty without a change.
    """

    name: str
    lines: Sequence[str]


class Stack:
    """One stack.

    Attributes:
        name: of the stack.
    """

    def __init__(self, aws: AwsCli, name: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.name = name
        self._aws = aws
        self._sleep = sleep

    def status(self) -> str:
        """Return the state that CloudFormation names; empty if there is no such stack.

        Raises:
            AwsError: if it cannot be asked.
        """
        try:
            stacks = self._call("describe-stacks", "--stack-name", self.name)["Stacks"]
        except AwsError as error:
            if "does not exist" in str(error):
                return ""
            raise
        return str(stacks[0]["StackStatus"])

    def diff(self, template: Path, parameters: Mapping[str, str], tags: Mapping[str, str]) -> Sequence[str]:
        """Return what `apply` would change, a line for each resource.

        Raises:
            StackError, AwsError: if CloudFormation does not say it.
        """
        status = self._ready()
        changes = self._change_set(status, template, parameters, tags)
        self._discard(changes.name, was_absent=not status)
        return changes.lines

    def apply(self, template: Path, parameters: Mapping[str, str], tags: Mapping[str, str]) -> Sequence[str]:
        """Create or update the stack, and wait; return what was changed, a line for each resource.

        Raises:
            StackError, AwsError: if CloudFormation refuses a change; it undoes the others then.
        """
        status = self._ready()
        changes = self._change_set(status, template, parameters, tags)
        if not changes.lines:
            self._discard(changes.name, was_absent=not status)
            return ()
        self._call("execute-change-set", "--change-set-name", changes.name)
        status = self._wait()
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
            raise StackError(f"the stack {self.name} is in the state {status}: {self._reason()}")
        return changes.lines

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources of the stack; none if there is no such stack.

        Raises:
            AwsError: if CloudFormation cannot be asked.
        """
        if not self.status():
            return []
        answer = self._call("describe-stack-resources", "--stack-name", self.name)
        # One that could not be created has no name.
        return [each for each in answer["StackResources"] if each.get("PhysicalResourceId")]

    def check_removal(self) -> None:
        """Check that nothing outside the stack holds one of its policies.

        Raises:
            StackError: if something does: the stack could only be removed in part.
            AwsError: if AWS cannot be asked.
        """
        resources = self.resources()
        own = {each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::IAM::Role"}
        for policy in (each for each in resources if each["ResourceType"] == "AWS::IAM::ManagedPolicy"):
            arn = policy["PhysicalResourceId"]
            answer = self._aws.run("iam", "list-entities-for-policy", "--policy-arn", arn)
            holders = [f"role {each['RoleName']}" for each in answer["PolicyRoles"] if each["RoleName"] not in own]
            holders += [f"user {each['UserName']}" for each in answer["PolicyUsers"]]
            holders += [f"group {each['GroupName']}" for each in answer["PolicyGroups"]]
            if holders:
                raise StackError(
                    f"nothing was removed: detach {arn} from {', '.join(holders)}, as a policy in use cannot be removed"
                )

    def destroy(self) -> tuple[Sequence[str], Sequence[str]]:
        """Remove the stack with the images in its repositories.

        Returns:
            What was removed, and what outlives the stack, a line for each resource.

        Raises:
            StackError, AwsError: if not everything was removed.
        """
        resources = self.resources()
        for each in resources:
            # CloudFormation removes no repository that has images.
            if each["ResourceType"] == "AWS::ECR::Repository":
                self._empty(each["PhysicalResourceId"])
        self._call("delete-stack", "--stack-name", self.name)
        status = self._wait()
        if status not in ("", "DELETE_COMPLETE"):
            raise StackError(f"the stack {self.name} is in the state {status}: {self._reason()}")
        kept = [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == KEPT]
        width = max((len(each["ResourceType"]) for each in resources), default=0)
        removed = [each for each in resources if each["ResourceType"] != KEPT]
        return [f"{each['ResourceType']:<{width}}  {each['PhysicalResourceId']}" for each in removed], kept

    def _empty(self, repository: str) -> None:
        """Remove the images of a repository: first those that no list of images for several machines names."""
        images = self._images(repository)
        while images:
            for start in range(0, len(images), MAX_IMAGES):
                batch = json.dumps(images[start : start + MAX_IMAGES])
                self._aws.run("ecr", "batch-delete-image", "--repository-name", repository, "--image-ids", batch)
            left = self._images(repository)
            if len(left) >= len(images):
                raise StackError(
                    f"ECR does not remove the {len(left)} images of {repository}: the stack is left as it was"
                )
            images = left

    def _images(self, repository: str) -> list[dict[str, str]]:
        """Return the images of a repository, one with several tags for each of them."""
        found: list[dict[str, str]] = self._aws.run("ecr", "list-images", "--repository-name", repository)["imageIds"]
        return found

    def _ready(self) -> str:
        """Return the state of a stack that can be changed."""
        status = self.status()
        if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise StackError(f"the stack {self.name} is being changed ({status}): wait, then run this again")
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
            raise StackError(
                f"the stack {self.name} cannot be changed in the state {status} ({self._reason()}):"
                f" remove it with aws cloudformation delete-stack --stack-name {self.name}, then run this again"
            )
        return status

    def _change_set(
        self, status: str, template: Path, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> ChangeSet:
        kind = "CREATE" if status in ("", "REVIEW_IN_PROGRESS") else "UPDATE"
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        name = self._call(
            "create-change-set", "--stack-name", self.name, "--change-set-type", kind,
            "--change-set-name", f"make-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}",
            "--template-body", f"file://{template}", "--capabilities", "CAPABILITY_NAMED_IAM",
            "--parameters", json.dumps(given), "--import-existing-resources",
            "--tags", json.dumps([{"Key": key, "Value": value} for key, value in tags.items()]),
        )["Id"]  # fmt: skip
        while True:
            answer = self._call("describe-change-set", "--change-set-name", name)
            if answer["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            self._sleep(POLL_INTERVAL)
        if answer["Status"] == "FAILED":
            reason = answer.get("StatusReason", "")
            if not any(words in reason for words in NO_CHANGES):
                self._discard(name, was_absent=not status)
                raise StackError(f"CloudFormation refuses {template}: {reason}; nothing was changed")
            return ChangeSet(name, ())
        return ChangeSet(name, lines_of([change["ResourceChange"] for change in answer["Changes"]]))

    def _discard(self, change_set: str, *, was_absent: bool) -> None:
        """Remove a change set, and the empty stack that a first one makes."""
        self._call("delete-change-set", "--change-set-name", change_set)
        if was_absent and self.status() == "REVIEW_IN_PROGRESS":
            self._call("delete-stack", "--stack-name", self.name)

    def _wait(self) -> str:
        while (status := self.status()).endswith("_IN_PROGRESS"):
            self._sleep(POLL_INTERVAL)
        return status

    def _reason(self) -> str:
        """Return the first reason of the last failure."""
        events = self._call("describe-stack-events", "--stack-name", self.name, "--max-items", "100")["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
            and "cancelled" not in event.get("ResourceStatusReason", "cancelled")
        ]
        return failed[-1] if failed else "no reason given"

    def _call(self, *arguments: str) -> Any:
        return self._aws.run("cloudformation", *arguments)


def lines_of(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the changes of resources, a line each: what happens, to which one, of which type, in which properties."""
    rows = []
    for change in changes:
        word = WORDS.get(change["Action"], str(change["Action"]).lower())
        word = {"True": "replace", "Conditional": "change or replace"}.get(change.get("Replacement", ""), word)
        targets = [detail["Target"] for detail in change.get("Details", ())]
        names = dict.fromkeys(str(target.get("Name") or target["Attribute"]) for target in targets)
        rows.append((word, change["LogicalResourceId"], change["ResourceType"], ", ".join(names)))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]


def confirmed(stack: Stack, name: str, given: str) -> bool:
    """Return whether somebody has typed the name, or given it."""
    if not given and sys.stdin.isatty():
        question = f"This removes the stack {stack.name}, and the images in it. Type {name} to go on: "
        given = input(question).strip()
    return given == name


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.stack", description=__doc__)
    parser.add_argument("command", choices=("apply", "diff", "destroy"))
    parser.add_argument("stack")
    parser.add_argument("template", nargs="?", type=Path, help="file of the template, for apply and diff")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--name", help="that somebody types before the stack is removed; else that of the project")
    arguments = parser.parse_args(argv)
    stack, project = Stack(AwsCli(os.environ), arguments.stack), os.environ["PROJECT"]
    try:
        if arguments.command == "destroy":
            destroy(stack, arguments.name or project)
        else:
            parameters = dict(each.split("=", 1) for each in arguments.parameters)
            tags = {"team": os.environ["TEAM"], "project": project}
            change = stack.apply if arguments.command == "apply" else stack.diff
            lines = change(arguments.template, parameters, tags)
            for line in lines or [f"the stack {stack.name} is as {arguments.template} says"]:
                say(line)
    except (StackError, AwsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def destroy(stack: Stack, name: str) -> None:
    """Remove a stack, if somebody types a name, and say what is kept.

    Raises:
        StackError, AwsError: if nothing, or not everything, was removed.
    """
    if not stack.status():
        say(f"there is no stack {stack.name}")
        return
    stack.check_removal()
    if not confirmed(stack, name, os.environ.get("CONFIRM", "").strip()):
        raise StackError(f"nothing was removed: type {name}, or set CONFIRM={name}")
    removed, kept = stack.destroy()
    for line in removed:
        say(f"removed {line}")
    for bucket in kept:
        say(f"kept: the bucket {bucket}, with every version of its objects; make infrastructure takes it over again")


if __name__ == "__main__":
    sys.exit(main())
