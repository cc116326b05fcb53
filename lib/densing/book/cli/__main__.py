"""``python -m densing.book.cli``."""

from densing.book.cli import main

main()
