"""Processes that work at the same time, so that the rate of a whole machine can be measured."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from densing.checks import check_choice, check_range

#: Makes the pieces of work of a process: name to a step that returns the units it did.
Setup = Callable[[Any], dict[str, Callable[[], float]]]


class RateWorkers:
    """A few processes, each with the same pieces of work, that run one of them alone or together.

    Parameters
    ----------
    setup : a function at the top of a module (it is imported in each process).
    argument : what `setup` is called with.
    processes : how many, >= 1.
    """

    def __init__(self, setup: Setup, argument: Any = None, *, processes: int = 2) -> None:
        check_range("processes", processes, 1, integer=True)
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            near, far = context.Pipe()
            process = context.Process(target=_work, args=(far, setup, argument), daemon=True)
            process.start()
            self._pipes.append(near)
            self._processes.append(process)
        self.names: list[str] = [self._receive(pipe) for pipe in self._pipes][0]

    def rate(self, name: str, seconds: float, *, processes: int = 1, threads: int = 1) -> float:
        """Units of work a second of `processes` of them together, each with `threads` threads.

        Steps are counted that a process finishes in its time; each process's rate is over its own steps.
        """
        check_choice("name", name, self.names)
        check_range("processes", processes, 1, len(self._pipes), integer=True)
        start = time.time() + 0.05  # all begin together
        for pipe in self._pipes[:processes]:
            pipe.send((name, seconds, threads, start))
        return sum(self._receive(pipe) for pipe in self._pipes[:processes])

    def close(self) -> None:
        """Stop the processes."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(timeout=10)
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, pipe: Connection) -> Any:
        answer = pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _work(pipe: Connection, setup: Setup, argument: Any) -> None:
    import torch

    try:
        torch.set_num_threads(1)
        steps = setup(argument)
        pipe.send(list(steps))
    except Exception as error:
        pipe.send(error)
        return
    while (command := pipe.recv()) is not None:
        name, seconds, threads, start = command
        try:
            torch.set_num_threads(threads)
            steps[name]()
            time.sleep(max(0.0, start - time.time()))
            done, begin = 0.0, time.perf_counter()
            while time.perf_counter() - begin < seconds:
                done += steps[name]()
            pipe.send(done / (time.perf_counter() - begin))
        except Exception as error:
            pipe.send(error)
