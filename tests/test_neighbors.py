"""Neighbors equal brute force by differences in double precision; agreement is a count."""

import subprocess
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from conftest import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import environment

from jaxviz import InputError, label_agreement, nearest_neighbors
from jaxviz.techniques.neighbors import estimates
from jaxviz.techniques.neighbors import search as neighbors
from jaxviz.techniques.neighbors.frame import Frame, as_float32

pytestmark = pytest.mark.optimized

METRICS = st.sampled_from(["cosine", "euclidean"])
# Distances are float64 rounded once to float32: half a unit in the last place, 2^-24 relative, and
# a few of float64. For cosine, float64 vectors of unit length are off by 2^-53, squared below.
ROUND_OFF = 2.0**-24 * 1.01


def brute_force(queries, database, metric):
    """All distances in float64, by difference, of what float32 makes of the vectors."""
    q, d = (np.asarray(some, np.float32).astype(np.float64) for some in (queries, database))
    if metric == "euclidean":
        return np.sqrt(((q[:, None] - d[None]) ** 2).sum(-1))
    sizes = [np.linalg.norm(some, axis=1, keepdims=True) for some in (q, d)]
    q, d = (some / np.where(size == 0, 1, size) for some, size in zip((q, d), sizes, strict=True))
    made = ((q[:, None] - d[None]) ** 2).sum(-1) / 2
    return np.where((sizes[0] == 0) | (sizes[1].T == 0), 1, made)


def check(found, queries, database, metric, k, own=None, relative=ROUND_OFF, absolute=1e-30):
    """Distances are right, rows are theirs and differ, and of equal ones the smaller is first."""
    true = brute_force(queries, database, metric)
    if own is not None:
        true[np.arange(len(true)), own] = np.inf
    distances, rows = np.asarray(found.distances), np.asarray(found.indices)
    assert distances.dtype == np.float32
    bounds = {"rtol": relative, "atol": absolute}
    np.testing.assert_allclose(distances, np.sort(true, axis=1)[:, :k], **bounds)
    np.testing.assert_allclose(np.take_along_axis(true, rows, axis=1), distances, **bounds)
    assert all(len(set(row)) == k for row in rows.tolist())
    tied = distances[:, 1:] == distances[:, :-1]
    assert (rows[:, 1:] > rows[:, :-1])[tied].all()


@st.composite
def vectors(draw, most=150):
    """Queries and a database: offset, scaled, of some type, with zeros, duplicates and outliers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    number, dim = draw(st.integers(2, most)), draw(st.integers(1, 40))
    made = rng.normal(size=(number + 5, dim)) + draw(st.sampled_from([0, 1, 300, 1000]))
    made *= 10 ** rng.uniform(-draw(st.sampled_from([0, 0, 4, 12])), 0, size=(len(made), 1))
    made[rng.random(made.shape) < draw(st.sampled_from([0, 0.7]))] = 0
    twins = draw(st.sampled_from([0, 0, number // 2]))
    made[:twins] = made[twins : 2 * twins]
    made[draw(st.integers(0, number))] = 0
    kind = draw(st.sampled_from(["<f4", "<f4", "<f8", "<f2", "u1", "<i8", "bfloat16"]))
    if kind in ("<f4", "<f8"):
        made *= 10.0 ** draw(st.sampled_from([-20, -10, 0, 0, 10, 20]))
    elif kind == "u1":
        made = np.clip(made * 40 + 100, 0, 255)
    made = made.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    return made[number:], made[:number]


def in_pieces(
    queries, database, *, piece=2**26, together=2048, rough=False, cpu=True, kept=(4, 32), **options
):
    """A search of small pieces, with estimates in bfloat16 or by devices if so asked."""
    with (
        mock.patch.multiple(
            neighbors, _PIECE_BYTES=piece, _VIEWED_BYTES=piece, _PRODUCT_BYTES=piece,
            _QUERIES=together, _BFLOAT16_TERMS=0, on_cpu=lambda: cpu,
            multiplies_bfloat16=lambda: rough,
            _few_are_doubtful=lambda *given, **options: True, _KEPT=kept[0], _MOST_KEPT=kept[1],
        ),
    ):  # fmt: skip
        return nearest_neighbors(queries, database, **options)


@given(vectors(), st.data(), METRICS, st.booleans())
@settings(max_examples=150)
def test_equals_brute_force_whatever_offset_scale_type_and_pieces(given, data, metric, exclude):
    queries, database = given
    queries = database[:7] if exclude else queries
    rows = np.arange(len(queries)) if exclude else None
    k = data.draw(st.integers(1, len(database) - exclude))
    piece = data.draw(st.sampled_from([1, 3, len(database) - 1, len(database), 10**6]))
    found = in_pieces(
        queries, database, piece=4 * piece * max(len(queries), database.shape[1]),
        together=data.draw(st.sampled_from([1, 3, 2048])), k=k, metric=metric, own=rows,
    )  # fmt: skip
    check(found, queries, database, metric, k, rows)


@given(
    vectors(),
    METRICS,
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([(4, 32), (1, 2), (1, 4)]),
)
@settings(max_examples=18)
def test_rough_estimates_and_those_of_devices_change_nothing(given, metric, piece, rough, kept):
    queries, database = given
    options = {"k": min(3, len(database)), "metric": metric, "piece": 4 * 40 * piece}
    exact = in_pieces(queries, database, **options)
    other = in_pieces(queries, database, rough=rough, cpu=rough, kept=kept, **options)
    np.testing.assert_array_equal(other.indices, exact.indices)
    np.testing.assert_array_equal(other.distances, exact.distances)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize(("rows", "directions", "expected"), [(1000, 2000, False), (4000, 5, True)])
def test_bfloat16_is_for_many_rows_of_different_distances(rows, directions, expected, cosine):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(rows, directions)) @ rng.normal(size=(directions, 2000))
    vectors = vectors.astype(np.float32)
    pays = neighbors._few_are_doubtful(vectors[:50], vectors, k=10, cosine=cosine)
    assert pays == expected
    for constant in (0, 1, np.nan, np.inf):  # nothing is told of these, without a warning
        given = np.full_like(vectors, constant)
        assert not neighbors._few_are_doubtful(given[:50], given, k=10, cosine=cosine)


@given(vectors(), st.sampled_from(["in_float32", "in_bfloat16", "on_devices"]), st.booleans())
@settings(max_examples=20)
def test_no_estimate_is_off_by_more_than_it_says(given, kind, cosine):
    queries, rows = map(as_float32, given)
    frame = Frame.fitting(queries, rows, cosine=cosine)
    queries, rows = (frame.place(some, "some").vectors for some in (queries, rows))
    made = getattr(estimates, kind)(queries)
    rows64, queries64 = rows.astype(np.float64), queries.astype(np.float64)
    lengths = (np.linalg.norm(some, axis=1) for some in (rows64, queries64))
    bounds = made.error * np.multiply.outer(*lengths) + 1e-30
    assert (np.abs(made.products(rows) - rows64 @ queries64.T) <= bounds).all()


def test_vectors_of_one_number_are_parallel_to_the_bit():
    queries, database = (
        np.random.default_rng(i).normal(size=(200, 1)).astype(np.float32) for i in range(2)
    )
    found = nearest_neighbors(queries, database, k=9, metric="cosine")
    assert not found.distances.any()
    same = np.sign(queries) == np.sign(database.T)
    np.testing.assert_array_equal(found.indices, [np.flatnonzero(row)[:9] for row in same])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_far_outliers_change_nothing(metric):
    rng = np.random.default_rng(0)
    database = rng.normal(size=(90, 5)).astype(np.float32)
    database[33:36] *= np.float32(1e25)
    for queries in (database[:40:3], database[30:40] * np.float32(1e-20)):
        found = nearest_neighbors(queries, database, k=89, metric=metric)
        check(found, queries, database, metric, 89)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 1e30])
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_what_is_not_finite_is_refused(metric, bad, size, kind):
    good = np.full((50, 3), size, np.float32)
    spoiled = good.copy()
    spoiled[41, 2] = bad
    for queries, database, name in ((spoiled, good, "queries"), (good, spoiled, "database")):
        # JAX can be told to refuse them first, with an error of its own.
        with jax.debug_nans(False), pytest.raises(InputError, match=f"^{name}: .*finite.* row 41$"):
            nearest_neighbors(kind(queries), kind(database), k=1, metric=metric)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("cpu", [True, False])
def test_equal_distances_go_to_the_smaller_index(cpu, metric):
    database = np.tile(np.eye(4, dtype=np.float32), (50, 1))
    found = in_pieces(database[:4], database, piece=4 * 4 * 7, k=60, metric=metric, cpu=cpu)
    for row in range(4):
        others = [i for i in range(200) if i % 4 != row]
        assert found.indices[row].tolist() == [*range(row, 200, 4), *others[:10]]


@pytest.mark.oracle
@given(st.integers(0, 2**16), st.integers(1, 40), METRICS)
def test_faiss_finds_the_same(seed, k, metric):
    """Also where each row is nearer than those before, of any length, and k exceeds a piece."""
    faiss = oracle("faiss")
    rng = np.random.default_rng(seed)
    database = rng.normal(size=(200, 12)).astype(np.float32)
    database *= np.geomspace(100, 0.01, 200, dtype=np.float32)[:, None]
    queries = rng.normal(size=(7, 12)).astype(np.float32)
    found = in_pieces(queries, database, piece=4 * 12 * 30, k=k, metric=metric)
    if metric == "euclidean":
        index = faiss.IndexFlatL2(12)
    else:
        index = faiss.IndexFlatIP(12)
        faiss.normalize_L2(database)
        faiss.normalize_L2(queries)
    index.add(database)
    values, _ = index.search(queries, k)
    expected = np.sqrt(np.maximum(values, 0)) if metric == "euclidean" else 1 - values
    np.testing.assert_allclose(found.distances, expected, rtol=1e-4, atol=1e-5)


def test_many_queries_of_few_numbers_take_no_more_memory():
    sizes = []

    def products(queries):
        made = estimates.in_bfloat16(queries)

        def counted(rows):
            sizes.append(len(rows) * len(queries))
            return made.products(rows)

        return made._replace(products=counted)

    database = np.zeros((20_000, 1), np.float32)
    with mock.patch.object(neighbors.estimates, "in_float32", products):
        in_pieces(database[:100], database, piece=4 * 100 * 500, k=1)
    assert max(sizes) <= 100 * 500


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.uint8])
def test_a_memory_mapped_database_is_read_in_pieces(tmp_path, kind):
    database = np.random.default_rng(0).integers(0, 250, (500, 16)).astype(kind)
    np.save(tmp_path / "database.npy", database)
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    with mock.patch.object(neighbors, "as_float32", wraps=as_float32) as read:
        found = in_pieces(mapped[:9], mapped, piece=4 * 16 * 64, k=5)
    check(found, database[:9], database, "cosine", 5)
    assert max(len(call.args[0]) for call in read.call_args_list) <= 256


SEARCH_ON_DEVICES = """
import sys, jax, numpy as np
from jaxviz.techniques.neighbors import search
assert jax.local_device_count() == int(sys.argv[1])
search.on_cpu = lambda: False
search._PIECE_BYTES = search._VIEWED_BYTES = 4 * 12 * 50
vectors = np.random.default_rng(0).normal(size=(333, 12)).astype(np.float32) + 1000
found = search.search(vectors[:9], vectors, k=4, metric="euclidean", own=None)
print(*found[1].ravel(), *map(float, found[0].ravel()))
"""


@pytest.mark.parametrize("number", [2, 8])
def test_any_number_of_devices_finds_the_same(number):
    command = [sys.executable, "-W", "error", "-c", SEARCH_ON_DEVICES, str(number)]
    said = subprocess.run(
        command, env=environment(number), capture_output=True, text=True, check=True
    ).stdout.split()
    vectors = np.random.default_rng(0).normal(size=(333, 12)).astype(np.float32) + 1000
    here = nearest_neighbors(vectors[:9], vectors, k=4, metric="euclidean")
    assert [*map(int, said[:36])] == here.indices.ravel().tolist()
    assert [*map(float, said[36:])] == here.distances.ravel().tolist()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_traced_searches_measure_by_difference_too(metric, offset, scale):
    """In float32: unit vectors are off by 1e-7, which is so much of a small cosine distance."""
    rng = np.random.default_rng(0)
    made = ((rng.normal(size=(60, 600)) + offset) * scale).astype(np.float32)
    made[3], made[4] = made[5], 0

    def search(q, d):
        return nearest_neighbors(q, d, k=7, metric=metric)

    tolerance = {"relative": 3e-6} if metric == "euclidean" else {"relative": 1e-3}
    tolerance["absolute"] = 1e-12
    for found in (
        jax.jit(search)(made[:9], made),
        jax.tree.map(lambda x: x[0], jax.vmap(search)(made[None, :9], made[None])),
    ):
        check(found, made[:9], made, metric, 7, **tolerance)
    own = jax.jit(lambda d: nearest_neighbors(d, d, k=59, metric=metric, exclude_self=True))(made)
    check(own, made, made, metric, 59, np.arange(60), **tolerance)


def test_vectors_known_while_tracing_are_searched_exactly():
    made = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    known = jnp.asarray(made)
    found = jax.jit(lambda x: (nearest_neighbors(made, known, k=2), x))(1)[0]
    check(found, made, made, "cosine", 2)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_gradients_equal_differences_and_are_0_where_a_vector_meets_itself(metric):
    rng = np.random.default_rng(0)
    database = rng.normal(size=(30, 6)).astype(np.float32)

    def total(q, k):
        return nearest_neighbors(q, database, k=k, metric=metric).distances.sum()

    queries = rng.normal(size=(2, 6)).astype(np.float32)
    slopes = jax.grad(total)(queries, 3)
    step = np.zeros_like(queries)
    step[1, 2] = 2.0**-10
    after, before = (
        np.sort(brute_force(queries + change, database, metric), axis=1)[:, :3].sum()
        for change in (step, -step)
    )
    expected = (after - before) / 2.0**-9
    np.testing.assert_allclose(slopes[1, 2], expected, rtol=1e-3)
    np.testing.assert_allclose(jax.grad(total)(database[:3], 1), 0, atol=1e-6)


def test_queries_may_be_any_rows_of_the_database():
    database = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    rows = np.array([7, 3, 3, 39])
    found = nearest_neighbors(database[rows], database, k=39, own=rows)
    check(found, database[rows], database, "cosine", 39, rows)


def test_agreement_counts_neighbors_of_the_same_label():
    labels = ["cat", "cat", "dog", "dog"]
    indices = np.array([[1, 2], [0, 3], [3, 0], [1, 0]])
    assert label_agreement(indices, labels, labels) == 3 / 8
    assert label_agreement(indices[:, :1], labels, labels) == 3 / 4


@pytest.mark.parametrize(
    ("queries", "database", "options", "said"),
    [
        ((2, 3), (4, 5), {"k": 1}, "expected"),
        ((0, 3), (4, 3), {"k": 1}, "expected vectors"),
        ((2, 3), (4, 3), {"k": 5}, "1 to 4"),
        ((4, 3), (4, 3), {"k": 4, "exclude_self": True}, "1 to 3"),
        ((2, 3), (4, 3), {"k": 4, "own": [0, 1]}, "1 to 3"),
        ((2, 3), (4, 3), {"k": 1, "own": [0, 4]}, "own: .* 0 to 3"),
        ((2, 3), (4, 3), {"k": 1, "own": [0]}, "own: expected 2"),
        ((2, 3), (4, 3), {"k": 1, "exclude_self": True}, "exclude_self"),
        ((2, 3), (4, 3), {"k": 1, "metric": "manhattan"}, "cosine, euclidean"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(queries, database, options, said):
    with pytest.raises(InputError, match=said) as caught:
        nearest_neighbors(np.ones(queries, np.float32), np.ones(database, np.float32), **options)
    assert "\n" not in str(caught.value)
