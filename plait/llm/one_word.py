"""What a causal language model is told so that its last hidden state sums up a text."""

from plait.config.embedding import Pooling

ONE_WORD = 'The essence of "{text}" in one English word means:'
"""Without it, states cluster by language (Jiang et al. 2024, "Scaling Sentence Embeddings with LLMs", use its like)."""


def prompted(text: str, pooling: Pooling) -> str:
    """The text as the model reads it. Quotation marks of the text do not end that of the prompt."""
    return ONE_WORD.format(text=text.replace('"', "'")) if pooling == "word" else text
