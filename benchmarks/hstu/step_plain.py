"""The same model with attention in plain PyTorch: padded to the batch's longest sequence, buckets once per batch."""

from step_plait import Training
from training_step import main

from plait.nn.hstu import attention_version

if __name__ == "__main__":
    with attention_version("plain"):
        main(Training)
