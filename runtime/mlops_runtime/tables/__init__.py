"""The reader of tables, delimited text or Parquet, for profiling, training and serving.

The interface:

- `source.open_source(path)` returns a `Source` with the encoding, delimiter, decimal mark and header detected in
  the file. `Source.raw_rows()` yields the line number and the cells of each row.
- `cells.cell_reader(kind, decimal, date_format, missing)` returns a function that converts cells to the contract's
  format, and words for a missing value to empty strings.
- `source.SourceError` is raised if a file can't be read; its message says what to do next.

`encodings` and `dialects` detect the format of a file, `parquet` reads Parquet, `table_copy` copies a table into
a project. Only Parquet and encodings other than UTF-8 and UTF-16 need more than the standard library.
"""
