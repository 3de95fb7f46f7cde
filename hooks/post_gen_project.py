"""Put the user's table into the project, make the first commit, and say how to go on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

# The answers arrive as data: JSON in a string that no answer can end, never as code.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")


MAX_COMMITTED = 50 * 2**20
"""Bytes of the largest table that is committed: git hosts refuse files of 100 MB, and clones grow slow before."""


def take_table() -> None:
    """Put the user's table, and the contract made from it, in place of the shipped ones."""
    # Compiled files have no place in a fresh project.
    sys.dont_write_bytecode = True
    sys.path.insert(0, "vendor")
    from mlops_runtime.profiling.profile import profile, summary
    from mlops_runtime.profiling.render import datamodel, readme
    from mlops_runtime.tables.table_copy import write_copy

    data, package = Path("data"), f"{ANSWERS['__package']}_model"
    for shipped in data.iterdir():
        shipped.unlink()
    copy = data / ANSWERS["__data"]
    write_copy(Path(ANSWERS["__dataset"]), copy)
    found = profile(copy, ANSWERS["target"], ANSWERS["task"])
    (data / "README.md").write_text(readme.render(found, copy.name), encoding="utf-8")
    (Path("src") / package / "datamodel.py").write_text(datamodel.render(found), encoding="utf-8")
    print(summary(found))
    if copy.stat().st_size > MAX_COMMITTED:
        with Path(".gitignore").open("a", encoding="utf-8") as ignored:
            ignored.write(f"# Too large for git: keep it elsewhere, and put it here before `make train`.\n/{copy}\n")
        print(f"{copy} is too large to be committed: .gitignore names it.")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git here; the result holds exit status and outputs."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


def first_commit() -> str | None:
    """Make the first commit, unless a repository is here already; return why there is none, or None."""
    if shutil.which("git") is None:
        return "git is not installed"
    if git("rev-parse", "--show-toplevel").returncode == 0 and not Path(".git").exists():
        return "another repository encloses this folder"
    if git("rev-parse", "--verify", "HEAD").returncode == 0:
        return None
    # A machine without a git identity still gets its commit; one with an identity keeps it.
    identity = {"user.name": ANSWERS["__author"], "user.email": f"{ANSWERS['team']}@localhost"}
    missing = [f"{key}={value}" for key, value in identity.items() if git("config", key).returncode != 0]
    options = [part for setting in missing for part in ("-c", setting)]
    git("-c", "init.defaultBranch=main", "init", "--quiet")
    # What a person ignores everywhere, such as data/ or *.csv, belongs to this project all the same.
    every_file = ["-c", "core.excludesFile=", "add", "--all"]
    for step in (every_file, [*options, "commit", "--quiet", "--message", "Start from cookiecutter-mlops-eks"]):
        result = git(*step)
        if result.returncode != 0:
            return (result.stderr.strip().splitlines() or ["git said nothing"])[-1]
    return None


def clean_vendor() -> None:
    """Remove from the copy of the runtime what Python and setuptools left in the original."""
    for pattern in ("__pycache__", "*.egg-info", "build"):
        for folder in Path("vendor").rglob(pattern):
            shutil.rmtree(folder)


if __name__ == "__main__":
    clean_vendor()
    if ANSWERS["dataset"]:
        take_table()
    if reason := first_commit():
        print(f"No first commit ({reason}): make one yourself, versions are named after commits.")
    print(f"{ANSWERS['project_slug']} is ready: cd into it and run `make predict`, or `make` for all commands.")
