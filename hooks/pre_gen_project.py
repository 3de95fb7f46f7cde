"""Refuse bad answers that nobody was asked for, such as those of a replayed file.

Cookiecutter renders this file before it runs it, and with it the line below: the filter of answers.py
is asked about them, as it was before the folder was made if there were questions. Importing
answers.py from here would not do: a template named by a relative path can't be found from the project.
"""

PACKAGE = "{{ cookiecutter | package_name }}"
