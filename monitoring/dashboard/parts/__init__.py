"""Parts of pages: each draws what the API answered about one thing."""
