"""An extension for Google's Model Explorer: ``model-explorer FILE --extensions=fuseguard.model_explorer``."""
