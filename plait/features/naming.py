"""What a feature is called: `user.age`, `item.category_1`, `history.item.click`, `user_embedding`."""

from plait.features.spec import VECTOR_SOURCES, Field, MultiField, Number


def feature_name(column: Field | MultiField | Number) -> str:
    """The source and the name of a column; all numbers of one dated vector are one feature, called like its group."""
    if column.source in VECTOR_SOURCES.values():
        return column.group
    prefix = f"{column.source}."
    return column.name if column.name.startswith(prefix) else prefix + column.name
