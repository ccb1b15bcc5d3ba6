"""Reports of performance and skew in words, as a terminal shows them."""

from clew.monitoring.schema import PerformanceReport, SkewReport

__all__ = ["performance_in_words", "skew_in_words"]


def performance_in_words(report: PerformanceReport) -> str:
    """The figures with their interval, unit and count."""
    figures = report.figures
    counts = f"{figures.blocks} {figures.unit}, {figures.rows:,} rows; {figures.waiting:,} wait for labels; {figures.unlabelled:,} got none"
    if report.word != "measured":
        return f"not enough data yet: {counts}"
    shown = [("AUC", figures.auc), ("log loss", figures.log_loss)]
    named = [f"{name} {one.estimate:.3f} ({one.level:.0%}: {one.low:.3f} to {one.high:.3f})" for name, one in shown if one is not None]
    return f"{', '.join(named)} over {counts}"


def skew_in_words(report: SkewReport) -> str:
    """Zero, or where it is."""
    if not report.cells:
        return "no answer to recompute"
    if report.none:
        return (
            f"no skew: all {report.cells:,} feature values of {report.rows:,} answers are the same when recomputed as known then "
            f"(tolerance {report.tolerance:g}, largest difference {report.largest:.2g})"
        )
    worst = sorted((one for one in report.features if one.differing), key=lambda one: -one.differing)
    named = ", ".join(f"{one.feature} of {one.view} in {one.differing:,} rows" for one in worst[:5])
    return f"skew: {report.differing:,} of {report.cells:,} feature values differ: {named}"
