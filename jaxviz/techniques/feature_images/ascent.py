"""Gradient ascent on images: what is made, and one step of it, a pure function of a state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._contract import outputs_of, scores_from
from ..._typing import Apply, Params, Score
from ...backward import with_a_gradient, with_rule
from .parametrizations import Parametrization
from .transformations import Transformations, transformed


class State(NamedTuple):
    """What a step changes: the parameters of all images, what the optimizer keeps, the step."""

    parameters: Any
    optimizer: Any
    step: Any


class Ascent(NamedTuple):
    """What is made, and how; the fields are arguments of `feature_images`.

    Of the images, `variants` one after the other are of the same number of the score.
    """

    apply: Apply
    score: Score
    prepare: Callable[[Any], Any]
    image_shape: tuple[int, int, int]
    parametrization: Parametrization
    transformations: Transformations
    optimizer: Any
    variants: int
    diversity: float
    diversity_layer: str | None

    def start(self, keys: Any) -> State:
        """The state before the first step, of an image for each key."""
        drawn = jax.vmap(lambda key: self.parametrization.start(key, self.image_shape))(keys)
        return State(drawn, self.optimizer.init(drawn), jnp.zeros((), jnp.int32))

    def images(self, state: State) -> Any:
        """(num, height, width, channel), from 0 to 1."""
        make = self.parametrization.image
        return jax.vmap(lambda one: make(one, self.image_shape))(state.parameters)

    def scores(self, params: Params, images: Any, numbers: Any) -> Any:
        """Of each image the number of the score that it is made for."""
        return self._scored(params, images, numbers)[0]

    def _scored(self, params: Params, images: Any, numbers: Any) -> tuple[Any, Any]:
        outputs = outputs_of(self.apply, params, self.prepare(images))
        scores = scores_from(self.score, outputs).reshape(len(images), -1)
        own = jnp.take_along_axis(scores, numbers[:, None], axis=1)[:, 0]
        return own, self._likeness(outputs) if self.diversity_layer else jnp.zeros_like(own)

    def advance(self, params: Params, state: State, numbers: Any, key: Any) -> tuple[State, Any]:
        """One step: the next state, and the scores (num,) of the moved images before it."""
        import optax

        moving = jax.random.fold_in(key, state.step)

        def scored(images: Any) -> tuple[Any, Any]:
            return self._scored(params, images, numbers)

        def objective(parameters: Any) -> tuple[Any, Any]:
            images = self.images(state._replace(parameters=parameters))
            images = transformed(images, self.transformations, moving)
            # A unit that is silent has no gradient of its own, and would stay so.
            own, likeness = with_rule(scored, "opened", required=False)(images)
            weight = self.diversity * jnp.abs(jax.lax.stop_gradient(own))
            return (own - weight * likeness).sum(), own

        def loss(parameters: Any) -> Any:
            return -objective(parameters)[0]

        with with_a_gradient():
            (value, own), gradient = jax.value_and_grad(objective, has_aux=True)(state.parameters)
        downward = jax.tree.map(jnp.negative, gradient)
        updates, kept = optax.with_extra_args_support(self.optimizer).update(
            downward, state.optimizer, state.parameters,
            value=-value, grad=downward, value_fn=loss,
        )  # fmt: skip
        parameters = optax.apply_updates(state.parameters, updates)
        return State(parameters, kept, state.step + 1), own

    def _likeness(self, outputs: Any) -> Any:
        """How alike each image is to its variants: the cosine of their Gram matrices, (num,)."""
        values = outputs[self.diversity_layer]
        values = values.reshape(len(values), -1, values.shape[-1])
        grams = jnp.einsum("nsc,nsd->ncd", values, values)
        grams = grams.reshape(-1, self.variants, grams[0].size)
        # No square root of 0, whose gradient is not finite: a layer may be silent.
        squares = jnp.maximum((grams**2).sum(axis=-1, keepdims=True), 1e-30)
        unit = grams / jnp.sqrt(squares)
        cosines = jnp.einsum("gvk,gwk->gvw", unit, unit)
        others = cosines.sum(axis=2) - jnp.diagonal(cosines, axis1=1, axis2=2)
        return others.reshape(-1) / max(1, self.variants - 1)
