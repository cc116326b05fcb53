"""Published constants of L = E + A / N^alpha + B / D^beta on the Chinchilla runs, in nats per token."""

import math

#: Hoffmann et al. 2022, equation 10: approach 3 as printed.
HOFFMANN_PRINTED = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}
#: The same before rounding, as the notebook of Besiroglu et al. 2024 gives them (logarithms of A, B, E).
HOFFMANN_UNROUNDED = {
    "A": math.exp(6.0073404),
    "B": math.exp(6.0179186),
    "E": math.exp(0.5267228),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
#: Besiroglu et al. 2024, output of the notebook.
BESIROGLU = {"A": 477.84, "B": 2143.9, "E": 1.8172, "alpha": 0.34731, "beta": 0.36718}
