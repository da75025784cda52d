"""What is said in a recording, by a speech model that transformers reads: Whisper, wav2vec 2.0 and others."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plait.errors import ConfigError

SAMPLE_RATE = 16_000
"""Samples a second that speech models hear."""


class Transcriber(Protocol):
    """A frozen model that writes down speech."""

    @property
    def name(self) -> str:
        """The model, with what its answers depend on."""

    def transcribe(self, sounds: Sequence[NDArray[np.float32]]) -> list[str]:
        """What is said in each of some recordings (mono, `SAMPLE_RATE` samples a second, in [-1, 1])."""


class HuggingFaceSpeech:
    """A speech model from a folder or the Hugging Face hub.

    Args:
        model: its id or folder.
        language: of the speech, for models that ask for it (Whisper: "zh", "en"); empty for the model to find out.

    Raises:
        ConfigError: transformers is not installed, or there is no such speech model.
    """

    def __init__(self, model: str, language: str = "") -> None:
        self.name = f"{model} {language}".strip()
        self._asked = {"language": language} if language else {}
        try:
            from transformers import pipeline  # noqa: PLC0415 (an extra, slow to import)
        except ImportError as error:
            raise ConfigError(f"speech model {model}: needs `pip install plait[huggingface]` ({error})") from error
        try:
            self._pipeline: Any = pipeline("automatic-speech-recognition", model=model, device="cpu")
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"speech model {model}: cannot be loaded ({error})") from error

    def transcribe(self, sounds: Sequence[NDArray[np.float32]]) -> list[str]:
        """See `Transcriber`. Recordings longer than a model hears at once are cut into parts of 30 seconds."""
        heard = []
        for sound in sounds:
            given = {"raw": sound, "sampling_rate": SAMPLE_RATE}
            options: dict[str, Any] = {"chunk_length_s": 30} if len(sound) > 30 * SAMPLE_RATE else {}
            if self._asked:
                options["generate_kwargs"] = self._asked
            heard.append(str(self._pipeline(given, **options)["text"]).strip())
        return heard
