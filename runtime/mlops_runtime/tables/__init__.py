"""The reader of tables: dialects, encodings and cells, for profiling, training, uploads and scoring."""
