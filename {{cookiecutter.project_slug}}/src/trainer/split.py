"""The split: rows to fit on, and rows held out to evaluate on."""

from sklearn.model_selection import train_test_split

from trainer.table import Table

TEST_SHARE_BOUNDS = (0.1, 0.5)
"""Outside these, too few rows of a rare label may be left on one side for the folds or the evaluation."""


def split_table(table: Table, seed: int, test_share: float) -> tuple[Table, Table]:
    """Return the training rows and the held-out rows, each with the labels in the shares of the whole table."""
    training, held_out = train_test_split(
        range(len(table.records)), test_size=test_share, random_state=seed, stratify=table.labels
    )
    return table.take(training), table.take(held_out)
