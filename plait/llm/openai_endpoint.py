"""Any endpoint that speaks OpenAI's chat completions, pictures included: vLLM, SGLang, Ollama, llama-server."""

import base64
import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from plait.errors import PlaitError
from plait.llm.answer_cache import AnswerCache
from plait.llm.generate import ChatModel


class EndpointSettings(BaseModel):
    """An endpoint that speaks OpenAI's protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Up to and with `/v1`."""
    model: str
    """Its name at the endpoint; name its version in it, since another model under the same name is not noticed."""
    token_env: str = "PLAIT_LLM_TOKEN"  # noqa: S105 (the name of a variable)
    """Environment variable with the bearer token, if one is needed; the token itself stands in no file."""
    timeout_s: float = Field(60.0, gt=0)
    """Of one attempt, in seconds."""
    concurrency: int = Field(4, ge=1)
    """Calls under way at once, at most."""
    attempts: int = Field(5, ge=1)
    """Tries of a call that fails for a moment: 429, 5xx, a lost connection, a timeout."""
    pause_s: float = Field(1.0, ge=0)
    """Before the second attempt; doubles with each further one."""


class OpenAIEndpoint:
    """A backend of `ChatModel`; threads may share it."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._places = threading.Semaphore(settings.concurrency)
        token = os.environ.get(settings.token_env)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            base_url=settings.url.rstrip("/") + "/", headers=headers, timeout=settings.timeout_s
        )
        weakref.finalize(self, self._client.close)

    def __call__(self, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """See `plait.llm.generate.Ask`."""
        problem = ""
        for attempt in range(self._settings.attempts):
            if attempt:
                time.sleep(self._settings.pause_s * 2 ** (attempt - 1))
            with self._places:
                try:
                    response = self._client.post("chat/completions", json={"model": self._settings.model, **body})
                except httpx.TransportError as error:
                    problem = repr(error)
                    continue
            if response.status_code == 200:
                return self._content(response)
            problem = f"status {response.status_code}: {response.text:.200}"
            if response.status_code != 429 and response.status_code < 500:
                break
        raise PlaitError(f"{self._settings.url}: no answer from {self._settings.model}: {problem}")

    def _content(self, response: httpx.Response) -> Mapping[str, Any]:
        try:
            content = response.json()
        except ValueError as error:
            raise PlaitError(f"{self._settings.url}: found {response.text:.200!r}, expected JSON") from error
        if not isinstance(content, dict):
            raise PlaitError(f"{self._settings.url}: found {content!r:.200}, expected an object")
        return content


def open_endpoint(settings: EndpointSettings, cache: AnswerCache | None = None) -> ChatModel:
    """A model behind an endpoint."""
    return ChatModel(f"{settings.url} {settings.model}", OpenAIEndpoint(settings), cache)


def image_part(content: bytes, media_type: str) -> dict[str, Any]:
    """An image as a part of a message: a data URL.

    Args:
        content: bytes of the file.
        media_type: such as "image/png".
    """
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{base64.b64encode(content).decode()}"}}
