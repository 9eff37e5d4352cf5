"""What runs the delegates of a lowered program: the TOSA reference model, or the VGF on Vulkan.

``status`` and ``vulkan`` find out what there is, and import neither torch nor executorch. ``vgf`` runs a VGF in a
process of its own.
"""
