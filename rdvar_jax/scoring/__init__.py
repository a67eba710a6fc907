"""Features become anomaly maps and scores; scores become metrics."""
