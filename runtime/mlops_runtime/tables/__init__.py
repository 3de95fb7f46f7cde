"""The reader of tables, delimited text or Parquet, for profiling, training and serving.

The interface:

- `source.open_source(path)` returns a `Source` with the encoding, delimiter, decimal mark and header detected in
  the file. `Source.raw_rows()` yields the line number and the cells of each row.
- `source.cleaned(cells)` strips cells and replaces markers of missing values by empty strings.
- `cells.canonicalizer(kind, decimal, date_format)` returns a function that converts cells to the contract's format.
- `source.SourceError` is raised if a file can't be read; its message says what to do next.

`encodings` and `dialects` detect the format of a file, `parquet` reads Parquet, `table_copy` copies a table into
a project. Only Parquet and encodings other than UTF-8 and UTF-16 need more than the standard library.
"""
