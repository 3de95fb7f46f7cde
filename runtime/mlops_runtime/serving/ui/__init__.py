"""The HTML pages: form, prediction, explanation, tables and report."""
