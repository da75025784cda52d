"""Users, items and creatives as text: Jinja2 templates in files, one folder per language, run in a sandbox.

What stands in a template's values (names of apps, texts of advertisers) is data: it is inserted, never interpreted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from plait.data.artifacts import fingerprint
from plait.errors import ConfigError

_FILES = ("user.txt", "item.txt", "creative.txt")


@dataclass(frozen=True, slots=True)
class ItemWords:
    """An item in words."""

    name: str
    path: tuple[str, ...] = ()
    """Its categories, widest first."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class NamedApp:
    """An app of a list, and how often it came."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class ActionList:
    """What a user did with which apps, latest first."""

    label: str
    apps: Sequence[NamedApp]


@dataclass(frozen=True, slots=True)
class UserWords:
    """A user in words."""

    profile: Mapping[str, str]
    lists: Sequence[ActionList]
    categories: Sequence[ItemWords]
    """Every app of the lists that has a category, once."""


@dataclass(frozen=True, slots=True)
class CreativeWords:
    """A creative in words."""

    item: ItemWords
    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What is understood of it."""


class TextTemplates:
    """The three templates of one language.

    Args:
        language: name of the folder.
        own: folder with templates that take the place of Plait's, file by file.

    Raises:
        ConfigError: a template is no template.
    """

    def __init__(self, language: str, own: Path | None = None) -> None:
        plain: BaseLoader = PackageLoader("plait.embedding", f"templates/{language}")
        loader = ChoiceLoader([FileSystemLoader(own), plain]) if own is not None else plain
        # Plain text, not a page: escaping would put HTML entities before the encoder.
        environment = ImmutableSandboxedEnvironment(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=False,
        )
        self._where = own or language
        try:
            self._user, self._item, self._creative = (environment.get_template(name) for name in _FILES)
            sources = {name: loader.get_source(environment, name)[0] for name in _FILES}
        except TemplateError as error:
            raise ConfigError(f"templates of {self._where}: {error}") from error
        self.fingerprint = fingerprint(sources)
        """Names what the templates say."""

    def user(self, user: UserWords) -> str:
        """The text of a user.

        Raises:
            ConfigError: the template asks for what there is not.
        """
        return self._render("user", profile=user.profile, lists=user.lists, categories=user.categories)

    def item(self, item: ItemWords) -> str:
        """The text of an item; raises as `user`."""
        return self._render("item", item=item)

    def creative(self, creative: CreativeWords) -> str:
        """The text of a creative; raises as `user`."""
        return self._render("creative", item=creative.item, text=creative.text, fields=creative.fields)

    def _render(self, kind: str, **values: object) -> str:
        template = {"user": self._user, "item": self._item, "creative": self._creative}[kind]
        try:
            return template.render(**values).strip()
        except TemplateError as error:
            raise ConfigError(f"template {kind}.txt of {self._where}: {error}") from error
