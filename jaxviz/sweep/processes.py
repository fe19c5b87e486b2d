"""Several processes on one sweep: who takes which batches, and when all are done.

JAX's distributed runtime says who is who. The parts' states are merged through the files in the
output folder that all processes share, not through collectives: these files are there for resuming
anyway, they survive the death of any process, and merging needs no peer to be alive.
"""

import time
from typing import Any, NamedTuple

import jax

from .._checks import InputError

_LOOK_AGAIN = 0.2  # seconds


class Part(NamedTuple):
    """Which of how many processes this is."""

    process: int = 0
    processes: int = 1

    def batches(self, total: int) -> range:
        """The numbers of its batches, of `total`; all parts together have each once.

        >>> [list(Part(i, 3).batches(5)) for i in range(3)]
        [[0], [1, 2], [3, 4]]
        """
        first, last = (i * total // self.processes for i in (self.process, self.process + 1))
        return range(first, last)


ALONE = Part()


def join(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    cluster: bool = False,
) -> Part:
    """Join the other processes and say which part is this process's.

    Args:
        coordinator: "host:port" of process 0, which all processes can reach.
        num_processes: how many there are.
        process_id: which one this is, from 0.
        cluster: take all that from Slurm, Open MPI, Kubernetes or a TPU pod.

    Must be called before anything is computed. Without arguments there is one process.

    Raises:
        InputError: arguments that do not go together, or no way to reach the others.

    >>> join()
    Part(process=0, processes=1)

    """
    given = (coordinator, num_processes, process_id)
    if cluster:
        if any(one is not None for one in given):
            raise InputError("cluster: says all; leave out coordinator, num-processes, process-id")
        return _initialize("cluster", {})
    if all(one is None for one in given):
        return Part()
    if coordinator is None or num_processes is None or process_id is None:
        raise InputError("coordinator, num-processes and process-id belong together; give all")
    if not 0 <= process_id < num_processes:
        raise InputError(f"process-id: expected 0 to {num_processes - 1}, got {process_id}")
    options = {
        "coordinator_address": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
    }
    return _initialize(f"coordinator: {coordinator}", options)


def _initialize(name: str, options: dict[str, Any]) -> Part:
    try:
        jax.distributed.initialize(**options)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: could not join the processes ({reason})") from None
    return Part(jax.process_index(), jax.process_count())


def wait_a_little() -> None:
    """Give the other processes time; if one dies, JAX's runtime ends this one too."""
    time.sleep(_LOOK_AGAIN)
