"""The dashboard: pages in the browser, a client of the REST API alone. It imports no other package of the desk."""
