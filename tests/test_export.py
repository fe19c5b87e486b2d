"""Every public technique lowers for GPUs and TPUs, which `jax.export` does without one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_transformations import IMAGES, PARAMS, TECHNIQUES, apply, occlusion

import jaxviz
from jaxviz.cpu import policy

KEY = jax.random.key(0)
HEATMAP = IMAGES[..., 0]
WINDOW = {"window": 3, "stride": 2}
FILLS = np.stack([IMAGES, IMAGES[::-1], IMAGES[:, ::-1]])


def run(function, *more, **options):
    """A technique of images that explains a class."""
    return lambda images: function(
        apply, PARAMS, images, *more, score=jaxviz.logit(2), **options
    )  # fmt: skip


def infidelity(images):
    scores, baseline, heatmap = occlusion("incremental")(images)
    occluded = jaxviz.OcclusionMap(scores, baseline, heatmap, jnp.ones(heatmap.shape[1:], int))
    return jaxviz.infidelity(images[..., 0], occluded, **WINDOW)


EXPORTED = TECHNIQUES | {
    "occlusion_map": occlusion("incremental"),
    "strongest_channels": lambda x: jaxviz.strongest_channels(x[0], k=2),
    "filter_tiles": lambda x: jaxviz.filter_tiles(jnp.moveaxis(x, 0, 3)),
    "filter_slices": lambda x: jaxviz.filter_slices(jnp.moveaxis(x, 0, 3)),
    "smooth_gradient": run(jaxviz.smooth_gradient, key=KEY, num_samples=2),
    "gradient_times_input": run(jaxviz.gradient_times_input),
    "deconvolution": run(jaxviz.deconvolution),
    "guided_grad_cam": run(jaxviz.guided_grad_cam, layer="conv"),
    "channel_effects": run(jaxviz.channel_effects, layer="conv", channel=1),
    "occlusion_statistics": run(jaxviz.occlusion_statistics, **WINDOW, fills=FILLS, key=KEY),
    "random_fills": lambda x: jaxviz.random_fills(x, key=KEY, num=3),
    "infidelity": infidelity,
    "feature_images": lambda x: jaxviz.feature_images(
        apply, PARAMS, score=jaxviz.logit(2), key=KEY, image_shape=(8, 8, 3), steps=2
    ),
    "deletion_curve": run(jaxviz.deletion_curve, HEATMAP, fill=0.0, key=KEY, steps=2),
    "insertion_curve": run(jaxviz.insertion_curve, HEATMAP, key=KEY, steps=2),
    "sensitivity_n": run(
        jaxviz.sensitivity_n, HEATMAP, window=2, sizes=[2], fill=0.0, key=KEY, num_sets=4
    ),
    "rank_correlation": lambda x: jaxviz.rank_correlation(x[..., 0], x[..., 1]),
    "control_heatmaps": lambda x: jaxviz.control_heatmaps(x, key=KEY),
    "linear_probe": lambda x: jaxviz.linear_probe(x.reshape(8, -1), np.arange(8) % 2, folds=3),
}
NOT_OF_ARRAYS = {
    "t_sne": "scikit-learn's",
    "progressive_occlusion": "a series of occlusion maps",
    "explain_occlusion": "computes nothing",
    "cascading_randomization": "a series of parameters",
}
SCORES = "jaxviz.techniques.scores"


def test_no_public_technique_is_left_out():
    public = {
        name
        for name in jaxviz.__all__
        if (module := getattr(getattr(jaxviz, name), "__module__", "")).startswith(
            ("jaxviz.techniques.", "jaxviz.sweep.batches")
        )
        and not module.startswith(SCORES)
        and name.islower()
    }
    assert public - set(NOT_OF_ARRAYS) <= set(EXPORTED)
    assert not public & set(EXPORTED) & set(NOT_OF_ARRAYS)


@pytest.fixture(scope="module", params=["as on a CPU", "as elsewhere"])
def elsewhere(request):
    """What is traced for a CPU may take its shortcuts; elsewhere none is taken."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as elsewhere":
            patch.setattr(policy, "on_cpu", lambda: False)
        jax.clear_caches()
        yield
    jax.clear_caches()


@pytest.mark.once
@pytest.mark.parametrize("name", EXPORTED)
def test_a_technique_lowers_for_gpus_and_tpus(elsewhere, name):
    exported = jax.export.export(jax.jit(EXPORTED[name]), platforms=["cuda", "tpu"])(IMAGES)
    assert exported.platforms == ("cuda", "tpu")
    assert len(exported.mlir_module_serialized) > 0
