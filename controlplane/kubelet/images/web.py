"""The program behind the image `nginx`: a small static web server on the pod's address.

Run as a script by path, without site packages, so that it is small and starts at once: only the standard library, no
import of this project. Serves ./usr/share/nginx/html if a volume put something there, else a page with the pod's name.
"""

import os
import signal
import socket
import sys
import threading

ROOT = os.path.realpath("usr/share/nginx/html")
TYPES = {
    ".html": "text/html",
    ".txt": "text/plain",
    ".json": "application/json",
    ".css": "text/css",
}
FALLBACK_PORT = 8080
HEADER_LIMIT = 16 * 1024


def page(path: str) -> tuple[str, str, bytes]:
    """Status line, content type and body for a path."""
    relative = path.split("?", 1)[0].lstrip("/") or "index.html"
    file = os.path.realpath(os.path.join(ROOT, relative))
    if file.startswith(ROOT + os.sep) and os.path.isfile(file):
        with open(file, "rb") as stream:
            kind = TYPES.get(os.path.splitext(file)[1], "application/octet-stream")
            return "200 OK", kind, stream.read()
    if relative == "index.html":
        name = os.environ.get("HOSTNAME", "")
        text = f"<html><head><title>Welcome</title></head><body><h1>{name}</h1></body></html>\n"
        return "200 OK", "text/html", text.encode()
    return "404 Not Found", "text/plain", b"404 Not Found\n"


def answer(connection: socket.socket, peer: str) -> None:
    """Serve one request and close."""
    with connection:
        connection.settimeout(10)
        data = b""
        try:
            while b"\r\n\r\n" not in data and len(data) < HEADER_LIMIT:
                part = connection.recv(4096)
                if not part:
                    return
                data += part
            words = data.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            method, path = words[0], words[1] if len(words) > 1 else "/"
            status, kind, body = page(path)
            head = (
                f"HTTP/1.1 {status}\r\nServer: quorate-web\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(head.encode() + (b"" if method == "HEAD" else body))
        except OSError:
            return
        sys.stdout.write(f'{peer} "{method} {path}" {status.split(" ", 1)[0]} {len(body)}\n')
        sys.stdout.flush()


def listen() -> socket.socket:
    """The listening socket, on $PORT or on 8080 where low ports need privileges."""
    address = os.environ.get("POD_IP", "127.0.0.1")
    port = int(os.environ.get("PORT", "80"))
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address, port))
    except PermissionError:
        server.bind((address, FALLBACK_PORT))
    server.listen(128)
    sys.stderr.write("serving on {}:{}\n".format(*server.getsockname()[:2]))
    sys.stderr.flush()
    return server


def main() -> None:
    """Serve until SIGTERM, SIGQUIT or SIGINT, which end it at once."""
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    server = listen()
    while True:
        connection, peer = server.accept()
        threading.Thread(target=answer, args=(connection, peer[0]), daemon=True).start()


if __name__ == "__main__":
    main()
