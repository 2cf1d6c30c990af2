"""A small web server on this machine, for downloads that go wrong on purpose, and archives as GitHub makes them."""

import io
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback(ThreadingHTTPServer):
    """Serves what `files` holds by path.

    Attributes:
        files: Content by path.
        asked: The paths that were asked for.
        cut: ``"length"`` or ``"chunks"``: how to end the next answers in their middle; None to be good.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.asked, self.cut = {}, [], None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.server.cut == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content) // 2, content[: len(content) // 2]))
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.server.cut else content)
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def archive(files, top="repository-0123abc/"):
    """Zip contents by path below one top folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for path, content in files.items():
            opened.writestr(top + path, content)
    return buffer.getvalue()
