"""Anomaly maps and scores from features, metrics and thresholds from scores."""
