"""Copy the user's data into the project, make the first commit, and print the next steps."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

# The answers are JSON in a string literal that no answer can terminate: they are never executed.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")


MAX_COMMITTED_SIZE = 50 * 2**20
"""Maximum size in bytes of data in git: hosts refuse files of more than 100 MB, and large files slow down clones."""


def choose() -> None:
    """Put in what the answers to questions with choices bring, and remove the files that only others have."""
    # A new project must not contain bytecode files.
    sys.dont_write_bytecode = True
    sys.path.insert(0, "vendor")
    from mlops_runtime.operations.template_choices import FOLDERS, FRAGMENTS, LOCK, completed, left_out, own_files

    folder, choices = Path(), {question: ANSWERS[question] for question in FOLDERS}
    for name, source in own_files(folder, choices).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        source.replace(name)
    for path in filter(Path.is_file, map(Path, (*FRAGMENTS, LOCK))):
        text = path.read_text(encoding="utf-8")
        path.write_text(completed(folder, choices, path.as_posix(), text), encoding="utf-8")
    for path in [Path(name) for name in left_out(folder, choices)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            # That of a platform may be in a folder that is gone with another one.
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()


def replace_table(data: Path, contract: Path) -> None:
    """Replace the shipped table and contract by those of the user, and print a summary."""
    from mlops_runtime.profiling.markers import Named
    from mlops_runtime.profiling.profile import profile, summary
    from mlops_runtime.profiling.render import datamodel, readme
    from mlops_runtime.tables.table_copy import write_copy

    copy = data / ANSWERS["__data"]
    write_copy(Path(ANSWERS["__dataset"]), copy)
    table = profile(copy, ANSWERS["target"], ANSWERS["task"], Named.from_answer(ANSWERS["missing"]))
    (data / "README.md").write_text(readme.render(table, copy.name), encoding="utf-8")
    contract.write_text(datamodel.render(table), encoding="utf-8")
    print(summary(table))


def replace_texts(data: Path, contract: Path) -> None:
    """Replace the shipped annotated texts and contract by those of the user, and print a summary."""
    from dataclasses import replace

    from mlops_runtime.entities.dataset_copy import write_copy
    from mlops_runtime.entities.documents import read_documents
    from mlops_runtime.entities.profile import profile, summary
    from mlops_runtime.entities.render import datamodel, readme

    copy, original = data / ANSWERS["__data"], read_documents(Path(ANSWERS["__dataset"]))
    write_copy(original, copy)
    found = profile(copy)
    # What was changed or left out is not in the copy any more.
    found = replace(found, documents=replace(found.documents, notes=original.notes))
    (data / "README.md").write_text(readme(found, copy.name), encoding="utf-8")
    contract.write_text(datamodel(found), encoding="utf-8")
    print(summary(found))


REPLACE = {"table": replace_table, "entities": replace_texts}
"""What replaces the shipped data, by the kind of model."""


def replace_data() -> None:
    """Replace the shipped data, contract and page of the data by those of the user."""
    data = Path("data")
    for shipped in data.iterdir():
        shipped.unlink()
    REPLACE[ANSWERS["kind"]](data, Path("src") / f"{ANSWERS['__package']}_model" / "datamodel.py")
    copy = data / ANSWERS["__data"]
    if copy.stat().st_size > MAX_COMMITTED_SIZE:
        from mlops_runtime.tables.recorded import sha256_of, write_record

        with Path(".gitignore").open("a", encoding="utf-8") as gitignore:
            gitignore.write(f"# Too large for git: `make data.pull` gets it from the bucket.\n/{copy}\n")
        record = write_record(copy, sha256_of(copy))
        print(
            f"{copy} is too large for git and listed in .gitignore; {record.name} records it. "
            "Run `make data.push` to put it into the bucket, from which `make data.pull` gets it in a clone."
        )


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
        replace_data()
    if reason := first_commit():
        print(f"No first commit ({reason}): make it yourself, because a version is a commit.")
    print(f"{ANSWERS['project_slug']} is ready: cd into it and run `make predict`, or `make` for all commands.")
