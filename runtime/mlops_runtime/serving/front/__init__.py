"""The server front: granian's RSGI interface (asyncio) before the WSGI application, which runs in threads.

Bodies are read and responses are written on the event loop, so that a slow client never holds a thread.
"""
