"""The HTTP API under `/api/v1/`, put together from the routers of the apps (spec L1).

problems   every error as a problem document (RFC 9457)
gate       what is refused before any operation runs: methods, media types, sizes
schema     the OpenAPI 3.1 document
docs       the page that shows it
"""
