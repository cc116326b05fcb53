"""The three published estimators of the optimal vocabulary."""
