"""Steps of the make commands that are longer than a few lines of shell."""
