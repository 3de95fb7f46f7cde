"""Operations: the steps of make commands that are longer than a few lines of shell."""
