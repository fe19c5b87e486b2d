"""Exact neighbors beside faiss's flat index and scikit-learn's brute force."""

import numpy as np
import pytest

import jaxviz

QUERIES, DIM, K = 1000, 4096, 10


@pytest.mark.parametrize("rows", [20_000, 100_000])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_neighbors(metric, rows, tmp_path, compare):
    beside_others(QUERIES, metric, rows, tmp_path, compare)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def bench_neighbors_one_query(metric, tmp_path, compare):
    beside_others(1, metric, 100_000, tmp_path, compare)


def beside_others(number, metric, rows, tmp_path, compare):
    """The database is mapped from disk for us, and lies in memory for the others.

    faiss knows no cosine: its vectors get unit length before, which is not timed. Distances are
    compared, not indices, because rows at the same distance to round-off may change places.
    """
    rng = np.random.default_rng(0)
    path = tmp_path / "features.npy"
    database = np.lib.format.open_memmap(path, "w+", np.float32, (rows, DIM))
    for first in range(0, rows, 1000):
        database[first : first + 1000] = rng.standard_normal((1000, DIM), np.float32)
    queries = rng.standard_normal((number, DIM), np.float32)
    del database
    mapped = np.load(path, mmap_mode="r")
    contestants = {
        "jaxviz": lambda: jaxviz.nearest_neighbors(queries, mapped, k=K, metric=metric).distances
    }
    makers = {"faiss": with_faiss, "scikit-learn": with_sklearn}
    if rows > 50_000:  # where scikit-learn would take minutes
        del makers["scikit-learn"]
    for name, make in makers.items():
        try:
            contestants[name] = make(queries, mapped, metric)
        except ImportError:
            continue
    about = {"database": rows, "dim": DIM, "k": K}
    compare(contestants, number=number, unit="queries", rounds=5, **about)
    path.unlink()


def with_faiss(queries, database, metric):
    import faiss

    if metric == "euclidean":
        index = faiss.IndexFlatL2(DIM)
    else:
        index, queries = faiss.IndexFlatIP(DIM), queries.copy()
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
