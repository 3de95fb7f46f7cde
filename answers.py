"""Which answers can be used: those that Docker, Kubernetes, AWS, Python, Make and YAML all take.

Cookiecutter asks the Jinja filter `package_name` once it has all answers. That can't wait for the
pre_gen hook: cookiecutter makes the folder before it runs the hook, and removes the folder when
the hook fails. For the slug `..` that is the folder it was started in.
"""

import functools
import importlib
import keyword
import re
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension
from slugify import slugify

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
REGION = re.compile(
    r"[a-z]{2,4}(-[a-z]{2,4})?-(central|(north|south)(east|west)?|east|west)-[1-9][0-9]?"  # eu-central-1, us-gov-west-1
)
TEAM = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
# No quotes but the apostrophe, and nothing that a makefile, a shell, YAML, TOML or HTML takes for its own.
PUNCTUATION = frozenset(" .,:!?()/+_'-")
MAX_LENGTH = {"project_name": 60, "description": 200, "__author": 80}
"""Questions that are answered in words, and how many characters an answer may have."""

TASKS = ("auto", "binary", "multiclass", "regression")
SOURCES = Path(__file__).parent / "runtime"

SHIPPED_NAME = "Oncology"
SHIPPED_DESCRIPTION = "Is a breast tumour benign or malignant? A prediction from nine cell measurements."
SHIPPED_DATA = "breast_cancer_wisconsin.csv"
SHIPPED_FLOORS = "accuracy=0.93 recall=0.90 roc_auc=0.98"

MAX_FROM_FILE_LENGTH = 30
"""Characters of a file's name that go into the project's name: the slug has 40 at most."""

MANY_ROWS = 400
"""With fewer rows the held-out quarter is too small to judge by, and the gate looks at cross-validation."""


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
    longest = MAX_LENGTH[question]
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


def task_fault(task: str) -> str | None:
    """Return the sentence that refuses the task, or None."""
    if task in TASKS:
        return None
    return f"task {task!r} is none that a model here can learn: type {', '.join(TASKS[:-1])} or {TASKS[-1]}."


def table_fault(answers: Mapping[str, str]) -> str | None:
    """Return the sentence that refuses the table or its target, or None."""
    if not answers["dataset"]:
        return (
            f"target {answers['target']!r} is a column of no table: give dataset as well."
            if answers["target"]
            else None
        )
    if sys.version_info < (3, 11):  # noqa: UP036 - cookiecutter itself runs on older ones
        return f"Python {sys.version.split()[0]} runs cookiecutter, but a table needs 3.11: install cookiecutter there."
    try:
        table_profile(answers)
    except ValueError as error:
        return str(error)
    return None


def first_fault(answers: Mapping[str, str]) -> str | None:
    """Return the sentence that refuses the first bad answer, or None."""
    faults = (
        slug_fault(answers["project_slug"]),
        *(text_fault(question, answers[question]) for question in MAX_LENGTH),
        region_fault(answers["aws_region"]),
        team_fault(answers["team"]),
        task_fault(answers["task"]),
    )
    # The table comes last: a large one takes seconds to read.
    return next((fault for fault in faults if fault), None) or table_fault(answers)


def package_name(answers: Mapping[str, str]) -> str:
    """Return the name that the packages of the project begin with.

    Raises:
        FailedHookException: if an answer cannot be used; cookiecutter prints the sentence and stops.
    """
    if fault := first_fault(answers):
        raise FailedHookException(fault)
    return answers["project_slug"].replace("-", "_")


def dataset_path(answers: Mapping[str, str]) -> str:
    """Return the table's absolute path: hooks run in another folder; empty for the shipped table."""
    # The pre_gen hook asks again from another folder: what was found the first time holds.
    return answers.get("__dataset") or (
        str(Path(answers["dataset"]).expanduser().absolute()) if answers["dataset"] else ""
    )


def table_profile(answers: Mapping[str, str]) -> Any:
    """Return what the runtime finds in the table.

    Raises:
        ValueError: if the table cannot be used; the message is one sentence.
    """
    return _profiled(Path(dataset_path(answers)), answers["target"], answers["task"])


@functools.lru_cache(maxsize=1)
def _profiled(path: Path, target: str, task: str) -> Any:
    return _from_sources("mlops_runtime.profiling.profile").profile(path, target, task)


def _from_sources(module: str) -> Any:
    """Import a module of the runtime."""
    before = sys.dont_write_bytecode
    # Compiled files would be copied into the project.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(SOURCES))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(SOURCES))
        sys.dont_write_bytecode = before


def data_file(answers: Mapping[str, str]) -> str:
    """Return the name that the table has in the folder data/."""
    if not answers["dataset"]:
        return SHIPPED_DATA
    name: str = _from_sources("mlops_runtime.tables.table_copy").copy_name(Path(dataset_path(answers)))
    return name


def floors(answers: Mapping[str, str]) -> str:
    """Return the gate's floors: of one's own table, to beat the estimator that ignores the features by a margin."""
    if not answers["dataset"]:
        return SHIPPED_FLOORS
    metric = "skill" if table_profile(answers).rows >= MANY_ROWS else "cross_validated_skill"
    return f"{metric}=0.02"


def project_name(answers: Mapping[str, str]) -> str:
    """Return a name after the table's file, such as `Churn 2024` for churn_2024.csv."""
    if not answers["dataset"]:
        return SHIPPED_NAME
    stem = Path(answers["dataset"]).name.split(".")[0]
    words = " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", stem)))[:MAX_FROM_FILE_LENGTH].strip()
    name = words[:1].upper() + words[1:]
    # A file called test.csv or 2024.csv makes no name of a package by itself.
    names = (name, f"{name} model", f"Model {name}", "Model of a table")
    return next(each for each in names if not slug_fault(slugify(each)) and not text_fault("project_name", each))


def description(answers: Mapping[str, str]) -> str:
    """Return a sentence on what is predicted."""
    if not answers["dataset"]:
        return SHIPPED_DESCRIPTION
    allowed = "".join(
        character if unicodedata.category(character)[0] in "LMN" and ord(character) <= 0xFFFF else " "
        for character in answers["target"]
    )
    target = " ".join(allowed.split())[:100].strip()
    return f"A prediction of {target or 'the target'} for each record."


class Answers(Extension):
    """Makes the filters of this module known to Jinja."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        filters = (package_name, dataset_path, data_file, floors, project_name, description)
        environment.filters |= {each.__name__: each for each in filters}
