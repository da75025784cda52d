"""What understanding creatives may cost and which models it asks: the `[content]` section of the workspace file."""

from typing import Literal, Self

from pydantic import Field, model_validator

from plait.config.embedding import EncoderSettings
from plait.config.loading import Settings

LabelStrategy = Literal["none", "light", "one-shot", "by-level", "retrieve", "likelihood", "rest"]


class LanguageModelSettings(Settings):
    """A language model that steps may ask; none where both `gguf` and `url` are empty."""

    gguf: str = ""
    """A GGUF file for llama.cpp in this process; relative to the workspace, `~` is one's home."""
    url: str = ""
    """An OpenAI-compatible endpoint, up to and with `/v1`."""
    model: str = ""
    """`url`: the model's name at the endpoint."""
    token_env: str = "PLAIT_LLM_TOKEN"  # noqa: S105 (a name, not a secret)
    """`url`: environment variable that holds the bearer token, if it needs one."""
    context: int = Field(4096, ge=256)
    """`gguf`: tokens of prompt and answer together."""
    concurrency: int = Field(4, ge=1)
    """`url`: calls under way at once."""
    price_prompt: float = Field(0.0, ge=0)
    """Of a million prompt tokens, in the currency of your bill; what a run costs is told in it."""
    price_answer: float = Field(0.0, ge=0)
    """The same of a million answer tokens."""
    sees: bool = False
    """It reads pictures: the question for `object_type` carries one."""

    @model_validator(mode="after")
    def _one_backend(self) -> Self:
        if self.gguf and self.url:
            raise ValueError("gguf and url are both set, expected one of them")
        if self.url and not self.model:
            raise ValueError("model is empty, expected the model's name at the endpoint")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is one."""
        return bool(self.gguf or self.url)


class LabelSettings(Settings):
    """How creatives get their labels."""

    strategy: LabelStrategy = "light"
    """`none`; `light`: the classifier that needs no language model; a language model that decodes the path at once
    (`one-shot`), goes down `by-level`, chooses among the nearest (`retrieve`) or among all by `likelihood`; or the
    light classifier first and the language model for the `rest` that it is not sure of."""
    taxonomy: str = ""
    """A packaged taxonomy by its name, or a file; left out, the items' own categories where they have any, else
    `iab-ad-product-2.0`."""
    language: Literal["zh", "en"] = "zh"
    """Of the prompts and of the labels' names in them."""
    encoder: EncoderSettings = EncoderSettings()
    """Of texts and labels; its keys are those of `EncoderSettings`."""
    threshold: float = Field(0.5, ge=0, le=1)
    """Levels that are less sure are unknown, and the creative waits for a person's review."""
    shown_examples: int = Field(0, ge=0, le=32)
    """Decisions of reviews that a language model is shown before each creative, at most, spread over their labels.
    Where these change, it is asked about every creative anew."""
    examples: str = ""
    """A table of labels that people gave, beside those of reviews: CSV or Parquet with `creative_id`, `l1`, `l2`,
    `l3`, relative to the workspace."""


class SpeechSettings(Settings):
    """Which model writes down what is said in videos; none where `model` is empty."""

    model: str = ""
    """A Hugging Face id or a folder of a speech model (Whisper, wav2vec 2.0 and others that transformers reads)."""
    language: str = ""
    """Of the speech, for models that ask for it; left out, the model finds out."""
    max_seconds: float = Field(60.0, gt=0)
    """Of a video's sound, from its beginning."""


class ContentSettings(Settings):
    """What understanding a creative may cost (beyond it, the table says so), and which models it asks."""

    max_file_mb: float = Field(200.0, gt=0)
    """Larger media files are not opened."""
    max_megapixels: float = Field(50.0, gt=0)
    """Pictures and frames with more pixels are not decoded."""
    max_video_seconds: float = Field(600.0, gt=0)
    """Longer videos are not decoded."""
    max_text_kb: float = Field(100.0, gt=0)
    """Longer texts (UTF-8) are not read."""
    step_seconds: float = Field(60.0, gt=0)
    """A step on one file is stopped after this time."""
    shots: int = Field(3, ge=1, le=16)
    """Frames that are looked at of a moving picture: the middle ones of its longest shots."""
    workers: int | None = Field(None, ge=1)
    """Processes that look at media; None for one per core."""
    attempts: int = Field(3, ge=1)
    """How often something is tried that may succeed later, such as a request to a model's server."""
    label: LabelSettings = LabelSettings()
    """How creatives get their labels; its keys are those of `LabelSettings`."""
    llm: LanguageModelSettings = LanguageModelSettings()
    """The language model that steps may ask; its keys are those of `LanguageModelSettings`."""
    asked_fields: list[Literal["text_type", "object_type"]] = []
    """Fields that the language model answers instead of word lists and the picture's tags."""
    speech: SpeechSettings = SpeechSettings()
    """The model that writes down what is said; its keys are those of `SpeechSettings`."""

    @model_validator(mode="after")
    def _asked_needs_a_model(self) -> Self:
        asks: list[str] = list(self.asked_fields)
        if self.label.strategy not in ("none", "light"):
            asks.append(f"label.strategy {self.label.strategy}")
        if asks and not self.llm.configured:
            raise ValueError(f"{asks[0]} asks a language model, but neither llm.gguf nor llm.url is set")
        return self
