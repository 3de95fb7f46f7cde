"""Known vulnerabilities of the locked packages: `python -m mlops_runtime.operations.audit`.

pip-audit asks PyPI, or the service that PIP_AUDIT_VULNERABILITY_SERVICE names, about each package of each category of
Pipfile.lock, also those that other systems alone install. Nothing is installed for it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_runtime.operations.lock import LockedPackage, LockError, locked_packages

OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--desc", "off", "--format", "json")
"""Options of pip-audit: it takes the lock as it is, and resolves nothing."""


class AuditError(RuntimeError):
    """The packages cannot be audited; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known about the packages of a category.

    Attributes:
        checked: number of packages that were checked.
        vulnerabilities: a line for each: package, identifiers, and the versions without it.
        unknown: packages that the service does not know, so that they were not checked.
    """

    checked: int
    vulnerabilities: tuple[str, ...]
    unknown: tuple[str, ...]


def audit(packages: Sequence[LockedPackage], accepted: Collection[str]) -> Audit:
    """Ask about packages.

    Args:
        packages: of one category.
        accepted: identifiers of vulnerabilities that are not reported.

    Raises:
        AuditError: if the service does not answer.
        OSError: if pip-audit cannot be started.
    """
    released = [each for each in packages if each.version and each.hashes]
    elsewhere = [each.name for each in packages if each not in released]
    if not released:
        return read_answer([], elsewhere)
    with TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(map(requirement, released)), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), *OPTIONS]
        command += [part for each in accepted for part in ("--ignore-vuln", each)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        lines = result.stderr.strip().splitlines() or [f"it ended with status {result.returncode}"]
        raise AuditError(f"pip-audit cannot tell, is there a network? {lines[-1]}") from error
    return read_answer(found, elsewhere)


def read_answer(dependencies: Sequence[dict[str, Any]], elsewhere: Sequence[str] = ()) -> Audit:
    """Return what pip-audit has found.

    Args:
        dependencies: the list of that name in its JSON.
        elsewhere: packages that it was not asked about.
    """
    known = [each for each in dependencies if "skip_reason" not in each]
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    vulnerabilities = [vulnerability(each, one) for each in known for one in each["vulns"]]
    return Audit(len(known), tuple(vulnerabilities), (*unknown, *elsewhere))


def vulnerability(package: dict[str, Any], one: dict[str, Any]) -> str:
    """Return a line about a vulnerability of a package."""
    names = " ".join([one["id"], *(alias for alias in one["aliases"] if alias.startswith("CVE"))])
    fixed = " or ".join(one["fix_versions"])
    return f"{package['name']} {package['version']}: {names}, {f'fixed in {fixed}' if fixed else 'not fixed yet'}"


def requirement(package: LockedPackage) -> str:
    """Return the line of a package in a file of requirements."""
    return " ".join([f"{package.name}=={package.version}", *(f"--hash={each}" for each in package.hashes)]) + "\n"


def report(categories: dict[str, Audit]) -> str:
    """Return the lines about all categories."""
    lines = []
    for category, each in categories.items():
        lines.append(f"{category}: {each.checked} packages checked, {len(each.vulnerabilities)} known vulnerabilities")
        lines += [f"  {line}" for line in each.vulnerabilities]
        if each.unknown:
            lines.append(f"  not checked, as the service does not know them: {', '.join(each.unknown)}")
    return "\n".join(lines)


def main() -> int:
    """Audit Pipfile.lock; return the exit status: 0 only if packages were checked and none has a vulnerability."""
    accepted = os.environ.get("ACCEPTED_VULNERABILITIES", "").split()
    try:
        categories = {name: audit(each, accepted) for name, each in locked_packages(Path("Pipfile.lock")).items()}
    except (AuditError, LockError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1
    print(report(categories))
    if not any(each.checked for each in categories.values()):
        print("audit: the service knows none of the packages, so nothing was checked", file=sys.stderr)
        return 1
    if any(each.vulnerabilities for each in categories.values()):
        advice = "raise them in the Pipfile and run pipenv lock, or name in ACCEPTED_VULNERABILITIES what may stay"
        print(f"audit: packages have known vulnerabilities: {advice}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
