"""What a model can do: cloze questions, exact pass probabilities, and the battery that asks them all."""
