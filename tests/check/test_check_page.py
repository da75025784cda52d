"""docs/check.md says something of every rule."""

import re
from pathlib import Path

import plait
from plait.data.checks import Outcome

PACKAGE = Path(plait.__file__).parent
SOURCES = [PACKAGE / "data" / "validation.py", *sorted((PACKAGE / "data" / "checks").glob("*.py"))]
PAGE = PACKAGE.parent / "docs" / "check.md"


def test_every_rule_is_on_the_page():
    code = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES)
    rules = set(re.findall(r'\b(?:Rule\(\s*|Finding\((?:str\([^)]*\)|[^,()*]*),\s*)"(\w+)"', code))
    assert len(rules) == 24
    page = PAGE.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.M))
    assert listed - set(Outcome) == rules
