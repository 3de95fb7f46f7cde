"""A stand-in for the AWS CLI that answers from a script: what CloudFormation and ECR do when they fail."""

from typing import Any

from mlops_runtime.operations.aws_cli import AwsCli, AwsError


class ScriptedAws(AwsCli):
    """Answers by operation, the last one again and again; an answer that is a text is an error.

    Attributes:
        calls: the arguments of each call, without the service.
    """

    def __init__(self, **answers: list[Any]) -> None:
        super().__init__({})
        self._answers = {name.replace("_", "-"): list(values) for name, values in answers.items()}
        self.calls: list[tuple[str, ...]] = []

    def run(self, *arguments: str) -> Any:
        _, operation, *rest = arguments
        self.calls.append((operation, *rest))
        answers = self._answers.get(operation, [None])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise AwsError(answer)
        return answer

    def operations(self) -> list[str]:
        return [operation for operation, *_ in self.calls]

    def value(self, operation: str, option: str) -> str:
        """Return the value of an option in the last call of an operation."""
        call = [call for call in self.calls if call[0] == operation][-1]
        return call[call.index(option) + 1]
