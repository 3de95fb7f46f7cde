"""The findings of a scenario, and whether the service passes its checks."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        check: name of the check.
        result: description of the result.
        passed: whether the service passes; None for a measurement without a threshold.
        figures: numbers of the result.
    """

    check: str
    result: str
    passed: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The description and the findings of a scenario."""

    name: str
    title: str
    description: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, check: str, result: str, passed: bool | None = None, **figures: Any) -> None:
        """Add a finding and print it."""
        self.findings.append(Finding(check, result, passed, figures))
        print(f"  {MARKS[passed]:4} {check}: {result}", flush=True)

    def failures(self) -> int:
        """Return the number of findings that are not passed."""
        return sum(finding.passed is False for finding in self.findings)

    def content(self) -> dict[str, Any]:
        """Return the report as JSON content."""
        return asdict(self)


MARKS = {True: "yes", False: "NO", None: "–"}
