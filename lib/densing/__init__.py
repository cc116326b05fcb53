"""The library of The Densing Book. Import from its rooms: ``from densing.fitters import fit_trend``."""

__version__ = "0.1.0"
