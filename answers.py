"""Which answers can be used: those that Docker, Kubernetes, AWS, Python, Make and YAML all take.

Cookiecutter asks the Jinja filter `package_name` once it has all answers. That can't wait for the
pre_gen hook: cookiecutter makes the folder before it runs the hook, and removes the folder when
the hook fails. For the slug `..` that is the folder it was started in.
"""

import keyword
import re
import sys
import unicodedata
from collections.abc import Mapping

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
REGION = re.compile(
    r"[a-z]{2,4}(-[a-z]{2,4})?-(central|(north|south)(east|west)?|east|west)-[1-9][0-9]?"  # eu-central-1, us-gov-west-1
)
TEAM = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
# No quotes but the apostrophe, and nothing that a makefile, a shell, YAML, TOML or HTML takes for its own.
PUNCTUATION = frozenset(" .,:!?()/+_'-")
LONGEST = {"project_name": 60, "description": 200, "author": 80}
"""Questions that are answered in words, and how many characters an answer may have."""


def slug_fault(slug: str) -> str | None:
    """Return the sentence that refuses the slug, or None."""
    package = slug.replace("-", "_")
    if not SLUG.fullmatch(slug) or not 2 <= len(slug) <= 40:
        return (
            f"project_slug {slug!r} cannot name a folder, an image and a package: type 2 to 40 lower-case "
            "letters and digits, starting with a letter, words joined by single hyphens."
        )
    if keyword.iskeyword(package) or keyword.issoftkeyword(package) or package in sys.stdlib_module_names:
        return f"project_slug {slug!r} is a word of Python itself: type another one, such as {slug}-model."
    return None


def text_fault(question: str, text: str) -> str | None:
    """Return the sentence that refuses a name or description, or None."""
    longest = LONGEST[question]
    if not 1 <= len(text) <= longest or not text[0].isalnum() or text != text.strip():
        return f"{question}: type 1 to {longest} characters, with a letter or digit first and no space last."
    for character in text:
        letter_or_digit = unicodedata.category(character)[0] in "LMN" and ord(character) <= 0xFFFF
        if not letter_or_digit and character not in PUNCTUATION:
            return (
                f"{question} cannot contain {character!r}: "
                "type letters, digits, spaces and . , : ! ? ( ) / + _ ' - only."
            )
    return None


def region_fault(region: str) -> str | None:
    """Return the sentence that refuses the AWS region, or None."""
    if REGION.fullmatch(region):
        return None
    return f"aws_region {region!r} does not look like a region: type one such as eu-central-1."


def team_fault(team: str) -> str | None:
    """Return the sentence that refuses the team, or None."""
    if TEAM.fullmatch(team) and len(team) <= 40:
        return None
    return (
        f"team {team!r} cannot be a Kubernetes label: "
        "type up to 40 lower-case letters, digits and hyphens, starting with a letter."
    )


def first_fault(answers: Mapping[str, str]) -> str | None:
    """Return the sentence that refuses the first bad answer, or None."""
    faults = (
        slug_fault(answers["project_slug"]),
        *(text_fault(question, answers[question]) for question in LONGEST),
        region_fault(answers["aws_region"]),
        team_fault(answers["team"]),
    )
    return next((fault for fault in faults if fault), None)


def package_name(answers: Mapping[str, str]) -> str:
    """Return the name that the packages of the project begin with.

    Raises:
        FailedHookException: if an answer cannot be used; cookiecutter prints the sentence and stops.
    """
    if fault := first_fault(answers):
        raise FailedHookException(fault)
    return answers["project_slug"].replace("-", "_")


class Answers(Extension):
    """Makes the filter `package_name` known to Jinja."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["package_name"] = package_name
