"""How runs are executed, measured, kept one file each, and merged into a sweep's table."""
