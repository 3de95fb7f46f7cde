"""Tables of delimited text or Parquet, read in one way by profiling, training, and the service.

The interface:

- `source.open_source(path)` returns a `Source`: its encoding, delimiter, decimal mark and header are told from
  the file. `Source.raw_rows()` yields the line number and the cells of each row.
- `source.cleaned(cells)` strips cells and empties those that mean a missing value.
- `cells.canonicalizer(kind, decimal, date_format)` returns a function that gives a cell as the contract takes it.
- `source.SourceError` is raised for whatever can't be read; its message says what to do next.

`encodings` and `dialects` tell how a file is written, `parquet` reads Parquet, `table_copy` copies a table into
a project. Everything but Parquet and encodings other than UTF-8 needs the standard library alone.
"""
