"""Neural networks, one architecture a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "decoder": ["Decoder", "DecoderConfig"],
        "export": ["export_decoder", "transformers_tokenizer"],
        "hugging_face": ["HuggingFaceConfig", "HuggingFaceDecoder"],
        "generation": ["CachedDecoder", "PADDING", "Samples", "sample"],
    },
)
