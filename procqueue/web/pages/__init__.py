"""The pages: each is a function from what is asked to what its template, or the API, shows. See app.py."""
