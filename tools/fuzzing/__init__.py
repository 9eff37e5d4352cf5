"""Makes damaged and forged files of every format that fuseguard reads, and judges what a check does with each."""
