"""Loss and error of over-trained models: the chained estimator and what tests it."""
