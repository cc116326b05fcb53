"""The book itself: executing chapters, the claims ledger, figure style, the command line."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "browser": ["SCREENS", "THEMES", "find_chromium", "html_pages"],
        "build": ["build_book"],
        "chapters": ["PARTS", "ChapterSource", "find_chapter", "find_chapters"],
        "claims": ["Claim", "criterion_hash", "load_claims"],
        "execute": ["execute_chapter"],
        "figures": ["PALETTE", "figure_style"],
        "ledger": ["ledger_rows"],
        "page_checks": ["broken_links", "images_without_text", "search_book", "survey_pages"],
        "results": ["load_results"],
        "screenshots": ["take_screenshots"],
        "session": ["ChapterSession", "open_chapter"],
        "verdicts": ["decide"],
    },
)
