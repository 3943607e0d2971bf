"""Queries that are put into SQL once: each further run only has other values.

Django writes the SQL of a query anew each time, which costs more than the database takes for a row by its key. What is
asked in every call of the API is worth preparing; what is asked once for a page is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, update_wrapper
from itertools import count
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators
from django.db.models.sql.compiler import SQLCompiler

P = ParamSpec("P")
Row = TypeVar("Row", bound=Model)
Value = int | str | datetime | tuple[int | str, ...]

FIRST_STANDIN: Final = 1_936_158_311  # a number that no query of ours has in itself, and fits every column


class Prepared(Generic[P, Row]):
    """A function from values to a queryset of model instances, called for the list of its rows.

    It must use its arguments as values only: it is called once with stand-ins for each kind of arguments, and what it
    returns is run from then on with the values in their places. A tuple is one kind for each length.
    """

    def __init__(self, build: Callable[P, QuerySet[Row]]) -> None:
        """build: stays there for those who want the queryset itself."""
        self.build = build
        self._statements: dict[tuple[object, ...], _Statement[Row]] = {}
        update_wrapper(self, build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[Row]:
        values = cast("tuple[Value, ...]", args)
        kind = tuple(map(_kind, values))
        statement = self._statements.get(kind)
        if statement is None:
            statement = self._statements[kind] = _prepare(self.build, values)
        return statement.rows(values)


def prepared(build: Callable[P, QuerySet[Row]]) -> Prepared[P, Row]:
    return Prepared(build)


@dataclass(frozen=True, slots=True)
class _Statement(Generic[Row]):
    """sql: None where no row can ever match. places: for each parameter, how it comes out of the values."""

    sql: str | None
    places: tuple[Callable[[Sequence[Any]], Any], ...]
    read: Callable[[Sequence[Any]], Row]
    alias: str

    def rows(self, values: Sequence[Value]) -> list[Row]:
        if self.sql is None:
            return []
        connection = connections[self.alias]
        flat = [_stored(connection.ops, value) for value in _flat(values)]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, [place(flat) for place in self.places])
            return [self.read(row) for row in cursor.fetchall()]


def _prepare(build: Callable[..., QuerySet[Row]], values: Sequence[Value]) -> _Statement[Row]:
    """Raises ValueError where a value does not stand in the SQL as it is, or the rows are no plain instances."""
    queryset = build(*_standins(values))
    if queryset._iterable_class is not ModelIterable or vars(queryset)["_prefetch_related_lookups"]:
        raise ValueError(f"{build.__qualname__} asks for something else than plain rows.")
    unopened = connections.create_connection(queryset.db)  # what is kept must hold no thread's own connection
    compiler = queryset.query.get_compiler(connection=unopened)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return _Statement(None, (), lambda row: queryset.model(), queryset.db)
    finally:
        unopened.close()
    stored = [_stored(compiler.connection.ops, one) for one in _flat(_standins(values))]
    for standin in stored:
        if standin not in parameters:
            raise ValueError(f"{build.__qualname__} does not pass on each of its values as it is.")
    places = tuple(_place(parameter, stored) for parameter in parameters)
    return _Statement(sql, places, _reader(queryset, compiler), queryset.db)


def _place(parameter: object, standins: Sequence[object]) -> Callable[[Sequence[Any]], Any]:
    """Take the value that this parameter stands for, in the type that the column wants; or always the same one."""
    if parameter not in standins:
        return lambda values: parameter
    index, wanted = standins.index(parameter), type(parameter)
    if wanted is type(standins[index]):
        return lambda values: values[index]
    convert: Callable[[object], object] = wanted  # psycopg has types for integers of each size
    return lambda values: convert(values[index])


def _reader(queryset: QuerySet[Row], compiler: SQLCompiler) -> Callable[[Sequence[Any]], Row]:
    """What Django does with each row of such a query, prepared as well."""
    select: list[Any] = compiler.select
    selected: dict[str, Any] = compiler.klass_info
    fields = selected["select_fields"]
    start, end = fields[0], fields[-1] + 1
    names = [select[place][0].target.attname for place in range(start, end)]
    # The stubs are those of a later Django.
    related = get_related_populators(selected, select, queryset.db)  # type: ignore[call-arg]
    converters = [
        (place, [partial(_converted, convert, column, compiler.connection) for convert in found])
        for place, (found, column) in compiler.get_converters([one[0] for one in select]).items()
    ]

    def read(row: Sequence[Any]) -> Row:
        values = list(row)
        for place, steps in converters:
            for step in steps:
                values[place] = step(values[place])
        instance: Row = queryset.model.from_db(queryset.db, names, values[start:end])
        for populator in related:
            populator.populate(values, instance)
        return instance

    return read


def _converted(convert: Callable[..., object], column: object, connection: object, value: object) -> object:
    return convert(value, column, connection)


def _kind(value: Value) -> object:
    return (tuple, len(value)) if isinstance(value, tuple) else type(value)


def _flat(values: Sequence[Value]) -> Iterator[int | str | datetime]:
    for value in values:
        if isinstance(value, tuple):
            yield from value
        else:
            yield value


def _standins(values: Sequence[Value]) -> list[Value]:
    """One for each value, each of its kind and different from all others; the same ones each time."""
    numbers = count(FIRST_STANDIN)

    def standin(value: int | str | datetime) -> int | str | datetime:
        number = next(numbers)
        if isinstance(value, datetime):
            return datetime(4321, 1, 1, microsecond=number - FIRST_STANDIN, tzinfo=UTC)
        return f"stand-in {number}" if isinstance(value, str) else number

    return [
        tuple(standin(one) for one in value) if isinstance(value, tuple) else standin(value)  # type: ignore[misc]
        for value in values
    ]


def _stored(operations: Any, value: object) -> object:
    return operations.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
