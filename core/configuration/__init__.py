"""The parts of `core.settings`: a model for each component, the names, the reading of sources, and the documents."""
