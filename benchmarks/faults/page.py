"""The page with the findings of all scenarios."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INTRODUCTION = Path(__file__).parent / "introduction.md"
MARKS = {True: "yes", False: "**no**", None: ""}


def page(reports: Sequence[Mapping[str, Any]], about: str) -> str:
    """Return the page.

    Args:
        reports: JSON contents of the reports.
        about: description of the machine.
    """
    findings = [finding for report in reports for finding in report["findings"]]
    promised = [finding for finding in findings if finding["holds"] is not None]
    kept = sum(finding["holds"] for finding in promised)
    parts = [
        INTRODUCTION.read_text().rstrip(),
        "",
        f"{kept} of {len(promised)} promises kept. {about}",
    ]
    for report in reports:
        parts += ["", f"## {report['title']}", "", report["done"], "", *table(report["findings"])]
    return "\n".join(parts) + "\n"


def table(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of findings."""
    lines = ["| What | Measured | As promised |", "| --- | --- | --- |"]
    return lines + [
        f"| {_text(finding['what'])} | {_text(finding['measured'])} | {MARKS[finding['holds']]} |"
        for finding in findings
    ]


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
