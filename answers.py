"""Validation of the answers: they must be valid in Docker, Kubernetes, AWS, Python, Make and YAML.

Cookiecutter applies the Jinja filter `package_name` after the last question. The pre_gen hook runs too
late: cookiecutter creates the project folder before the hook, and deletes it if the hook fails. With the
slug `..`, it would delete a folder of the user.
"""

import contextlib
import functools
import importlib
import keyword
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
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
# No characters with a special meaning in make, shells, YAML, TOML or HTML; the apostrophe is the only quotation mark.
PUNCTUATION = frozenset(" .,:!?()/+_'-")
MAX_LENGTH = {"project_name": 60, "description": 200, "__author": 80}
"""Maximum number of characters of each free-text answer."""

CHOICES = {
    "kind": ("table", "entities"),
    "platform": ("eks", "docker-host", "azure-container-apps", "azure-web-app"),
    "dashboard": ("none", "streamlit"),
    "ci": ("github", "gitlab", "bitbucket", "azure-devops", "none"),
}
OF_TABLES = {"target": "", "task": "auto", "missing": "auto"}
"""Questions about a table, with the answer that a project of another kind must have."""
TASKS = ("auto", "binary", "multiclass", "regression")
MAX_MISSING_LENGTH = 500
"""Maximum number of characters of the words that mean a missing value."""

SOURCES = Path(__file__).parent / "runtime"


@dataclass(frozen=True)
class Example:
    """The project that a kind gives without a dataset."""

    name: str
    description: str
    data: str
    floors: str


EXAMPLES = {
    "table": Example(
        "Oncology",
        "Is a breast tumour benign or malignant? A prediction from nine cell measurements.",
        "breast_cancer_wisconsin.csv",
        "accuracy=0.93 recall=0.90 roc_auc=0.98",
    ),
    "entities": Example(
        "Mailroom",
        "Which people, organisations, places and products does a message name?",
        "messages.jsonl",
        "f1=0.75 skill=0.02",
    ),
}
ENTITIES_FLOORS = "skill=0.02"
"""Floor for a user's annotated texts: the model must be better than a dictionary of the training entities."""

MAX_FILE_NAME_LENGTH = 30
"""Maximum number of characters of a project name that is derived from a file name: a slug has at most 40."""

MIN_ROWS_FOR_HELD_OUT = 400
"""With fewer rows, the held-out quarter is too small, and the gate compares a metric of cross-validation."""


def slug_error(slug: str) -> str | None:
    """Return an error message if the slug is not valid, else None."""
    package = slug.replace("-", "_")
    if not SLUG.fullmatch(slug) or not 2 <= len(slug) <= 40:
        return (
            f"project_slug {slug!r} cannot name a folder, an image and a package: type 2 to 40 lower-case "
            "letters and digits, starting with a letter, words joined by single hyphens."
        )
    if keyword.iskeyword(package) or keyword.issoftkeyword(package) or package in sys.stdlib_module_names:
        return f"project_slug {slug!r} is a keyword or module of Python: type another one, such as {slug}-model."
    return None


def text_error(question: str, text: str) -> str | None:
    """Return an error message if a name or description is not valid, else None."""
    max_length = MAX_LENGTH[question]
    if not 1 <= len(text) <= max_length or not text[0].isalnum() or text != text.strip():
        return (
            f"{question}: type 1 to {max_length} characters that start with a letter or digit, without a final space."
        )
    for character in text:
        letter_or_digit = unicodedata.category(character)[0] in "LMN" and ord(character) <= 0xFFFF
        if not letter_or_digit and character not in PUNCTUATION:
            return (
                f"{question} cannot contain {character!r}: "
                "type letters, digits, spaces and . , : ! ? ( ) / + _ ' - only."
            )
    return None


def region_error(region: str) -> str | None:
    """Return an error message if the AWS region is not valid, else None."""
    if REGION.fullmatch(region):
        return None
    return f"aws_region {region!r} is not the name of a region: type a name such as eu-central-1."


def team_error(team: str) -> str | None:
    """Return an error message if the team is not valid, else None."""
    if TEAM.fullmatch(team) and len(team) <= 40:
        return None
    return (
        f"team {team!r} cannot be a Kubernetes label: "
        "type up to 40 lower-case letters, digits and hyphens, starting with a letter."
    )


def task_error(task: str) -> str | None:
    """Return an error message if the task is not supported, else None."""
    if task in TASKS:
        return None
    return f"task {task!r} is not supported: type {', '.join(TASKS[:-1])} or {TASKS[-1]}."


def choice_error(question: str, answer: str) -> str | None:
    """Return an error message if a question has no such choice, else None."""
    if answer in CHOICES[question]:
        return None
    return f"{question} {answer!r} is not supported: type {' or '.join(CHOICES[question])}."


def missing_error(missing: str) -> str | None:
    """Return an error message if the words that mean a missing value are not valid, else None."""
    if len(missing) <= MAX_MISSING_LENGTH and missing.isprintable():
        return None
    return (
        f"missing has unprintable characters or more than {MAX_MISSING_LENGTH}: "
        "type words with commas between them, or auto."
    )


def combination_error(answers: Mapping[str, str]) -> str | None:
    """Return an error message if answers do not fit each other, else None."""
    if answers["ci"] == "bitbucket" and answers["platform"].startswith("azure-"):
        return (
            "ci 'bitbucket' cannot log in to Azure without a stored key, as its tokens name each step and Azure takes "
            "one fixed name: type github, gitlab, azure-devops or none."
        )
    if answers["kind"] == "table":
        return None
    if answers["dashboard"] != "none":
        return (
            f"dashboard {answers['dashboard']!r} has sliders for the fields of a table, and a text has none: "
            "type none, as the service's page shows the entities of a text."
        )
    for question, answer in OF_TABLES.items():
        if answers[question] != answer:
            needed = f"type {answer}" if answer else "leave it empty"
            return f"{question} {answers[question]!r} is about a table, not about texts: {needed}."
    return None


def data_error(answers: Mapping[str, str]) -> str | None:
    """Return an error message if the dataset or its target is not valid, else None."""
    if not answers["dataset"]:
        return f"target {answers['target']!r} needs a table: set dataset as well." if answers["target"] else None
    if sys.version_info < (3, 11):  # noqa: UP036 - cookiecutter itself runs on older versions
        return (
            f"cookiecutter runs on Python {sys.version.split()[0]}, but reading a dataset needs 3.11 or later: "
            "install cookiecutter for that version."
        )
    if address := _import_runtime("mlops_runtime.tables.formats").address_advice(answers["dataset"]):
        return str(address)
    try:
        if answers["kind"] == "entities":
            texts_profile(answers)
        else:
            table_profile(answers)
    except ValueError as error:
        # A list of problems has a line for each.
        return " ".join(str(error).split("\n"))
    return None


def first_error(answers: Mapping[str, str]) -> str | None:
    """Return the error message for the first answer that is not valid, or None."""
    errors = (
        slug_error(answers["project_slug"]),
        *(text_error(question, answers[question]) for question in MAX_LENGTH),
        region_error(answers["aws_region"]),
        team_error(answers["team"]),
        task_error(answers["task"]),
        missing_error(answers["missing"]),
        *(choice_error(question, answers[question]) for question in CHOICES),
    )
    # The dataset is last because reading a large one takes seconds.
    return next(filter(None, errors), None) or combination_error(answers) or data_error(answers)


def package_name(answers: Mapping[str, str]) -> str:
    """Validate the answers and return the prefix of the project's package names.

    Raises:
        FailedHookException: if an answer is not valid; cookiecutter prints the message and exits.
    """
    if message := first_error(answers):
        raise FailedHookException(message)
    return answers["project_slug"].replace("-", "_")


def dataset_path(answers: Mapping[str, str]) -> str:
    """Return the absolute path of the dataset, because hooks run in another folder; "" for the shipped one."""
    # The pre_gen hook calls this again from the project folder, where a relative path is not valid.
    if answers.get("__dataset") or not answers["dataset"]:
        return answers.get("__dataset", "")
    path = Path(answers["dataset"])
    # The home of a user who does not exist raises RuntimeError; reading the table says that there is no such file.
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    # `cruft update` runs in the project, which has a copy of its dataset; that may not be where it was.
    copy = Path("data", _copy_name(path, answers["kind"]))
    return str((copy if Path(".cruft.json").exists() and copy.exists() else path).absolute())


def table_profile(answers: Mapping[str, str]) -> Any:
    """Return the profile of the table.

    Raises:
        ValueError: if the table is not suitable; the message is a single line.
    """
    return _cached_profile(Path(dataset_path(answers)), answers["target"], answers["task"], answers["missing"])


def texts_profile(answers: Mapping[str, str]) -> Any:
    """Return the profile of the annotated texts.

    Raises:
        ValueError: if they are not suitable; the message has a line for each problem.
    """
    return _cached_texts_profile(Path(dataset_path(answers)))


@functools.lru_cache(maxsize=1)
def _cached_texts_profile(path: Path) -> Any:
    return _import_runtime("mlops_runtime.entities.profile").profile(path)


@functools.lru_cache(maxsize=1)
def _cached_profile(path: Path, target: str, task: str, missing: str) -> Any:
    named = _import_runtime("mlops_runtime.profiling.markers").Named.from_answer(missing)
    return _import_runtime("mlops_runtime.profiling.profile").profile(path, target, task, named)


def _import_runtime(module: str) -> Any:
    """Import a module of the runtime."""
    before = sys.dont_write_bytecode
    # Cookiecutter would copy bytecode files into the project.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(SOURCES))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(SOURCES))
        sys.dont_write_bytecode = before


def data_file(answers: Mapping[str, str]) -> str:
    """Return the file name of the dataset in the folder data/."""
    if not answers["dataset"]:
        return EXAMPLES[answers["kind"]].data
    return _copy_name(Path(dataset_path(answers)), answers["kind"])


COPIES = {"table": "mlops_runtime.tables.table_copy", "entities": "mlops_runtime.entities.dataset_copy"}
"""Modules of the runtime that copy the dataset of each kind."""


def _copy_name(path: Path, kind: str) -> str:
    name: str = _import_runtime(COPIES[kind]).copy_name(path)
    return name


def derived(answers: Mapping[str, str], name: str) -> str:
    """Return an answer that follows from those to questions with choices."""
    value: str = _import_runtime("mlops_runtime.operations.template_choices").derived_answers(answers)[name]
    return value


def floors(answers: Mapping[str, str]) -> str:
    """Return the floors of the gate: for a user's table, a minimum skill compared with a constant prediction."""
    if not answers["dataset"]:
        return EXAMPLES[answers["kind"]].floors
    if answers["kind"] == "entities":
        return ENTITIES_FLOORS
    metric = "skill" if table_profile(answers).rows >= MIN_ROWS_FOR_HELD_OUT else "cross_validated_skill"
    return f"{metric}=0.02"


def project_name(answers: Mapping[str, str]) -> str:
    """Return a project name derived from the file name, such as `Churn 2024` for churn_2024.csv."""
    if not answers["dataset"]:
        return EXAMPLES[answers["kind"]].name
    stem = Path(answers["dataset"]).name.split(".")[0]
    words = " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", stem)))[:MAX_FILE_NAME_LENGTH].strip()
    name = words[:1].upper() + words[1:]
    # Some file names, such as test.csv and 2024.csv, are not valid package names.
    names = (name, f"{name} model", f"Model {name}", f"{answers['kind'].capitalize()} model")
    return next(each for each in names if not slug_error(slugify(each)) and not text_error("project_name", each))


def description(answers: Mapping[str, str]) -> str:
    """Return a description of the model that names the target."""
    if not answers["dataset"]:
        return EXAMPLES[answers["kind"]].description
    if answers["kind"] == "entities":
        return "The entities that a text names, with their labels."
    allowed = "".join(
        character if unicodedata.category(character)[0] in "LMN" and ord(character) <= 0xFFFF else " "
        for character in answers["target"]
    )
    target = " ".join(allowed.split())[:100].strip()
    return f"A prediction of {target or 'the target'} for each record."


class Answers(Extension):
    """Jinja extension that registers the filters of this module."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        filters = (package_name, dataset_path, data_file, derived, floors, project_name, description)
        environment.filters |= {each.__name__: each for each in filters}
