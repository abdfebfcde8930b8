"""Learning rules, one small file each."""
