"""Model cards, after Mitchell et al. (2019), *Model Cards for Model Reporting*: from what is recorded, nothing made up."""

from typing import Any

from clew.catalog.schema import AssetVersion, GateVerdict
from clew.registry.schema import ModelDetails, ModelVersion

__all__ = ["write_card"]


def write_card(model: ModelVersion, verdicts: list[GateVerdict], *, seed: int | None = None) -> str:
    """Markdown of one version; ``seed`` is the one that its definition declares."""
    version, details = model.version, model.details
    if details.external is not None:
        return _external_card(version, details)
    lines = [f"# {version.ref}", "", version.why, ""]
    lines += ["## Made of", ""]
    if details.training_set:
        lines.append(f"- training set {details.training_set}")
    lines += [f"- feature view {used.view}@{used.number}: {', '.join(used.columns)}" for used in details.views]
    if details.trained_from and details.trained_to:
        lines.append(f"- rows from {details.trained_from:%Y-%m-%d} to {details.trained_to:%Y-%m-%d}")
    if details.refit_of:
        lines.append(f"- the refit of {details.refit_of}, which is what the gate looked at")
    lines += ["", "## How", ""]
    lines += [f"- {name}: {_shown(value)}" for name, value in details.parameters.items()]
    lines += [f"- seed: {seed}"] if seed is not None and "seed" not in details.parameters else []
    lines += [f"- {name} {value}" for name, value in details.libraries.items()]
    lines += ["", "## Judged", ""]
    lines += [f"- {verdict.gate}: **{verdict.word}**: {verdict.reason}" for verdict in verdicts] or ["- by no gate"]
    lines += [f"- {name} {value:.4f} in its own run" for name, value in details.metrics.items()]
    check = details.verification
    lines.append(f"- its ONNX export answers as the original within {check.largest_difference:.1e} on {check.rows:,} real rows")
    lines += [
        "",
        "## Limits",
        "",
        "- It has been judged on the rows named above and promises nothing of other seasons, places or populations.",
    ]
    missing = [one for verdict in verdicts for one in verdict.figures.get("report", {}).get("missing_views", [])]
    lines += [_without(one) for one in missing]
    return "\n".join(lines) + "\n"


def _external_card(version: AssetVersion, details: ModelDetails) -> str:
    external = details.external
    assert external is not None  # the caller has looked
    lines = [f"# {version.ref}", "", version.why, "", "## Asked", ""]
    lines += [
        f"- each row is sent to {external.url}, its answer is {external.answer or 'the whole body'}, within {external.timeout_ms:,} ms"
    ]
    lines += [f"- with the bearer token in {external.token_env} of the serving process"] if external.token_env else []
    if details.training_set:
        lines.append(f"- with the key, the event time and the fields of {details.training_set}, which also says what its label is")
    else:
        lines.append("- with no training set, so nothing says what its label is, and no version can be tried beside it")
    lines += ["", "## Limits", "", "- What it computes, and from what, is known to its owners alone: Clew sees its answers from now on."]
    return "\n".join(lines) + "\n"


def _shown(value: str | int | float | bool | None) -> str:
    """A parameter for people: six digits of a number tell one trial from another; the version's details hold them all."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _without(missing: dict[str, Any]) -> str:
    """One line of a gate's report on a view that brings nothing."""
    loss = missing["log_loss_without"]
    if loss is None:
        return f"- without {missing['view']} it has no answer"
    line = f"- without {missing['view']} its log loss was {loss:.3f} where it was {missing['log_loss']:.3f}"
    if missing.get("fallback") is None or missing.get("log_loss_fallback") is None:
        return line
    return f"{line}; with the declared fallback ({missing['fallback']}) {missing['log_loss_fallback']:.3f}"
