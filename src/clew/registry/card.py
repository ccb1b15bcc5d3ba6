"""Model cards, after Mitchell et al. (2019), *Model Cards for Model Reporting*: from what is recorded, nothing made up."""

from clew.catalog.schema import GateVerdict
from clew.registry.schema import ModelVersion

__all__ = ["write_card"]


def write_card(model: ModelVersion, verdicts: list[GateVerdict]) -> str:
    """Markdown of one version."""
    version, details = model.version, model.details
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
    lines += [f"- {name}: {value}" for name, value in details.parameters.items()]
    lines += [f"- {name} {value}" for name, value in details.libraries.items()]
    lines += ["", "## Judged", ""]
    lines += [f"- {verdict.gate}: **{verdict.word}**: {verdict.reason}" for verdict in verdicts] or ["- by no gate"]
    lines += [f"- {name} {value:.4f} in its own run" for name, value in details.metrics.items()]
    check = details.verification
    lines.append(f"- its ONNX export answers as the original within {check.largest_difference:.1e} on {check.rows:,} real rows")
    lines += ["", "## Limits", "", "- It has been judged on the rows named above and promises nothing of other seasons, places or populations."]
    missing = [one for verdict in verdicts for one in verdict.figures.get("report", {}).get("missing_views", [])]
    lines += [f"- without {one['view']} its log loss was {one['log_loss_without']:.3f} where it was {one['log_loss']:.3f}" for one in missing]
    return "\n".join(lines) + "\n"
