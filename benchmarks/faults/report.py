"""What a scenario found: figures, and whether each is what the service promises."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: it is, for people.
        measured: the result, for people.
        holds: whether that is what the service promises; None where it promises nothing.
        figures: the numbers behind it.
    """

    what: str
    measured: str
    holds: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What a scenario did and found."""

    name: str
    title: str
    done: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, what: str, measured: str, holds: bool | None = None, **figures: Any) -> None:
        """Add a finding, and tell it."""
        self.findings.append(Finding(what, measured, holds, figures))
        print(f"  {MARKS[holds]:4} {what}: {measured}", flush=True)

    def failures(self) -> int:
        """Return how many findings are not as promised."""
        return sum(finding.holds is False for finding in self.findings)

    def content(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return asdict(self)


MARKS = {True: "yes", False: "NO", None: "–"}
