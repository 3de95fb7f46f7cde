"""The problems of data that cannot be used, as one message."""

from collections.abc import Sequence

MAX_LISTED = 10
"""Maximum number of problems in a message; the message counts the others."""

MAX_PROBLEMS = 1000
"""Maximum number of problems to collect: a column of the wrong kind has a problem in each row."""


def problem_list(heading: str, problems: Sequence[object]) -> str:
    """Return a message of several lines: the heading with the number of problems, and the first of them."""
    listed = [str(problem) for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        listed.append(f"and {len(problems) - MAX_LISTED} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    if len(problems) >= MAX_PROBLEMS:
        count += " or more"
    return "\n  ".join([f"{heading} {count}:", *listed])
