"""A thread that is there while there is anything to do; the newest job wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")


class Background(Generic[Job]):
    """Works on jobs while there are any.

    Args:
        lock: guards what `wanted` looks at; `wake` is called under it.
        wanted: the newest job that is not done, `None` where there is none. What it has returned
            comes again until it is done, or another takes its place.
        work: does one job, called without the lock; must not raise.
    """

    def __init__(
        self,
        lock: AbstractContextManager[Any],
        wanted: Callable[[], Job | None],
        work: Callable[[Job], None],
    ) -> None:
        self._lock = lock
        self._wanted = wanted
        self._work = work
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Look for jobs, unless a thread is at it already and will look by itself."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def newest(self) -> Job | None:
        """Return the job that is wanted now."""
        with self._lock:
            return self._wanted()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work(job)

    def _next(self) -> Job | None:
        with self._lock:
            job = self._wanted()
            if job is None:
                self._thread = None
            return job
