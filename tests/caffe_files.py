"""The tests' own encoders of files of Caffe's AlexNets: Caffe's, ONNX's and Deep Compression's."""

import struct
from pathlib import Path

import numpy as np

LAYERS = {  # kernel, stride, padding, groups
    "conv1": (11, 4, 0, 1),
    "conv2": (5, 1, 2, 2),
    "conv3": (3, 1, 1, 1),
    "conv4": (3, 1, 1, 2),
    "conv5": (3, 1, 1, 2),
}
V1_KINDS = {
    "Convolution": 4,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
}


def varint(number):
    """A whole number, negative ones as 64 bits."""
    number %= 2**64
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number, value):
    """A field: whole numbers as varints, floats in four bytes, text and messages with a length."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def numbers(number, array, packed=True):
    """Four-byte numbers, together or each with its tag."""
    array = np.ascontiguousarray(array, "<f4")
    if packed:
        return field(number, array.tobytes())
    tag = varint(number << 3 | 5)
    data = np.empty((array.size, len(tag) + 4), np.uint8)
    data[:, : len(tag)] = np.frombuffer(tag, np.uint8)
    data[:, len(tag) :] = array.reshape(-1, 1).view(np.uint8)
    return data.tobytes()


RAW = {"float64": 0, "float32": 1, "float16": 2, "int32": 3}


def blob(array, legacy=False, packed=True, shape=None, double=False, raw=None):
    """A tensor of Caffe's, with a shape message or the four numbers of old.

    Its numbers are double if asked for, or raw ones of a type, as NVIDIA's Caffe writes them.
    """
    shape = array.shape if shape is None else shape
    if legacy:
        sides = (1,) * (4 - len(shape)) + tuple(shape)
        head = message(*enumerate(sides, start=1))
    else:
        head = field(7, field(1, b"".join(map(varint, shape))))
    if double:
        return head + field(8, np.ascontiguousarray(array, "<f8").tobytes())
    if raw:
        return head + message((10, RAW[raw]), (12, array.astype(raw).tobytes()))
    return head + numbers(5, array, packed)


def plan(pool_first=False):
    """Layers in order: name, kind, what it reads, what it writes, its settings."""
    reading = "data"
    for name, (kernel, stride, padding, groups) in LAYERS.items():
        settings = [(3, padding), (4, kernel), (5, groups), (6, stride)]
        yield name, "Convolution", reading, name, settings
        yield f"relu{name[-1]}", "ReLU", name, name, []
        norm = f"norm{name[-1]}", "LRN", [(1, 5), (2, 1e-4), (3, 0.75)]
        pool = f"pool{name[-1]}", "Pooling", [(1, 0), (2, 3), (3, 2)]
        after = [norm, pool] if name in ("conv1", "conv2") else [pool] if name == "conv5" else []
        reading = name
        for layer, kind, settings in reversed(after) if pool_first else after:
            yield layer, kind, reading, layer, settings
            reading = layer
    for name in ("fc6", "fc7", "fc8"):
        yield name, "InnerProduct", reading, name, []
        if name != "fc8":
            yield f"relu{name[-1]}", "ReLU", name, name, []
        reading = name


def caffe_layer(name, kind, bottom, top, settings, blobs=b"", v1=False):
    """One layer, of the newer generation or of V1; `blobs` are fields already."""
    numbers = {"Convolution": (106, 10), "LRN": (118, 18), "Pooling": (121, 19)}
    inner = field(numbers[kind][v1], message(*settings)) if settings else b""
    if v1:
        head = message(*reads((2, bottom), (3, top)), (4, name), (5, V1_KINDS[kind]))
        return field(2, head + blobs + inner)
    head = message((1, name), (2, kind), *reads((3, bottom), (4, top)))
    return field(100, head + blobs + inner)


def reads(*names):
    return [(number, name) for number, name in names if name]


def caffemodel(weights, *, pool_first=False, v1=False, legacy=False, packed=True, name="net",
               change=lambda layer: layer, only_weights=False, **written):  # fmt: skip
    """A net with {layer: (weight, bias)}, by Caffe's layout; `written` is how, for `blob`."""
    parts = [field(1, name)]
    for layer in map(change, plan(pool_first)):
        blobs = b""
        if layer[0] in weights:
            made = (blob(one, legacy, packed, **written) for one in weights[layer[0]])
            blobs = b"".join(field(6 if v1 else 7, one) for one in made)
        if blobs or not only_weights:
            parts.append(caffe_layer(*layer, blobs=blobs, v1=v1))
    return b"".join(parts)


def prototxt(pool_first=False, side=227):
    """The same net as text, as Caffe's tools take it."""
    names = {
        "Convolution": ("convolution_param", {3: "pad", 4: "kernel_size", 5: "group", 6: "stride"}),
        "LRN": ("lrn_param", {1: "local_size", 2: "alpha", 3: "beta"}),
        "Pooling": ("pooling_param", {1: "pool", 2: "kernel_size", 3: "stride"}),
    }
    outputs = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256,
               "fc6": 4096, "fc7": 4096, "fc8": 1000}  # fmt: skip
    lines = [f'input: "data" input_dim: 1 input_dim: 3 input_dim: {side} input_dim: {side}']
    for name, kind, bottom, top, settings in plan(pool_first):
        inner = [f"num_output: {outputs[name]}"] if name in outputs else []
        key, fields = names.get(kind, ("inner_product_param", {}))
        for number, value in settings:
            said = "MAX" if fields[number] == "pool" else value
            inner.append(f"{fields[number]}: {said}")
        body = f"{key} {{ {' '.join(inner)} }}" if inner else ""
        head = f'name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}"'
        lines.append(f"layer {{ {head} {body} }}")
    return "\n".join(lines)


def deep_compression(codebooks, biases, codes):
    """{layer: values}, {layer: biases}, {layer: codes of all weights}; code 0 is left out.

    Where more than 15 zeros follow each other one is written, because a gap has 4 bits.
    """
    counts, parts = [], []
    for layer, values in codebooks.items():
        kept, gaps, last = [], [], -1
        for place in np.flatnonzero(codes[layer]).tolist():
            while place - last > 16:
                kept.append(0)
                gaps.append(15)
                last += 16
            kept.append(int(codes[layer][place]))
            gaps.append(place - last - 1)
            last = place
        counts.append(len(kept))
        small = len(values) == 16
        written = nibbles(kept) if small else bytes(kept)
        parts += [np.asarray(values, "<f4").tobytes(), np.asarray(biases[layer], "<f4").tobytes()]
        parts += [written, nibbles(gaps)]
    return struct.pack(f"<{len(counts)}I", *counts) + b"".join(parts)


def nibbles(values):
    """Two numbers of 4 bits a byte, the first in the low half."""
    values = [*values, 0] if len(values) % 2 else values
    return bytes(low | high << 4 for low, high in zip(values[::2], values[1::2], strict=True))


def onnx_tensor(name, array, raw=True, packed=True):
    """A tensor of float32 or int64."""
    array = np.asarray(array)
    kind = 7 if array.dtype == np.int64 else 1
    head = b"".join(field(1, side) for side in array.shape) + field(2, kind)
    if raw:
        data = field(9, array.tobytes())
    elif kind == 7:
        data = field(7, b"".join(map(varint, array.tolist())))
    else:
        data = numbers(4, array, packed)
    return head + data + field(8, name)


def onnx_node(kind, inputs, output, **attributes):
    parts = [(1, name) for name in inputs] + [(2, output), (4, kind)]
    parts += [(5, onnx_attribute(name, value)) for name, value in attributes.items()]
    return message(*parts)


def onnx_attribute(name, value):
    if isinstance(value, float):
        return message((1, name), (2, value), (20, 1))
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    if isinstance(value, str):
        return message((1, name), (4, value), (20, 3))
    return message((1, name), *((8, one) for one in value), (20, 7))


def onnx_plan(side=224, pool_first=False, opset=9):
    """Nodes in order: kind, what is read, what is written, attributes."""
    pads = [0, 0, 0, 0]
    count = 0
    for name, kind, _, _, _ in plan(pool_first):
        reading, writing = (f"r{count - 1}" if count else "data_0"), f"r{count}"
        weights = [f"{name}_w_0", f"{name}_b_0"]
        if name == "fc6":
            shape = {} if opset >= 5 else {"shape": [1, -1]}
            inputs = [reading, "flat"] if opset >= 5 else [reading]
            yield "Reshape", inputs, "r_flat", shape
            reading = "r_flat"
        if kind == "Convolution":
            kernel, stride, padding, groups = LAYERS[name]
            attributes = {
                "strides": [stride] * 2,
                "pads": [padding] * 4,
                "kernel_shape": [kernel] * 2,
            }
            if groups > 1:
                attributes["group"] = groups
            yield "Conv", [reading, *weights], writing, attributes
        elif kind == "LRN":
            yield "LRN", [reading], writing, {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
        elif kind == "Pooling":
            over = [0, 0, 1, 1] if (name, side) == ("pool5", 224) else pads
            yield "MaxPool", [reading], writing, {
                "strides": [2, 2], "pads": over, "kernel_shape": [3, 3]}  # fmt: skip
        elif kind == "InnerProduct":
            yield "Gemm", [reading, *weights], writing, {
                "transB": 1, **({"broadcast": 1} if opset < 7 else {})}  # fmt: skip
        else:
            yield "Relu", [reading], writing, {}
            if name in ("relu6", "relu7"):
                count += 1
                old = {"is_test": 1} if opset < 7 else {}
                inputs = [writing]
                ratio = {"ratio": 0.5} if opset < 12 else {}
                yield "Dropout", inputs, f"r{count}", {**ratio, **old}
        count += 1
    yield "Softmax", [f"r{count - 1}"], "prob_1", {}


def onnx_model(weights, *, side=224, pool_first=False, opset=9, raw=True, packed=True,
               change=lambda node: node, tensors=()):  # fmt: skip
    """A model with {layer: (weight, bias)} by Caffe's layout; `change` may alter or drop nodes."""
    graph = []
    for node in map(change, onnx_plan(side, pool_first, opset)):
        if node:
            kind, inputs, output, attributes = node
            graph.append((1, onnx_node(kind, inputs, output, **attributes)))
    graph.append((2, "bvlc_alexnet"))
    for layer, both in weights.items():
        for part, array in zip("wb", both, strict=True):
            graph.append((5, onnx_tensor(f"{layer}_{part}_0", array, raw, packed)))
    if opset >= 5:
        graph.append((5, onnx_tensor("flat", np.array([1, -1]), raw)))
    graph += [(5, tensor) for tensor in tensors]
    sides = b"".join(field(1, field(1, n)) for n in (1, 3, side, side))
    graph.append((11, message((1, "data_0"), (2, field(1, field(1, 1) + field(2, sides))))))
    graph.append((12, message((1, "prob_1"), (2, field(1, field(1, 1))))))
    return message((1, 3), (2, "tests"), (7, message(*graph)), (8, message((1, ""), (2, opset))))


def tiny_weights():
    """{layer: (weight, bias)} of the tiny network that `tiny_networks` puts in place of all."""
    from foreign_files import TINY

    rng = np.random.default_rng(5)
    made = {}
    for layer, shape in TINY.items():
        shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
        made[layer] = tuple(rng.normal(size=size).astype(np.float32) for size in (shape, shape[:1]))
    return made


def write(path, data):
    path = Path(path)
    path.write_bytes(data)
    return path
