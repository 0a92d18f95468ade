"""Evaluations as `evaluation.json` has them, made by hand: for what only shows them."""

from typing import Any


def verdict(subject: str = "accuracy drop", slice_name: str = "overall", outcome: str = "pass") -> dict[str, Any]:
    return {
        "subject": subject,
        "slice": slice_name,
        "limit": 0.02,
        "is_upper": True,
        "value": 0.01,
        "lower": 0.0,
        "upper": 0.015,
        "num_examples": 200,
        "outcome": outcome,
        "more_examples": None,
        "text": f"{subject} on {slice_name}: {outcome}",
        "p_value": 0.01,
        "tends_to": "",
        "obstacle": "",
    }


def target(name: str = "edgetpu", *, runs: bool = True, **more: Any) -> dict[str, Any]:
    placements = [
        {"op": "CONV_2D", "tensor": "conv", "macs": 1200, "is_accelerated": True, "reason": ""},
        {"op": "CUMSUM", "tensor": "sums", "macs": 0, "is_accelerated": False, "reason": "it does not have it"},
    ]
    return {
        "target": name,
        "runs": runs,
        "accelerated_share": 0.987,
        "placements": placements,
        "reasons": ["CUMSUM: it does not have it"],
        "source": "a list",
        "arena_bytes": None,
        "max_difference": None,
        "details": {},
        **more,
    }


def candidate(name: str, outcome: str = "pass", **more: Any) -> dict[str, Any]:
    """A candidate's report with all that there can be."""
    drops = {"value": 0.94, "drop": 0.01, "lower": -0.005, "upper": 0.02}
    return {
        "name": name,
        "scheme": "int8",
        "content_digest": "sha256:00ff",
        "size_bytes": 12_345,
        "gzip_bytes": 6_789,
        "metrics": {"accuracy": 0.94},
        "drop": {"accuracy": 0.01},
        "latency_ms": 0.25,
        "latency_p90_ms": 0.5,
        "memory_bytes": 100_000,
        "slices": {place: {"accuracy": drops} for place in ("overall", "digit=0", "digit=1")},
        "changes": [[3, 8, 2]],
        "targets": {"edgetpu": target()},
        "device": None,
        "verdict": outcome,
        "reasons": [f"accuracy drop 0.01, limit 0.02: {outcome}"],
        "verdicts": [verdict(outcome=outcome), verdict(slice_name="digit=0", outcome="not judged")],
        "is_pareto": outcome == "pass",
        "confidence": None,
        **more,
    }


def unreadable(name: str) -> dict[str, Any]:
    """A candidate's report when its file could not be read."""
    nothing = dict.fromkeys(
        ("content_digest", "size_bytes", "gzip_bytes", "latency_ms", "latency_p90_ms", "memory_bytes", "device")
    )
    empty: dict[str, Any] = {"metrics": {}, "drop": {}, "slices": {}, "changes": [], "targets": {}, "verdicts": []}
    return candidate(name, "fail", reasons=["no file there"], **nothing, **empty)


def evaluation(*candidates: dict[str, Any], chosen: str | None = None, **more: Any) -> dict[str, Any]:
    known = candidates or (candidate("int8"), candidate("float16", "fail"))
    return {
        "schema_version": 2,
        "num_examples": 2_000,
        "primary_metric": "accuracy",
        "config": {
            "split": "eval",
            "confidence": 0.95,
            "thresholds": [{"metric": "accuracy", "max_drop": 0.02, "min_value": None, "slice": "*"}],
        },
        "slices": {"overall": 2_000, "digit=0": 1_000, "digit=1": 1_000},
        "baseline": {
            "metrics": {"accuracy": 0.95},
            "size_bytes": 50_000,
            "gzip_bytes": 40_000,
            "latency_ms": 0.5,
            "latency_p90_ms": 0.6,
            "memory_bytes": 200_000,
        },
        "candidates": list(known),
        "chosen": chosen,
        "nearest_miss": None,
        "warnings": [],
        **more,
    }
