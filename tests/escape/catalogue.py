"""The published catalogue of attacks (`catalogue.json`), and what is wrong with how one ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["ATTACKS", "PRELUDE", "orders", "problem"]

_DOCUMENT: Final = json.loads((Path(__file__).parent / "catalogue.json").read_text("utf-8"))
PRELUDE: Final[str] = _DOCUMENT["prelude"]
ATTACKS: Final[Mapping[str, Mapping[str, Any]]] = {
    attack["id"]: attack
    for attack in _DOCUMENT["attacks"]
    if attack["expectation"]["outcome"] != "supply"  # supply's own tests have those
}
_LIMITS: Final = {
    "data": "memory_bytes",
    "nproc": "processes",
    "nofile": "open_files",
    "fsize": "file_bytes",
}
_BRIEF_SECONDS: Final = 3.0
_OURS: Final = ("never_started", "wall_unavailable", "bad_call", "not_found", "wrong_type")


def orders(attack: Mapping[str, Any]) -> dict[str, object]:
    """The attack as a driver takes it."""
    limits = {_LIMITS[name]: value for name, value in attack.get("lim", {}).items()}
    if attack["expectation"]["outcome"] in ("timeout", "contained"):
        limits["wall_seconds"] = attack.get("timeout", _BRIEF_SECONDS)
    return {"id": attack["id"], "source": PRELUDE + attack["code"], "limits": limits}


def problem(attack: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    """What is not as the catalogue says; nothing when all is."""
    verdict, value = outcome["verdict"], outcome["value"]
    expected = attack["expectation"]["outcome"]
    said = f"{verdict} {value!r} {outcome['failure'] and outcome['failure']['message']}"[:300]
    if verdict in _OURS:
        return f"the run was not tried: {said}"
    is_wrong = {
        "denied": not str(value).startswith("DENIED") and verdict != "processes_exceeded",
        "value": value != attack["expectation"].get("value"),
        "timeout": verdict != "timeout",
        # what speaks on the result's descriptor is stopped before it can die of anything else
        "killed": verdict not in ("killed", "protocol_violation"),
        "protocol": verdict not in ("protocol_violation", "no_result", "exited"),
        "contained": verdict == "ok" and not attack.get("allow_ok") and "ESC" in str(value),
    }
    return f"not {expected}: {said}" if is_wrong[expected] else ""
