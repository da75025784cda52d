"""Candidate sources: what is popular, what is seen together, what lies near in the model's own space."""

from plait.retrieval.item_to_item import ItemToItem, build_item_to_item
from plait.retrieval.merge import Candidates, merge
from plait.retrieval.neighbours import EmbeddingNeighbours
from plait.retrieval.popular import Popular, build_popular
from plait.retrieval.protocol import RetrievalQuery, Retrieved, Source

__all__ = [
    "Candidates",
    "EmbeddingNeighbours",
    "ItemToItem",
    "Popular",
    "RetrievalQuery",
    "Retrieved",
    "Source",
    "build_item_to_item",
    "build_popular",
    "merge",
]
