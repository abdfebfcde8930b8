"""Foundations every room may use: errors, named random streams, array guards, optional imports, progress."""
