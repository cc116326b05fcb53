"""The common fitter of scaling laws."""
