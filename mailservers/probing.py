"""Asking whether another way into a server answers before it is offered as a cure (spec D3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from mailservers.fixes import neighbours, way
from protocols.endpoint import Endpoint, Protocol, Security
from protocols.errors import MailError, Unreachable
from protocols.steps import StepName

PATIENCE: Final = 4.0  # seconds for each answer of a neighbour; somebody waits for the verdict


def answering_fixes(
    error: MailError,
    fixes: dict[str, str],
    *,
    protocol: Protocol,
    endpoint: Endpoint,
    answers: Callable[[Endpoint], bool],
) -> dict[str, str]:
    """Return `fixes` where they lead to a port that answers, or the neighbour that does; empty where none does.

    Fixes that stay at the port that was checked are not asked about: it has answered. Without fixes, and where nothing
    answered at that port, the neighbours are asked. Waits for the network.

    answers: whether a server gives a trusted greeting at an endpoint; nobody logs in there.
    """
    if "port" in fixes:
        asked = [(int(fixes["port"]), Security(fixes["security"]))]
    elif not fixes and isinstance(error, Unreachable) and error.step is StepName.TCP:
        asked = neighbours(protocol, endpoint)
    else:
        return fixes
    there = [replace(endpoint, port=port, security=security, timeout=PATIENCE) for port, security in asked]
    found = _first(there, answers)
    return way(found.port, found.security) if found is not None else {}


def _first(endpoints: Sequence[Endpoint], answers: Callable[[Endpoint], bool]) -> Endpoint | None:
    """The first of `endpoints` that answers; all are asked at the same time."""
    if not endpoints:
        return None
    with ThreadPoolExecutor(len(endpoints), thread_name_prefix="neighbour") as pool:
        answered = list(pool.map(answers, endpoints))
    return next((endpoint for endpoint, ok in zip(endpoints, answered, strict=True) if ok), None)
