"""The model that is distributed: its contract, its predictor and its artefact."""
