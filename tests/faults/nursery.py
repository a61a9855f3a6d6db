"""Runs ``headstart`` in children that can be killed at any moment, without the seconds that importing PyTorch takes.

Spoken to by ``killing.py``: a line of JSON words in; out the child's process id, and when it has ended its exit code
(negative: the signal that ended it).
"""

import importlib
import json
import os
import sys

import timm  # noqa: F401  - what the verbs would import on their way
import torch

from headstart.cli import main

for room in ("tasks.pretrain", "tasks.classify", "tasks.segment", "studies.execute", "inference.predict"):
    importlib.import_module(f"headstart.{room}")
torch.set_num_threads(1)


def live(words: list[str], log: str) -> None:
    """What the child does: a session of its own, its words in ``log``, and no return."""
    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    code = 70
    try:
        code = main(words)
    finally:
        sys.stdout.flush()
        os._exit(code)


for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        live(order["words"], order["log"])
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
