"""FU1xx: activations fused into the anchor before them."""
