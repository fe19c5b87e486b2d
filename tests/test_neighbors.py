"""Neighbors equal brute force in double precision; agreement is what counting gives."""

import functools
from unittest import mock

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxviz import InputError, label_agreement, nearest_neighbors
from jaxviz.techniques.neighbors import estimates
from jaxviz.techniques.neighbors import search as neighbors


def brute_force(queries, database, metric):
    q, d = queries.astype(np.float64), database.astype(np.float64)
    if metric == "euclidean":
        return np.sqrt(((q[:, None] - d[None]) ** 2).sum(-1))
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(d, axis=1)[None]
    return 1 - np.divide(q @ d.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)


@st.composite
def searches(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dim, number = draw(st.integers(1, 8)), draw(st.integers(2, 12))
    database = rng.integers(-3, 4, size=(number, dim)).astype(np.float32)
    queries = rng.integers(-3, 4, size=(draw(st.integers(1, 5)), dim)).astype(np.float32)
    k = draw(st.integers(1, number - 1))
    return queries, database, k, draw(st.sampled_from(["cosine", "euclidean"]))


@given(searches())
def test_equals_brute_force(search):
    queries, database, k, metric = search
    found = nearest_neighbors(queries, database, k=k, metric=metric)
    true = brute_force(queries, database, metric)
    np.testing.assert_allclose(found.distances, np.sort(true, axis=1)[:, :k], atol=2e-3)
    picked = np.take_along_axis(true, np.asarray(found.indices), axis=1)
    np.testing.assert_allclose(picked, found.distances, atol=2e-3)
    assert all(len(set(row)) == k for row in np.asarray(found.indices).tolist())


@given(searches())
def test_no_row_is_its_own_neighbor_when_excluded(search):
    _, database, k, metric = search
    found = nearest_neighbors(database, database, k=k, metric=metric, exclude_self=True)
    assert (np.asarray(found.indices) != np.arange(len(database))[:, None]).all()
    assert np.isfinite(found.distances).all()


PLACES = ["_search_on_host", "_search_pieces"]  # the latter is for accelerators, but runs here too


def in_pieces(
    where, queries, database, *, piece, block=2048, rough=False, metric="cosine", **given
):
    """A search of small pieces in one place, whatever the database's size."""
    options = {"exclude_self": False, "metric": metric} | given
    with (
        mock.patch.multiple(neighbors, _PIECE_BYTES=piece, _QUERIES=block, _MANY=0),
        mock.patch.object(estimates, "halves_are_faster", lambda *_: rough),
    ):
        return getattr(neighbors, where)(queries, database, **options)


def check_pieces(where, search, exclude_self, **given):
    queries, database, k, metric = search
    queries = database if exclude_self else queries
    options = {"k": k, "metric": metric, "exclude_self": exclude_self}
    whole = nearest_neighbors(queries, database, **options)
    pieces = in_pieces(where, queries, database, **options, **given)
    np.testing.assert_allclose(pieces.distances, whole.distances, atol=2e-3)
    true = brute_force(queries, database, metric)
    picked = np.take_along_axis(true, pieces.indices, axis=1)
    np.testing.assert_allclose(picked, whole.distances, atol=2e-3)
    assert all(len(set(row)) == k for row in pieces.indices.tolist())


@given(searches(), st.integers(1, 200), st.integers(1, 3), st.booleans(), st.booleans())
def test_a_search_on_the_host_finds_the_same(search, piece, block, exclude_self, rough):
    check_pieces("_search_on_host", search, exclude_self, piece=piece, block=block, rough=rough)


@given(searches(), st.integers(1, 200), st.integers(1, 3), st.booleans())
@settings(max_examples=6)
def test_a_search_in_pieces_on_devices_finds_the_same(search, piece, block, exclude_self):
    check_pieces("_search_pieces", search, exclude_self, piece=piece, block=block)


@st.composite
def vectors(draw):
    """Rows near one another or not, of like lengths or not, with zeros or without, and a zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    made = rng.normal(size=(draw(st.integers(100, 300)), draw(st.integers(1, 40))))
    made += draw(st.sampled_from([0, 1, 300]))
    made *= 10 ** rng.uniform(-draw(st.integers(0, 4)), 0, size=(len(made), 1))
    made[rng.random(made.shape) < draw(st.sampled_from([0, 0.7]))] = 0
    made[draw(st.integers(0, len(made) - 1))] = 0
    return made.astype(np.float32)


@given(vectors(), st.integers(1, 12), st.sampled_from(["cosine", "euclidean"]), st.booleans())
def test_roughestimates_change_nothing(database, k, metric, exclude_self):
    """The same numbers, and right ones also where rows lie closer than estimates can tell."""
    queries = database if exclude_self else database[::7] + np.float32(0.01)
    options = {"k": k, "metric": metric, "exclude_self": exclude_self, "piece": 4 * 40 * 64}
    exact, rough = (
        in_pieces("_search_on_host", queries, database, rough=rough, **options)
        for rough in (False, True)
    )
    np.testing.assert_array_equal(rough.indices, exact.indices)
    np.testing.assert_array_equal(rough.distances, exact.distances)
    true = brute_force(queries, database, metric)
    if exclude_self:
        np.fill_diagonal(true, np.inf)
    expected = np.sort(true, axis=1)[:, :k]
    np.testing.assert_allclose(exact.distances, expected, rtol=1e-4, atol=1e-6)


@given(vectors(), st.sampled_from(["singles", "halves"]))
def test_no_estimate_is_off_by_more_than_it_says(rows, kind):
    queries = rows[::3]
    made = getattr(estimates, kind)(queries)
    true = rows.astype(np.float64) @ queries.astype(np.float64).T
    lengths = (np.linalg.norm(some.astype(np.float64), axis=1) for some in (rows, queries))
    bounds = made.error * np.multiply.outer(*lengths)
    assert (np.abs(made.products(rows) - true) <= bounds + 1e-30).all()


def test_rows_that_are_not_finite_are_near_to_nothing_and_such_queries_refused():
    database = np.eye(9, dtype=np.float32)
    database[::2, 3] = np.nan, np.inf, -np.inf, np.nan, np.nan
    search = functools.partial(in_pieces, "_search_on_host", database=database, piece=70)
    found = search(database[1:4:2], k=4)
    assert found.indices.tolist() == [[1, 3, 5, 7], [3, 1, 5, 7]]
    for queries, k, said in ((database[:2], 4, "queries"), (database[1:2], 5, "database")):
        with pytest.raises(InputError, match=f"^{said}: .*finite"):
            search(queries, k=k)


def test_only_a_long_search_asks_what_is_faster():
    rng = np.random.default_rng(0)
    database = rng.normal(size=(300, 4)).astype(np.float32)
    with (
        mock.patch.object(neighbors, "_PIECE_BYTES", 100),
        mock.patch.object(estimates, "halves_are_faster", side_effect=AssertionError),
    ):
        nearest_neighbors(database[:2], database, k=1)
        with pytest.raises(AssertionError), mock.patch.object(neighbors, "_MANY", 2 * 1199):
            nearest_neighbors(database[:2], database, k=1)
    assert estimates.halves_are_faster(3, 4) in (True, False)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("where", PLACES)
def test_equal_distances_go_to_the_smaller_index_in_pieces_too(where, metric):
    database = np.tile(np.eye(4, dtype=np.float32), (50, 1))
    found = in_pieces(where, database[:4], database, piece=4 * 4 * 7, k=60, metric=metric)
    for row in range(4):
        others = [i for i in range(200) if i % 4 != row]
        assert found.indices[row].tolist() == [*range(row, 200, 4), *others[:10]]


@given(st.integers(0, 2**16), st.integers(1, 40), st.sampled_from(["cosine", "euclidean"]))
def test_host_and_faiss_find_the_same(seed, k, metric):
    """Also where each row is nearer than those before, of any length, and k exceeds a piece."""
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(seed)
    database = rng.normal(size=(200, 12)).astype(np.float32)
    database *= np.geomspace(100, 0.01, 200, dtype=np.float32)[:, None]
    queries = rng.normal(size=(7, 12)).astype(np.float32)
    found = in_pieces("_search_on_host", queries, database, piece=4 * 12 * 30, k=k, metric=metric)
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
    assert (found.indices < 200).all()


def test_many_queries_of_few_numbers_take_no_more_memory():
    database = np.zeros((20_000, 1), np.float32)
    with mock.patch.object(np, "matmul", wraps=np.matmul) as product:
        in_pieces("_search_on_host", database[:100], database, piece=4 * 100 * 500, k=1)
    sizes = [call.args[0].shape[0] * call.args[1].shape[1] for call in product.call_args_list]
    assert max(sizes) <= 100 * 500


def test_a_memory_mapped_database_is_searched(tmp_path):
    rng = np.random.default_rng(0)
    database = rng.normal(size=(500, 16)).astype(np.float32)
    np.save(tmp_path / "database.npy", database)
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    whole = nearest_neighbors(database[:9], database, k=5)
    with mock.patch.object(neighbors, "_PIECE_BYTES", 4 * 16 * 64):
        found = nearest_neighbors(mapped[:9], mapped, k=5)
    assert isinstance(found.indices, np.ndarray)
    np.testing.assert_array_equal(found.indices, whole.indices)


def test_equal_distances_go_to_the_smaller_index():
    database = np.tile(np.eye(2, dtype=np.float32), (3, 1))
    for metric in ("cosine", "euclidean"):
        found = nearest_neighbors(database[:1], database, k=6, metric=metric)
        assert found.indices.tolist() == [[0, 2, 4, 1, 3, 5]]


def test_jit_changes_nothing():
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(4, 6)), rng.normal(size=(9, 6))

    def search(q, d):
        return nearest_neighbors(q, d, k=3)

    q, d = queries.astype(np.float32), database.astype(np.float32)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        search(q, d),
        jax.jit(search)(q, d),
    )


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
        ((2, 3), (4, 3), {"k": 1, "exclude_self": True}, "exclude_self"),
        ((2, 3), (4, 3), {"k": 1, "metric": "manhattan"}, "cosine, euclidean"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused_in_one_line(queries, database, options, said):
    with pytest.raises(InputError, match=said) as caught:
        nearest_neighbors(np.ones(queries, np.float32), np.ones(database, np.float32), **options)
    assert "\n" not in str(caught.value)
