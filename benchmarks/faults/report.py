"""The findings of a scenario, and whether they keep the promises of the service."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        what: description of the check.
        measured: description of the result.
        holds: whether the result is as promised; None without a promise.
        figures: numbers of the result.
    """

    what: str
    measured: str
    holds: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """The description and the findings of a scenario."""

    name: str
    title: str
    done: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, what: str, measured: str, holds: bool | None = None, **figures: Any) -> None:
        """Add a finding and print it."""
        self.findings.append(Finding(what, measured, holds, figures))
        print(f"  {MARKS[holds]:4} {what}: {measured}", flush=True)

    def failures(self) -> int:
        """Return the number of findings that are not as promised."""
        return sum(finding.holds is False for finding in self.findings)

    def content(self) -> dict[str, Any]:
        """Return the report as JSON content."""
        return asdict(self)


MARKS = {True: "yes", False: "NO", None: "–"}
