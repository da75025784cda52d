"""Counts and first examples of what was found, and the rows that leave for quarantine."""

from dataclasses import dataclass, field

import polars as pl

from plait.data.checks.report import EXAMPLES, Example, Finding, Outcome
from plait.data.checks.rules import Rule
from plait.data.checks.typed import FOUND, SOURCE_FILE, SOURCE_ROW, TypedTable, raw_name
from plait.schema import Columns as C

_REASON_CODE = "reason:code"


@dataclass(slots=True)
class _Count:
    rule: Rule
    rows: int = 0
    applicable: int = 0
    examples: list[tuple[int, int, str]] = field(default_factory=list)


class Tally:
    """What one table's rules have found so far."""

    def __init__(self, table: TypedTable) -> None:
        self._table = table
        self._counts: dict[str, _Count] = {}

    def sift(self, rows: pl.DataFrame, rules: list[Rule]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Count what `rules` find in `rows`; the rows that stay, and those for quarantine with their reason.

        Each row counts for the first quarantining rule that it breaks. The other rules count among the rows that stay.
        """
        strict = [rule for rule in rules if rule.outcome is Outcome.QUARANTINED]
        coded = rows.with_columns(_first_broken(strict).alias(_REASON_CODE))
        bad = coded.filter(pl.col(_REASON_CODE).is_not_null())
        good = coded.filter(pl.col(_REASON_CODE).is_null()) if bad.height else coded
        for rule in rules:
            if rule.applies is not None:
                self._count(rule).applicable += int(rows.select(rule.applies.sum()).item() or 0)
        leaving = [self._leave(strict[int(str(code))], part) for (code,), part in _by_reason(bad)]
        for rule in rules:
            if rule.outcome is not Outcome.QUARANTINED:
                self._record(rule, good.filter(rule.condition))
        empty = pl.DataFrame(schema=self._table.quarantine_schema)
        quarantine = pl.concat([empty, *leaving]) if leaving else empty
        return good.drop(_REASON_CODE), quarantine

    def refusals(self) -> list[Finding]:
        """Refusals of rules that every row which could break them does break."""
        return [
            Finding(self._table.name, count.rule.code, count.rule.refusal, Outcome.REFUSED, 0, self._examples(count))
            for count in self._counts.values()
            if count.rows and count.rows == count.applicable
        ]

    def findings(self) -> list[Finding]:
        """What was found, by rule, in the order of the rules' first appearance."""
        return [
            Finding(self._table.name, c.rule.code, c.rule.message, c.rule.outcome, c.rows, self._examples(c))
            for c in self._counts.values()
            if c.rows
        ]

    def _leave(self, rule: Rule, rows: pl.DataFrame) -> pl.DataFrame:
        self._record(rule, rows)
        names = pl.Series([self._table.source_name(file) for file in self._table.raw.files], dtype=pl.String)
        return rows.with_columns(
            pl.lit(rule.message).alias(C.REASON),
            _shown(rule, rows).alias(FOUND),
            pl.lit(names).gather(pl.col(SOURCE_FILE)).alias(SOURCE_FILE),
        ).select(list(self._table.quarantine_schema))

    def _record(self, rule: Rule, rows: pl.DataFrame) -> None:
        count = self._count(rule)
        count.rows += rows.height
        if rows.height:
            first = rows.sort(SOURCE_FILE, SOURCE_ROW).head(EXAMPLES) if rows.height > EXAMPLES else rows
            shown = first.select(SOURCE_FILE, SOURCE_ROW, _shown(rule, first))
            count.examples = sorted([*count.examples, *shown.iter_rows()])[:EXAMPLES]

    def _count(self, rule: Rule) -> _Count:
        return self._counts.setdefault(rule.message, _Count(rule))

    def _examples(self, count: _Count) -> tuple[Example, ...]:
        files = self._table.raw.files
        return tuple(Example(self._table.source_name(files[file]), row, found) for file, row, found in count.examples)


def _first_broken(rules: list[Rule]) -> pl.Expr:
    codes = [pl.when(rule.condition.fill_null(False)).then(pl.lit(code, pl.UInt8)) for code, rule in enumerate(rules)]
    return pl.coalesce(codes) if codes else pl.lit(None, pl.UInt8)


def _by_reason(bad: pl.DataFrame) -> list[tuple[tuple[object, ...], pl.DataFrame]]:
    parts = bad.partition_by(_REASON_CODE, as_dict=True, include_key=False) if bad.height else {}
    return sorted(parts.items(), key=lambda item: int(str(item[0][0])))


def _shown(rule: Rule, rows: pl.DataFrame) -> pl.Expr:
    """The rule's columns as text, `user_id=7, exposure's user_id=8`; what the file has where it is at hand."""
    texts = []
    for column in rule.columns:
        at_hand = raw_name(column) in rows.columns
        value = pl.col(raw_name(column) if at_hand else column)
        if not at_hand and column.endswith(C.TIME):
            value = pl.from_epoch(value, time_unit="ms").dt.strftime("%Y-%m-%d %H:%M:%S%.3f")
        label = column.replace(":", "'s ")
        texts.append(pl.concat_str([pl.lit(f"{label}="), value.cast(pl.String).fill_null("(none)")]))
    return pl.concat_str(texts, separator=", ").alias(FOUND)
