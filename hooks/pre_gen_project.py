"""Validate answers that cookiecutter did not ask for, such as those of a replay file.

Cookiecutter renders this file before it runs it, and the line below applies the filter of answers.py, which
raises an exception if an answer is not valid. This file can't import answers.py: it runs in the project folder,
where the template's path, if it is relative, is not valid.
"""

PACKAGE = "{{ cookiecutter | package_name }}"
