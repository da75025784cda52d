"""Batches of texts of like length, so that little is padded."""

from collections.abc import Sequence


def batches_of_tokens(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Places in order of length, cut where a padded batch would hold more than `most` tokens."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= most:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
