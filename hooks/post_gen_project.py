"""Copy the user's table into the project, make the first commit, and print the next steps."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

# The answers are JSON in a string literal that no answer can terminate: they are never executed.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")


MAX_COMMITTED_SIZE = 50 * 2**20
"""Maximum size in bytes of a table in git: hosts refuse files of more than 100 MB, and large files slow down clones."""


def choose() -> None:
    """Put in the fragments of the answers to questions with choices, and remove the files that only others have."""
    # A new project must not contain bytecode files.
    sys.dont_write_bytecode = True
    sys.path.insert(0, "vendor")
    from mlops_runtime.operations.template_choices import FOLDERS, FRAGMENTS, LOCK, completed, left_out

    folder, choices = Path(), {question: ANSWERS[question] for question in FOLDERS}
    for path in map(Path, (*FRAGMENTS, LOCK)):
        text = path.read_text(encoding="utf-8")
        path.write_text(completed(folder, choices, path.as_posix(), text), encoding="utf-8")
    for path in [Path(name) for name in left_out(folder, choices)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            # That of a platform may be in a folder that is gone with another one.
            path.unlink(missing_ok=True)


def replace_table() -> None:
    """Replace the shipped table and contract by those of the user."""
    from mlops_runtime.profiling.markers import Named
    from mlops_runtime.profiling.profile import profile, summary
    from mlops_runtime.profiling.render import datamodel, readme
    from mlops_runtime.tables.table_copy import write_copy

    data, package = Path("data"), f"{ANSWERS['__package']}_model"
    for shipped in data.iterdir():
        shipped.unlink()
    copy = data / ANSWERS["__data"]
    write_copy(Path(ANSWERS["__dataset"]), copy)
    table = profile(copy, ANSWERS["target"], ANSWERS["task"], Named.from_answer(ANSWERS["missing"]))
    (data / "README.md").write_text(readme.render(table, copy.name), encoding="utf-8")
    (Path("src") / package / "datamodel.py").write_text(datamodel.render(table), encoding="utf-8")
    print(summary(table))
    if copy.stat().st_size > MAX_COMMITTED_SIZE:
        with Path(".gitignore").open("a", encoding="utf-8") as gitignore:
            gitignore.write(
                f"# Too large for git: store it elsewhere, and copy it here before `make train`.\n/{copy}\n"
            )
        print(f"{copy} is too large for git and listed in .gitignore: store it elsewhere.")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in the project folder."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)


def first_commit() -> str | None:
    """Make the first commit unless the folder is a repository with commits; return the reason if that fails."""
    if "_commit" in ANSWERS:
        # Cruft writes .cruft.json after this hook, and generates projects in temporary folders for its updates.
        return "it must contain the .cruft.json that cruft writes now"
    if shutil.which("git") is None:
        return "git is not installed"
    if git("rev-parse", "--show-toplevel").returncode == 0 and not Path(".git").exists():
        return "the folder is inside another repository"
    if git("rev-parse", "--verify", "HEAD").returncode == 0:
        return None
    # The user's git identity has precedence; without one, the author's name is used.
    identity = {"user.name": ANSWERS["__author"], "user.email": f"{ANSWERS['team']}@localhost"}
    missing = [f"{key}={value}" for key, value in identity.items() if git("config", key).returncode != 0]
    options = [part for setting in missing for part in ("-c", setting)]
    git("-c", "init.defaultBranch=main", "init", "--quiet")
    # The user's global ignore file, which may list data/ or *.csv, does not apply to this commit.
    add = ["-c", "core.excludesFile=", "add", "--all"]
    commit = [*options, "commit", "--quiet", "--message", "Start from cookiecutter-mlops-eks"]
    for command in (add, commit):
        result = git(*command)
        if result.returncode != 0:
            return (result.stderr.strip().splitlines() or [f"git exited with {result.returncode}"])[-1]
    return None


def clean_vendor() -> None:
    """Remove bytecode and build files of the runtime, which cookiecutter copied with it."""
    for pattern in ("__pycache__", "*.egg-info", "build"):
        for folder in Path("vendor").rglob(pattern):
            shutil.rmtree(folder)


if __name__ == "__main__":
    clean_vendor()
    choose()
    if ANSWERS["dataset"]:
        replace_table()
    if reason := first_commit():
        print(f"No first commit ({reason}): make it yourself, because a version is a commit.")
    print(f"{ANSWERS['project_slug']} is ready: cd into it and run `make predict`, or `make` for all commands.")
