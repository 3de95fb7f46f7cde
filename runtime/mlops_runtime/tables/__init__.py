"""The reader of tables, delimited text, JSON or Parquet, for profiling, training and serving.

The interface:

- `source.open_source(path)` returns a `Source` with the encoding, delimiter, decimal mark and header detected in
  the file. `Source.raw_rows()` yields the line number and the cells of each row.
- `cells.cell_reader(kind, decimal, date_format, missing)` returns a function that converts cells to the contract's
  format, and words for a missing value to empty strings.
- `source.SourceError` is raised if a file can't be read; its message says what to do next.

`formats` recognises files that are not delimited text, and says what to do with those that are not read.
`compression` decompresses, `encodings` and `dialects` detect how text is written, `records` reads JSON, `arrow`
reads Parquet, ORC and Feather, `parts` lists the files of a folder, and `table_copy` copies a table into a project.
Only `arrow` and encodings other than UTF-8 and UTF-16 need more than the standard library.
"""
