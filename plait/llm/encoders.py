"""The encoder that settings ask for."""

from pathlib import Path

from plait.config.embedding import EncoderSettings
from plait.llm.encode import TextEncoder


def open_encoder(settings: EncoderSettings, root: Path = Path()) -> TextEncoder:
    """The encoder, ready to encode; only its own libraries are imported.

    Args:
        settings: which one.
        root: folder that relative paths of models start from: the workspace's.

    Raises:
        ConfigError: it is not installed, or cannot be loaded.
    """
    # Each import waits for its encoder: they load PyTorch, transformers or llama.cpp.
    if settings.kind == "minilm":
        from plait.llm.minilm import SentenceBert  # noqa: PLC0415

        return SentenceBert.packaged(precision=settings.precision, max_tokens=settings.max_tokens)
    if settings.kind == "use":
        from plait.llm.multilingual_use import MultilingualUse  # noqa: PLC0415

        return MultilingualUse(settings.max_tokens)
    if settings.kind == "gguf":
        from plait.llm.gguf_encoder import GgufEncoder  # noqa: PLC0415

        return GgufEncoder(_path(settings.model, root), settings.pooling, settings.max_tokens)
    if settings.kind == "endpoint":
        from plait.llm.endpoint_encoder import EndpointEncoder  # noqa: PLC0415

        return EndpointEncoder(settings.model, settings.url, settings.max_tokens, settings.token_env)
    from plait.llm.hugging_face_encoder import CausalEncoder, SentenceTransformerEncoder  # noqa: PLC0415

    model = str(path) if (path := _path(settings.model, root)).is_dir() else settings.model
    if settings.kind == "causal":
        return CausalEncoder(model, settings.pooling, settings.max_tokens, precision=settings.precision)
    return SentenceTransformerEncoder(model, settings.max_tokens)


def _path(model: str, root: Path) -> Path:
    """A path as it stands, or relative to the workspace; `~` is one's home."""
    return root / Path(model).expanduser()
