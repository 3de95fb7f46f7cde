"""Write on a pull request how its model performs: metrics, and a comparison with the model of its target branch.

A run for a pull request has no right to ask which model is deployed. The pipeline deploys what is on that branch, so
its model stands for the champion: it is trained here, from the code, the data and the settings of the branch.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlops_runtime.number_format import readable
from mlops_runtime.operations.pull_request_api import PullRequestError, pull_request_of, put_comment
from mlops_runtime.training.comparison import Comparison, ComparisonError, compare, read_held_out, signed

METRICS, HELD_OUT = Path("build/metrics.json"), Path("build/held-out.json")
TARGET = Path("build/target")
"""Folder in which the other model is trained."""
COMMENT = Path("build/comment.md")
LOCK = Path("Pipfile.lock")


class TargetError(RuntimeError):
    """The model of the branch that the pull request is for cannot be had."""


def compared_with(commit: str) -> Comparison | str:
    """Train the model of a commit in a folder of its own; return the comparison with it, or why there is none."""
    try:
        _run(["git", "worktree", "add", "--quiet", "--force", "--detach", str(TARGET), commit])
        same_packages = (TARGET / LOCK).is_file() and (TARGET / LOCK).read_bytes() == LOCK.read_bytes()
        python = ("ENV=", f"PYTHON={sys.executable}") if same_packages else ()
        _run(["make", "--directory", str(TARGET), "train", *python])
        return compare(read_held_out(TARGET / HELD_OUT), read_held_out(HELD_OUT))
    except (TargetError, ComparisonError) as error:
        return str(error)
    finally:
        shutil.rmtree(TARGET, ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    # Variables of the command line of this make are not for that of the branch.
    of_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    result = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if not line.startswith("make")]
        raise TargetError(lines[-1] if lines else f"{command[0]} ended with status {result.returncode}")


def comment_on(metrics: dict[str, Any], target: str, result: Comparison | str, margin: float, mark: str) -> str:
    """Return the comment in Markdown.

    Args:
        metrics: content of metrics.json.
        target: name of the branch that the pull request is for.
        result: of the comparison with its model, or why there is none.
        margin: share of the loss by which a model may be worse.
        mark: first line, which Markdown does not show.
    """
    rows = metrics["rows"]
    lines = [
        mark,
        f"**Model of `{metrics['version']}`**: {metrics['estimator']}, trained on {rows['training']} rows, evaluated"
        f" on {rows['held_out']} others.",
        "",
        *table(
            ("metric", "value", "95 % interval"),
            ((name, readable(each["value"], 4), interval(each)) for name, each in metrics["metrics"].items()),
        ),
        "",
    ]
    if isinstance(result, str):
        return "\n".join([*lines, f"No comparison with the model of `{target}`: {result}.", ""])
    verdict = "The model is not significantly worse."
    if result.is_worse(margin):
        verdict = f"The model is significantly worse, by more than MARGIN={margin:g}: `make deploy` would refuse it."
    header = ("", f"`{result.champion}`", f"`{result.candidate}`", "difference", "95 % interval")
    compared = (
        (
            each.name,
            readable(each.champion, 4),
            readable(each.candidate, 4),
            signed(each.candidate - each.champion),
            f"{signed(each.low)} to {signed(each.high)}",
        )
        for each in result.differences
    )
    title = f"Compared with the model of `{target}`, on the {result.rows} rows that both have held out:"
    return "\n".join([*lines, title, "", *table(header, compared), "", verdict, ""])


def interval(metric: dict[str, Any]) -> str:
    """Return the interval of a metric as text; empty without one."""
    low, high = metric.get("low"), metric.get("high")
    return "" if low is None or high is None else f"{readable(low, 4)} to {readable(high, 4)}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def main() -> int:
    """Write the comment on the pull request that this pipeline runs for; return the exit status."""
    project, margin = os.environ["PROJECT"], float(os.environ["MARGIN"])
    mark = f"<!-- {project}: model -->"
    try:
        pull_request = pull_request_of(os.environ)
        metrics = json.loads(METRICS.read_text(encoding="utf-8"))
        result = compared_with(pull_request.commit)
        text = comment_on(metrics, pull_request.target, result, margin, mark)
        COMMENT.write_text(text, encoding="utf-8")
        print(text.partition("\n")[2])
        if pull_request.headers:
            put_comment(pull_request, text, mark)
        else:
            print(f"The comment is here alone. To have it on the pull request, set {pull_request.token}.")
    except (PullRequestError, OSError, ValueError) as error:
        print(f"comment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
