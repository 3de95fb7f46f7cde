"""Valid and invalid answers. An invalid answer leaves no files behind."""

import ast
import html
import json
import os
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined
from markupsafe import escape

from answers import (
    CHOICES,
    MAX_LENGTH,
    PUNCTUATION,
    data_file,
    description,
    first_error,
    floors,
    project_name,
    region_error,
    slug_error,
    team_error,
    text_error,
)
from tests.conftest import TEMPLATE, bake

DEFAULTS = {
    "project_name": "Oncology",
    "project_slug": "oncology",
    "description": "Benign or malignant?",
    "__author": "Data Science Team",
    "aws_region": "eu-central-1",
    "team": "data-science",
    "dataset": "",
    "target": "",
    "task": "auto",
    "missing": "auto",
    "kind": "table",
    "platform": "eks",
    "dashboard": "none",
    "ci": "github",
}


@pytest.mark.parametrize("slug", ["ab", "oncology", "churn-2", "a1-b2-c3", "a" * 40, "x-y", "class-model"])
def test_a_slug_is_accepted(slug: str) -> None:
    assert slug_error(slug) is None


@pytest.mark.parametrize(
    "slug",
    [
        pytest.param("", id="empty"),
        pytest.param("a", id="too short"),
        pytest.param("a" * 41, id="too long"),
        pytest.param("Oncology", id="capital"),
        pytest.param("on cology", id="space"),
        pytest.param("on_cology", id="underscore"),
        pytest.param("1oncology", id="digit first"),
        pytest.param("-oncology", id="hyphen first"),
        pytest.param("oncology-", id="hyphen last"),
        pytest.param("on--cology", id="two hyphens"),
        pytest.param("krebsfrüherkennung", id="umlaut"),
        pytest.param("on.cology", id="dot"),
        pytest.param("..", id="folder above"),
        pytest.param("a/b", id="slash"),
        pytest.param("/tmp/a", id="absolute path"),
        pytest.param("oncology\n", id="newline"),
        pytest.param("class", id="keyword"),
        pytest.param("match", id="soft keyword"),
        pytest.param("json", id="standard library"),
    ],
)
def test_a_slug_is_refused(slug: str) -> None:
    message = slug_error(slug)

    assert message is not None
    assert "type" in message


@given(st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True))
def test_an_accepted_slug_is_a_package_name(slug: str) -> None:
    if slug_error(slug) is None:
        assert slug.replace("-", "_").isidentifier()


@pytest.mark.parametrize(
    "region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-4", "eusc-de-east-1", "us-isob-east-1"]
)
def test_a_region_is_accepted(region: str) -> None:
    assert region_error(region) is None


@pytest.mark.parametrize(
    "region", ["", "moon", "eu-central", "eu_central_1", "EU-central-1", "eu-central-1 ", "eu-west-0", "eu-narnia-1"]
)
def test_a_region_is_refused(region: str) -> None:
    assert region_error(region) is not None


@pytest.mark.parametrize("team", ["ds", "data-science", "team-42", "a"])
def test_a_team_is_accepted(team: str) -> None:
    assert team_error(team) is None


@pytest.mark.parametrize("team", ["", "Data Science", "-x", "x-", "42", "a,b", "a=b", "a" * 41, "x\n"])
def test_a_team_is_refused(team: str) -> None:
    assert team_error(team) is not None


HOSTILE = [
    pytest.param('say "no"', id="double quote"),
    pytest.param("back\\slash", id="backslash"),
    pytest.param("$(shell id)", id="make function"),
    pytest.param("`id`", id="backtick"),
    pytest.param("# comment", id="hash"),
    pytest.param("a; id", id="semicolon"),
    pytest.param("a | id", id="pipe"),
    pytest.param("a & id", id="ampersand"),
    pytest.param("a > b", id="redirection"),
    pytest.param("<script>", id="tag"),
    pytest.param("{brace}", id="brace"),
    pytest.param("100 %", id="percent"),
    pytest.param("two\nlines", id="newline"),
    pytest.param("bell\a", id="control character"),
    pytest.param("\U0001f600", id="outside the basic multilingual plane"),
    pytest.param(" leading", id="leading space"),
    pytest.param("", id="empty"),
    pytest.param("- item", id="hyphen first"),
    pytest.param("'", id="apostrophe first"),
    pytest.param("x" * 201, id="too long"),
    pytest.param('""" + __import__("os").system("touch pwned") + """', id="code"),
]


@pytest.mark.parametrize("question", list(MAX_LENGTH))
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_refused(question: str, text: str) -> None:
    message = text_error(question, text)

    assert message is not None
    assert question in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["Oncology", "O'Brien, Müller + Co", "Ärzte: ja/nein?", "腫瘍学", "v1.2 (beta)!"])
def test_a_text_is_accepted(text: str) -> None:
    assert text_error("description", text) is None


LETTERS_AND_DIGITS = st.characters(max_codepoint=0xFFFF, categories=("L", "N"))
TEXTS = st.builds(
    lambda first, rest: (first + rest).rstrip(),
    LETTERS_AND_DIGITS,
    st.text(LETTERS_AND_DIGITS | st.sampled_from(sorted(PUNCTUATION)), max_size=59),
)


@given(TEXTS)
def test_letters_of_any_script_are_accepted(text: str) -> None:
    assert text_error("project_name", text) is None


@given(TEXTS, st.integers(min_value=1), st.characters() | st.sampled_from('"\\$`#{}<>|;&%*~^=[]@\n\r\t'))
def test_a_special_character_anywhere_is_refused(text: str, index: int, character: str) -> None:
    index %= len(text) + 1

    message = text_error("description", text[:index] + character + text[index:] + "x")

    is_letter = (character.isalnum() and character <= "\uffff") or unicodedata.category(character)[0] == "M"
    assert is_letter or character in PUNCTUATION or message is not None


@given(st.fixed_dictionaries(dict.fromkeys(MAX_LENGTH, TEXTS)))
@settings(max_examples=30, deadline=None)
def test_an_accepted_text_is_unchanged_in_every_file_format(answers: dict[str, str]) -> None:
    # Given the two rendered files that contain the texts
    made = {"__package": "oncology", "__data": "table.csv", "__floors": "skill=0.02", "__max_content_length": "1048576"}
    context = DEFAULTS | answers | made
    rendered = {
        name: Environment(undefined=StrictUndefined)
        .from_string((TEMPLATE / "{{cookiecutter.project_slug}}" / name).read_text(encoding="utf-8"))
        .render(cookiecutter=context)
        for name in ("project.mk", "pyproject.toml")
    }

    # When make passes them to a shell, as for image labels, and a TOML parser reads them
    names = ("TITLE", "DESCRIPTION", "AUTHOR")
    printing = "print:\n" + "".join(f"\t@printf '%s\\n' \"$({name})\"\n" for name in names)
    makefile = f"{rendered['project.mk']}\n{printing}"
    printed = subprocess.run(["make", "--file", "-"], input=makefile.encode(), capture_output=True, check=True).stdout
    project = tomllib.loads(rendered["pyproject.toml"])["project"]

    # Then each text is unchanged, in YAML and HTML as well
    assert printed.decode().split("\n")[:-1] == [answers[name] for name in ("project_name", "description", "__author")]
    assert project["description"] == answers["description"]
    assert project["authors"] == [{"name": answers["__author"]}]
    for text in answers.values():
        assert yaml.safe_load(f'"{text}"') == text
        assert html.unescape(str(escape(text))) == text


def test_the_defaults_are_accepted() -> None:
    assert first_error(DEFAULTS) is None


@pytest.mark.parametrize("question", CHOICES)
def test_the_choices_are_those_of_the_question(question: str) -> None:
    offered = json.loads((TEMPLATE / "cookiecutter.json").read_text())[question]

    assert list(CHOICES[question]) == offered
    assert [first_error(DEFAULTS | {question: name}) for name in offered] == [None] * len(offered)
    assert first_error(DEFAULTS | {question: "../moon"}) == (
        f"{question} '../moon' is not supported: type {' or '.join(offered)}."
    )


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        pytest.param("~no-such-user/x.csv", "x.csv does not exist: check the path", id="home-of-nobody"),
        pytest.param("s3://bucket/x.csv", "is an address, not a path: run `aws s3 cp", id="s3"),
        pytest.param("https://example.org/x.csv", "is an address, not a path: run `curl", id="url"),
    ],
)
def test_a_dataset_that_is_no_file_is_refused_in_one_sentence(dataset: str, message: str) -> None:
    error = first_error(DEFAULTS | {"dataset": dataset, "target": "y"})
    assert error is not None
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize("platform", ["azure-container-apps", "azure-web-app"])
def test_a_pipeline_that_would_need_a_stored_key_is_refused(platform: str) -> None:
    error = first_error(DEFAULTS | {"ci": "bitbucket", "platform": platform})

    assert error is not None
    assert error.startswith("ci 'bitbucket' cannot log in to Azure")
    assert first_error(DEFAULTS | {"ci": "azure-devops", "platform": platform}) is None
    assert first_error(DEFAULTS | {"ci": "bitbucket"}) is None


ENTITIES = DEFAULTS | {"kind": "entities"}


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param({"dashboard": "streamlit"}, "a text has none: type none", id="dashboard"),
        pytest.param({"target": "y"}, "target 'y' is about a table, not about texts: leave it empty.", id="target"),
        pytest.param({"task": "binary"}, "task 'binary' is about a table, not about texts: type auto.", id="task"),
        pytest.param({"missing": "NA"}, "missing 'NA' is about a table, not about texts: type auto.", id="missing"),
        pytest.param({"dataset": "no.jsonl"}, "there is no such file: check the path", id="no file"),
        pytest.param({"dataset": "s3://bucket/x.jsonl"}, "is an address, not a path", id="address"),
    ],
)
def test_answers_that_do_not_fit_texts_are_refused_in_one_line(answers: dict[str, str], message: str) -> None:
    error = first_error(ENTITIES | answers)

    assert error is not None
    assert message in error
    assert "\n" not in error


def test_a_dataset_with_problems_is_refused_with_each_of_them(tmp_path: Path) -> None:
    dataset = tmp_path / "texts.jsonl"
    dataset.write_text('{"text": "Ada", "entities": [[0, 9, "A"], [1, 1, "A"]]}\n' * 30)

    error = first_error(ENTITIES | {"dataset": str(dataset)})

    assert error is not None
    assert "has 60 problems:" in error
    assert 'line 1, "Ada": the entity 0 to 9, A, is outside the text' in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("table", ("Oncology", "breast_cancer_wisconsin.csv", "accuracy=0.93 recall=0.90 roc_auc=0.98")),
        ("entities", ("Mailroom", "messages.jsonl", "f1=0.75 skill=0.02")),
    ],
)
def test_each_kind_has_an_example(kind: str, expected: tuple[str, ...]) -> None:
    answers = DEFAULTS | {"kind": kind}

    assert (project_name(answers), data_file(answers), floors(answers)) == expected
    assert text_error("description", description(answers)) is None


def test_a_dataset_of_texts_gives_a_project_name(tmp_path: Path) -> None:
    answers = ENTITIES | {"dataset": str(tmp_path / "support mails.json.gz")}

    assert (project_name(answers), data_file(answers)) == ("Support mails", "support_mails.jsonl")
    assert (floors(answers), text_error("description", description(answers))) == ("skill=0.02", None)
    assert project_name(ENTITIES | {"dataset": "…"}) == "Entities model"


def cookiecutter_command(*arguments: str, folder: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run cookiecutter from the command line."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("cookiecutter")), str(TEMPLATE), *arguments],
        cwd=folder,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "answer",
    [
        "project_slug=Oncology",
        "project_slug=..",
        "project_slug=a/b",
        "project_slug=../escaped",
        "project_slug=json",
        "project_name=???",
        'description=""" + __import__("os").system("touch pwned") + """',
        "description={% raw %}",
        "__author=a\nb",
        "aws_region=moon",
        "team=Data Science",
        "task=guess",
        "missing=\x07",
    ],
)
def test_an_invalid_answer_gives_one_line_and_no_files(tmp_path: Path, answer: str) -> None:
    # Given an empty folder inside another folder
    folder = tmp_path / "here"
    folder.mkdir()

    # When a project is generated with one invalid answer
    result = cookiecutter_command("--no-input", answer, folder=folder)

    # Then one line says what to type instead, and both folders are unchanged
    output = (result.stdout + result.stderr).strip()
    assert result.returncode != 0
    assert output.count("\n") == 0
    assert "type" in output
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "name",
    ["{{ 7*7 }}", "{% raw %}", '""" + __import__("os").system("touch pwned") + """', "'''", "$(touch pwned)", "\\"],
)
def test_a_typed_answer_is_never_executed(tmp_path: Path, name: str) -> None:
    # Given a hostile project name, and a valid slug
    typed = f"\n\n\n\n\n{name}\noncology\n" + "\n" * 8

    # When cookiecutter asks its questions
    result = cookiecutter_command(folder=tmp_path, typed=typed)

    # Then it refuses the name, and creates no files
    assert result.returncode != 0
    assert "project_name" in result.stdout + result.stderr
    assert "type" in (result.stdout + result.stderr).splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@given(st.dictionaries(st.text(), st.text(st.characters() | st.sampled_from("\"'\\{}%#\n<&"))))
def test_the_hook_gets_the_answers_unchanged(answers: dict[str, str]) -> None:
    hook = (TEMPLATE / "hooks/post_gen_project.py").read_text()
    (line,) = [line for line in hook.splitlines() if line.startswith("ANSWERS = ")]
    rendered = Environment(undefined=StrictUndefined).from_string(line).render(cookiecutter=answers)

    # The line consists of a single call with one string literal
    (statement,) = ast.parse(rendered).body
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    assert json.loads(ast.literal_eval(statement.value.args[0])) == answers


@pytest.mark.parametrize("in_the_template", [True, False], ids=["in the template", "in another folder"])
def test_the_path_of_the_template_may_be_relative(tmp_path: Path, in_the_template: bool) -> None:
    folder = TEMPLATE if in_the_template else tmp_path
    template = os.path.relpath(TEMPLATE, folder)

    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", template, "--no-input", "--output-dir", str(tmp_path / "out")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out/oncology/makefile").is_file()


def test_an_invalid_answer_in_a_replay_file_is_refused(tmp_path: Path) -> None:
    # Given a replay file that was edited by hand
    bake(tmp_path / "first")

    replay = Path(os.environ["COOKIECUTTER_CONFIG"]).parent / "replay" / f"{TEMPLATE.name}.json"
    context = json.loads(replay.read_text())
    context["cookiecutter"]["team"] = "Data Science"
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(context))

    # When it is replayed, then the answer is refused and the folder is removed
    result = cookiecutter_command("--replay-file", str(edited), "--output-dir", "second", folder=tmp_path)
    assert result.returncode != 0
    assert "cannot be a Kubernetes label" in result.stdout.splitlines()[-1]
    assert not (tmp_path / "second" / "oncology").exists()
