"""The distributed model: its contract, its artefact and the classifier that loads it."""
