"""Real models: how they are built and quantized, and the campaign that judges their lowerings (``make zoo``)."""
