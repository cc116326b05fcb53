"""Laws of the loss: against size, data, compute and what else a run can choose."""
