"""The models that a workspace's settings ask for when creatives are understood: each opened when it is first asked."""

from functools import cached_property
from pathlib import Path

from plait.config.content import ContentSettings
from plait.content.media.opened import MediaLimits
from plait.content.model_steps import asked_step, transcript_step
from plait.content.workflow import BatchStep
from plait.data.artifacts import fingerprint_files
from plait.llm.answer_cache import AnswerCache
from plait.llm.generate import ChatModel, Usage
from plait.llm.llama_cpp import open_gguf
from plait.llm.openai_endpoint import EndpointSettings, open_endpoint
from plait.llm.speech import HuggingFaceSpeech, Transcriber
from plait.pipelines.project import Project


class ContentModels:
    """The language model and the speech model of a workspace; answers are kept under `.plait/content/`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._settings: ContentSettings = project.workspace.content

    @property
    def concurrency(self) -> int:
        """Calls of the language model under way at once."""
        return self._settings.llm.concurrency if self._settings.llm.url else 1

    @cached_property
    def language_model_name(self) -> str:
        """With its version, found without loading it."""
        settings = self._settings.llm
        if settings.url:
            return f"{settings.url} {settings.model}"
        path = self._gguf
        memory = self._project.hidden / "content" / "files.json"
        return f"{path.stem}-{fingerprint_files([path], memory) if path.is_file() else 'missing'}"

    @cached_property
    def language_model(self) -> ChatModel:
        """Opened.

        Raises:
            ConfigError: it cannot be loaded.
        """
        settings = self._settings.llm
        if settings.gguf:
            return open_gguf(self._gguf, self.answers, context=settings.context)
        chosen = settings.model_dump(include={"url", "model", "token_env", "concurrency"})
        return open_endpoint(EndpointSettings(**chosen), self.answers)

    @cached_property
    def answers(self) -> AnswerCache:
        """What the language model answered so far, in this run and before."""
        return AnswerCache(self._project.hidden / "content" / "llm.sqlite")

    @property
    def paid(self) -> Usage:
        """What the language model's backend was asked since this was made."""
        return self.language_model.paid if "language_model" in vars(self) else Usage()

    @property
    def asked(self) -> Usage:
        """The same, with questions whose answer was kept."""
        return self.language_model.asked if "language_model" in vars(self) else Usage()

    def asked_steps(self, limits: MediaLimits) -> tuple[BatchStep, ...]:
        """The steps of the fields that the language model answers."""
        return tuple(
            asked_step(
                field,
                lambda: self.language_model,
                self.language_model_name,
                language=self._settings.label.language,
                limits=limits if self._settings.llm.sees else None,
                concurrency=self.concurrency,
            )
            for field in self._settings.asked_fields
        )

    def transcript_steps(self) -> tuple[BatchStep, ...]:
        """The step that writes down what is said; none without a speech model."""
        speech = self._settings.speech
        name = f"{speech.model} {speech.language}".strip()
        return (transcript_step(lambda: self._transcriber, name, speech.max_seconds),) if speech.model else ()

    @cached_property
    def _transcriber(self) -> Transcriber:
        speech = self._settings.speech
        own = self._project.root / Path(speech.model).expanduser()
        return HuggingFaceSpeech(str(own) if own.is_dir() else speech.model, speech.language)

    @property
    def _gguf(self) -> Path:
        return self._project.root / Path(self._settings.llm.gguf).expanduser()
