"""Measuring detectors on public data sets: layouts, protocols, a runner, figures and pages."""
