"""The laboratory chapter: what was recorded about the reference family, its tables and its charts."""
