"""How behaviour becomes text and text becomes vectors: the `[embedding]` section of the workspace file."""

from typing import Literal, Self

from pydantic import Field, model_validator

from plait.config.durations import Duration
from plait.config.loading import Settings

EncoderKind = Literal["minilm", "use", "sentence-transformers", "causal", "gguf", "endpoint"]
Pooling = Literal["mean", "last", "word"]
Reduction = Literal["pca", "whiten", "random", "truncate", "supervised"]


class EncoderSettings(Settings):
    """Which frozen model turns texts into vectors."""

    kind: EncoderKind = "use"
    """`minilm` (English) and `use` (Chinese, English and more) come in packages; `sentence-transformers` and `causal`
    load a Hugging Face model, `gguf` a file for llama.cpp, `endpoint` asks a server that speaks OpenAI's protocol."""
    model: str = ""
    """Id or path of the model, or its name at the endpoint; nothing for the packaged ones."""
    max_tokens: int = Field(256, ge=1)
    """Tokens of a text behind these are not read."""
    pooling: Pooling = "word"
    """`causal` and `gguf`: `mean` over the tokens' last hidden states, the `last` one, or the last one of the prompt
    that asks for the essence of the text in one `word`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`minilm`: of the matrix products, `causal`: of all; `auto` is bfloat16 where the processor has instructions for
    it."""
    url: str = "http://127.0.0.1:8000/v1"
    """`endpoint`: where it is, up to and with `/v1`."""
    token_env: str = "PLAIT_ENCODER_TOKEN"  # noqa: S105 (a name, not a secret)
    """`endpoint`: environment variable that holds the bearer token, if it needs one."""

    @model_validator(mode="after")
    def _model_is_named(self) -> Self:
        if self.kind not in ("minilm", "use") and not self.model:
            raise ValueError(f"model is empty, expected which model of kind '{self.kind}' to load")
        return self


class EmbeddingSettings(Settings):
    """How behaviour becomes text, text becomes vectors, and vectors become features."""

    encoder: EncoderSettings = EncoderSettings()
    """Its keys are those of `EncoderSettings`."""
    language: Literal["zh", "en"] = "zh"
    """Of the templates. Item columns called `<column>_<language>` are read instead of `<column>` where there are."""
    templates: str = ""
    """Folder of templates of one's own, relative to the workspace; a file that is not there is taken from Plait's."""
    actions: dict[str, str] = {}
    """Behaviours that enter a user's text = what the text calls them, in the order of the text. Left out: the
    objectives' actions, under their own names."""
    items: int = Field(8, ge=1)
    """The most apps named per action, latest first; an app that comes again is counted, not repeated."""
    recency: Duration = 90 * 86_400_000
    """Behaviours longer ago than this are not in the text."""
    max_characters: int = Field(600, ge=40)
    """A user's text is shortened, oldest apps first, until it has at most this many characters."""
    every: Duration = 86_400_000
    """Time between two snapshots of users, counted from 1970-01-01 UTC."""
    users: int | None = Field(None, ge=1)
    """Only so many users, drawn by the workspace's seed, have vectors, and only such as samples see: to measure an
    encoder that is too slow for all. Left out: all users, and what a server reads too."""
    width: int = Field(32, ge=1)
    """d, the width of the feature."""
    reduction: Reduction = "pca"
    """How the encoder's vectors come down to `width`: principal components (`pca`), those scaled to equal variance
    (`whiten`), a `random` projection, the first `width` numbers of a Matryoshka model (`truncate`), or a projection
    trained with the ranker (`supervised`), which reads the first 256 principal components."""
