"""Memory, time and cost: measured side by side, and modelled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "measure": ["Rates", "compare", "speed_ratio"],
        "workers": ["RateWorkers"],
    },
)
