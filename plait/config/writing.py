"""Settings as TOML."""

import json
from collections.abc import Mapping
from typing import Any


def toml_text(values: Mapping[str, Any]) -> str:
    """TOML that reads back as `values`, those that are None left out; tables come behind plain values.

    Args:
        values: texts, numbers, truth values, lists of these, and tables of all of these.
    """
    return "\n".join(_lines(values, ())).strip() + "\n"


def _lines(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    known = {key: value for key, value in values.items() if value is not None}
    plain = [f"{_key(key)} = {_value(value)}" for key, value in known.items() if not isinstance(value, Mapping)]
    needed = bool(plain) or not known
    head = [f"[{'.'.join(map(_key, path))}]"] if path and needed else []
    tables = [_lines(value, (*path, key)) for key, value in known.items() if isinstance(value, Mapping)]
    return [*head, *plain, *([""] if needed else []), *(line for table in tables for line in table)]


def _key(key: str) -> str:
    return (
        key if key.replace("-", "").replace("_", "").isascii() and key.replace("-", "").isidentifier() else _text(key)
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
