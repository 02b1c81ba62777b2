"""Names, schemas, settings and time: what every other package may import."""
