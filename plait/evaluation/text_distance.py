"""How far a text that was read is from the one that was written."""

from collections.abc import Iterable


def edit_distance(expected: str, found: str) -> int:
    """The fewest insertions, deletions and replacements of characters that turn one into the other (Levenshtein)."""
    above = list(range(len(found) + 1))
    for row, letter in enumerate(expected, 1):
        diagonal, above[0] = above[0], row
        for column, other in enumerate(found, 1):
            best = min(above[column] + 1, above[column - 1] + 1, diagonal + (letter != other))
            diagonal, above[column] = above[column], best
    return above[-1]


def character_accuracy(pairs: Iterable[tuple[str, str]]) -> float:
    """1 - edits / expected characters, pooled over (expected, found) pairs; not below 0."""
    edits = characters = 0
    for expected, found in pairs:
        edits += edit_distance(expected, found)
        characters += len(expected)
    return max(0.0, 1 - edits / characters) if characters else float("nan")
