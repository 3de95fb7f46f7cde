"""Make the first commit, and say how to go on."""

import json
import shutil
import subprocess
from pathlib import Path

# The answers arrive as data: JSON in a string that no answer can end, never as code.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")


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
    identity = {"user.name": ANSWERS["author"], "user.email": f"{ANSWERS['team']}@localhost"}
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


if __name__ == "__main__":
    if reason := first_commit():
        print(f"No first commit ({reason}): make one yourself, versions are named after commits.")
    print(f"{ANSWERS['project_slug']} is ready: cd into it and run `make predict`, or `make` for all commands.")
