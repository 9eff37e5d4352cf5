"""FU1xx: activations fused into the anchor in front of them."""
