"""Pass rates against size: stopped counts, the task scaling law by likelihood, instance by instance, and its bend."""
