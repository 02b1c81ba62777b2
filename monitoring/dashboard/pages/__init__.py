"""The pages: one module each, with a function `draw` that draws it for a book."""
