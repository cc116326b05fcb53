"""The density yardstick: curves fitted to the reference family, their noise, and densities measured against them."""
