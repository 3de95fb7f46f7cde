"""The application for a WSGI server: `webservice.wsgi:app`."""

from webservice.app import create_app

app = create_app()
