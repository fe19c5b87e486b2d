"""Exact neighbors beside faiss's flat index and scikit-learn's brute force."""

import numpy as np
import pytest

import jaxviz

QUERIES, K = 1000, 10
SIZES = [  # rows, and numbers of each
    (1000, 256), (1000, 4096), (1000, 9216), (10_000, 256), (10_000, 1024), (10_000, 9216),
    (20_000, 4096), (100_000, 256), (100_000, 1024), (100_000, 4096), (100_000, 9216),
    (1_000_000, 256),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "dim"), SIZES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_neighbors(metric, rows, dim, tmp_path, compare):
    beside_others(QUERIES, metric, rows, dim, tmp_path, compare)


@pytest.mark.parametrize(("rows", "dim"), SIZES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_neighbors_one_query(metric, rows, dim, tmp_path, compare):
    beside_others(1, metric, rows, dim, tmp_path, compare)


def beside_others(number, metric, rows, dim, tmp_path, compare):
    """The database is mapped from disk for us, and lies in memory for the others.

    faiss knows no cosine: its vectors get unit length before, which is not timed. Distances are
    compared, not indices, because rows at the same distance to round-off may change places.
    """
    rng = np.random.default_rng(0)
    path = tmp_path / "features.npy"
    database = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dim))
    for first in range(0, rows, 1000):
        database[first : first + 1000] = rng.standard_normal((1000, dim), np.float32)
    queries = rng.standard_normal((number, dim), np.float32)
    del database
    mapped = np.load(path, mmap_mode="r")
    contestants = {
        "jaxviz": lambda: jaxviz.nearest_neighbors(queries, mapped, k=K, metric=metric).distances
    }
    makers = {"faiss": with_faiss}
    if (rows, dim) == (20_000, 4096):  # for more, scikit-learn would take minutes
        makers["scikit-learn"] = with_sklearn
    for name, make in makers.items():
        try:
            contestants[name] = make(queries, mapped, metric)
        except ImportError:
            continue
    about = {"database": rows, "dim": dim, "k": K}
    compare(contestants, number=number, unit="queries", rounds=5, **about)
    path.unlink()


def with_faiss(queries, database, metric):
    import faiss

    dim = database.shape[1]
    if metric == "euclidean":
        index = faiss.IndexFlatL2(dim)
    else:
        index, queries = faiss.IndexFlatIP(dim), queries.copy()
        faiss.normalize_L2(queries)
    for first in range(0, len(database), 1000):
        piece = np.array(database[first : first + 1000])
        if metric == "cosine":
            faiss.normalize_L2(piece)
        index.add(piece)

    def search():
        found, _ = index.search(queries, K)
        return np.sqrt(np.maximum(found, 0)) if metric == "euclidean" else 1 - found

    return search


def with_sklearn(queries, database, metric):
    from sklearn.neighbors import NearestNeighbors

    brute = NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric).fit(database)
    return lambda: brute.kneighbors(queries)[0]
