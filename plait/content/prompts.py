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
_CREATIVE, _OPTIONS = "{creative}", "{options}"
_FENCE = re.compile(r"<\s*/?\s*creative\s*>", re.IGNORECASE)
_ASK = {
    "zh": {"letter": "只回答选项的字母。", "json": "只回答 JSON。"},
    "en": {"letter": "Answer with the option's letter only.", "json": "Answer with JSON only."},
}
_EXAMPLES = {"zh": "例如：", "en": "For example:"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file."""

    name: str
    language: Language
    version: int
    template: str
    """`{options}` stands where the options go. In a file with a line `{creative}`, what is above it comes before the
    creative's text, and what is below it after the text; in a file without, all of it comes before."""

    def messages(
        self,
        options: Sequence[str],
        text: str,
        answer: Literal["letter", "json"],
        shown: Sequence[tuple[str, int]] = (),
    ) -> list[Message]:
        """The system's part and examples, then the creative's text and what is asked after it.

        What comes before the text is the same for all creatives, and what comes before the options the same for all
        options, so that a backend may keep its state.

        Args:
            options: what may be answered; each gets a letter where a letter is asked for.
            text: of the creative: cut, and unable to close its fence.
            answer: the form of the answer.
            shown: examples: a text, cut to `EXAMPLE_TEXT`, and the place of its option. They are earlier turns where
                the options come before the text, and part of the system's where they come after it.
        """
        lines = [f"{CODES[place]}. {option}" for place, option in enumerate(options)] if answer == "letter" else options
        listed, ask = "\n".join(lines), _ASK[self.language][answer]
        system, with_question, question = self.template.partition(_CREATIVE)
        fenced = _fenced(text, LONGEST_TEXT)
        if not with_question:
            said = system.replace(_OPTIONS, listed) + ask
            return [_turn("system", said), *self._turns(options, answer, shown), _turn("user", fenced)]
        after = question.replace(_OPTIONS, listed) + ask
        return [_turn("system", system.strip() + self._listed(options, shown)), _turn("user", fenced + after)]

    def _turns(
        self, options: Sequence[str], answer: Literal["letter", "json"], shown: Sequence[tuple[str, int]]
    ) -> list[Message]:
        turns: list[Message] = []
        for example, place in shown:
            label = json.dumps({"label": options[place]}, ensure_ascii=False)
            turns.append(_turn("user", _fenced(example, EXAMPLE_TEXT)))
            turns.append(_turn("assistant", CODES[place] if answer == "letter" else label))
        return turns

    def _listed(self, options: Sequence[str], shown: Sequence[tuple[str, int]]) -> str:
        lines = [f"{_fenced(example, EXAMPLE_TEXT)} {options[place]}" for example, place in shown]
        return "\n".join(["", _EXAMPLES[self.language], *lines]) if lines else ""


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


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
    if _OPTIONS not in template:
        raise ConfigError(f"{found[newest]}: found no {{options}}, expected where the labels go")
    return Prompt(name, language, newest, template)


def prompt_names(folder: Path = PACKAGED) -> list[str]:
    """Names of the prompts in a folder."""
    return sorted({path.name.split(".")[0] for path in folder.glob("*.txt")})
