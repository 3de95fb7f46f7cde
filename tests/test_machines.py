"""Machines of all kinds: a proxy, other tools of the same name, an old Python or make, no commit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, Bakery, share_environment
from tests.test_bake import git
from tests.test_project import make

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}"
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11", "python")
OLD = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.12 && exit\nexit 1\n'
PIPENV = '#!/bin/sh\n[ "$1" != sync ] || { mkdir .venv; echo "$PIPENV_PYTHON" >pipenv-python; }\n'
RECORDER = '#!/bin/sh\n[ "$1" != sync ] || { echo "$3" >>synced; exit 1; }\n'


def programs(folder: Path, scripts: dict[str, str]) -> str:
    """Write scripts into a folder, and return a PATH on which they come first."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def copied(fresh: Path, folder: Path) -> Path:
    return Path(shutil.copytree(fresh, folder / fresh.name, symlinks=True))


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of standard error that is not make's own report of a failing recipe."""
    (line,) = [line for line in result.stderr.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\* \[", line)]
    return line


@pytest.mark.parametrize("command", ["install", "predict", "deploy", "status", "keys", "upgrade"])
def test_a_python_that_is_too_old_is_said_before_anything_happens(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    # Given Python 3.10 alone
    project = copied(fresh, tmp_path)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", {"python3": OLD} | dict.fromkeys(NEWER, OLD)))

    result = make(project, command)

    assert result.returncode != 0
    assert "needs Python 3.11 or later" in error_line(result)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("name", NEWER[:-1])
def test_a_newer_python_is_found_and_used(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Given Python 3.10 first on the PATH, and a newer one by its full name
    project = copied(fresh, tmp_path)
    newer = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    scripts = {"python3": OLD, "pipenv": PIPENV} | dict.fromkeys(NEWER, OLD) | {name: newer}
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", scripts))
    monkeypatch.delenv("PIPENV_PYTHON", raising=False)

    assert make(project, "install").returncode == 0

    assert (project / "pipenv-python").read_text().strip() == sys.executable


@pytest.mark.parametrize(
    ("arguments", "categories"),
    [
        pytest.param(["predict", "PORT=8001"], "packages trainer", id="predict"),
        pytest.param(["train", "serve"], "packages trainer", id="train and serve"),
        pytest.param(["train", "lint", "--jobs"], "packages trainer dev-packages", id="train and lint"),
        pytest.param(["train", "MODEL=1.0"], "packages trainer dev-packages", id="a model from S3"),
        pytest.param(["login"], "packages trainer dev-packages", id="login"),
        pytest.param(["install"], "packages trainer dev-packages", id="install"),
    ],
)
def test_a_command_installs_the_categories_that_it_needs(
    fresh: Path, tmp_path: Path, arguments: list[str], categories: str
) -> None:
    project = copied(fresh, tmp_path)
    programs(tmp_path / "bin", {"pipenv": RECORDER})

    result = make(project, *arguments, f"PIPENV={tmp_path}/bin/pipenv")

    assert result.returncode != 0
    assert (project / "synced").read_text().splitlines() == [categories]


def test_dev_packages_that_are_installed_follow_the_lock(fresh: Path, tmp_path: Path) -> None:
    # Given an environment with dev-packages that is older than the lock
    project = copied(fresh, tmp_path)
    (project / ".venv").mkdir()
    (project / ".venv/.installed").touch()
    os.utime(project / ".venv/.installed", (0, 0))
    programs(tmp_path / "bin", {"pipenv": RECORDER})

    make(project, "predict", f"PIPENV={tmp_path}/bin/pipenv")

    assert (project / "synced").read_text() == "packages trainer dev-packages\n"


def test_an_environment_of_an_older_python_is_named(fresh: Path, tmp_path: Path) -> None:
    project = copied(fresh, tmp_path)
    (project / ".venv").mkdir()
    programs(project / ".venv/bin", {"python": OLD})

    result = make(project, "install")

    assert result.returncode != 0
    assert "remove .venv" in error_line(result)


@pytest.mark.parametrize("version", ["3.81", "3.82", "4.0", "4.1"])
def test_an_old_make_is_said(fresh: Path, version: str) -> None:
    result = make(fresh, f"MAKE_VERSION={version}")

    assert result.returncode != 0
    assert f"needs GNU Make 4.2 or later, and this is {version}" in error_line(result)


@pytest.mark.parametrize("version", ["4.2", "4.2.1", "4.4.1", "5.0"])
def test_a_newer_make_is_accepted(fresh: Path, version: str) -> None:
    assert make(fresh, f"MAKE_VERSION={version}").returncode == 0


PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.mark.parametrize("excluded", ["", "intranet,10.0.0.1"], ids=["no exceptions", "other exceptions"])
def test_a_proxy_is_not_asked_for_this_machine(project: Path, monkeypatch: pytest.MonkeyPatch, excluded: str) -> None:
    # Given a proxy that does not answer
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("NO_PROXY", excluded)

    for commands in (["predict"], ["test", "--what-if", "tests/system/test_service.py"]):
        result = make(project, *commands)
        assert result.returncode == 0, result.stdout + result.stderr

    show = '--eval=print: ; @echo "$$NO_PROXY $$no_proxy"'
    expected = ",".join(filter(None, ["localhost,127.0.0.1,::1", excluded]))
    assert make(project, show, "print").stdout.split() == [expected] * 2


@pytest.mark.parametrize("files", [(), ("README.md",)], ids=["no file", "a staged file"])
def test_a_repository_without_a_commit_predicts(
    bakery: Bakery, project: Path, tmp_path: Path, files: tuple[str, ...]
) -> None:
    # Given a project whose first commit failed
    baked = share_environment(bakery.copy(tmp_path), project)
    shutil.rmtree(baked / ".git")
    git(baked, "init", "--quiet")
    if files:
        git(baked, "add", *files)

    result = make(baked, "predict", "BUDGET=0", "FLOORS=skill=0.1")
    published = make(baked, "clean-tree")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "(version unversioned)" in result.stdout
    # And nothing is published under that name
    assert "no git commit to name a version after: commit, or set VERSION" in error_line(published)


@pytest.mark.parametrize("component", ["webservice", "trainer"])
def test_an_image_takes_no_file_modes_of_the_clone(component: str) -> None:
    *_, sources, last = (FOLDER / f"docker/{component}.Dockerfile").read_text().split("\nFROM ")

    assert "RUN chmod -R a+rX /app" in sources.rpartition("COPY")[2]
    assert all("--from=" in line for line in re.findall(r"(?m)^COPY .*", last))


# What GNU's tools know and those of macOS do not.
GNU_ONLY = {
    "program": r"\b(sha\d+sum|md5sum|tac|timeout|nproc|numfmt|gawk|shuf|setsid|readarray|mapfile)\b(?!=)",
    "xargs": r"\bxargs\s+(-\S+\s+)*(-\w*[rd]|--)",
    "sed": r"\bsed\s+(-\S+\s+)*(-\w*[irsz]|--)|\bsed [^|\n]*\\[+?|sSwWbd]",
    "grep": r"\bgrep\s+(-\S+\s+)*(-\w*[PZ]\b|--(?!quiet|count))",
    "date": r"\bdate\s+(-\S+\s+)*(-d|-I|--|\+\S*%N)",
    "stat": r"\bstat\s+(-c|--)",
    "readlink": r"\breadlink\s+-\w*[fem]|\brealpath\s+-",
    "find": r"\bfind\s[^|\n]*\s-(printf|regextype|executable|readable)\b",
    "file tools": r"(?<!s3 )\b(cp|mv|rm|ln|mkdir|touch|chmod|install|head|tail|cut|sort|tr|wc|cat|mktemp)\s+--\w",
    "flags of file tools": r"\bcp\s+-\w*[axdt]\b|\bln\s+-\w*[rt]\b|\binstall\s+-\w*D|\bsort\s+-\w*V|\bbase64\s+-\w*w"
    r"|\bhead\s+-n\s*-|\bmktemp\s+-p|\btouch\s+-d|\bcut\s+-\w*z",
    "echo": r"\becho\s+-[eE]",
    "bash": r"\$\{\w+(,,|\^\^|@\w)|\bdeclare\s+-\w*A|\blocal\s+-n|&>>|\|&|\bwait\s+-n|\$EPOCH",
    "awk": r"\b(gensub|strftime|systime|asorti?|strtonum|PROCINFO)\b",
}


def scripts() -> list[Path]:
    """Return the files of a project that a shell on the user's machine reads: recipes, scripts, and the README."""
    files = [FOLDER / "makefile", FOLDER / "project.mk", FOLDER / "README.md", TEMPLATE / "README.md"]
    return [
        *files,
        TEMPLATE / "docs/own-data.md",
        TEMPLATE / "docs/first-deploy.md",
        *FOLDER.glob("make/*.mk"),
        *FOLDER.glob("environments/*.mk"),
        *FOLDER.glob("platforms/*/*"),
        *FOLDER.glob("dashboards/*/*.m[dk]*"),
        *FOLDER.glob("**/*.sh"),
    ]


@pytest.mark.parametrize("path", scripts(), ids=lambda path: str(path.relative_to(TEMPLATE)))
def test_recipes_need_no_gnu_tool(path: Path) -> None:
    text = re.sub(r"(?m)^\s*#.*$", "", path.read_text())

    found = {kind: match[0] for kind, pattern in GNU_ONLY.items() if (match := re.search(pattern, text))}

    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "sha256sum a", "ls | xargs -r rm", "sed -i 's/a/b/' c", "sed -r 's/a+/b/'", "sed 's/a\\+/b/'", "grep -oP a",
        "date -d yesterday", "stat -c %s a", "readlink -f a", "find . -printf %p", "cp --recursive a b", "cp -a a b",
        "echo -e 'a\\n'", "echo ${name,,}", "head -n -1 a", "mktemp -p .", "declare -A map", "sort -V",
    ],
)  # fmt: skip
def test_the_lint_finds_gnu_tools(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in GNU_ONLY.values())


AWKS = ("original-awk", "mawk", "gawk", "busybox")


@pytest.mark.parametrize("program", AWKS)
def test_the_commands_are_listed_with_any_awk(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}: install it")
    applet = "awk " if program == "busybox" else ""
    expected = make(fresh).stdout
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", {"awk": f'#!/bin/sh\nexec "{path}" {applet}"$@"\n'}))

    assert make(fresh).stdout == expected
    assert "predict" in expected


@pytest.mark.parametrize("goal", ["train", "package.model", "docker", "help"])
def test_recipes_run_with_the_tools_of_busybox(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goal: str
) -> None:
    if (busybox := shutil.which("busybox")) is None:
        pytest.skip("no busybox: install it")
    project = copied(fresh, tmp_path)
    names = ("awk", "cut", "find", "grep", "head", "rm", "sed", "tail", "tr", "touch", "xargs", "cp", "mkdir", "cmp")
    tools = {name: f'#!/bin/sh\nexec "{busybox}" {name} "$@"\n' for name in names}
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", tools))
    git(project, "tag", "v1.0+local")
    (project / "changed").touch()
    stand_ins = ("ENV=", "PYTHON=true", "DOCKER=true", "AWS=true")

    print_version = "--eval=print: ; @echo $(VERSION)"
    assert re.match(r"v1\.0-local-g[0-9a-f]+-dirty-[0-9a-f]{8}$", make(project, print_version, "print").stdout)
    (project / "build/wheel").mkdir(parents=True)
    result = make(project, "-k", goal, *stand_ins)

    assert "invalid option" not in result.stderr
    assert "unrecognized option" not in result.stderr
