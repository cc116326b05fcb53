"""Pass rates of the reference family: sampled, exact and greedy; the law of each task; forecasts; charts."""
