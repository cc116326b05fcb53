"""Where predictability is lost on the way from likelihoods to accuracy: items of the family, forecasts, charts."""
