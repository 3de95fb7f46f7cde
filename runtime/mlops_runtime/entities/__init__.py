"""Entities in texts: annotated texts, training, evaluation, and the predictor."""
