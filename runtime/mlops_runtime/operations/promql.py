"""Expressions of PromQL, limited to the series of one project."""

import re
from collections.abc import Mapping

TOKEN = re.compile(
    r"""
    "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` | \#[^\n]*       # text and comments
    | (?<![\w:]) (?P<metric> (?:job:)?webservice_[\w:]+ ) (?P<selector> \s*\{ )?
    """,
    re.VERBOSE,
)
"""Part of an expression of PromQL: text, which stays as it is, or a metric of the service."""


def with_labels(expression: str, labels: Mapping[str, str]) -> str:
    """Return an expression of PromQL whose metrics of the service must have labels.

    Metrics of others stay as they are, and so do recorded ones that are not by namespace and job: `job:` begins the
    names of those that are.

    Args:
        expression: of a rule or a panel.
        labels: by name; the values need no escapes.
    """
    matchers = ", ".join(f'{name}="{value}"' for name, value in labels.items())

    def limited(match: re.Match[str]) -> str:
        if match["metric"] is None:
            return match[0]
        return f"{match['metric']}{{{matchers}" + (", " if match["selector"] else "}")

    return TOKEN.sub(limited, expression)
