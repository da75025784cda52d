"""The sound of a video, as speech models hear it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.errors import ContentError


def sound_of(path: Path, *, rate: int, seconds: float) -> NDArray[np.float32]:
    """Mono samples in [-1, 1] of the first seconds; none where the file has no sound.

    Raises:
        ContentError: the file cannot be read.
    """
    import av  # noqa: PLC0415 (the `content` extra)

    most, parts, count = int(rate * seconds), [], 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                return np.zeros(0, np.float32)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            for frame in container.decode(audio=0):
                for turned in resampler.resample(frame):
                    parts.append(turned.to_ndarray().reshape(-1))
                    count += len(parts[-1])
                if count >= most:
                    break
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ContentError(f"the sound is damaged or cut off: {error}") from error
    return np.concatenate(parts)[:most].astype(np.float32) if parts else np.zeros(0, np.float32)
