"""Prompts: files with a version in their name, in Chinese and English; the creative's text is fenced as data."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plait.errors import ConfigError
from plait.llm.generate import CODES, Message

Language = Literal["zh", "en"]
PACKAGED = Path(__file__).with_name("prompts")
LONGEST_TEXT = 1_000
"""Characters of a creative's text that a model reads."""
EXAMPLE_TEXT = 200
"""The same of a text that is shown as an example."""
_FENCE = re.compile(r"<\s*/?\s*creative\s*>", re.IGNORECASE)
_ASK = {
    "zh": {"letter": "只回答选项的字母。", "json": "只回答 JSON。"},
    "en": {"letter": "Answer with the option's letter only.", "json": "Answer with JSON only."},
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file."""

    name: str
    language: Language
    version: int
    template: str

    def messages(
        self,
        options: Sequence[str],
        text: str,
        answer: Literal["letter", "json"],
        shown: Sequence[tuple[str, int]] = (),
    ) -> list[Message]:
        """The system's part and examples, the same for all creatives so that their state is kept, then the text.

        Args:
            options: what may be answered; each gets a letter where a letter is asked for.
            text: of the creative: cut, and unable to close its fence.
            answer: the form of the answer.
            shown: examples as earlier turns: a text, cut to `EXAMPLE_TEXT`, and the place of its option.
        """
        lines = [f"{CODES[place]}. {option}" for place, option in enumerate(options)] if answer == "letter" else options
        system = self.template.replace("{options}", "\n".join(lines)) + _ASK[self.language][answer]
        turns: list[Message] = [{"role": "system", "content": system}]
        for example, place in shown:
            label = json.dumps({"label": options[place]}, ensure_ascii=False)
            turns.append({"role": "user", "content": _fenced(example, EXAMPLE_TEXT)})
            turns.append({"role": "assistant", "content": CODES[place] if answer == "letter" else label})
        return [*turns, {"role": "user", "content": _fenced(text, LONGEST_TEXT)}]


def _fenced(text: str, longest: int) -> str:
    return f"<creative>{_FENCE.sub(' ', text)[:longest]}</creative>"


def load_prompt(name: str = "label", language: Language = "zh", folder: Path = PACKAGED) -> Prompt:
    """The newest version of a prompt.

    Raises:
        ConfigError: there is none.
    """
    found = {
        int(match[1]): path
        for path in folder.glob(f"{name}.{language}.v*.txt")
        if (match := re.fullmatch(rf"{re.escape(name)}\.{language}\.v(\d+)\.txt", path.name))
    }
    if not found:
        raise ConfigError(
            f"{folder}: found no prompt {name}.{language}.v1.txt; there are {sorted(prompt_names(folder))}"
        )
    newest = max(found)
    template = found[newest].read_text(encoding="utf-8")
    if "{options}" not in template:
        raise ConfigError(f"{found[newest]}: found no {{options}}, expected where the labels go")
    return Prompt(name, language, newest, template)


def prompt_names(folder: Path = PACKAGED) -> list[str]:
    """Names of the prompts in a folder."""
    return sorted({path.name.split(".")[0] for path in folder.glob("*.txt")})
