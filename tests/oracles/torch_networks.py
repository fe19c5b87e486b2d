"""Our shipped networks in torch, NCHW, written from the papers' tables and nothing else.

They read our safetensors files with torch's own reader. Kernels there are (height, width, in, out)
and become torch's (out, in, height, width). The rows of our fc6 kernel are in (row, col, channel)
order, since we flatten NHWC maps; torch flattens (channel, row, col), so its rows are reordered.
"""

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

if __package__:
    from . import torch_efficientnet
else:
    import torch_efficientnet

MEAN_STD = {
    "alexnet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "squeezenet": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "efficientnet_lite0": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
}


def photograph(path, network):
    """Prepare a picture: shorter side 256, central crop, normalized, (1, 3, crop, crop)."""
    crop = 227 if network == "squeezenet" else 224
    with Image.open(path) as file:
        picture = file.convert("RGB")
    width, height = picture.size
    short = min(width, height)
    size = (256 * width // short, 256 * height // short)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - crop) / 2.0), round((size[1] - crop) / 2.0)
    pixels = np.array(picture.crop((left, top, left + crop, top + crop)), np.float32)
    if network == "alexnet":
        pixels = pixels / 255
    values = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(v)[None, :, None, None] for v in MEAN_STD[network])
    return (values - mean) / std


def filled(module, tensors, name):
    """Put a layer's kernel and bias into a torch module."""
    kernel = tensors[f"{name}.kernel"]
    with torch.no_grad():
        kernel = kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        assert module.weight.shape == kernel.shape
        module.weight.copy_(kernel)
        module.bias.copy_(tensors[f"{name}.bias"])
    return module


@torch.no_grad()
def alexnet(file, images):
    """All activations of AlexNet, in the order the data flows; the dense ones if they are there."""
    tensors = load_file(file)
    relu, pool = nn.ReLU(), nn.MaxPool2d(kernel_size=3, stride=2)
    conv1 = filled(nn.Conv2d(3, 64, 11, stride=4, padding=2), tensors, "conv1")
    conv2 = filled(nn.Conv2d(64, 192, 5, padding=2), tensors, "conv2")
    conv3 = filled(nn.Conv2d(192, 384, 3, padding=1), tensors, "conv3")
    conv4 = filled(nn.Conv2d(384, 256, 3, padding=1), tensors, "conv4")
    conv5 = filled(nn.Conv2d(256, 256, 3, padding=1), tensors, "conv5")
    out = {}
    out["conv1"] = relu(conv1(images))
    out["pool1"] = pool(out["conv1"])
    out["conv2"] = relu(conv2(out["pool1"]))
    out["pool2"] = pool(out["conv2"])
    out["conv3"] = relu(conv3(out["pool2"]))
    out["conv4"] = relu(conv4(out["conv3"]))
    out["conv5"] = relu(conv5(out["conv4"]))
    out["pool5"] = pool(out["conv5"])
    if "fc6.kernel" not in tensors:
        return out
    averaged = nn.AdaptiveAvgPool2d(6)(out["pool5"])
    rows = tensors["fc6.kernel"].reshape(6, 6, 256, 4096)  # (row, col, channel), as we flatten
    tensors["fc6.kernel"] = rows.permute(2, 0, 1, 3).reshape(9216, 4096)  # as torch flattens
    out["fc6"] = relu(filled(nn.Linear(9216, 4096), tensors, "fc6")(averaged.flatten(1)))
    out["fc7"] = relu(filled(nn.Linear(4096, 4096), tensors, "fc7")(out["fc6"]))
    out["fc8"] = filled(nn.Linear(4096, 1000), tensors, "fc8")(out["fc7"])
    return out


@torch.no_grad()
def squeezenet(file, images):
    """All activations of SqueezeNet v1.1, in the order the data flows."""
    tensors = load_file(file)
    relu, pool = nn.ReLU(), nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)

    def fire(x, name, inputs, squeeze, expand):
        part = f"{name}."
        one = filled(nn.Conv2d(inputs, squeeze, 1), tensors, part + "squeeze1x1")
        left = filled(nn.Conv2d(squeeze, expand, 1), tensors, part + "expand1x1")
        right = filled(nn.Conv2d(squeeze, expand, 3, padding=1), tensors, part + "expand3x3")
        out[f"{name}/squeeze1x1"] = squeezed = relu(one(x))
        out[f"{name}/expand1x1"] = relu(left(squeezed))
        out[f"{name}/expand3x3"] = relu(right(squeezed))
        joined = torch.cat([out[f"{name}/expand1x1"], out[f"{name}/expand3x3"]], dim=1)
        out[f"{name}/concat"] = joined
        return joined

    out = {}
    out["conv1"] = relu(filled(nn.Conv2d(3, 64, 3, stride=2), tensors, "conv1")(images))
    out["pool1"] = pool(out["conv1"])
    x = fire(out["pool1"], "fire2", 64, 16, 64)
    x = fire(x, "fire3", 128, 16, 64)
    out["pool3"] = pool(x)
    x = fire(out["pool3"], "fire4", 128, 32, 128)
    x = fire(x, "fire5", 256, 32, 128)
    out["pool5"] = pool(x)
    x = fire(out["pool5"], "fire6", 256, 48, 192)
    x = fire(x, "fire7", 384, 48, 192)
    x = fire(x, "fire8", 384, 64, 256)
    x = fire(x, "fire9", 512, 64, 256)
    out["conv10"] = relu(filled(nn.Conv2d(512, 1000, 1), tensors, "conv10")(x))
    out["pool10"] = nn.AdaptiveAvgPool2d(1)(out["conv10"]).flatten(1)
    return out


@torch.no_grad()
def efficientnet_lite0(file, images):
    """All activations of EfficientNet-Lite0, in the order the data flows."""
    return torch_efficientnet.filled(file)(images)


def as_ours(value):
    """A torch activation as NumPy, with channels last."""
    return (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy()
