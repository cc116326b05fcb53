"""Laws of scores and error rates: bounded curves."""
