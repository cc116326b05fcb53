"""One training loop, its schedules and objectives, and trunks with decayed branches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "branches": ["Trunk", "train_branches"],
        "objectives.distillation": ["Student", "logit_distillation"],
        "schedules": ["constant", "cosine", "wsd"],
        "trainer": ["Trainer", "TrainingHooks"],
    },
)
