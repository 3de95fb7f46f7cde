"""Refuse a bad answer that was not asked for: a replayed file of answers passes by the check in answers.py."""

import json
import sys

# The answers arrive as data: JSON in a string that no answer can end, never as code.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

if __name__ == "__main__":
    sys.path.insert(0, ANSWERS["_repo_dir"])
    from answers import first_fault

    sys.exit(first_fault(ANSWERS))
