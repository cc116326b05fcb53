"""Generated skills: graded problems with one right answer, and the stream of them in the training text."""
