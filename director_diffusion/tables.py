"""Tables: lists of frozen dataclasses in memory, Parquet on disk.

Belongs here: the one conversion between the two. A row type is a frozen dataclass of str, int, float, bool, an optional
of those, or a tuple of those.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from director_diffusion.errors import StoreError

Row = TypeVar("Row")

_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def schema_of(row_type: type) -> pa.Schema:
    """The Arrow schema of a row type."""
    hints = typing.get_type_hints(row_type)
    return pa.schema([(field.name, _arrow(hints[field.name])) for field in dataclasses.fields(row_type)])


def write_table(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write `rows` as Parquet.  The bytes depend on the rows alone."""
    columns = [field.name for field in dataclasses.fields(row_type)]  # type: ignore[arg-type]
    rows = list(rows)
    data = {name: [_out(getattr(row, name)) for row in rows] for name in columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(data, schema=schema_of(row_type)), path, compression="zstd")


def read_table(path: Path, row_type: type[Row]) -> list[Row]:
    """Read rows written by `write_table`.  Raises StoreError where the file has other columns."""
    table = pq.read_table(path)
    expected = schema_of(row_type).names
    if table.column_names != expected:
        raise StoreError(
            str(path), f"has columns {table.column_names}, not {expected}", "Materialize the asset it belongs to again."
        )
    hints = typing.get_type_hints(row_type)
    tuples = {name for name in expected if _is_tuple(hints[name])}
    return [
        row_type(
            **{name: tuple(value) if name in tuples and value is not None else value for name, value in row.items()}
        )
        for row in table.to_pylist()
    ]


def _out(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_tuple(hint: Any) -> bool:
    return typing.get_origin(_strip_optional(hint)) is tuple


def _strip_optional(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def _arrow(hint: Any) -> pa.DataType:
    hint = _strip_optional(hint)
    if typing.get_origin(hint) is typing.Literal:
        return pa.string()
    if typing.get_origin(hint) is tuple:
        return pa.list_(_arrow(typing.get_args(hint)[0]))
    return _SCALARS[hint]
