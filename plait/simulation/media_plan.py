"""What every creative file looks like, decided before anything is drawn: the true creative fields."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.seeding import generator
from plait.simulation.taxonomy import data_file, load_taxonomy

RATIOS = {"landscape": ("16:9", "4:3"), "portrait": ("9:16", "3:4"), "square": ("1:1",)}
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
TONES = {"red": "warm", "orange": "warm", "yellow": "warm", "green": "cool", "blue": "cool", "purple": "cool"}
LEVELS = ("dark", "medium", "bright")
CLARITIES = ("sharp", "soft", "blurry")
OBJECTS = ("person", "cat", "drink", "rocket", "flower", "building", "vehicle", "sky", "coins", "none")
TEXT_COLORS = ("white", "yellow", "black", "red")
VIDEO_SECONDS = (1.0, 2.0, 3.0)
TEXT_LENGTHS = ("none", "short", "long")


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """One file and its true fields, under the names that content understanding fills."""

    file: str
    branch: int
    """First-level category whose items use it."""
    screen_orientation: str
    ratio: str
    duration: float
    """Seconds; 0 for an image."""
    color: str
    clarity: str
    brightness: str
    tone: str
    person: bool
    text: str
    text_key_words: str
    text_color: str
    text_type: str
    object_type: str

    @property
    def text_length(self) -> int:
        """Characters drawn on the picture."""
        return len(self.text)

    @property
    def text_size(self) -> str:
        """Bucket of the text length: none, short (up to 10 characters) or long."""
        return "none" if not self.text else "short" if len(self.text) <= 10 else "long"


def plan_media(count: int, seed: int) -> tuple[MediaPlan, ...]:
    """`count` files, spread evenly over the first-level categories; about a fifth are videos."""
    return tuple(_plan_one(index, generator(seed, "media", index)) for index in range(count))


def _plan_one(index: int, rng: np.random.Generator) -> MediaPlan:
    branches = int(load_taxonomy().branch.max()) + 1
    branch = index % branches
    video = rng.random() < 0.2
    orientation = str(rng.choice(list(RATIOS), p=[0.4, 0.4, 0.2]))
    color = str(rng.choice(COLORS))
    brightness = {"black": "dark", "white": "bright"}.get(color) or str(rng.choice(LEVELS))
    subject = str(rng.choice(OBJECTS, p=[0.25, 0.08, 0.08, 0.08, 0.09, 0.09, 0.08, 0.08, 0.08, 0.09]))
    kind, text, word = _copy(rng, branch)
    readable = [shade for shade in TEXT_COLORS if shade not in {color, *_unreadable(color, brightness)}]
    return MediaPlan(
        file=f"media/{index:05d}.{'mp4' if video else 'png' if rng.random() < 0.3 else 'jpg'}",
        branch=branch,
        screen_orientation=orientation,
        ratio=str(rng.choice(RATIOS[orientation])),
        duration=float(rng.choice(VIDEO_SECONDS)) if video else 0.0,
        color=color,
        clarity="sharp" if subject == "none" else str(rng.choice(CLARITIES, p=[0.6, 0.25, 0.15])),
        brightness=brightness,
        tone=TONES.get(color) or str(rng.choice(["warm", "neutral", "cool"])),
        person=subject == "person",
        text=text,
        text_key_words=word,
        text_color=str(rng.choice(readable)) if text else "",
        text_type=kind,
        object_type=subject,
    )


def _copy(rng: np.random.Generator, branch: int) -> tuple[str, str, str]:
    """(type, text, key word) of the overlaid copy; one file in ten carries none."""
    if rng.random() < 0.1:
        return "none", "", ""
    copies = data_file("words.toml")["copy"]
    taxonomy = load_taxonomy()
    leaf = taxonomy.leaves[int(rng.choice(np.flatnonzero(taxonomy.branch == branch)))]
    english = rng.random() < 0.3
    kind = str(rng.choice(list(copies)))
    word = str(rng.choice(leaf.words[int(english)]))
    return kind, str(rng.choice(copies[kind]["en" if english else "zh"])).format(word=word), word


def _unreadable(color: str, brightness: str) -> tuple[str, ...]:
    """Text colours that would vanish on the background."""
    if color == "white" or (color == "yellow" and brightness != "dark"):
        return ("white", "yellow")
    return ("black", "red") if brightness == "dark" else ("red",)


def attribute_matrix(media: tuple[MediaPlan, ...]) -> NDArray[np.float32]:
    """[files, attributes]: one-hot looks that tastes act on, scaled so that a file's row has length 1."""
    vocabulary = {
        "screen_orientation": tuple(RATIOS),
        "duration": (0.0, *VIDEO_SECONDS),
        "color": COLORS,
        "clarity": CLARITIES,
        "brightness": LEVELS,
        "tone": ("warm", "neutral", "cool"),
        "person": (False, True),
        "text_type": ("none", *data_file("words.toml")["copy"]),
        "text_size": TEXT_LENGTHS,
        "object_type": OBJECTS,
    }
    blocks = [
        np.array([[getattr(plan, field) == value for value in values] for plan in media], dtype=np.float32)
        for field, values in vocabulary.items()
    ]
    return np.concatenate(blocks, axis=1) / np.float32(np.sqrt(len(blocks)))
