"""Where workloads come in: one load at a time in a thread of its own, files in parts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hydra_nb.errors import HydraError, InvalidInputError
from hydra_nb.routing import Predictor
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.workload_loading import (
    Loading,
    LoadingCancelledError,
    LoadingJob,
    Source,
    checked_size,
    checked_suffix,
    read_bytes,
    read_pasted,
    read_sample,
)

if TYPE_CHECKING:
    from hydra_nb.workload import Workload

logger = logging.getLogger(__name__)


class Intake:
    """Loads workloads; a newer load takes the place of an older one.

    Args:
        store: whose predictor scores, and whose lock is taken.
        changed: called under the lock after `loading` has changed.
        loaded: takes a workload over, called under the lock.
    """

    def __init__(
        self,
        store: Store,
        *,
        changed: Callable[[], None],
        loaded: Callable[[Workload, Source], None],
    ) -> None:
        self.loading = Loading()
        self._store, self._changed, self._loaded = store, changed, loaded
        self._job: LoadingJob | None = None
        self._upload: tuple[str, bytearray] = ("", bytearray())
        self._thread: threading.Thread | None = None

    def wait(self, seconds: float = 600.0) -> None:
        """Return once no workload is being loaded any more, or after `seconds`."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def sample(self, name: str) -> None:
        """Load a bundled workload in the background."""
        source = Source(f"{name} (bundled)", f"Workload.sample({name!r})")
        self._load(name, source, lambda job: read_sample(name, job))

    def pasted(self, text: str) -> None:
        """Score pasted prompts in the background."""
        tokens = self._store.settings.tokens_output
        load = lambda job: read_pasted(text, job, tokens_output=tokens)  # noqa: E731
        self._load("pasted prompts", Source("pasted prompts"), load)

    def receive(self, name: str, size: int, offset: int, data: bytes) -> None:
        """Take over a part of a file; with the last one it is read in the background.

        Raises:
            InvalidInputError: the file is too large or of an unknown kind, or a part is missing.
        """
        with self._store.lock:
            try:
                self._receive(name, size, offset, data)
            except InvalidInputError as error:
                self._upload = ("", bytearray())
                self.loading = Loading("error", name, message=str(error))
                self._changed()
                raise

    def _receive(self, name: str, size: int, offset: int, data: bytes) -> None:
        if offset == 0:
            checked_suffix(name)
            checked_size(name, size)
            if self._job is not None:
                self._job.cancel()
            self._upload = (name, bytearray())
        known, so_far = self._upload
        if known != name or offset != len(so_far) or offset + len(data) > size:
            raise InvalidInputError(f"{name!r:.80} arrived in the wrong order; open it again")
        so_far.extend(data)
        if len(so_far) < size:
            self.loading = Loading("receiving", name, len(so_far), size)
            self._changed()
            return
        whole, tokens = bytes(so_far), self._store.settings.tokens_output
        self._upload = ("", bytearray())
        load = lambda job: read_bytes(name, whole, job, tokens_output=tokens)  # noqa: E731
        self._load(name, Source(name), load)

    def cancel(self) -> None:
        """Stop loading; the workload that is there stays."""
        with self._store.lock:
            if self._job is not None:
                self._job.cancel()
            self._job, self._upload = None, ("", bytearray())
            self.loading = Loading()
            self._changed()

    def _load(self, label: str, source: Source, load: Callable[[LoadingJob], Workload]) -> None:
        with self._store.lock:
            if self._job is not None:
                self._job.cancel()
            job = LoadingJob(label, self._predictor, self._told)
            self._job, self.loading = job, Loading("reading", label)
            self._thread = threading.Thread(
                target=self._run_job, args=(job, source, load), daemon=True
            )
            self._changed()
            self._thread.start()

    def _run_job(
        self, job: LoadingJob, source: Source, load: Callable[[LoadingJob], Workload]
    ) -> None:
        try:
            workload = load(job)
            job.check()
        except LoadingCancelledError:
            return
        # A predictor may be anybody's: its failure is a state of the screen, not its end.
        except Exception as error:
            if not isinstance(error, HydraError):
                logger.exception("the workload could not be loaded")
            self._told(job, Loading("error", job.label, message=str(error) or repr(error)))
            return
        with self._store.lock:
            if job is self._job:
                self._job, self.loading = None, Loading()
                self._loaded(workload, source)

    def _told(self, job: LoadingJob, loading: Loading) -> None:
        with self._store.lock:
            if job is self._job:
                self.loading = loading
                self._changed()

    def _predictor(self) -> Predictor | None:
        failure = self._store.encoder_failure
        if self._store.predictor is None and failure:
            raise InvalidInputError(f"the encoder could not be loaded: {failure}")
        return self._store.predictor
