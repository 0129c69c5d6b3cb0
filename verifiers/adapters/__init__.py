"""One reward in the shape that each trainer asks for."""
