"""The page with the findings of all scenarios."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INTRODUCTION = Path(__file__).parent / "introduction.md"
MARKS = {True: "yes", False: "**no**", None: ""}


def page(reports: Sequence[Mapping[str, Any]], machine: str) -> str:
    """Return the page.

    Args:
        reports: JSON contents of the reports.
        machine: description of the machine.
    """
    findings = [finding for report in reports for finding in report["findings"]]
    checked = [finding for finding in findings if finding["passed"] is not None]
    passed = sum(finding["passed"] for finding in checked)
    parts = [
        INTRODUCTION.read_text().rstrip(),
        "",
        f"{passed} of {len(checked)} checks passed. {machine}",
    ]
    for report in reports:
        parts += ["", f"## {report['title']}", "", report["description"], "", *table(report["findings"])]
    return "\n".join(parts) + "\n"


def table(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of findings."""
    lines = ["| Check | Result | Passed |", "| --- | --- | --- |"]
    return lines + [
        f"| {_text(finding['check'])} | {_text(finding['result'])} | {MARKS[finding['passed']]} |"
        for finding in findings
    ]


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
