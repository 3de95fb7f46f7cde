"""Names of versions, what git and AWS say about them, and what a changed setting makes stale.

Nothing is installed, trained or built here: programs that record how they were called stand in for Python, the image
engine and the AWS CLI.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")
VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What an image tag, a label of Kubernetes and a key on S3 can all be."""

PRINT = "--eval=print: ; @printf '%s' \"$$VERSION\""

ENGINE = r"""#!/bin/bash
printf '%s\0' "$@" >>"$CALLS"
while [ $# -gt 0 ]; do
  case "$1" in
    pull) test -e published || { echo "manifest unknown" >&2; exit 1; } ;;
    login) cat >/dev/null ;;
    inspect)
      golden=$(test -e same || echo "$2")
      printf '[{"Config": {"Labels": {"mlops-runtime.golden": "%s"}}, ' "$golden"
      printf '"RepoDigests": ["%s@sha256:0"]}]' "${2%:*}"
      exit ;;
    --iidfile) echo sha256:0 >"$2" ;;
  esac
  shift
done
"""

PYTHON = r"""#!/bin/bash
echo "$@" >>"$CALLS"
if [ "$2" = mlops_runtime.operations.wheel_version ]; then echo 1; fi
if [ "$2" = build ]; then mkdir -p "$7" && touch "$7/some.whl"; fi
if [ "$1 $3" = "-m json" ]; then touch build/unittest-coverage.json build/test-coverage.json; fi
"""

AWS = r"""#!/bin/bash
printf '%s\0' "$@" >>"$CALLS"
echo 'answer$(touch PWNED)`touch PWNED`";touch PWNED;"'"';touch PWNED;'"
"""


@dataclass
class Project:
    """A baked project, and programs that stand in for those that its commands call."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def stand_in(self, name: str, program: str) -> Path:
        """Let a variable of make name a program, and return the file that records its arguments."""
        path, calls = (self.folder.parent / f"{name}{ending}" for ending in ("", ".calls"))
        path.write_text(program.replace("$CALLS", str(calls)))
        path.chmod(0o755)
        self.variables[name] = str(path)
        return calls

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run make with these settings in the environment; the result holds exit status and outputs."""
        environment = {f"MLOPS_{name}": value for name, value in environment.items()}
        variables = {"ENV": "", "DOCKER": "true", "KUBECTL": "true", "AWS": "false"} | self.variables
        command = ["make", *arguments, *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | environment, capture_output=True, text=True, check=False
        )

    def git(self, *arguments: str) -> str:
        """Run git; return what it prints."""
        return subprocess.run(
            [*GIT, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> None:
        self.git("commit", "--quiet", "--allow-empty", "--message", "Another commit")

    def version(self, goal: str = "train", **environment: str) -> str:
        """Return the version that a command uses."""
        result = self.make("--silent", PRINT, goal, "print", "PYTHON=true", **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout


def error_lines(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of standard error that are not make's own report of a failing recipe."""
    return [line for line in result.stderr.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\* \[", line)]


def pwned(project: Project) -> bool:
    return any(project.folder.rglob("PWNED*")) or (project.folder.parent / "PWNED").exists()


@pytest.fixture
def project(fresh: Path, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(fresh, tmp_path / fresh.name, symlinks=True)))


HOSTILE = [
    pytest.param("v9$(touch${IFS}PWNED)", id="command substitution"),
    pytest.param("v9`touch${IFS}PWNED`", id="backticks"),
    pytest.param("v9';touch${IFS}PWNED;'", id="apostrophes"),
    pytest.param('v9";touch${IFS}PWNED;"', id="quotation marks"),
    pytest.param("v9;touch${IFS}PWNED", id="semicolon"),
    pytest.param("v9|touch${IFS}PWNED&", id="pipe"),
    pytest.param("v9$${IFS}$(info${IFS}PWNED)#", id="make"),
    pytest.param("$(touch${IFS}PWNED)", id="nothing else"),
]


@pytest.mark.parametrize("tag", HOSTILE)
def test_a_tag_is_never_run(project: Project, tag: str) -> None:
    # given
    project.git("tag", tag)
    project.git("checkout", "--quiet", "-b", tag)
    calls = project.stand_in("DOCKER", ENGINE)
    project.stand_in("PYTHON", PYTHON)
    # when
    for command in (
        ("-n", "deploy", "REGISTRY=registry"), ("package.model",), ("docker",),
        ("publish", "REGISTRY=registry", "LOGIN=none"), ("-n", "upload.model"), ("help",),
    ):  # fmt: skip
        result = project.make(*command)
        assert result.returncode == 0 or "-n" in command, result.stderr
    # then
    assert not pwned(project)
    versions = {line for line in calls.read_text().split("\0") if line.startswith("VERSION=")}
    assert versions == {f"VERSION={project.version()}"}
    assert VERSION.fullmatch(project.version())


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://host/$(touch PWNED)", id="command substitution"),
        pytest.param("https://host/`touch PWNED`", id="backticks"),
        pytest.param('https://host/";touch PWNED;"', id="quotation marks"),
        pytest.param("https://host/';touch PWNED;'", id="apostrophes"),
        pytest.param("https://host/$(shell touch PWNED)", id="make"),
    ],
)
def test_the_address_of_the_repository_is_data(project: Project, url: str) -> None:
    # given
    project.git("remote", "add", "origin", url)
    calls = project.stand_in("DOCKER", ENGINE)
    project.stand_in("PYTHON", PYTHON)
    # when
    result = project.make("docker")
    # then
    assert result.returncode == 0, result.stderr
    assert f"org.opencontainers.image.source={url}" in calls.read_text().split("\0")
    assert not pwned(project)


TEXTS = [
    pytest.param('It\'s "new"; touch PWNED', id="quotation marks"),
    pytest.param("costs $5 or $(touch PWNED) `touch PWNED`", id="dollar signs"),
    pytest.param("$(shell touch PWNED)", id="make"),
    pytest.param("Früherkennung 腫瘍学", id="unicode"),
    pytest.param("a # b \\", id="comment"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_reach_the_image_as_they_are(project: Project, text: str) -> None:
    # given
    calls = project.stand_in("DOCKER", ENGINE)
    # when
    result = project.make("build/trainer.built", TITLE=text, DESCRIPTION=text, AUTHOR=text, SOURCE_URL=text)
    # then
    assert result.returncode == 0, result.stderr
    labels = {f"title={text} trainer", f"description={text}", f"authors={text}", f"source={text}"}
    assert {f"org.opencontainers.image.{label}" for label in labels} <= set(calls.read_text().split("\0"))
    assert not pwned(project)


def test_a_dollar_sign_can_be_written_in_project_mk(project: Project) -> None:
    settings = project.folder / "project.mk"
    settings.write_text(re.sub(r"(?m)^TITLE .*", 'TITLE ?= costs $$5, "it\'s" `touch PWNED`', settings.read_text()))
    calls = project.stand_in("DOCKER", ENGINE)

    assert project.make("build/trainer.built").returncode == 0

    label = 'org.opencontainers.image.title=costs $5, "it\'s" `touch PWNED` trainer'
    assert label in calls.read_text().split("\0")
    assert not pwned(project)


def test_what_aws_answers_is_data(project: Project) -> None:
    # given an AWS that answers with shell code
    calls = project.stand_in("AWS", AWS)
    project.stand_in("PYTHON", PYTHON)
    project.stand_in("DOCKER", ENGINE)
    # when
    for command in (("train", "MODEL=1.0"), ("upload.model",), ("-n", "infrastructure"), ("-n", "publish"), ("login",)):
        result = project.make(*command)
        assert result.returncode == 0, result.stderr
    # then the bucket that commands name has no character that a shell runs
    assert re.search(r"s3://oncology-answer[\w.:/-]+\x00", calls.read_text())
    assert not pwned(project)


@pytest.mark.parametrize(
    ("registry", "login", "bucket"),
    [
        pytest.param("", "ecr", "mine", id="none"),
        pytest.param("1.dkr.ecr.eu-central-1.amazonaws.com", "ecr", "mine", id="ECR"),
        pytest.param("docker.io/acct", "none", "mine", id="Docker Hub"),
        pytest.param("docker.io/acct", "none", "", id="Docker Hub without a bucket"),
    ],
)
def test_the_registry_decides_who_logs_in(fresh: Path, registry: str, login: str, bucket: str) -> None:
    show = '--eval=print: ; @echo "$$LOGIN $(CHAMPION_BUCKET)"'
    command = ["make", show, "print", f"REGISTRY={registry}", "AWS=false", *([f"BUCKET={bucket}"] if bucket else [])]

    result = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=True)

    assert result.stdout.split() == [login, *([bucket] if bucket else [])]


def test_aws_is_not_asked_for_another_registry(project: Project) -> None:
    # given
    calls = project.stand_in("AWS", AWS)
    engine = project.stand_in("DOCKER", ENGINE)
    project.stand_in("PYTHON", PYTHON)
    # when
    result = project.make("login", "publish", "REGISTRY=docker.io/acct")
    # then
    assert result.returncode == 0, result.stderr
    assert f"docker.io/acct/oncology-webservice:{project.version()}" in engine.read_text().split("\0")
    assert not calls.exists()


def test_the_aws_cli_is_that_of_the_environment(fresh: Path) -> None:
    print_cli = '--eval=print: ; @echo "$(AWS)" "$$AWS"'

    result = subprocess.run(["make", print_cli, "print"], cwd=fresh, capture_output=True, text=True, check=True)

    assert result.stdout == "pipenv run aws pipenv run aws\n"


def test_pipenv_is_a_module_where_it_is_no_command(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a PATH without pipenv
    folders = os.environ["PATH"].split(os.pathsep)
    monkeypatch.setenv("PATH", os.pathsep.join(each for each in folders if not (Path(each) / "pipenv").exists()))
    print_pipenv = '--eval=print: ; @echo "$(PIPENV)"'

    result = subprocess.run(["make", print_pipenv, "print"], cwd=fresh, capture_output=True, text=True, check=True)

    assert result.stdout == "python3 -m pipenv\n"


def test_a_project_without_vendor_is_told_how_to_upgrade(fresh: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(fresh, project, ignore=shutil.ignore_patterns("vendor"))

    result = subprocess.run(["make", "upgrade"], cwd=project, capture_output=True, text=True, check=False)

    assert result.returncode != 0
    assert "no vendor/: pin a newer mlops-runtime in the Pipfile" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_readme_names_the_lines_of_a_project_without_vendor(fresh: Path) -> None:
    # Given the one line that the README deletes
    readme = (fresh / "README.md").read_text()
    deleted = "COPY vendor/mlops_runtime"
    assert f"the line `{deleted}` in the Dockerfile of the trainer" in readme

    # Then no other instruction copies from vendor/
    lines = (fresh / "docker/trainer.Dockerfile").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("COPY vendor")]
    assert line.startswith(deleted)

    # And one line of the other file mounts it
    assert "the line with `./vendor` in `docker/dev.yaml`" in readme
    assert (fresh / "docker/dev.yaml").read_text().count("./vendor") == 1


@pytest.mark.parametrize("name", ["VERSION", "MODEL"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("v1$(touch PWNED)", id="command substitution"),
        pytest.param("$(shell touch PWNED)", id="make"),
        pytest.param("v1`touch PWNED`", id="backticks"),
        pytest.param("v1';touch PWNED;'", id="apostrophes"),
        pytest.param("a b", id="space"),
        pytest.param("a/b", id="slash"),
        pytest.param("1.0+local", id="plus"),
        pytest.param("-v1", id="first character"),
        pytest.param("v1.", id="last character"),
        pytest.param("x" * 64, id="too long"),
        pytest.param("é", id="accent"),
    ],
)
def test_a_given_name_that_cannot_be_used_is_refused_before_anything_happens(
    project: Project, name: str, value: str
) -> None:
    for result in (project.make("docker", f"{name}={value}"), project.make("docker", **{name: value})):
        assert result.returncode != 0
        (line,) = result.stderr.splitlines()
        assert f"{name}='{value}' cannot name a version: use up to 63 letters" in line
        assert not (project.folder / "build").exists()
        assert not pwned(project)


@pytest.mark.parametrize("value", ["1", "v1.2.3", "1.2_rc-1", "x" * 63])
def test_a_given_version_is_used(project: Project, value: str) -> None:
    assert project.version(VERSION=value) == value


@pytest.mark.parametrize(
    ("tag", "commits", "expected"),
    [
        pytest.param("v1.2", 0, r"v1\.2", id="tag"),
        pytest.param("v1.2", 2, r"v1\.2-2-g[0-9a-f]{7,}", id="commits after a tag"),
        pytest.param("", 1, r"[0-9a-f]{7,}", id="no tag"),
        pytest.param("prod-2024-05", 0, r"prod-2024-05", id="tag that is no release"),
        pytest.param("v1.2+build.5", 0, r"v1\.2-build\.5-g[0-9a-f]{7,}", id="plus"),
        pytest.param("release/1.2", 0, r"release-1\.2-g[0-9a-f]{7,}", id="slash"),
        pytest.param("腫瘍学", 0, r"g[0-9a-f]{7,}", id="no letter or digit"),
        pytest.param("x" * 80, 1, r"x{34}-g[0-9a-f]{7,}", id="long tag"),
        pytest.param("v1_", 0, r"v1-g[0-9a-f]{7,}", id="last character"),
    ],
)
def test_a_tag_names_the_version(project: Project, tag: str, commits: int, expected: str) -> None:
    # given
    if tag:
        project.git("tag", tag)
    for _ in range(commits):
        project.commit()
    # when
    version = project.version()
    # then
    assert re.fullmatch(expected, version)
    assert VERSION.fullmatch(version)


def test_the_longest_tag_of_changed_files_is_a_version(project: Project) -> None:
    project.git("tag", "x" * 200)
    (project.folder / "README.md").write_text("changed")

    version = project.version()

    assert VERSION.fullmatch(version)
    assert re.search(r"-dirty-[0-9a-f]{8}$", version)


def test_tags_that_look_alike_are_two_versions(project: Project) -> None:
    project.git("tag", "v1+a")
    first = project.version()
    project.commit()
    project.git("tag", "v1=a")

    assert project.version() != first


@pytest.mark.parametrize(
    ("tag", "commits", "expected"),
    [
        pytest.param("v1.2", 2, r"1\.2\.post2\+g[0-9a-f]{7,}", id="commits after a tag"),
        pytest.param("prod-2024-05", 0, r"0\+prod\.2024\.5", id="tag that is no release"),
    ],
)
def test_the_wheel_has_the_version_of_the_project(project: Project, tag: str, commits: int, expected: str) -> None:
    # given a model, as far as make can tell
    if tag:
        project.git("tag", tag)
    for _ in range(commits):
        project.commit()
    assert project.make("train", "PYTHON=true").returncode == 0
    # when
    result = project.make("package.model", f"PYTHON={sys.executable}")
    # then
    assert result.returncode == 0, result.stderr
    (wheel,) = project.folder.glob("build/wheel/oncology_model-*.whl")
    assert re.fullmatch(expected, wheel.name.split("-")[1])


def test_another_version_is_another_wheel_of_the_model_alone(project: Project) -> None:
    # given the wheels of a version
    calls = project.stand_in("PYTHON", PYTHON)
    assert project.make("package.model").returncode == 0
    assert project.make("--question", "package.model").returncode == 0
    # when there is another version
    project.commit()
    # then the wheel of the runtime serves it as well
    assert project.make("--question", "package.model").returncode == 1
    assert project.make("package.model").returncode == 0
    built = [line.split()[-1] for line in calls.read_text().splitlines() if line.startswith("-m build ")]
    assert built == ["vendor", ".", "."]


@pytest.fixture
def shallow(project: Project, tmp_path: Path) -> Project:
    """A clone of the last commit alone, of a project with a tag before it."""
    project.git("tag", "v1.2")
    project.commit()
    project.commit()
    folder = tmp_path / "clone" / project.folder.name
    project.git("clone", "--quiet", "--depth", "1", f"file://{project.folder}", str(folder))
    return Project(folder)


@pytest.mark.parametrize("goal", ["train", "deploy", "publish", "package.model"])
def test_a_shallow_clone_fetches_what_names_its_commit(project: Project, shallow: Project, goal: str) -> None:
    shallow.make("--dry-run", goal, "REGISTRY=registry")

    assert shallow.git("rev-parse", "--is-shallow-repository") == "false"
    assert shallow.version() == project.version()


def test_listing_the_commands_fetches_nothing(shallow: Project) -> None:
    assert shallow.make().returncode == 0

    assert shallow.git("rev-parse", "--is-shallow-repository") == "true"


@pytest.mark.parametrize("goal", ["deploy", "publish", "upload.model"])
def test_a_shallow_clone_without_its_remote_publishes_nothing(shallow: Project, goal: str) -> None:
    # given
    shallow.git("remote", "set-url", "origin", "file:///nowhere")
    shallow.stand_in("PYTHON", PYTHON)
    # when
    result = shallow.make(goal, "REGISTRY=registry", "LOGIN=none")
    # then
    assert result.returncode != 0
    (line,) = error_lines(result)
    assert line.endswith("run git fetch --unshallow --tags")
    assert not (shallow.folder / "build/webservice.image").exists()


def test_a_shallow_clone_without_its_remote_trains_and_publishes_a_given_version(shallow: Project) -> None:
    shallow.git("remote", "set-url", "origin", "file:///nowhere")
    shallow.stand_in("PYTHON", PYTHON)
    shallow.stand_in("DOCKER", ENGINE)

    assert shallow.make("train").returncode == 0
    result = shallow.make("publish", "REGISTRY=registry", "LOGIN=none", "VERSION=v1.2.1")

    assert result.returncode == 0, result.stderr


SETTINGS = [
    pytest.param("train", "SEED=2", id="train SEED"),
    pytest.param("train", "FLOORS=accuracy=0.9999", id="train FLOORS"),
    pytest.param("train", "TEST_SHARE=0.3", id="train TEST_SHARE"),
    pytest.param("train", "MAX_ROWS=500", id="train MAX_ROWS"),
    pytest.param("train", "BUDGET=1", id="train BUDGET"),
    pytest.param("train", "DATA=data/other.csv", id="train DATA"),
    pytest.param("package.model", "SEED=2", id="package.model SEED"),
    pytest.param("docker", "SEED=2", id="docker SEED"),
    pytest.param("test", "SEED=2", id="test SEED"),
    pytest.param("docker", "PYTHON_IMAGE=python:3.12-slim", id="docker PYTHON_IMAGE"),
    pytest.param("docker", "VERSION=v2", id="docker VERSION"),
    pytest.param("package.model", "VERSION=v2", id="package.model VERSION"),
    pytest.param("unittest", "MIN_COVERAGE=99", id="unittest MIN_COVERAGE"),
]


@pytest.mark.parametrize(("goal", "setting"), SETTINGS)
def test_a_changed_setting_makes_a_command_stale(project: Project, goal: str, setting: str) -> None:
    # given a command that was run twice
    table = project.folder / "data/other.csv"
    table.write_text("")
    os.utime(table, (0, 0))
    project.stand_in("PYTHON", PYTHON)
    project.stand_in("DOCKER", ENGINE)
    assert project.make(goal).returncode == 0
    assert project.make("--question", goal).returncode == 0
    # when a setting changes, then it has something to do, once
    assert project.make("--question", goal, setting).returncode == 1
    assert project.make(goal, setting).returncode == 0
    assert project.make("--question", goal, setting).returncode == 0
    # and again when it changes back
    assert project.make("--question", goal).returncode == 1


@pytest.mark.parametrize(
    ("goal", "setting"),
    [
        pytest.param("train", "PYTHON_IMAGE=python:3.12-slim", id="train PYTHON_IMAGE"),
        pytest.param("train", "VERSION=v2", id="train VERSION"),
        pytest.param("unittest", "SEED=2", id="unittest SEED"),
        pytest.param("train", "PORT=9000", id="train PORT"),
    ],
)
def test_a_setting_of_something_else_changes_nothing(project: Project, goal: str, setting: str) -> None:
    project.stand_in("PYTHON", PYTHON)
    assert project.make(goal).returncode == 0

    assert project.make("--question", goal, setting).returncode == 0


@pytest.mark.parametrize("value", ["it's", 'a "b"', "a  b", "é"])
def test_a_setting_may_have_any_character(project: Project, value: str) -> None:
    project.stand_in("PYTHON", PYTHON)

    assert project.make("train", f"FLOORS={value}").returncode == 0

    assert project.make("--question", "train", f"FLOORS={value}").returncode == 0
    assert f"FLOORS={value} " in (project.folder / "build/settings/model").read_text()


@pytest.mark.parametrize("goal", ["publish", "deploy"])
@pytest.mark.parametrize(
    ("reason", "skipped"),
    [
        pytest.param("prices are wrong: it's $5 `touch PWNED`", True, id="reason"),
        pytest.param("$(shell touch PWNED) $(touch PWNED)", True, id="hostile reason"),
        pytest.param("", False, id="empty"),
        pytest.param("   ", False, id="blank"),
    ],
)
def test_tests_are_left_out_for_a_reason_alone(project: Project, goal: str, reason: str, skipped: bool) -> None:
    for result in (
        project.make("--dry-run", goal, "REGISTRY=registry", f"SKIP_TESTS={reason}"),
        project.make("--dry-run", goal, "REGISTRY=registry", SKIP_TESTS=reason),
    ):
        assert result.returncode == 0, result.stderr
        assert ("-m pytest" not in result.stdout) == skipped
        assert "-m trainer" in result.stdout
        assert not pwned(project)


def test_nothing_is_pushed_when_a_test_fails(project: Project) -> None:
    # given
    project.stand_in("PYTHON", PYTHON + 'case "$*" in *pytest*) exit 1 ;; esac\n')
    calls = project.stand_in("DOCKER", ENGINE)
    calls.touch()
    # when
    result = project.make("publish", "REGISTRY=registry", "LOGIN=none")
    # then
    assert result.returncode != 0
    assert "push" not in calls.read_text().split("\0")
    # And without that failure the same command pushes
    project.stand_in("PYTHON", PYTHON)
    assert project.make("publish", "REGISTRY=registry", "LOGIN=none").returncode == 0
    assert "push" in calls.read_text().split("\0")


def test_published_images_are_signed(project: Project) -> None:
    # given
    for name, program in (("PYTHON", PYTHON), ("DOCKER", ENGINE)):
        project.stand_in(name, program)
    calls = project.stand_in("SIGN", '#!/bin/bash\necho "$@" >>"$CALLS"\n')
    project.variables["SIGN"] += " --key mine"
    # when
    result = project.make("publish", "REGISTRY=registry", "LOGIN=none")
    # then
    assert result.returncode == 0, result.stderr
    images = {(project.folder / f"build/{name}.image").read_text() for name in ("trainer", "webservice")}
    assert {f"{line}\n" for line in calls.read_text().splitlines()} == {f"--key mine {image}" for image in images}


def test_the_reason_is_said_and_handed_on(project: Project) -> None:
    # given
    reason = "prices are wrong: it's $5"
    project.stand_in("PYTHON", PYTHON)
    project.stand_in("DOCKER", ENGINE)
    print_reason = "--eval=print: ; @printf '%s' \"$$SKIP_TESTS\""
    # when
    result = project.make("publish", "REGISTRY=registry", "LOGIN=none", SKIP_TESTS=reason)
    # then
    assert result.returncode == 0, result.stderr
    assert f"Unit and system tests are left out: {reason}" in result.stdout
    assert project.make("--silent", print_reason, "print", SKIP_TESTS=f" {reason} ").stdout == reason


def test_a_model_from_elsewhere_is_not_trained(project: Project) -> None:
    # given
    calls, aws = project.stand_in("PYTHON", PYTHON), project.stand_in("AWS", AWS)
    # when
    result = project.make("train", "MODEL=v1.2", "BUCKET=bucket")
    # then
    assert result.returncode == 0, result.stderr
    assert calls.read_text().split("\n")[:-1] == ["-m mlops_runtime.operations.artefact build/fetched"]
    assert "s3://bucket/trainer/v1.2/" in aws.read_text().split("\0")
    # And it is fetched once
    assert project.make("--question", "train", "MODEL=v1.2", "BUCKET=bucket").returncode == 0


@pytest.mark.parametrize(
    ("variables", "same", "status"),
    [
        pytest.param((), False, 0, id="trained here"),
        pytest.param(("MODEL=v1.2",), False, 2, id="given model"),
        pytest.param(("MODEL=v1.2",), True, 0, id="given model that was published"),
    ],
)
def test_a_version_that_was_published_with_another_model_is_said(
    project: Project, variables: tuple[str, ...], same: bool, status: int
) -> None:
    # given
    for name, program in (("PYTHON", PYTHON), ("AWS", AWS), ("DOCKER", ENGINE)):
        project.stand_in(name, program)
    (project.folder / "published").touch()
    if same:
        (project.folder / "same").touch()
    # when
    result = project.make("publish", "REGISTRY=registry", "LOGIN=none", "VERSION=v1", "ALLOW_DIRTY=1", *variables)
    # then
    assert result.returncode == status
    said = [] if same else ["registry/oncology/webservice:v1 has a model of another training run: to publish this one"]
    assert [line.split(", commit")[0] for line in error_lines(result)] == said
