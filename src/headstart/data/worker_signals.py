"""Loader processes leave stop signals to the process that trains.

A terminal sends Ctrl-C, and a scheduler its warning, to all processes of a job at once. A loader that died of it would
end the step that the training still wants to finish.
"""

import os
import signal
import threading

LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGUSR1)


def outlive_signals(_: int = 0) -> None:
    """Ignore stop signals in a loader process; but end at a SIGTERM of the parent, which wants to get rid of it.

    A ``worker_init_fn`` for ``torch.utils.data.DataLoader``.
    """
    for number in LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for SIGTERM, and leave where the parent sent it: only the sender tells the one from the other."""
    while True:
        if signal.sigwaitinfo([signal.SIGTERM]).si_pid == os.getppid():
            os._exit(0)
