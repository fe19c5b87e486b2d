"""What a network consists of, read from its tape: convolutions, dense products, pools, sums...

Each comes with the elementwise operations that follow it.

Each value that depends on the images has an owner, the operation that began what it belongs to. An
elementwise operation on one owner's values belongs to it (a bias, an activation function); one that
joins several owners begins something new (a residual sum), unless it puts statistics of a value
back into that value: that is a normalization.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..jaxpr.axis import CHANNEL, COLUMN, ROW, Axes, label_of
from ..jaxpr.tape import Constant, Step, Tape

LINEAR, ACTIVE = 0, 1  # before and after an activation function
_OUTSIDE = -2  # who reads the outputs

_SHAPES = frozenset(
    [
        "reshape",
        "transpose",
        "squeeze",
        "broadcast_in_dim",
        "copy",
        "convert_element_type",
        "name",
        "reduce_precision",
        "stop_gradient",
        "rev",
    ]
)
_LINEAR = _SHAPES | frozenset(
    ["add", "sub", "mul", "div", "neg", "add_any", "pad", "slice", "concatenate", "real", "gather"]
)
_JOINS = {"add": "add", "add_any": "add", "sub": "add", "mul": "multiply", "div": "multiply"}
_REDUCTIONS = frozenset(
    ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin"]
)


@dataclass
class Anchor:
    """The start of a layer, and what follows it.

    kind: conv, dense, matmul, resize, norm, softmax, pool, reduce, concat, add, multiply or join.
    steps: those that belong to it; slots: what they give. operands: the owners that it reads.
    origins: the paths of the parameters that it reads. base: of a norm, what it normalizes.
    """

    kind: str
    steps: list[Step]
    operands: tuple[int, ...]
    slots: list[int] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    base: int | None = None
    is_statistic: bool = False


@dataclass
class Anatomy:
    """A tape's anchors in the order of the data, and whose each value is.

    owners: of each value that depends on the images, by slot, -1 for the images. stages: LINEAR or
    ACTIVE, by slot.
    """

    tape: Tape
    anchors: list[Anchor]
    owners: dict[int, int]
    stages: dict[int, int]

    def escapes(self, number: int) -> list[int]:
        """What other owners, or nobody further, reads of an anchor's values, in order."""
        return [slot for slot in self.anchors[number].slots if self._readers[slot] - {number}]

    def producer(self, slot: int) -> Step | None:
        """The step that gives a value; None for an argument."""
        return self._producers.get(slot)

    def __post_init__(self) -> None:
        self._producers = {slot: step for step in self.tape.steps for slot in step.outputs}

    @functools.cached_property
    def _readers(self) -> dict[int, set[int]]:
        """The owners that read each value; statistics belong to what they were taken of."""
        readers: dict[int, set[int]] = defaultdict(set)
        for step in self.tape.steps:
            owner = self.owners.get(step.outputs[0], -1)
            if owner < 0 or self.anchors[owner].kind:
                for slot in step.inputs:
                    if isinstance(slot, int):
                        readers[slot].add(owner)
        for slot in self.tape.outputs:
            if isinstance(slot, int):
                readers[slot].add(_OUTSIDE)
        return readers


def dissect(
    tape: Tape, images: int, axes: Mapping[int, Axes], origins: Mapping[int, tuple[str, ...]]
) -> Anatomy:
    """Find the anchors of a tape.

    images: the slot of the images. axes: of the values, where known. origins: the paths of the
    parameters, by slot.
    """
    walk = _Walk(axes, dict(origins))
    walk.anatomy = Anatomy(tape, [], {images: -1}, {images: LINEAR})
    for step in tape.steps:
        walk.take(step)
    return walk.anatomy


class _Walk:
    anatomy: Anatomy

    def __init__(self, axes: Mapping[int, Axes], origins: dict[int, tuple[str, ...]]) -> None:
        self.axes = axes
        self.origins = origins

    def take(self, step: Step) -> None:
        owners, stages = self.anatomy.owners, self.anatomy.stages
        slots = [slot for slot in step.inputs if not isinstance(slot, Constant)]
        read = [slot for slot in slots if slot in owners]
        given = [path for slot in slots for path in self.origins.get(slot, ())]
        if not read:
            self.origins.update(dict.fromkeys(step.outputs, tuple(dict.fromkeys(given))))
            return
        owned = list(dict.fromkeys(owners[slot] for slot in read))
        begun = self._begins(step, owned, given)
        number, stage = begun or self._continues(step, read, owned, given)
        anchor = self.anatomy.anchors[number] if number >= 0 else None
        for slot in step.outputs:
            owners[slot], stages[slot] = number, stage
            if anchor:
                anchor.slots.append(slot)

    def _new(self, kind: str, step: Step, owned: Sequence[int], given: Sequence[str]) -> Anchor:
        anchor = Anchor(kind, [step], tuple(owned), origins=list(dict.fromkeys(given)))
        self.anatomy.anchors.append(anchor)
        return anchor

    def _begins(
        self, step: Step, owned: Sequence[int], given: Sequence[str]
    ) -> tuple[int, int] | None:
        kind = self._kind(step, owned, given)
        if kind is None:
            return None
        anchor = self._new(kind, step, owned, given)
        anchor.is_statistic = step.name in _REDUCTIONS or step.name.startswith("reduce_window")
        return len(self.anatomy.anchors) - 1, LINEAR

    def _kind(self, step: Step, owned: Sequence[int], given: Sequence[str]) -> str | None:
        if step.name == "conv_general_dilated":
            is_transposed = any(factor > 1 for factor in step.params["lhs_dilation"])
            return "conv_transpose" if is_transposed else "conv"
        if step.name == "dot_general":
            dependent = sum(slot in self.anatomy.owners for slot in step.inputs)
            if dependent == 1 and not given and self._contracts(step) & {ROW, COLUMN}:
                is_resized = owned[0] >= 0 and self.anatomy.anchors[owned[0]].kind == "resize"
                return None if is_resized else "resize"
            return "dense" if dependent == 1 else "matmul"
        if step.name.startswith("reduce_window"):
            return "pool"
        if step.name in _REDUCTIONS:
            labels = self._reduced(step)
            return "pool" if {ROW, COLUMN} & labels and CHANNEL not in labels else "reduce"
        if step.name == "concatenate" and len(owned) > 1:
            return "concat"
        return None

    def _contracts(self, step: Step) -> set[str]:
        """What the axes run along that a product sums over."""
        contracted, _ = step.params["dimension_numbers"]
        return {
            label_of(self.axes[slot][axis])
            for slot, over in zip(step.inputs, contracted, strict=True)
            if isinstance(slot, int) and slot in self.axes
            for axis in over
        }

    def _reduced(self, step: Step) -> set[str]:
        axes = self.axes.get(step.inputs[0]) if isinstance(step.inputs[0], int) else None
        if axes is None:
            return set()
        return {label_of(axes[axis]) for axis in step.params["axes"]}

    def _continues(
        self, step: Step, read: Sequence[int], owned: Sequence[int], given: Sequence[str]
    ) -> tuple[int, int]:
        anchors, stages = self.anatomy.anchors, self.anatomy.stages
        stage = max(stages[slot] for slot in read)
        if step.name not in _LINEAR or (len(read) > 1 and step.name in _JOINS):
            stage = ACTIVE
        if len(owned) == 1:
            number = owned[0]
            if number >= 0 and given and self._normalizes(step, read[0], anchors[number], given):
                anchor = self._new("norm", step, owned, given)
                anchor.base = number
                return len(anchors) - 1, LINEAR
            if number >= 0:
                anchors[number].steps.append(step)
                if anchors[number].kind == "norm":
                    anchors[number].origins.extend(given)
            return number, stage
        return self._joins(step, owned, given)

    def _normalizes(self, step: Step, operand: int, anchor: Anchor, given: Sequence[str]) -> bool:
        """Whether parameters scale a value, which begins a normalization."""
        if step.name not in ("add", "sub", "mul", "div") or anchor.kind in ("", "reduce"):
            return False
        if step.name == "add":  # a bias, or a position's embedding
            return False
        if anchor.kind == "norm" and self.anatomy.stages[operand] == LINEAR:
            is_other = bool(anchor.origins) and room_of(anchor.origins[0]) != room_of(given[0])
            return is_other and step.scopes != anchor.steps[0].scopes
        return not self._is_slope(step, operand)

    def _is_slope(self, step: Step, operand: int) -> bool:
        """Whether a product is the lower half of a leaky ReLU, however that is written."""
        producer = self.anatomy.producer(operand)
        if producer and producer.name == "min":
            return True
        return any(
            reader.name in ("select_n", "max") and operand in reader.inputs
            for reader in self.anatomy.tape.steps
            if step.outputs[0] in reader.inputs
        )

    def _joins(self, step: Step, owned: Sequence[int], given: Sequence[str]) -> tuple[int, int]:
        anchors = self.anatomy.anchors
        statistics = [
            one for one in owned if any(self._is_of(one, other) for other in owned if other != one)
        ]
        others = [one for one in owned if one not in statistics]
        if len(others) == 1:
            number = others[0]
            for one in statistics:
                anchors[one].kind = ""
            is_normed = number >= 0 and anchors[number].kind in ("norm", "softmax")
            if is_normed and step.name != "sub":
                anchors[number].steps.append(step)
                if any(one.name == "exp" for one in anchors[number].steps):
                    anchors[number].kind = "softmax"
                return number, LINEAR
            self._new("norm", step, others, given).base = number
        elif all(one >= 0 and anchors[one].is_statistic for one in others) and (
            len({anchors[one].operands for one in others}) == 1
        ):  # such as a variance, of two means
            for one in others[1:]:
                anchors[one].kind = ""
            anchors[others[0]].kind = "reduce"
            anchors[others[0]].steps.append(step)
            return others[0], LINEAR
        else:
            self._new(_JOINS.get(step.name, "join"), step, owned, given)
        return len(anchors) - 1, LINEAR

    def _is_of(self, statistic: int, number: int) -> bool:
        """Whether a statistic was taken of the value itself, or of what it is normalized from."""
        anchors = self.anatomy.anchors
        if statistic < 0 or not anchors[statistic].is_statistic:
            return False
        parent = anchors[statistic].operands[0]
        while number >= 0 and parent != number:
            base = anchors[number].base
            if base is None:
                return False
            number = base
        return parent == number


def room_of(path: str) -> str:
    """The branch that a name made of parts is in: block1 of block1/conv."""
    return path.rpartition("/")[0]
