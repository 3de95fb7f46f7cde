"""What the answers to questions with fixed choices add to a project: whole files, and fragments of shared ones.

A folder of the template for each question has `files.json`, the files that some answers give and others do not, and a
folder for each answer. Its `files/` are whole files of the project, in place of those of the same name. Its other files
are fragments: one takes the place of a marker; that of the lock is a category of packages.

Works with the standard library alone: the hook of the template uses it in cookiecutter's environment.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDERS = {"kind": "kinds", "platform": "platforms", "dashboard": "dashboards", "ci": "pipelines"}
"""Folders by question, inside the project's folder of a template."""
FRAGMENTS = {
    "project.mk": "settings.mk",
    "README.md": "deploy.md",
    "infrastructure/stack.yaml": "stack.yaml",
    "make/model.mk": "model.mk",
    "make/dashboard.mk": "dashboard.mk",
    "docker/dev.yaml": "dev.yaml",
    "Pipfile": "Pipfile",
    "compose.yaml": "compose.yaml",
    "docker/Caddyfile": "Caddyfile",
    "docs/dashboard.md": "dashboard.md",
    "docs/monitoring.md": "monitoring.md",
    "docs/registries.md": "registries.md",
    "docs/pipeline.md": "pipeline.md",
    ".github/workflows/pipeline.yml": "github.yaml",
    ".gitlab-ci.yml": "gitlab.yaml",
    "bitbucket-pipelines.yml": "bitbucket.yaml",
    "azure-pipelines.yml": "azure-devops.yaml",
}
"""Fragments, by the file that has the marker where one is put in; not every project has each of these files."""
PREDICTORS = {"table": "classifier", "entities": "recognizer"}
"""Modules that hold the predictor, by the kind of model."""
RESOURCES = {"table": ("100m", "192Mi", "384Mi"), "entities": ("500m", "288Mi", "576Mi")}
"""Requests of CPU and memory, and limit of memory, by the kind of model: as `make measure` prints for the examples."""
STORAGES = dict.fromkeys(("azure-container-apps", "azure-web-app"), "Blob storage")
"""Where files of a version go, by platform; S3 on the others."""
DOWNLOADS = {
    "S3": "aws s3 cp --recursive s3://BUCKET/model/ wheels/model",
    "Blob storage": "az storage blob download-batch --source CONTAINER --pattern 'model/*' --destination wheels",
}
"""Commands that download the wheels, by storage."""
LOCK = "Pipfile.lock"
"""File whose fragment has the hash of the Pipfile, and the category to add."""


def marker_of(question: str) -> str:
    """Return the line at which the fragments of a question are put in."""
    return f"# @{question.upper()}@\n"


def derived_answers(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the answers that follow from those of questions with choices, and that files of a project name."""
    derived = {}
    if "kind" in choices:
        derived["__predictor"] = PREDICTORS[choices["kind"]]
        resources = RESOURCES[choices["kind"]]
        derived |= dict(zip(("__cpu", "__memory", "__memory_limit"), resources, strict=True))
    if "platform" in choices:
        derived["__storage"] = STORAGES.get(choices["platform"], "S3")
        derived["__download"] = DOWNLOADS[derived["__storage"]]
    return derived


def choices_of(folder: Path, project: Path) -> dict[str, str]:
    """Return the answers of a project: for each question the first answer that alone gives a file which it has.

    Args:
        folder: project's folder of a template; questions that it does not know are left out.
        project: folder of the project.
    """
    choices = {}
    for question, table in _tables(folder):
        alone = {name: set(files).difference(*_of_others(table, name)) for name, files in table.items()}
        there = (name for name, files in alone.items() if any((project / file).exists() for file in files))
        choices[question] = next(there, next(iter(table)))
    return choices


def left_out(folder: Path, choices: Mapping[str, str]) -> list[str]:
    """Return the files and folders of a template that a project with these answers has not."""
    names = [FOLDERS[question] for question in choices]
    for question, table in _tables(folder):
        own = table[choices[question]]
        others = dict.fromkeys(file for files in _of_others(table, choices[question]) for file in files)
        names += [file for file in others if file not in own]
    return names


def own_files(folder: Path, choices: Mapping[str, str]) -> dict[str, Path]:
    """Return the whole files that these answers bring, by their path in a project."""
    found: dict[str, Path] = {}
    for question, answer in choices.items():
        own = folder / FOLDERS[question] / answer / "files"
        found |= {path.relative_to(own).as_posix(): path for path in sorted(own.rglob("*")) if path.is_file()}
    return found


def completed(folder: Path, choices: Mapping[str, str], name: str, text: str) -> str:
    """Return a file of a project with the fragments of these answers.

    Args:
        folder: project's folder of a template.
        choices: answer by question.
        name: of the file.
        text: of the file, without fragments.
    """
    for question, answer in choices.items():
        own = folder / FOLDERS[question] / answer
        if name in FRAGMENTS:
            text = text.replace(marker_of(question), _text(own / FRAGMENTS[name]))
        elif name == LOCK and (own / LOCK).is_file():
            text = _with_category(text, _text(own / LOCK))
    return text


def _of_others(table: Mapping[str, list[str]], answer: str) -> list[list[str]]:
    """Return the files of the other answers."""
    return [files for name, files in table.items() if name != answer]


def _with_category(lock: str, fragment: str) -> str:
    content, added = json.loads(lock), json.loads(fragment)
    content["_meta"]["hash"] = added.pop("hash")
    # As pipenv writes it.
    return json.dumps(content | added, indent=4, separators=(",", ": "), sort_keys=True) + "\n"


def _tables(folder: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for question, name in FOLDERS.items():
        if text := _text(folder / name / "files.json"):
            yield question, json.loads(text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
